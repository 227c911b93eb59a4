"""The day after which a deployed arm should not be trusted any more."""

from __future__ import annotations

from datetime import date, timedelta

from tuneworthy.core.evidence import ArmResult, Evidence

FROZEN = {"tune", "classifier", "distil"}  # tools whose facts stay as they were learnt
_MOST = 36_500  # days


def expiry(evidence: Evidence, arm: ArmResult, today: date) -> str | None:
    """Return the ISO date on which facts may be too old, or the model is withdrawn; the earlier.

    Facts count for a tool that keeps them in its weights; their days are the lower bound. None if
    neither is known.
    """
    ends = [date.fromisoformat(arm.expires)] if arm.expires else []
    stale = evidence.staleness
    if arm.tool in FROZEN and stale is not None and stale.days is not None:
        ends.append(today + timedelta(days=int(min(stale.days.low, _MOST))))
    return min(ends).isoformat() if ends else None
