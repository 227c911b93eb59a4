"""The matrix read down: arms with their scores, finalists with their paired differences."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any, Literal

from pydantic import Field

from tuneworthy.core.arm import Role
from tuneworthy.core.causes import Diagnosis
from tuneworthy.core.counting import about_rows
from tuneworthy.core.curve import LearningCurve
from tuneworthy.core.difference_trend import Trend
from tuneworthy.core.freshness import Staleness
from tuneworthy.core.harm import Harm, Shake
from tuneworthy.core.interval import Interval as Interval
from tuneworthy.core.known import Familiarity
from tuneworthy.core.look_text import Scope
from tuneworthy.core.model_changes import Changes
from tuneworthy.core.record import Record
from tuneworthy.core.run import State
from tuneworthy.core.search import PromptSearch
from tuneworthy.core.settlement import Settled
from tuneworthy.core.slices import Slices
from tuneworthy.core.soundness import Soundness
from tuneworthy.core.style import Style
from tuneworthy.core.task import HardLimits, Tool

LimitState = Literal["met", "violated", "not shown", "not measured"]


class Latency(Record):
    """Milliseconds a request, warm; `p95` None where too few were timed.

    `concurrency` is the most requests that were under way at once (1: one at a time), None where
    the answers were recorded elsewhere.
    """

    p50: float
    p95: float | None
    concurrency: int | None = None


class Tokens(Record):
    """Mean tokens a request. `in` is a Python word, hence the aliases."""

    prompt: float = Field(alias="in")
    answer: float = Field(alias="out")


class Cut(Record):
    """Answers that the token limit ended: `n`, of which `wrong` are not fully right.

    Of `asked` that were asked again with more tokens `gained` scored higher. `gain` is the most
    that the limit may have cost the arm's score.
    """

    n: int
    wrong: int
    asked: int
    gained: int
    gain: float


class ArmResult(Record):
    """One arm down the matrix. What was not measured is None; `because` says why.

    `n` counts scored cases. `valid` is the share of valid answers. `limits` maps each limit of
    the task to its state. `compared`: it competes, and bounds of pairs hold for it; `finalist`: it
    takes its tool's place on the ladder. `seed_sd`: spread over retrainings, None below two seeds.
    `errors`: answers that failed (they stay in n and count as wrong; `score_if_right` bounds the
    mean from above). `cut`: answers that the token limit ended, None where there is none. `lost`:
    share of graded answers that score 0, None for scores of 0 and 1.
    `missing`: field -> reason.
    `present`: this is what runs today. `build_usd` is its one-off cost, `upkeep_usd_month` what
    it costs a month beside its requests; of that, `retrain_usd` falls due every `retrain_days`
    days. `usd_per_1k_se` is the standard error of its cost, `price_from` where that comes from,
    `expires` the day on which the model it stands on is announced to end (year-month-day). The
    score stands on `fits` fits (0: nothing was learnt here), which learnt from `learnt_from` rows
    (the fewest and the most); it is that of one more such fit. `repairs` are the causes of failure
    that it may repair (its `REMEDY`); `more_minutes` and `more_usd` what measuring it is
    planned to take where the minutes had no room for it, None where that was not planned. `wide`
    says by how much the score's interval is wider than that of as many independent rows, and why;
    empty where it is not.
    """

    name: str
    tool: Tool | None
    role: Role
    simplicity: int
    options: dict[str, Any]
    state: State
    because: str = ""
    seed: int | None = None
    seeds: int = 0
    n: int = 0
    score: Interval | None = None
    score_if_right: float | None = None
    valid: Interval | None = None
    latency_ms: Latency | None = None
    tokens: Tokens | None = None
    usd_per_1k: float | None = None
    fit_seconds: float | None = None
    errors: int = 0
    lost: Interval | None = None
    cut: Cut | None = None
    learned: bool = False
    finalist: bool = False
    compared: bool = False
    chosen: str = ""
    dev: float | None = None
    seed_sd: float | None = None
    limits: dict[str, LimitState] = Field(default_factory=dict)
    missing: dict[str, str] = Field(default_factory=dict)
    present: bool = False
    build_usd: float | None = None
    upkeep_usd_month: float | None = None
    retrain_usd: float | None = None
    retrain_days: float | None = None
    usd_per_1k_se: float | None = None
    price_from: str = ""
    expires: str | None = None
    fits: int = 0
    learnt_from: tuple[int, int] | None = None
    repairs: tuple[str, ...] = ()
    more_minutes: float | None = None
    more_usd: float | None = None
    wide: tuple[str, ...] = ()

    @property
    def rows_learnt(self) -> str:
        """Return how many rows its fits learnt from: `about 80 rows`, or "" where none did."""
        return about_rows(*self.learnt_from) if self.learnt_from else ""

    @property
    def competes(self) -> bool:
        """Return whether bounds of pairs hold for it (evidence of 0.1.0 knows finalists alone)."""
        return self.compared or self.finalist


class Pair(Record):
    """Paired difference `arm` minus `versus` on the n cases both answered.

    `low` and `high` are one-sided bounds, already widened by `factor`: `high` at `level`, `low` at
    `low_level` (None: at `level`, too). See stats.many.pair_levels. `differ` is the number of
    cases on which the scores differ, `apart` the number on which the answers do (None: they can't
    be compared).
    """

    arm: str
    versus: str
    n: int
    mean: float
    low: float
    high: float
    level: float
    factor: float
    wins: int
    losses: int
    differ: int
    by_errors: bool = False
    apart: int | None = None
    low_level: float | None = None

    @property
    def error(self) -> float:
        """Return the standard error that the bounds stand for."""
        ends = (self.level, self.low_level or self.level)
        z = sum(NormalDist().inv_cdf(1 - level) for level in ends)
        return (self.high - self.low) / z


class Evidence(Record):
    """All that the verdict may look at. Pure data: no files, no clock.

    `pairs` holds every ordered pair with a finalist in it, and each compared arm against each
    reference.
    `blocks` are reasons that block a verdict (a leak left in, contradictory labels, a broken
    metric). `looks_scope` says whose studies `looks` counts, `locked` that the cases are rows which
    nobody was shown before this study. `seconds` is the wall time of the units. `train` counts
    labelled training rows, `pool` the inputs without answers. `hash` covers task, rows, plan,
    answers, scores. `diagnosis` is the matrix read across, None where nothing was read. `trends`
    has each two finalists over time, where every scored row has one. What was measured beside the
    matrix follows, None or empty where it was not; `missing` says why, by field.
    """

    task: str
    hash: str
    n: int
    looks: int
    alpha: float
    arms: tuple[ArmResult, ...]
    pairs: tuple[Pair, ...]
    blocks: tuple[str, ...] = ()
    d: float | None = None
    pool: int = 0
    limited: bool = False
    task_hash: str = ""
    train: int | None = None
    seconds: float | None = None
    diagnosis: Diagnosis | None = None
    trends: tuple[Trend, ...] = ()
    soundness: Soundness | None = None
    curves: tuple[LearningCurve, ...] = ()
    search: PromptSearch | None = None
    known: Familiarity | None = None
    staleness: Staleness | None = None
    harms: tuple[Harm, ...] = ()
    shakes: tuple[Shake, ...] = ()
    changes: tuple[Changes, ...] = ()
    slices: tuple[Slices, ...] = ()
    styles: tuple[Style, ...] = ()
    settled: Settled | None = None
    locked: bool = False
    looks_scope: Scope = "folder"
    missing: dict[str, str] = Field(default_factory=dict)


class Policy(Record):
    """The user's side of the rule, fixed before the run: no field of it is measured.

    `margin_is_default`: the user wrote none, so prices may replace it (also by a smaller one).
    """

    margin: float
    motive: Literal["quality", "cost"] = "quality"
    target: float | None = None
    floor: float | None = None
    limits: HardLimits = HardLimits()
    requests_per_month: float | None = None
    value_of_correct: float | None = None
    label_each: float | None = None
    horizon_months: float = 12
    margin_is_default: bool = False
