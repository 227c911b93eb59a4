"""Evidence for the verdict: the arms with their scores and the paired differences of finalists."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from statistics import NormalDist
from typing import Any, Literal

from pydantic import Field

from tuneworthy.records.arm import Role
from tuneworthy.records.audit_report import Soundness
from tuneworthy.records.causes import Diagnosis
from tuneworthy.records.confidence import ClassScores, Coverage, PicturedConfidence
from tuneworthy.records.counting import about_rows, count_noun, percent
from tuneworthy.records.further import (
    Freshness,
    KnowledgeProbe,
    LearningCurve,
    ModelChanges,
    PromptSearch,
    RobustnessResult,
    SideEffects,
    Slices,
    UntriedSearch,
)
from tuneworthy.records.interval import Interval as Interval
from tuneworthy.records.reason import Because, Why, is_reason
from tuneworthy.records.record import Record, told_before
from tuneworthy.records.run import RECORDED, LookScope, State
from tuneworthy.records.settlement import Settlement
from tuneworthy.records.split import Neighbours, Trend
from tuneworthy.records.task import HardLimits, Tool

LimitState = Literal["met", "violated", "not shown", "not measured", "not reached"]

"""`not reached`: no threshold keeps `wrong_at_most`, so the arm answers nothing."""


class Latency(Record):
    """The time of a warm request in milliseconds; `p95` is None if too few were timed.

    `concurrency` is the most requests that were under way at once (1: one at a time), None where
    the answers were recorded elsewhere.
    """

    p50: float = Field(description="The median.")
    p95: float | None = Field(description="95 % of the requests take at most this long.")
    concurrency: int | None = Field(default=None, description="Requests under way at once.")


class Tokens(Record):
    """Mean tokens per request; the JSON keys are `in` and `out`."""

    prompt: float = Field(alias="in", description="Tokens of the prompt.")
    answer: float = Field(alias="out", description="Tokens of the answer.")


class TruncatedAnswers(Record):
    """Counts of answers that the token limit cut: `n`, of which `wrong` score below 1.

    `asked` of them were generated again with more tokens; `gained` of those scored higher. `gain`
    is the most that the limit may have cost the arm's score.
    """

    n: int
    wrong: int
    asked: int
    gained: int
    gain: float


class Figure(Interval):
    """A further measured share of an arm's answers: `says` is what these answers are."""

    says: str = Field(description="What these answers are.")
    n: int = Field(description="Answers of which that is known.")

    @property
    def text(self) -> str:
        """Return the share with its bounds as a clause: `12 % of 200 answers (8 to 17 %) are …`."""
        low, high = percent(self.low), percent(self.high)
        return f"{percent(self.mean)} of {self.n:,} answers ({low} to {high}) are {self.says}"


