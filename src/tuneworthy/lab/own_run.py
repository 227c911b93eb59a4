"""Run the lab's detectors on a user's training folder, without running a model.

A detector reads only facts. Facts that the folder does not show are None with a reason, and a
detector that needs one of them is reported as not measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from tuneworthy.lab.cases import LabCase, all_cases
from tuneworthy.lab.own_adapter import FolderTokenizer, adapter_facts, read_tokenizer
from tuneworthy.lab.own_log import log_facts, missing_log_facts, outlier_rows, read_logs
from tuneworthy.lab.own_rows import (
    DatasetFacts,
    drop_free_text_tokens,
    encode_rows,
    facts_without_data,
    merge_facts,
    packing_facts,
    text_facts,
    token_facts,
)
from tuneworthy.lab.own_trainer import OwnTrainer, read_trainer
from tuneworthy.records.errors import ModelError, TaskError
from tuneworthy.records.failure import Detection, RunFacts, Runs
from tuneworthy.records.run_report import (
    NEEDS_ANSWERS,
    ONLY_IN_LAB_RUNS,
    CaseFinding,
    DataInfo,
    FindingState,
    OwnRunReport,
)
from tuneworthy.rows.run_folder import KEPT, RunFolder, open_run_folder
from tuneworthy.rows.training_rows import TrainingRows, read_training_rows

_SHOWN_FAULTS = 5

_ANSWER_FACTS = ("answers", "ended", "score", "valid", "length", "copied", "same_as_base", "p_end",
            "same_prompt")  # fmt: skip


@dataclass(frozen=True)
class OwnFiles:
    """Files beside the folder: training rows, test rows, and the folder of the base's weights."""

    data: Path | None = None
    test: Path | None = None
    base: Path | None = None


class _WatchedFacts:
    """The facts of a run, which record the names that a detector reads."""

    def __init__(self, facts: RunFacts) -> None:
        self._facts = facts
        self._read_names: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name not in self._read_names:
            self._read_names.append(name)
        return getattr(self._facts, name)

    def missing(self, reasons: Mapping[str, str]) -> dict[str, str]:
        """Return {fact: reason} for the facts that were read and are missing."""
        lost = [name for name in self._read_names if getattr(self._facts, name) in (None, {})]
        return {name: reasons.get(name, ONLY_IN_LAB_RUNS) for name in lost if name != "refused"}


def check_run(folder: Path, files: OwnFiles = OwnFiles()) -> OwnRunReport:
    """Return the report of the lab's detectors on a training folder.

    Raises TaskError if there is no such folder or nothing of a training run is in it, DataError for
    rows or a tokenizer that can't be read.
    """
    run = open_run_folder(folder)
    logs, sources = read_logs(run)
    adapter = adapter_facts(run, _checked_base(files.base))
    tokenizer = read_tokenizer(run)
    _refuse_no_run(run, bool(sources), adapter.info is not None, tokenizer)
    trainer = read_trainer(run, logs)
    log = logs[0] if logs else None
    clip, best = trainer.number("max_grad_norm"), trainer.flag("load_best_model_at_end")
    found = log_facts(log, clip, best) if log else {}
    train = _read_rows(files.data, "--data")
    test = _read_rows(files.test, "--test")
    about, encoded, not_read = _data_facts(train, test, tokenizer, trainer)
    if log is not None and train is not None and (odd := outlier_rows(log)):
        places = [row.where for row in train.rows]
        if len(log.by_row) == len(places):
            about.rows["outliers"] = [places[k] for k in odd]
    missing = {**missing_log_facts(log, found), **adapter.missing, **about.missing}
    facts = _run_facts({**found, **adapter.facts, **about.facts}, missing)
    missing |= dict.fromkeys(_ANSWER_FACTS, NEEDS_ANSWERS)
    return OwnRunReport(
        folder=str(folder),
        trainer=trainer.label,
        logs=tuple(sources),
        adapter=adapter.info,
        data=_data_info(train, encoded),
        test=_data_info(test, 0),
        settings=dict(trainer.settings),
        named_by=dict(trainer.named_by),
        facts=facts,
        missing={name: why for name, why in missing.items() if getattr(facts, name, 0) is None},
        assumed=tuple(about.assumed),
        not_read={**trainer.why_unread, **not_read, **_skipped_links(run)},
        findings=tuple(
            _case_finding(case, facts, missing, about.rows) for case in all_cases().values()
        ),
    )


def _run_facts(found: Mapping[str, Any], missing: dict[str, str]) -> RunFacts:
    """Return the facts that are finite; note the others in `missing` with the reason."""
    whole = {}
    for name, value in found.items():
        if isinstance(value, float) and not math.isfinite(value):
            missing[name] = "the values of the log are too large to be averaged"
        elif name in RunFacts.model_fields:
            whole[name] = value
    return RunFacts(**whole)


