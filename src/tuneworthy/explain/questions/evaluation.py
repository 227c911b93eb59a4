"""Can these rows and this metric show an improvement at all?"""

from __future__ import annotations

from functools import partial

from tuneworthy.explain.metric_ladder import (
    ANOTHER_ROW,
    LEAST_GOLD_AUC,
    LEAST_GOLD_MEAN,
    MOST_UNSCORED_GOLD,
)
from tuneworthy.explain.questions._findings import finding, unmeasured
from tuneworthy.matrix.detectable import rows_to_reach
from tuneworthy.records.audit_report import Soundness
from tuneworthy.records.counting import percent, points
from tuneworthy.records.evidence import Evidence
from tuneworthy.records.task import Task
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
    """Answer no if metric, leak, reruns or judge are unsound, yes if the margin is detectable.

    `value` is the smallest difference that these rows detect with power .8.
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
    seen = f"{sound.n:,} scored rows show differences from {points(sound.mde)} on"
    looks = f", looked at {evidence.looks} times" if evidence.looks > 1 else ""
    if sound.mde > margin:
        need = _rows_for_margin(sound, margin)
        because = f"too small: needs about {need:,} scored rows; {seen}{looks}"
        step = f"settle, or label about {max(1, need - sound.n):,} more rows"
        return _finding("not_measured", because, step, sound.mde)
    if unknown := _missing_check(sound, task):
        return _finding("not_measured", f"{unknown}; {seen}{looks}", "mend the metric", sound.mde)
    because = f"{seen}{looks}, the metric tells right answers from others, and nothing leaks"
    return _finding("yes", because, "", sound.mde)


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


def _rows_for_margin(sound: Soundness, margin: float) -> int:
    """Return how many scored rows detect the margin."""
    assert sound.mde is not None
    return rows_to_reach(margin, sound.n, sound.mde)
