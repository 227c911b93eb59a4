"""Hard limits have three states; only a limit shown to be broken removes an arm."""

from __future__ import annotations

from tuneworthy.core.evidence import ArmResult, Policy


def broken(arm: ArmResult, policy: Policy) -> tuple[str, ...]:
    """Return the limits that this arm is shown to break, by name.

    The floor is broken if the upper end of the score's interval lies below it.
    """
    names = [name for name, state in sorted(arm.limits.items()) if state == "violated"]
    below = policy.floor is not None and arm.score is not None and arm.score.high < policy.floor
    if below and "floor" not in arm.limits:
        names.append("floor")
    return tuple(names)


def open_limits(arm: ArmResult) -> tuple[str, ...]:
    """Return the limits that this arm is shown neither to keep nor to break."""
    return tuple(n for n, s in sorted(arm.limits.items()) if s in ("not shown", "not measured"))