def _case_finding(
    case: LabCase, facts: RunFacts, missing: Mapping[str, str], rows: Mapping[str, list[str]]
) -> CaseFinding:
    """Return the finding of one case's detector on the facts."""
    watched = _WatchedFacts(facts)
    says = _checked_finding(case, cast(RunFacts, watched))
    state: FindingState = "not measured"
    if says.found is not None:
        state = "found" if says.found else "explained" if says.explained else "clean"
    concerned = next((rows[name] for name in watched._read_names if rows.get(name)), None)
    shown = concerned if state == "found" else None
    return CaseFinding(
        cause=case.name,
        case=case.slug,
        title=case.module.TITLE,
        state=state,
        value=says.value,
        because=says.because,
        limit=says.limit,
        explained=says.explained,
        missing=watched.missing(missing),
        rows=tuple((shown or [])[:_SHOWN_FAULTS]),
        row_count=len(shown) if shown is not None else None,
        fix=repair_advice(case, facts) if state == "found" else "",
        harmless=case.module.HARMLESS if state == "found" else "",
    )


def _checked_finding(case: LabCase, facts: RunFacts) -> Detection:
    """Return what a case's detector says; found None if its values are not finite."""
    try:
        says: Detection = case.module.detect(Runs(facts, None))
    except ArithmeticError:
        says = Detection(found=None, value=math.inf, because="")
    if says.value is not None and not math.isfinite(says.value):
        why = "not measured: the values of the log are too large or too small to be compared"
        return Detection(found=None, because=why)
    return says


def _data_facts(
    train: TrainingRows | None,
    test: TrainingRows | None,
    tokenizer: FolderTokenizer | str,
    trainer: OwnTrainer,
) -> tuple[DatasetFacts, int, dict[str, str]]:
    """Return (the rows' facts, number of encoded rows, {file: why} if a row failed)."""
    packed = packing_facts(trainer)
    if train is None:
        why = "no training rows are given (--data FILE)"
        return merge_facts(facts_without_data(why), packed), 0, {}
    texts = merge_facts(text_facts(train, test), packed)
    if isinstance(tokenizer, str):
        return merge_facts(facts_without_data(tokenizer), texts), 0, {}
    try:
        encoded, why = encode_rows(train, tokenizer)
    except ModelError as error:
        encoded, why = [], error.what
    if not encoded:
        return (
            merge_facts(facts_without_data(f"no row can be turned into tokens: {why}"), texts),
            0,
            {},
        )
    tokens = token_facts(encoded, len(train.rows), tokenizer, trainer)
    return (
        drop_free_text_tokens(merge_facts(texts, tokens)),
        len(encoded),
        {train.file: why} if why else {},
    )


def _read_rows(path: Path | None, option: str) -> TrainingRows | None:
    if path is None:
        return None
    if not path.exists():
        raise TaskError("there is no such file of rows", where=option, got=str(path),
                        fix="name the file that the run learnt from", kept=KEPT)  # fmt: skip
    return read_training_rows(path, option)


def _checked_base(path: Path | None) -> Path | None:
    if path is not None and not any(path.glob("*.safetensors")):
        raise TaskError("the base's folder holds no safetensors", where="--base", got=str(path),
                        fix="name the folder with the base's weights", kept=KEPT)  # fmt: skip
    return path


def _refuse_no_run(
    run: RunFolder, logged: bool, adapted: bool, tokenizer: FolderTokenizer | str
) -> None:
    """Raise TaskError if a folder has no log, no adapter and no tokenizer."""
    if logged or adapted or not isinstance(tokenizer, str):
        return
    pickles = run.named("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
    got = ", ".join(run.files[:_SHOWN_FAULTS]) + (", …" if len(run.files) > _SHOWN_FAULTS else "")
    fix = "name the output_dir of the trainer: it holds trainer_state.json, often in checkpoint-N"
    if pickles:
        fix += ". Pickles (.bin, .pt, .pth, .ckpt) are never opened: they can run code"
    raise TaskError("nothing in this folder is a training run's", where="--run", got=got, fix=fix,
                    kept=KEPT)  # fmt: skip


def _data_info(rows: TrainingRows | None, encoded: int) -> DataInfo | None:
    if rows is None:
        return None
    bad = tuple(f"{fault.place()}: {fault.why}" for fault in rows.faults)
    return DataInfo(file=rows.file, form=rows.form, rows=len(rows.rows), bad_rows=rows.bad,
                    bad=bad, encoded=encoded)  # fmt: skip


def _skipped_links(run: RunFolder) -> dict[str, str]:
    links = dict.fromkeys(run.links[:_SHOWN_FAULTS], "a link, which is not followed")
    return links | ({"…": "more files than are looked at"} if run.has_more else {})


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
    "rating_rewarded": "reward right answers, and let ratings choose among those alone",
    "model_too_small": "take a base that writes plain sentences of the task's language",
    "constrained_too_early": "show examples or train first, then constrain the answers",
    "stale_passage": "take documents that are no longer in force out of the index",
    "distractor_passage": "show fewer passages, the best one first",
    "high_temperature": "answer at temperature 0",
    "judge_order": "judge each pair in both orders, and count only verdicts that agree",
    "rounded_merge": "serve the adapter beside the base, or merge before rounding and check tokens",
}


def repair_advice(case: LabCase, facts: RunFacts = RunFacts()) -> str:
    """Return the advice for a case; if it has none, the setting that repairs the lab's run."""
    if case.name == "end_not_trained" and facts.cut_rows == 1:  # no row is left with its end
        return REPAIR_ADVICE["rows_cut"]
    if case.name in REPAIR_ADVICE:
        return REPAIR_ADVICE[case.name]
    fixed = case.module.CLEAN
    return "; ".join(f"the lab repairs it by {key} = {fixed[key]}" for key in case.module.PLANTED)
