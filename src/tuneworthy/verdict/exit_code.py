"""Compute the exit code of `run` from its verdict."""

from __future__ import annotations

from tuneworthy.core.verdict import Verdict
from tuneworthy.verdict.missing import NO_TARGET


def exit_code(verdict: Verdict, require_firm: bool = False) -> int:
    """Return 0 (a verdict; target met or none set), 3 (target not met) or 4 (blocked).

    A provisional verdict under `require_firm` is 4. A target that is shown neither met nor missed
    counts as not met, because 0 promises that it is met.
    """
    if verdict.status == "blocked" or (require_firm and verdict.status != "firm"):
        return 4
    unset = verdict.missing.get("/target_met") == NO_TARGET
    return 0 if verdict.target_met or unset else 3
