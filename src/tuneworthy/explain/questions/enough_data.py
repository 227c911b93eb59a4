"""Are there enough good, consistent examples to train on?"""

from __future__ import annotations

from tuneworthy.explain.questions._findings import (
    learners,
    listed,
    pair_of,
    rows_needed_clause,
    ticked,
    trained_here,
    unmeasured,
    untrained_on_same_model,
)
from tuneworthy.matrix.sizing import rows_to_collect
from tuneworthy.records.counting import count_noun, percent, points, points_with_bounds
from tuneworthy.records.evidence import ArmResult, Evidence
from tuneworthy.records.further import LearningCurve
from tuneworthy.records.task import TRAINED_TOOLS, Task
from tuneworthy.records.verdict import Finding

QUESTION = "Are there enough good, consistent examples?"
PRIOR = "500 good examples"
WRONG = (
    "With too few good rows a training takes more of the model's general ability than it brings to"
    " the task: show the rows in the prompt instead."
)
UNIT = "rows"


def ask(evidence: Evidence, task: Task) -> Finding:
    """Answer from contradictions, tuning versus the untrained arms, counts, then the curve.

    `value` is the total number of rows that tuning needs, with its 80 % interval, if the curve
    gives one. A tuned arm that is shown to be better outweighs a count: the rows were enough.
    """
    curve = next((one for one in evidence.curves if one.tool in TRAINED_TOOLS), None)
    answer, because, step = (
        _finding_on_contradictions(evidence)
        or _require_consistency(evidence, _beats_untrained(evidence, task))
        or _without_learners(evidence)
        or _finding_on_few_rows(evidence)
        or _require_consistency(evidence, _judge_curve(evidence, task, curve))
        or ("not_measured", "", "")
    )
    needed = {"value": curve.needed, "low": curve.low, "high": curve.high} if curve else {}
    return Finding.model_validate(
        {"name": "enough_data", "answer": answer, "because": because, "next": step, "prior": PRIOR,
         **needed}
    )  # fmt: skip


def _beats_untrained(evidence: Evidence, task: Task) -> _PartialFinding | None:
    """Return (yes, because, "") if a tuned arm beats all untrained ones on its model, or None."""
    rivals = untrained_on_same_model(evidence, task)
    for arm in trained_here(evidence):
        pairs = [pair_of(evidence, arm.name, other.name) for other in rivals]
        sure = [p for p in pairs if p and p.low > 0 and p.mean >= task.success.margin]
        if not pairs or len(sure) < len(pairs):
            continue
        least = min(sure, key=lambda pair: pair.mean)
        because = (
            f"{count_noun(rows_learnt(evidence, arm), 'row')} were enough: {ticked(arm.name)} beats"
            f" {listed([other.name for other in rivals])} on the same model, by"
            f" {points_with_bounds(least, f'n = {least.n:,}')} or more"
        )
        return "yes", because, ""
    return None


def _without_learners(evidence: Evidence) -> _PartialFinding | None:
    """Return (not_measured, because, next) if no arm learns from these rows, else None."""
    if learners(evidence):
        return None
    why = "nothing that was measured learns from these rows"
    if any(arm.recorded for arm in evidence.arms if arm.tool in TRAINED_TOOLS):
        why = "the tuned model is known by recorded answers: what it learnt from is not known"
    return "not_measured", unmeasured({}, "", why), "let a training arm run"


def rows_learnt(evidence: Evidence, arm: ArmResult) -> int:
    """Return how many rows an arm learnt from, including its dev rows."""
    rows, most = evidence.train or 0, arm.options.get("rows")
    return min(rows, most) if isinstance(most, int) else rows


def _judge_curve(evidence: Evidence, task: Task, curve: LearningCurve | None) -> _PartialFinding:
    if curve is None or curve.last_doubling is None:
        why = (curve.because if curve else "") or "no learning curve of a tuned model"
        return "not_measured", unmeasured(evidence.missing, "curves", why), "let a training arm run"
    gain, margin = curve.last_doubling, task.success.margin
    n = curve.points[-1].n if curve.points else 0
    brings = points_with_bounds(gain, f"n = {n:,}" if n else "")
    said = f"the last doubling of rows brings {ticked(curve.arm)} {brings}"
    if gain.high < margin:
        return "yes", f"{said}: another one would add less than {points(margin)}", ""
    if gain.low > 0:
        return "no", f"{said}, and tuning is not shown better yet", _collect_step(evidence, curve)
    return (
        "not_measured",
        f"{rows_needed_clause(gain, n, margin, 0.0)}; {said}",
        _collect_step(evidence, curve),
    )


def _collect_step(evidence: Evidence, curve: LearningCurve) -> str:
    more = rows_to_collect(curve, evidence.train)
    if more and more.rows:
        return f"collect about {count_noun(more.rows, 'more row')}"
    return f"collect more rows ({curve.because})" if curve.because else "collect more rows"


_LEAST_EXAMPLES, _LEAST_OF_A_CLASS = 50, 10  # default: the fewest rows, and rows of a class

_MOST_CONTRADICTING = 0.02  # default: share of rows that contradict another row

_LEAST_ONE_FORM = 0.98  # default: share of answers in the most frequent form

_PartialFinding = tuple[str, str, str]

"""(answer, because, next) of a finding."""


def _finding_on_contradictions(evidence: Evidence) -> _PartialFinding | None:
    """Return (no, because, next) if too many rows contradict another, else None."""
    share = evidence.soundness.contradictions if evidence.soundness else None
    if share is None or share.share <= _MOST_CONTRADICTING:
        return None
    many = f"{share.k:,} of {share.n:,} rows ({percent(share.share)}) contradict another row"
    return "no", many, "correct the contradictory rows that `tuneworthy check` lists"


def _finding_on_few_rows(evidence: Evidence) -> _PartialFinding | None:
    """Return (no, because, next) if rows, or those of one class, are too few; else None."""
    if evidence.train is not None and evidence.train < _LEAST_EXAMPLES:
        many = f"{count_noun(evidence.train, 'row')} to learn from, fewer than {_LEAST_EXAMPLES}"
        return "no", many, f"collect {_LEAST_EXAMPLES - evidence.train} or more rows"
    fewest = evidence.soundness.fewest_of_a_class if evidence.soundness else None
    if fewest is not None and fewest < _LEAST_OF_A_CLASS:
        many = f"one class has {count_noun(fewest, 'row')}, fewer than {_LEAST_OF_A_CLASS}"
        return "no", many, f"collect rows of the rare classes, {_LEAST_OF_A_CLASS} or more of each"
    return None


def _require_consistency(
    evidence: Evidence, said: _PartialFinding | None
) -> _PartialFinding | None:
    """Return `said`; a yes becomes not_measured if contradictory rows were not counted."""
    if said is None or said[0] != "yes":
        return said
    sound = evidence.soundness
    if sound is None or sound.contradictions is None:
        missing = sound.missing if sound else evidence.missing
        field = "contradictions" if sound else "soundness"
        why = unmeasured(missing, field, "how many rows contradict another")
        return "not_measured", f"{said[1]}; {why}", "run `tuneworthy check`"
    form = sound.one_form
    if form is None or form.share >= _LEAST_ONE_FORM:
        return said
    mixed = f"{said[1]}; but only {percent(form.share)} of {form.n:,} answers have one form"
    return "yes", mixed, "bring the answers into one form"
