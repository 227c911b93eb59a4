"""Conclude from a log to keep, retrain, or repeat the verdict (why: docs/why/watching.md).

Each measure that can speak against "keep" has a fixed share of the 5 % by which the conclusion may
be wrong if nothing changed. A missing measure uses up its share too, so that the contents of a log
do not change the level of the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from tuneworthy.records.counting import count_noun, percent, points, points_with_bounds, score_text
from tuneworthy.records.escape import quoted
from tuneworthy.records.live_check import Conclusion, LiveCheck, LiveMean

ERROR_SHARES = {"inputs": 0.02, "score": 0.01, "labels": 0.005, "valid": 0.005, "facts": 0.005,
          "slow": 0.005}  # fmt: skip
"""The one-sided error of each measure; their sum is ALPHA."""
_WHY_MISSING = {
    "score": "no fresh labels",
    "inputs": "the inputs could not be compared",
    "valid": "validity was not measured",
    "labels": "the labels could not be compared",
    "facts": "no facts are known to the check",
    "slow": "no limit on latency was set",
}
LEAST_ROWS = 20
"""The fewest new rows that are worth a retraining."""


def conclude(check: LiveCheck) -> Conclusion:
    """Return whether to keep a system in use, retrain it or repeat the verdict, and why.

    A verdict past its expiry, or whose facts moved, is repeated. So is one whose arm is shown to
    be less valid or to break a limit, or to score lower, unless the inputs or labels drifted and
    the arm learns from rows: then it is retrained on new rows. A score shown to hold outweighs
    drift.
    """
    unseen = {key: check.missing.get(key, _WHY_MISSING[key]) for key in ERROR_SHARES
              if getattr(check, key) is None}  # fmt: skip
    drift = "; ".join(_drift_texts(check))
    if why := _why_outdated(check):
        return Conclusion(do="repeat the verdict", because=why, unseen=unseen)
    if why := _drop_text(check.score, check.margin):
        why = f"the score dropped: {why}"
        if drift and check.learns:
            return _retrain_conclusion(check, f"{why}; {drift}", unseen)
        return Conclusion(do="repeat the verdict", because=why, unseen=unseen)
    if why := "; ".join(_broken_limits(check)):
        return Conclusion(do="repeat the verdict", because=why, unseen=unseen)
    if drift and (held := _held_text(check)):
        return Conclusion(do="keep", because=f"{held}, although {drift}", unseen=unseen)
    if drift and check.learns:
        return _retrain_conclusion(check, drift, unseen)
    if drift:
        why = f"{drift}; the arm learns nothing from rows, so which arm is best may have changed"
        return Conclusion(do="repeat the verdict", because=why, unseen=unseen)
    return Conclusion(do="keep", because=_reasons_to_keep(check), unseen=unseen)


def _why_outdated(check: LiveCheck) -> str:
    """Return why the verdict is outdated: it expired, or its facts moved; "" if it is not."""
    if check.expiry.passed:
        return f"the verdict expired on {check.expiry.day}: {check.expiry.because}"
    facts = check.facts
    if facts is None:
        return ""
    shown = facts.stale if check.reads_docs else facts.share
    if shown is None or shown.low <= check.stale_ok:
        return ""
    share = facts.share
    why = (
        f"the facts moved: for {share.k:,} of {count_noun(share.n, 'request')} another passage is"
        f" in force than on {facts.since[:10]}"
    )
    if facts.stale:
        why += f"; {facts.old:,} of the answers to them state the old fact, {facts.new:,} the new"
    what = "old facts" if check.reads_docs else "moved facts"
    return (
        f"{why} ({what} in {percent(shown.share)} of all, at least {percent(shown.low)};"
        f" stale_ok is {percent(check.stale_ok)})"
    )


def _drop_text(measure: LiveMean | None, margin: float) -> str:
    """Return the text on a mean's drop that is shown and at least the margin; "" for any other."""
    if measure is None or measure.difference is None or measure.then is None:
        return ""
    gap = measure.difference
    if gap.high >= 0 or -gap.mean < margin:
        return ""
    return (
        f"{score_text(measure.now.mean)} in the log, {score_text(measure.then.mean)} in the study"
        f" ({points(gap.mean)}, at best {points(gap.high)};"
        f" n = {measure.n_now:,} and {measure.n_then:,})"
    )


def _held_text(check: LiveCheck) -> str:
    """Return the text that the score held within the margin, if fresh labels show it; else ""."""
    score = check.score
    if score is None or score.difference is None or score.difference.low < -check.margin:
        return ""
    gap = score.difference
    return (
        f"the score held on {count_noun(score.n_now, 'fresh label')} ({points(gap.mean)}, at worst"
        f" {points(gap.low)}; the margin is {points(check.margin)})"
    )


