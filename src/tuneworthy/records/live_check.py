"""The record of `check --live`: a log of served requests compared with the study."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tuneworthy.records.interval import Interval
from tuneworthy.records.record import Record

_Action = Literal["keep", "retrain", "repeat the verdict"]


class LiveShare(Record):
    """A share of requests, k of n, with one-sided bounds, each at `level`."""

    k: int
    n: int
    share: float
    low: float
    high: float
    level: float


class LiveMean(Record):
    """A mean in the study and in the log, and the difference, log minus study.

    `now` and `difference` have one-sided bounds, each at `level`. `then` and `difference` are None
    if the means are not of alike rows; `because` says why.
    """

    n_now: int
    now: Interval
    n_then: int
    then: Interval | None
    difference: Interval | None
    level: float
    because: str = ""


class LiveSpread(Record):
    """Quantiles of a measure in the study and in the log, and how far apart they are.

    `distance` is the largest difference of the two distribution functions (Kolmogorov-Smirnov), `p`
    its p-value for independent requests. `p95` is None below 20 values.
    """

    unit: str
    n_then: int
    n_now: int
    median_then: float
    median_now: float
    p95_then: float | None
    p95_now: float | None
    distance: float
    p: float


class InputDrift(Record):
    """Whether a classifier can tell the log's inputs from the study's rows.

    `auc` .5: not at all. `p` is exact for the null of one distribution; drift is shown if it is at
    most `level`. `moved` is the share of the log that differs from the study's rows, estimated from
    below (95 %). `units_*` count groups of rows that belong together.
    """

    n_then: int
    n_now: int
    units_then: int
    units_now: int
    auc: float
    p: float
    level: float
    moved: Interval


class UnlikeInputs(Record):
    """Log inputs farther from the study's rows than nearly all of these rows are from each other.

    `expected` is the share that chance makes unlike. `lines` are at most five, the least alike
    first; `texts` their inputs, only if they were asked for.
    """

    share: LiveShare
    expected: float
    lines: tuple[int, ...] = ()
    texts: tuple[str, ...] = ()


class LabelDrift(Record):
    """How far the labels of the log's answers are from those of the study's.

    `distance` is the total variation distance with bounds (95 %), `p` exact for no difference;
    a shift is shown if it is at most `level`. Shares are by label, of the answers that are one.
    """

    n_then: int
    n_now: int
    then: dict[str, float]
    now: dict[str, float]
    distance: Interval
    p: float
    level: float


class MovedFacts(Record):
    """Requests whose best passage has changed since the study.

    `since` is the moment as of which the study's facts hold. `lines` are at most five. Of the
    answers to these requests `old` state the earlier fact, `new` the present one, `other` neither
    or both; `stale` is the share of `old` among all answers, None without such requests.
    """

    share: LiveShare
    since: str
    lines: tuple[int, ...] = ()
    old: int = 0
    new: int = 0
    other: int = 0
    stale: LiveShare | None = None


class Expiry(Record):
    """The day from which a verdict no longer holds; None if none is known, `because` says why."""

    day: str | None
    passed: bool = False
    because: str


class Conclusion(Record):
    """The recommended action and its reason; `rows` counts new rows to retrain on (95 % bounds).

    `unseen` maps each measure that could have changed the action but was not taken to the reason.
    """

    do: _Action
    because: str
    rows: int | None = None
    rows_low: int | None = None
    rows_high: int | None = None
    unseen: dict[str, str] = Field(default_factory=dict)


class LiveCheck(Record):
    """A log compared with the study. A measure that was not taken is None; `missing` says why.

    `arm` is the arm that is taken to be in use; `learns`: it was trained on `learnt_rows` rows.
    `reads_docs`: it looks facts up in documents. `bad` are the first bad lines with their reason.
    `unclear_gold` inputs of the file of right answers have different ones and are left out.
    `other_names` counts requests to other names of `tuneworthy serve`, which are left out.
    `slow` is the share of requests slower than `success.limits.p95_ms`.
    """

    log: str
    requests: int
    used: int
    first_time: str | None
    last_time: str | None
    bad_lines: int
    bad: tuple[str, ...]
    others: int
    without_input: int
    without_answer: int
    unclear_gold: int = 0
    other_names: int = 0
    models: dict[str, int]
    study: str
    made: str | None
    arm: str | None
    tool: str | None
    learns: bool
    learnt_rows: int | None
    reads_docs: bool
    margin: float
    valid_limit: float | None
    p95_limit: float | None
    stale_ok: float
    valid: LiveMean | None = None
    slow: LiveShare | None = None
    length: LiveSpread | None = None
    latency: LiveSpread | None = None
    inputs: InputDrift | None = None
    unlike: UnlikeInputs | None = None
    labels: LabelDrift | None = None
    score: LiveMean | None = None
    facts: MovedFacts | None = None
    expiry: Expiry
    missing: dict[str, str] = Field(default_factory=dict)
    conclusion: Conclusion | None = None
