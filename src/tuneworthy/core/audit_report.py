"""Records of the data audit, which runs before anything costs money."""

from __future__ import annotations

from typing import Literal

from tuneworthy.core.record import Record


class Observation(Record):
    """One finding about the rows: its kind, text, count, ids and fix.

    `level`: note (goes on), warning (goes on, printed with ids), blocked (the verdict says so).
    `ids` are at most 20 case ids or `file:line` places; `count` covers all of them.
    """

    kind: str
    level: Literal["note", "warning", "blocked"]
    text: str
    count: int
    ids: tuple[str, ...] = ()
    fix: str = ""


class DetectableDifference(Record):
    """The smallest true difference that these rows show with a chance of .8, in score points.

    `n` scored rows, `d` the assumed share of rows on which two arms differ, `factor` the width
    factor of cross-fitting for arms that learn from the rows. `prompts` is for arms that do not
    learn, `fitted` for those that do. `arms` may be compared, at look `look`.
    """

    n: int
    d: float
    factor: float
    prompts: float | None
    fitted: float | None
    arms: int = 2
    look: int = 1


TIME_SPLIT_KIND = "timed"
"""The kind of the observation that the earliest rows are not scored."""


class Audit(Record):
    """Statistics of the rows. Counts are rows; lengths are tokens where a tokenizer counted them.

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
    visible: DetectableDifference