def _broken_limits(check: LiveCheck) -> Iterator[str]:
    """Yield a text on each limit that the log shows to be broken: validity, latency."""
    valid, slow = check.valid, check.slow
    if why := _drop_text(valid, check.margin):
        yield f"fewer answers are valid: {why}"
    elif valid and check.valid_limit is not None and valid.now.high < check.valid_limit:
        yield (
            f"{percent(valid.now.mean)} of the answers are valid (at most"
            f" {percent(valid.now.high)}; n = {valid.n_now:,}), and the limit is"
            f" {percent(check.valid_limit)}"
        )
    if slow and check.p95_limit is not None and slow.low > 0.05:
        yield (
            f"{percent(slow.share)} of the requests took longer than {check.p95_limit:,.0f} ms (at"
            f" least {percent(slow.low)}; n = {slow.n:,}), and 5 % may"
        )


def _drift_texts(check: LiveCheck) -> Iterator[str]:
    """Yield a text on each drift that is shown: of the inputs, of the answered labels."""
    inputs, labels = check.inputs, check.labels
    if inputs and inputs.p <= inputs.level:
        yield (
            f"the inputs drifted: a classifier tells them from the study's rows"
            f" (AUC {score_text(inputs.auc)}, p {_p_text(inputs.p)};"
            f" n = {inputs.n_now:,} and {inputs.n_then:,})"
        )
    if labels and labels.p <= labels.level:
        yield (
            f"the answered labels shifted: {percent(labels.distance.mean)} of them (at least"
            f" {percent(labels.distance.low)}; p {_p_text(labels.p)}; n = {labels.n_now:,} and"
            f" {labels.n_then:,})"
        )


def _retrain_conclusion(check: LiveCheck, why: str, unseen: dict[str, str]) -> Conclusion:
    """Return the conclusion to retrain, with the number of new rows and its bounds.

    It is the number of rows that the arm learnt from, times the largest share of the log that is
    shown to differ from the study's rows.
    """
    moved = [m for m in (
        check.inputs and (check.inputs.moved.mean, check.inputs.moved.low, check.inputs.moved.high),
        check.labels and (check.labels.distance.mean, check.labels.distance.low,
                          check.labels.distance.high),
        check.unlike and (check.unlike.share.share, check.unlike.share.low,
                          check.unlike.share.high),
    ) if m]  # fmt: skip
    if check.learnt_rows is None:
        why = f"{why}; how many rows the arm learnt from is not known"
        return Conclusion(do="retrain", because=why, unseen=unseen)
    mean, low, high = max(moved)
    rows = [max(LEAST_ROWS, ceil(part * check.learnt_rows)) for part in (mean, low, high)]
    why = (
        f"{why}. The study's rows do not stand for {percent(mean)} of the log (at least), and the"
        f" arm learnt from {count_noun(check.learnt_rows, 'row')}"
    )
    if check.score is None:
        why += "; whether the score dropped is not measured: label some of the requests first"
    return Conclusion(do="retrain", because=why, rows=rows[0], rows_low=rows[1], rows_high=rows[2],
                      unseen=unseen)  # fmt: skip


def _reasons_to_keep(check: LiveCheck) -> str:
    """Return the text on what speaks for keeping the system, with bounds."""
    told = [] if check.arm else ["the verdict names no arm to compare the answers with"]
    held = _held_text(check)
    if held:
        told.append(held)
    if check.inputs:
        told.append(f"no drift of the inputs is shown (p {_p_text(check.inputs.p)};"
                    f" n = {check.inputs.n_now:,})")  # fmt: skip
    shown = False
    for name, measure in (("the score", check.score), ("validity", check.valid)):
        if measure and (gap := measure.difference):
            shown = shown or gap.low > 0 or gap.high < 0
            if name == "validity" or not held:
                n = f"n = {measure.n_now:,}"
                told.append(f"{name} changed by {points_with_bounds(gap, n)}")
    if check.facts:
        share = check.facts.share
        told.append(f"at most {percent(share.high)} of the requests are about facts that moved")
    if not told:
        return f"nothing is shown to have changed, and {quoted(check.log, 60)} can show little"
    fell = f"no fall by {points(check.margin)}, your margin, is shown"
    return f"{fell if shown else 'nothing is shown to have changed'}: " + "; ".join(told)


def _p_text(value: float) -> str:
    return "below .001" if value < 0.001 else f"{value:.3f}".removeprefix("0")
