"""Records of the data audit, which costs nothing, and of how far a measurement can be trusted."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tuneworthy.records.further import Proportion
from tuneworthy.records.interval import Interval
from tuneworthy.records.record import Record


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


class Soundness(Record):
    """Checks of rows and metric, made before any arm's score is trusted.

    `mde` is the smallest paired difference that these rows can show (80 % power, two-sided .05), in
    score points, on `n` cases at `differ`, the share of them on which the two best arms differ (or
    would, a margin apart); None before two are measured, then .2 is assumed. `ladder` is the
    metric's AUC of the gold answers against corrupted ones, by kind of corruption; `gold` the mean
    score of the gold answers themselves, `unscored` the share of them without a score. `flips` is
    how often a second run changes whether a case passes, `leak` the largest change of a score when
    near copies are left out, `contradictions` the share of rows whose answer another row
    contradicts, `one_form` the share of answers in the most frequent form, `noise` the share of
    rows that their neighbours contradict. `judge` is why a judge is refused, "" if there is none or
    it is sound. `missing`: field -> reason for every None.
    """

    n: int
    mde: float | None = None
    differ: float | None = None
    ladder: dict[str, float] = Field(default_factory=dict)
    gold: float | None = None
    unscored: Proportion | None = None
    flips: Interval | None = None
    leak: float | None = None
    contradictions: Proportion | None = None
    one_form: Proportion | None = None
    noise: Proportion | None = None
    fewest_of_a_class: int | None = None
    judge: str = ""
    missing: dict[str, str] = Field(default_factory=dict)
