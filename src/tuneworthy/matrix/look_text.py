"""Write the sentences on repeated looks at the same cases and on the level of their bounds."""

from __future__ import annotations

from tuneworthy.records.run import LookScope
from tuneworthy.stats.look_cost import look_cost

_UNCORRECTED_CHANGES = "no level pays for changes made after reading failed rows (data.locked does)"


_ONLY_FRESH_ROWS_COUNT = (
    "where its rows were read after an earlier unlock, only fresh rows show what changes gain"
)


_ONLY_HERE = "counted in this folder only"


def level_text(look: int) -> str:
    """Return the error level of all bounds at a look as text: `.05/12` at the third look."""
    return ".05" if look < 2 else f".05/{look_cost(look):g}"


def look_line(look: int, scope: LookScope, locked: bool = False) -> str:
    """Return a line of text on a look: its number, the level of its bounds, what none corrects.

    `locked`: the cases are locked rows, unlocked for this look.
    """
    if look < 2:
        whose = "of this folder" if scope == "folder" else "of yours on this machine"
        return f"1: no earlier study {whose} opened them"
    where = f", {_ONLY_HERE}" if scope == "folder" else ""
    said = _ONLY_FRESH_ROWS_COUNT if locked else _UNCORRECTED_CHANGES
    return f"look {look} of these cases{where}: every bound uses {level_text(look)}; {said}"
