"""Records of a measured task with its arms' scores and bounds, used by atlas and advice."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import Field

from tuneworthy.records.interval import Interval
from tuneworthy.records.record import Record
from tuneworthy.records.task import OutputType, Tool
from tuneworthy.records.verdict import Status, Use


class ShownRow(Record):
    """A training row that an adviser may see."""

    input: str
    output: str


class MeasuredArm(Record):
    """One arm on the scored cases of a task.

    `behind` is the score of the task's best arm minus this arm's on the same cases, in points from
    -1 to 1; None for the best arm itself. `seconds` is fitting and answering, all seeds together,
    `fit_seconds` the part of it that is fitting or training, `build_usd` what that part cost. An
    arm without `score` was not measured, and `because` says why. `holds_facts`: what it learnt is
    in its weights, so changed facts need another training; None if unknown. `n` counts the cases of
    its score, None where that was not recorded: arms that need more time may be scored on fewer
    cases than the others. `breaks_limits` names the limits of the task that it is shown to break,
    for which no verdict can name it; `behind` is measured from the best arm that breaks none.
    """

    name: str
    tool: Tool | None
    seeds: int = Field(ge=0)
    score: Interval | None
    behind: Interval | None
    seconds: float | None = None
    usd_per_1k: float | None = None
    tokens_per_request: float | None = None
    because: str = ""
    holds_facts: bool | None = None
    fit_seconds: float | None = None
    build_usd: float | None = None
    n: int | None = Field(default=None, gt=0)
    breaks_limits: tuple[str, ...] = ()


class MeasuredTask(Record):
    """A task at one number of labelled rows, all its arms measured on the same test cases.

    `key` is unique in the atlas. `kind` is the type of task in plain words, `size` the rows to
    learn from and `n` the scored cases of all arms together. `shown` are the rows that an adviser
    may see, none for a public set, whose rows are not shipped. `base` is the score of the plain
    instruction.
    `rows_hash` identifies the rows, `environment` holds versions and machine. `facts_change`: the
    facts that the right answers hold change with time. `reading` is the score with the gold
    passage in the prompt, None where it was not measured. `source` names the set that several
    tasks are cut from ("": the task stands alone). `features` are filled by
    `advice.features.features_of`, `first_look` (the arms that train no language model, on at most
    75 of the scored cases) by `advice.cheap_look.first_look_of`.
    """

    format: Literal[1] = 1
    key: str
    kind: str
    title: str
    size: int = Field(gt=0)
    n: int = Field(gt=0)
    metric: str
    margin: float
    model: str
    instruction: str
    shown: tuple[ShownRow, ...]
    base: float | None
    arms: tuple[MeasuredArm, ...]
    use: Use
    arm: str | None
    status: Status
    left: float | None
    rows_hash: str
    features: dict[str, float] = Field(default_factory=dict)
    environment: dict[str, str] = Field(default_factory=dict)
    measured: date
    facts_change: bool = False
    reading: float | None = None
    source: str = ""
    output_type: OutputType | None = None
    first_look: tuple[MeasuredArm, ...] = ()
    because: str = ""
