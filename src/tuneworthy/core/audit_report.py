"""What the data audit saw, before a penny is spent."""

from __future__ import annotations

from typing import Literal

from tuneworthy.core.record import Record


class Observation(Record):
    """One thing seen in the rows: what, how many, which ids, and what to do.

    `level`: note (goes on), warning (goes on, printed with ids), blocked (the verdict says so).
    `ids` are at most 20 case ids or `file:line` places; `count` is all of them.
    """

    kind: str
    level: Literal["note", "warning", "blocked"]
    text: str
    count: int
    ids: tuple[str, ...] = ()
    fix: str = ""


class Visible(Record):
    """What these rows can show: the smallest difference seen with power .8, in score points.

    `n` scored rows, `d` share of rows on which two arms are taken to differ, `factor` the width
    factor of cross-fitting for arms that learn from the rows.
    """

    n: int
    d: float
    factor: float
    prompts: float | None
    fitted: float | None


class Audit(Record):
    """The rows in figures. Counts are rows; lengths are tokens where a tokenizer counted them.

    `conflict_share`: share of the scored rows touched by contradictory answers. `lengths`:
    quantiles 0, .5, .95, 1 of prompt and answer length in `unit`.
    """

    rows: int
    used: int
    excluded: dict[str, int]
    scored: int
    folds: int
    conflict_share: float
    observations: tuple[Observation, ...]
    classes: dict[str, int] | None
    lengths: dict[str, tuple[int, int, int, int]]
    unit: Literal["tokens", "characters"]
    visible: Visible
