"""Can these rows and this metric show an improvement at all?"""

from __future__ import annotations

from functools import partial
from itertools import product

from tuneworthy.explain.metric_ladder import (
    ANOTHER_ROW,
    LEAST_GOLD_AUC,
    LEAST_GOLD_MEAN,
    MOST_UNSCORED_GOLD,
)
from tuneworthy.explain.questions._findings import finding, pair_of, ticked, unmeasured
from tuneworthy.matrix.detectable import rows_to_reach
from tuneworthy.matrix.ladder import climb
from tuneworthy.records.audit_report import Soundness
from tuneworthy.records.counting import percent, points
from tuneworthy.records.evidence import ArmResult, Evidence
from tuneworthy.records.further import Proportion
from tuneworthy.records.task import TOOLS, Task
from tuneworthy.records.verdict import Finding

QUESTION = "Would this evaluation show an improvement?"
PRIOR = None
WRONG = (
    "Without a measurement that can show a gain nobody will know whether tuning helped: mend the"
    " evaluation first."
)
UNIT = "points"
_finding = partial(finding, "evaluation", PRIOR)


def ask(evidence: Evidence, task: Task) -> Finding:
    """Answer no if metric, labels, leak, reruns or judge are unsound, or the rows too few.

    Rows too few for the margin still say yes where they are enough for the arms at hand: no arm can
    be better by more than the margin than one of them. `value` is the smallest difference that
    these rows detect with power .8.
    """
    sound, margin = evidence.soundness, task.success.margin
    if sound is None:
        why = unmeasured(evidence.missing, "soundness", "rows and metric were not examined")
        return _finding("not_measured", why, "run `tuneworthy check`")
    if faults := _faults(sound, margin):
        return _finding("no", "; ".join(why for why, _ in faults), faults[0][1], sound.mde)
    if sound.mde is None:
        why = unmeasured(sound.missing, "mde", "no row was scored")
        return _finding("not_measured", why, "score rows with an answer")
    looks = f", looked at {evidence.looks} times" if evidence.looks > 1 else ""
    seen = f"{sound.n:,} scored rows show differences from {points(sound.mde)} on{looks}"
    few, settled = sound.mde > margin, _arm_that_none_beats(evidence, margin)
    if few and not settled:
        need = rows_to_reach(margin, sound.n, sound.mde)
        because = (
            f"too small: {seen}, so a gain of {points(margin)}, your margin, would stay unseen;"
            f" about {need:,} rows would show it"
        )
        how = "settle, or label" if evidence.pool else "label"
        step = f"{how} about {max(1, need - sound.n):,} more rows"
        return _finding("no", f"{because}{_doubts_clause(sound, margin)}", step, sound.mde)
    if unknown := _missing_check(sound, task):
        return _finding("not_measured", f"{unknown}; {seen}", "mend the metric", sound.mde)
    enough = f", enough for these arms: none can be {points(margin)} better than {settled}" * few
    because = f"{seen}{enough}, the metric tells right answers from others, and nothing leaks"
    return _finding("yes", f"{because}{_doubts_clause(sound, margin)}", "", sound.mde)


def _arm_that_none_beats(evidence: Evidence, margin: float) -> str:
    """Return the arm, in backticks, that the ladder names if no other can be better by the margin.

    "" if one can be (a pair without a bound may differ by anything), or if there is one arm only.
    """
    arms = [arm for arm in evidence.arms if arm.role == "candidate" and arm.score and arm.competes]
    order = [arm.name for arm in sorted(arms, key=_ladder_place) if arm.finalist]
    others = [arm.name for arm in arms if not arm.finalist]
    if not order or len(arms) < 2:
        return ""
    bounds = dict.fromkeys(product([*order, *others], order), (0.0, -1.0, 1.0))
    for b, s in bounds:
        if found := pair_of(evidence, b, s):
            bounds[b, s] = (found.mean, found.low, found.high)
    named = climb(order, bounds, margin).name
    rivals = [*(name for name in order if name != named), *others]
    return ticked(named) if climb([named], bounds, margin, rivals).firm else ""


def _ladder_place(arm: ArmResult) -> tuple[int, int, str]:
    return (TOOLS.index(arm.tool) if arm.tool else len(TOOLS), arm.simplicity, arm.name)


def _doubts_clause(sound: Soundness, margin: float) -> str:
    """Return a clause on rows that a copy contradicts, or more than a margin that neighbours do."""
    said = []
    if sound.contradictions and sound.contradictions.k:
        said.append(f"{_share_text(sound.contradictions)} contradict another row")
    if sound.noise and sound.noise.share > margin:
        said.append(f"the labels of {_share_text(sound.noise)} differ from their nearest rows'")
    return f"; {', and '.join(said)}" if said else ""


def _share_text(share: Proportion) -> str:
    return f"{share.k:,} of {share.n:,} rows ({percent(share.share)})"


def _faults(sound: Soundness, margin: float) -> list[tuple[str, str]]:
    """Return (fault, repair) for each demonstrated fault of rows, metric or judge."""
    faults, auc, lost = [], sound.ladder.get(ANOTHER_ROW), sound.unscored
    if lost is not None and lost.share > MOST_UNSCORED_GOLD:
        why = f"the metric gives no score to {lost.k:,} of {lost.n:,} right answers"
        faults.append((why, "mend the metric"))
    if sound.gold is not None and sound.gold < LEAST_GOLD_MEAN:
        why = f"the metric gives the right answers themselves {sound.gold:.2f} on average"
        faults.append((why, "mend the metric"))
    if auc is not None and auc < LEAST_GOLD_AUC:
        why = f"the metric ranks a right answer above another row's in {percent(auc)} of the rows"
        faults.append((why, "mend the metric"))
    if sound.contradictions is not None and sound.contradictions.share > margin:
        why = f"{_share_text(sound.contradictions)} contradict another row, more than your margin"
        faults.append((why, "correct the contradictory rows that `tuneworthy check` lists"))
    if sound.leak is None and (every := sound.missing.get("leak")):
        faults.append((every, "score rows that no training row resembles"))
    if sound.leak is not None and sound.leak > margin:
        why = (
            f"a score moves by {points(sound.leak)} when near-copies of training rows are left out"
        )
        faults.append((why, "leave the near-copies out of the training rows"))
    if sound.flips is not None and sound.flips.low > margin:
        why = f"asked again, {percent(sound.flips.mean)} of the cases change sides"
        faults.append((f"{why} (at least {percent(sound.flips.low)})", "answer at temperature 0"))
    if sound.judge:
        faults.append((f"the judge is refused: {sound.judge}", "grade more answers by hand"))
    return faults


def _missing_check(sound: Soundness, task: Task) -> str:
    """Return "not measured (…)" on a check that a yes needs and lacks, or ""."""
    metric = {"gold": sound.gold, "ladder": sound.ladder.get(ANOTHER_ROW)}
    judged = task.success.judge is not None
    for field, value in {**({} if judged else metric), "leak": sound.leak}.items():
        if value is None:
            return unmeasured(sound.missing, field, f"{field} of the metric ladder")
    return ""
