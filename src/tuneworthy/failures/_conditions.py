"""Conditions of a repaired run that several failure modes share."""

from __future__ import annotations

from tuneworthy.core.failure import Check, RunFacts

_NONE = "not measured"


def at_least(what: str, value: float | None, least: float) -> Check:
    """Check that a value is at least a limit; a value that was not measured fails."""
    passed = value is not None and value >= least
    return Check(what=what, passed=passed, value=_NONE if value is None else f"{value:.3g}")


def at_most(what: str, value: float | None, most: float) -> Check:
    """Check that a value is at most a limit; a value that was not measured fails."""
    passed = value is not None and value <= most
    return Check(what=what, passed=passed, value=_NONE if value is None else f"{value:.3g}")


def near_twin(own: RunFacts, twin: RunFacts) -> Check:
    """Check that the score is at most .10 below that of the clean twin."""
    least = max(0.0, (twin.score or 0.0) - 0.10)
    return at_least(f"score at least {least:.2f}", own.score, least)


def difference(one: float | None, other: float | None) -> float | None:
    """Return one value minus another, None unless both were measured."""
    return None if one is None or other is None else one - other
