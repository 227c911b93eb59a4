"""List the hard limits that an arm breaks or leaves open; only a broken one removes the arm."""

from __future__ import annotations

from tuneworthy.core.evidence import ArmResult, Policy


def broken_limits(arm: ArmResult, policy: Policy) -> tuple[str, ...]:
    """Return the names of the limits that this arm is shown to break.

    The floor is broken if the upper end of the score's interval lies below it.
    """
    names = [name for name, state in sorted(arm.limits.items()) if state == "violated"]
    below = policy.floor is not None and arm.score is not None and arm.score.high < policy.floor
    if below and "floor" not in arm.limits:
        names.append("floor")
    return tuple(names)


def unchecked_limits(arm: ArmResult) -> tuple[str, ...]:
    """Return the names of the limits that were not tested on this arm.

    `general_drop` is none of them for what runs today: keeping it changes no model.
    """
    untested = (name for name, state in sorted(arm.limits.items()) if state == "not measured")
    return tuple(name for name in untested if not (arm.present and name == "general_drop"))


def open_limits(arm: ArmResult) -> tuple[str, ...]:
    """Return the names of the limits that this arm is shown neither to keep nor to break."""
    return tuple(n for n, s in sorted(arm.limits.items()) if s in ("not shown", "not measured"))
