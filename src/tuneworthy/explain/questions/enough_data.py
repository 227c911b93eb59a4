"""Are there enough good, consistent examples to train on?"""

from __future__ import annotations

from itertools import permutations
from math import ceil

from tuneworthy.explain.questions._findings import (
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
from tuneworthy.records.reason import Why, is_reason
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
    """Answer from contradictions, tuning versus the untrained arms, counts, then curves.

    `value` is the total number of rows that tuning needs, with its 80 % interval, if its curve
    gives one. A tuned arm that is shown to be better outweighs a count: the rows were enough.
    Without a curve of a tuned model that tells, its score beside a perfect one, trainings on other
    numbers of rows, its distance to the untrained arms and a classifier's curve do, in this order.
    """
    margin = task.success.margin
    curve = next((one for one in evidence.curves if one.tool in TRAINED_TOOLS), None)
    by_count = None if _learnt_elsewhere(evidence) else _finding_on_few_rows(evidence)
    answer, because, step = (
        _finding_on_contradictions(evidence)
        or _require_consistency(evidence, _beats_untrained(evidence, task))
        or by_count
        or _require_consistency(evidence, _judge_curve(evidence, margin, curve))
        or _require_consistency(evidence, _near_perfect(evidence, margin))
        or _require_consistency(evidence, _judge_trainings(evidence, margin))
        or _behind_untrained(evidence, task)
        or _require_consistency(evidence, _judge_other_curves(evidence, margin))
        or ("not_measured", *_what_would_tell(evidence, task, curve))
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


def rows_learnt(evidence: Evidence, arm: ArmResult) -> int:
    """Return how many rows an arm learnt from, including its dev rows."""
    rows, most = evidence.train or 0, arm.options.get("rows")
    return min(rows, most) if isinstance(most, int) else rows


def _judge_curve(
    evidence: Evidence, margin: float, curve: LearningCurve | None
) -> _PartialFinding | None:
    """Return the finding if more rows are shown to help, or to gain too little; else None."""
    if curve is None or curve.last_doubling is None:
        return None
    gain, said = curve.last_doubling, _doubling_clause(curve)
    if gain.high < margin:
        return "yes", f"{said}: another one would add less than {points(margin)}", ""
    if curve.points and (most := 1 - curve.points[-1].score.low) <= margin:
        return "yes", f"{said}: more rows could add {points(most)} at most", ""
    if gain.low > 0:
        tuned = curve.tool in TRAINED_TOOLS
        but = ", and tuning is not shown better yet" if tuned else ""
        return "no", f"{said}{but}", _collect_step(evidence, curve)
    return None


def _doubling_clause(curve: LearningCurve) -> str:
    assert curve.last_doubling is not None
    n = curve.points[-1].n if curve.points else 0
    brings = points_with_bounds(curve.last_doubling, f"n = {n:,}" if n else "")
    return f"the last doubling of rows brings {ticked(curve.arm)} {brings}"


def _near_perfect(evidence: Evidence, margin: float) -> _PartialFinding | None:
    """Return (yes, because, "") if more rows could gain a tuned arm at most the margin, or None."""
    for arm in trained_here(evidence):
        if arm.score and 1 - arm.score.low <= margin:
            rows = count_noun(rows_learnt(evidence, arm), "row")
            most = points(1 - arm.score.low)
            because = f"{ticked(arm.name)} learnt from {rows}: more could add {most} at most"
            return "yes", because, ""
    return None


def _judge_trainings(evidence: Evidence, margin: float) -> _PartialFinding | None:
    """Return the finding of two trainings of one kind, one on at least twice the rows; or None."""
    trained = [arm for arm in evidence.arms
               if arm.tool in TRAINED_TOOLS and arm.score and arm.learned]  # fmt: skip
    for less, more in permutations(trained, 2):
        few, many = rows_learnt(evidence, less), rows_learnt(evidence, more)
        pair = pair_of(evidence, more.name, less.name)
        same = {**less.options, "rows": 0} == {**more.options, "rows": 0} and less.tool == more.tool
        if pair is None or not same or many < 2 * few:
            continue
        gain = points_with_bounds(pair, f"n = {pair.n:,}")
        said = f"{ticked(more.name)} learnt from {many:,} rows, {ticked(less.name)} from {few:,}"
        if pair.high < margin:
            return "yes", f"{said}, and gained {gain}: too little to collect more", ""
        if pair.low > 0:
            return "no", f"{said}, and gained {gain}: more rows still help", "collect more rows"
    return None


def _behind_untrained(evidence: Evidence, task: Task) -> _PartialFinding | None:
    """Return (no, because, next) if a tuned arm that learnt from all rows is shown behind; or None.

    It is one that no other tuned arm replaces: each of them must be behind an untrained one.
    """
    behind = []
    for arm in (trained := trained_here(evidence)):
        rivals = untrained_on_same_model(evidence, task)
        pairs = [pair_of(evidence, arm.name, other.name) for other in rivals]
        lost = [pair for pair in pairs if pair and pair.high < 0]
        if lost and rows_learnt(evidence, arm) == evidence.train:
            behind.append(min(lost, key=lambda pair: pair.high))
    if not behind or len(behind) < len(trained):
        return None
    nearest = max(behind, key=lambda pair: pair.mean)
    because = (
        f"{count_noun(evidence.train or 0, 'row')} were not enough: {ticked(nearest.arm)} minus"
        f" {ticked(nearest.versus)} is {points_with_bounds(nearest, f'n = {nearest.n:,}')}"
    )
    return "no", because, f"use {ticked(nearest.versus)}, or collect more rows"


def _judge_other_curves(evidence: Evidence, margin: float) -> _PartialFinding | None:
    """Return the finding of the curve of another learner than a tuned model, or None."""
    for curve in evidence.curves:
        found = _judge_curve(evidence, margin, curve) if curve.tool not in TRAINED_TOOLS else None
        if found:
            return found[0], f"{found[1]} (of a tuned model no curve tells)", found[2]
    return None


def _learnt_elsewhere(evidence: Evidence) -> bool:
    """Return whether recorded answers may be those of a model that learnt from other rows."""
    unsure = (*TRAINED_TOOLS, None)
    return any(arm.recorded and arm.tool in unsure for arm in evidence.arms)


def _what_would_tell(
    evidence: Evidence, task: Task, curve: LearningCurve | None
) -> tuple[str, str]:
    """Return (why it is not known whether the rows are enough, what or who would tell)."""
    trained = trained_here(evidence)
    drawn = [one for one in evidence.curves if one.last_doubling]
    if drawn and not (curve and curve.last_doubling):
        curve = drawn[0]
    if curve and curve.last_doubling:
        n = curve.points[-1].n if curve.points else 0
        need = rows_needed_clause(curve.last_doubling, n, task.success.margin, 0.0)
        return f"{need}; {_doubling_clause(curve)}", _collect_step(evidence, curve)
    if not trained and _learnt_elsewhere(evidence):
        why = "of a recorded system it is not known what it learnt from"
        return f"not measured ({why})", "ask whoever built it, or let a training arm run here"
    if not trained:
        left = [arm for arm in evidence.arms
                if arm.tool in TRAINED_TOOLS and arm.left_out_for_time]  # fmt: skip
        least = min((arm.more_minutes for arm in left if arm.more_minutes), default=None)
        step = "let `arms` name a training arm: `tuneworthy plan` says what it takes"
        if least is not None:
            stopped = any(is_reason(arm.because, Why.STOPPED) for arm in left)
            more = "" if stopped else f" --more {ceil(least)}m"
            step = f"let a training arm run: `tuneworthy run{more}`"
        return "not measured (no model was trained on these rows)", step
    why = (curve.because if curve else "") or "no learning curve of a tuned model"
    said = unmeasured(evidence.missing, "curves", why)
    for other in untrained_on_same_model(evidence, task):
        if pair := pair_of(evidence, trained[0].name, other.name):
            both = f"{ticked(pair.arm)} minus {ticked(pair.versus)}"
            said += f"; {both} is {points_with_bounds(pair, f'n = {pair.n:,}')}"
            break
    return said, "run without `--brief`, with the minutes that `tuneworthy plan` says for a curve"


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
