"""Advice on a user's own run for each failure mode, with the trainers' names of options."""

from __future__ import annotations

from collections.abc import Mapping

from tuneworthy.core.failure import RunFacts
from tuneworthy.lab.cases import LabCase

REPAIR_ADVICE: Mapping[str, str] = {
    "rate_too_high": "train again from the base with a learning_rate ten times lower",
    "rate_too_low": "train again with a learning_rate ten times higher, or for more steps; check"
    " that the adapter's weights are in the optimizer",
    "rank_too_low": "raise the rank (r), and adapt all linear layers: target_modules='all-linear'",
    "adapter_not_served": "load the adapter where the model is served, and compare one answer with"
    " the base's",
    "too_many_epochs": "keep the checkpoint with the least eval_loss (load_best_model_at_end), or"
    " train fewer epochs",
    "test_rows_leaked": "remove the copies from training, and split by document or customer and"
    " not by row",
    "wrong_labels": "look at these rows, and correct or remove the labels that are wrong",
    "mixed_formats": "write all training answers in one form",
    "new_facts_forget": "mix rows in that the model already answers, or look the facts up instead",
    "loss_on_prompt": "train the answers alone: completion_only_loss or assistant_only_loss of TRL,"
    " train_on_responses_only of Unsloth",
    "other_template": "render served prompts with the chat template of training, and compare the"
    " token ids of one prompt",
    "end_not_trained": "give padding a token of its own, or mask padding by position and not by id,"
    " and end each text with the end of turn",
    "rows_cut": "raise max_length to that of the longest row, or shorten or split the long rows",
    "packed_rows": "turn packing off, or pack with attention that does not cross rows",
    "narrow_rows_forget": "mix general rows in, lower the learning_rate, or train an adapter",
    "refusals_overrepresented": "thin out the rows with this answer until its share is that of use",
    "outdated_facts": "renew the rows, or give the facts as passages in the prompt",
    "teacher_errors": "check the teacher's answers against a source before training on them",
    "constrained_too_early": "show examples or train first, then constrain the answers",
    "stale_passage": "take documents that are no longer in force out of the index",
    "distractor_passage": "show fewer passages, the best one first",
    "high_temperature": "answer at temperature 0",
    "judge_order": "judge each pair in both orders, and count only verdicts that agree",
    "rounded_merge": "serve the adapter beside the base, or merge before rounding and check tokens",
}


def repair_advice(case: LabCase, facts: RunFacts = RunFacts()) -> str:
    """Return the advice for a case; without one, the configuration that repairs the lab's run."""
    if case.name == "end_not_trained" and facts.cut_rows == 1:  # no row is left with its end
        return REPAIR_ADVICE["rows_cut"]
    if case.name in REPAIR_ADVICE:
        return REPAIR_ADVICE[case.name]
    fixed, planted = case.module.CLEAN, case.module.PLANTED
    changed = [name for name in fixed if planted.get(name) != fixed[name]]
    return "; ".join(f"the lab repairs it by {name} = {fixed[name]}" for name in changed)
