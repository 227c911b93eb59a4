"""Are there enough good, consistent examples to train on?"""

from __future__ import annotations

from tuneworthy.explain.questions._diagnosed import (
    PartialFinding,
    finding_on_contradictions,
    finding_on_few_rows,
    require_consistency,
)
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
from tuneworthy.records.counting import count_noun, points, points_with_bounds
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
        finding_on_contradictions(evidence)
        or require_consistency(evidence, _beats_untrained(evidence, task))
        or _without_learners(evidence)
        or finding_on_few_rows(evidence)
        or require_consistency(evidence, _judge_curve(evidence, task, curve))
        or ("not_measured", "", "")
    )
    needed = {"value": curve.needed, "low": curve.low, "high": curve.high} if curve else {}
    return Finding.model_validate(
        {"name": "enough_data", "answer": answer, "because": because, "next": step, "prior": PRIOR,
         **needed}
    )  # fmt: skip


def _beats_untrained(evidence: Evidence, task: Task) -> PartialFinding | None:
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


def _without_learners(evidence: Evidence) -> PartialFinding | None:
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


def _judge_curve(evidence: Evidence, task: Task, curve: LearningCurve | None) -> PartialFinding:
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