class ArmResult(Record):
    """The result of one arm. A value that was not measured is None; `because` says why.

    `n` counts scored cases. `valid` is the share of valid answers. `limits` maps each limit of the
    task to its state. `compared`: the arm competes, and simultaneous bounds hold for its pairs;
    `finalist`: it represents its tool on the ladder. `seed_sd`: standard deviation over
    retrainings, None below two seeds. `errors`: answers that failed (they stay in n and count as
    wrong; `score_if_right` bounds the mean from above). `cut`: answers that the token limit cut,
    None if there are none. `lost`: share of graded answers that score 0, None for scores of 0 and 1
    and for a judge's. `missing`: field -> reason. `recorded`: its
    answers were recorded elsewhere, so that its training is unknown.

    `present`: this is the system in production. `build_usd` is its one-off cost, `upkeep_usd_month`
    its monthly cost apart from requests; of that, `retrain_usd` falls due every `retrain_days`
    days. `usd_per_1k_se` is the standard error of its cost, `price_from` the source of the price,
    `expires` the announced end of life of its model (year-month-day). The score is based on `fits`
    fits (0: nothing was trained here), each trained on `learnt_from` rows (the fewest and the
    most); it estimates the score of one more such fit. `repairs` are the causes of failure that it
    may repair (its `REMEDY`); `more_minutes` and `more_usd` are the planned cost of measuring it,
    or its further folds, if `budget.minutes` had no room for them, None if that was not planned;
    `whole_minutes` is the plan without cuts, where the arm learnt from a part of the rows for want
    of minutes. `wide` says by how much, and why, the score's interval is wider than that of as many
    independent rows; empty if it is not. `figures` has those of
    the folder `explain/figures/`, by name. `sure` is what it answers under `success.wrong_at_most`,
    `possible` the share that it may answer if more rows look like these. `confidence` says how far
    its stated probabilities hold, None if it states none. `by_label` weighs every label alike.
    """

    name: str
    tool: Tool | None
    role: Role
    simplicity: int
    options: dict[str, Any]
    state: State
    because: Because = None
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
    cut: TruncatedAnswers | None = None
    learned: bool = False
    recorded: bool = False
    finalist: bool = False
    compared: bool = False
    chosen: str = ""
    dev: float | None = None
    seed_sd: float | None = None
    repeats: Repeats | None = None
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
    whole_minutes: float | None = None
    wide: tuple[str, ...] = ()
    figures: dict[str, Figure] = Field(default_factory=dict)
    sure: Coverage | None = None
    possible: float | None = None
    confidence: PicturedConfidence | None = None
    by_label: ClassScores | None = None

    _older = told_before(recorded=lambda told: RECORDED in str(told.get("because", "")))

    @property
    def left_out_for_time(self) -> bool:
        """Return whether the arm has no score for want of minutes, or since the run was stopped."""
        return not self.score and is_reason(self.because, Why.NO_ROOM, Why.STOPPED)

    @property
    def sure_of_nothing(self) -> bool:
        """Return whether no threshold keeps `success.wrong_at_most`, so that it answers nothing."""
        return self.limits.get("wrong_at_most") == "not reached"

    @property
    def rows_learnt(self) -> str:
        """Return how many rows the arm's fits learnt from: `about 80 rows`, "" if none did."""
        return about_rows(*self.learnt_from) if self.learnt_from else ""

    @property
    def competes(self) -> bool:
        """Return whether simultaneous bounds hold for the arm's pairs (0.1.0: finalists only)."""
        return self.compared or self.finalist


class Repeats(Record):
    """How often (`k`) an arm answered each case, and what share of variance that causes.

    `share` is the part of the variance of its mean that more answers a case would remove; more
    cases remove the rest. As wide an interval needs `rows_alone` cases with one answer each.
    """

    k: int
    share: float
    rows_alone: int

    @property
    def text(self) -> str:
        """Return a clause: what share of the variance more answers, or more rows, would remove."""
        return (
            f"{self.k} answers to each row: more answers would remove {percent(self.share)} of the"
            f" variance of its mean, more rows the rest; {self.rows_alone:,} rows with one answer"
            " each would say as much"
        )

    def or_rows(self, n: int) -> str:
        """Return a clause: `k` more answers a row narrow as much as so many rows beside n."""
        rows = ceil(n * self.share / (2 - self.share))
        return (
            f"{self.k} more answers to each row, or {count_noun(rows, 'more row')}, narrow its"
            " score as much"
        )

    def instead_of(self, rows: int, n: int) -> int | None:
        """Return how many more answers a case narrow as much as `rows` more cases do, or None.

        1 - share + share * k / (k + r) = n / (n + rows), solved for r.
        """
        part = n / (n + rows) - (1 - self.share)
        return ceil(self.k * self.share / part) - self.k if part > 0 else None


