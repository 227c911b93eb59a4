"""Text about repeated looks at the same cases: which look it is, and which level its bounds use.

Pure text, for the audit, the plan, the verdict and the report.
"""

from __future__ import annotations

from typing import Literal

Scope = Literal["folder", "user"]
"""Whose studies are counted: those of this folder alone, or all of this user on this machine."""

UNPAID = "no level pays for changes made after reading failed rows (data.locked does)"
READ = "where its rows were read after an earlier unlock, only fresh rows show what changes gain"
ONLY_HERE = "counted in this folder only"


def level_text(look: int) -> str:
    """Return the error level that all bounds of a look share: `.05/12` at the third."""
    from tuneworthy.stats.bounds import look_cost  # lazy: scipy is slow to import

    return ".05" if look < 2 else f".05/{look_cost(look):g}"


def look_line(look: int, scope: Scope, locked: bool = False) -> str:
    """Return one line: which look this is, the level of its bounds, and what no level corrects.

    `locked`: the cases are locked rows, unlocked for this look.
    """
    if look < 2:
        whose = "of this folder" if scope == "folder" else "of yours on this machine"
        return f"1: no earlier study {whose} opened them"
    where = f", {ONLY_HERE}" if scope == "folder" else ""
    said = READ if locked else UNPAID
    return f"look {look} of these cases{where}: every bound uses {level_text(look)}; {said}"
