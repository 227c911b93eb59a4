"""Checks on a repaired run that several failure modes share."""

from __future__ import annotations

from tuneworthy.core.failure import Check, RunFacts

_NOT_MEASURED = "not measured"


def at_least(what: str, value: float | None, least: float) -> Check:
    """Return the check that a value is at least `least`; None (not measured) fails it."""
    passed = value is not None and value >= least
    return Check(what=what, passed=passed, value=_NOT_MEASURED if value is None else f"{value:.3g}")


def at_most(what: str, value: float | None, most: float) -> Check:
    """Return the check that a value is at most `most`; None (not measured) fails it."""
    passed = value is not None and value <= most
    return Check(what=what, passed=passed, value=_NOT_MEASURED if value is None else f"{value:.3g}")


def near_twin(own: RunFacts, twin: RunFacts) -> Check:
    """Return the check that a run's score is at most .10 below that of its clean twin."""
    least = max(0.0, (twin.score or 0.0) - 0.10)
    return at_least(f"score at least {least:.2f}", own.score, least)


def difference(one: float | None, other: float | None) -> float | None:
    """Return `one` minus `other`; None if either is None (not measured)."""
    return None if one is None or other is None else one - other