class Pair(Record):
    """Paired difference `arm` minus `versus` on the n cases that both answered.

    `low` and `high` are one-sided bounds, already widened by `factor`: `high` at `level`, `low` at
    `low_level` (None: at `level` as well). See stats.many.pair_levels. `differ` is the number of
    cases whose scores differ, `apart` the number whose answers differ (None: they can't be
    compared).
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
    repeats: Repeats | None = None
    low_level: float | None = None

    @property
    def interval(self) -> Interval:
        """Return the mean with its bounds."""
        return Interval(mean=self.mean, low=self.low, high=self.high)

    @property
    def standard_error(self) -> float:
        """Return the standard error of the difference that its bounds imply."""
        ends = (self.level, self.low_level or self.level)
        z = sum(NormalDist().inv_cdf(1 - level) for level in ends)
        return (self.high - self.low) / z


class Style(Record):
    """How well a classifier tells one arm's answers from the gold ones to the same inputs.

    `auc` is that of a cross-fitted classifier: .5 cannot tell them apart, 1 always can. `score` is
    the mean of min(1, 2 (1 - P)), P the probability of an arm's answer; `n` counts the answers.
    `control` is the same AUC of gold answers against gold answers (a random half of the rows each;
    mean, minimum and maximum of five draws): values inside it are chance. None with `because` if
    there are too few answers.
    """

    arm: str
    n: int
    auc: float | None = None
    score: float | None = None
    control: Interval | None = None
    because: str = ""


class Evidence(Record):
    """Everything that the verdict is computed from. Pure data: no files, no clock.

    `pairs` holds every ordered pair with a finalist in it, and each compared arm against each
    reference. `blocks` are reasons that block a verdict (a leak left in, contradictory labels, a
    broken metric). `corrected`: the right answers came from correcting answers of what runs today.
    `looks_scope` says whose studies `looks` counts, `locked` that the cases are locked rows, which
    nobody saw before this study, `documents` that the task names some. `seconds` is the wall time
    of the units. `train` counts labelled training rows, `pool` the inputs without answers. `hash`
    covers task, rows, plan, answers, scores. `diagnosis` explains the base arm's failures, None if
    it was not made. `trends` has every two finalists over time, if every scored row has a time;
    `neighbours` has them in the order of the file, if no row names a group. `untried_search` is
    None as well if a search ran, or none can. The fields from `soundness` to `settled` are the
    optional measurements, None or empty if not measured; `missing` says why, by field.
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
    corrected: bool = False
    task_hash: str = ""
    train: int | None = None
    seconds: float | None = None
    diagnosis: Diagnosis | None = None
    trends: tuple[Trend, ...] = ()
    neighbours: tuple[Neighbours, ...] = ()
    soundness: Soundness | None = None
    curves: tuple[LearningCurve, ...] = ()
    search: PromptSearch | None = None
    untried_search: UntriedSearch | None = None
    known: KnowledgeProbe | None = None
    staleness: Freshness | None = None
    harms: tuple[SideEffects, ...] = ()
    shakes: tuple[RobustnessResult, ...] = ()
    changes: tuple[ModelChanges, ...] = ()
    slices: tuple[Slices, ...] = ()
    styles: tuple[Style, ...] = ()
    settled: Settlement | None = None
    locked: bool = False
    documents: bool = False
    looks_scope: LookScope = "folder"
    missing: dict[str, str] = Field(default_factory=dict)


class Policy(Record):
    """The user's settings of the decision rule, fixed before the run: nothing in it is measured.

    `margin_is_default`: the user wrote none, so prices may replace it (also by a smaller one).
    `lacks_answers`: no row has a right answer.
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
    wrong_at_most: float | None = None
    lacks_answers: bool = False


def best_first(evidence: Evidence, arms: Sequence[ArmResult]) -> list[ArmResult]:
    """Return arms sorted by mean difference to the others, highest first; ties keep their order.

    The differences are the paired ones, because arms may be scored on different cases (recorded
    answers cover the earliest rows too). Means are compared only for arms that were not paired.
    """
    means = {(pair.arm, pair.versus): pair.mean for pair in evidence.pairs}

    def ahead(arm: ArmResult, other: ArmResult) -> float:
        if (mean := means.get((arm.name, other.name))) is not None:
            return mean
        if (mean := means.get((other.name, arm.name))) is not None:
            return -mean
        return _mean_score(arm) - _mean_score(other)

    def lead(arm: ArmResult) -> float:
        return round(sum(ahead(arm, other) for other in arms if other.name != arm.name), 6)

    return sorted(arms, key=lead, reverse=True)


def _mean_score(arm: ArmResult) -> float:
    return arm.score.mean if arm.score else 0.0
