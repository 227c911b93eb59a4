"""Records of the further measurements: known facts, freshness, harm, changes, curves, slices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

from pydantic import Field

from tuneworthy.records.interval import Interval
from tuneworthy.records.record import Record
from tuneworthy.records.task import Tool

KnowledgeLevel = Literal["highly_known", "maybe_known", "weakly_known", "unknown"]

KNOWLEDGE_LEVELS: tuple[KnowledgeLevel, ...] = get_args(KnowledgeLevel)


class Proportion(Record):
    """A proportion of rows, k of n, with its two-sided 95 % interval.

    Clopper-Pearson, widened for groups in robustness checks.
    """

    k: int
    n: int
    share: float
    low: float
    high: float

    @property
    def interval(self) -> Interval:
        """Return the share as an interval."""
        return Interval(mean=self.share, low=self.low, high=self.high)


class KnowledgeProbe(Record):
    """How well a model knows the gold answers of the probed rows.

    `of` maps each case to its level: highly known (right in every greedy answer), maybe known (in
    some), weakly known (in sampled answers only), unknown (in none). `unknown` is the share of rows
    that would teach new facts in training, `by_type` the same for each type of fact with at least 5
    probed rows. `answers` is the number of answers per case. `lost` are cases whose requests
    failed. `because` says why nothing was probed.
    """

    of: dict[str, KnowledgeLevel] = Field(default_factory=dict)
    shares: dict[KnowledgeLevel, Proportion] = Field(default_factory=dict)
    unknown: Proportion | None = None
    by_type: dict[str, Proportion] = Field(default_factory=dict)
    sets: int = 0
    answers: int = 0
    lost: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    because: str = ""


class ForgottenFacts(Record):
    """Facts that a model knew well before a change of its weights, and knows less well after.

    `lost`: highly known before, now right in no greedy answer; `shaken`: now right in some only.
    `share` is the lost share of the highly known. `learnt`: right in no greedy answer before, now
    in every one, of `unsure` such cases. `because` says why there is nothing to compare.
    """

    lost: tuple[str, ...] = ()
    shaken: tuple[str, ...] = ()
    learnt: tuple[str, ...] = ()
    unsure: int = 0
    share: Proportion | None = None
    because: str = ""


class Freshness(Record):
    """The rate of change of facts, and its effect on answers.

    `changed` is the share of facts that changed within `over_days` days, declared (then its
    interval is a point) or counted in dated passages. `days` is how long a frozen model keeps its
    outdated answers at or below `stale_ok`: -ln(1 - stale_ok) / rate, rate = -ln(1 - changed) /
    over_days. `faithful` is, by arm, the share of changed facts answered as the passage says;
    `stale` the share still answered as before. `unsupported` are cases whose gold answer is in no
    current passage. `because` says why nothing is known.
    """

    changed: Proportion | None = None
    declared: bool = False
    over_days: float | None = None
    stale_ok: float = 0.05
    days: Interval | None = None
    faithful: dict[str, Proportion] = Field(default_factory=dict)
    stale: dict[str, Proportion] = Field(default_factory=dict)
    unsupported: tuple[str, ...] = ()
    because: str = ""


class SideEffects(Record):
    """The harm that training did, against the base model (intervals two-sided 95 %).

    `general` is the relative rise of cross-entropy per token on general text, of `general_n` texts.
    `tail` is the change of score on the cases with rare words, `ece` of the expected calibration
    error, `known` the share of the previously well-known facts that is lost. `kl_on` and `kl_off`
    are mean KL divergences from the base in nats per token, on and off the task. `refusals` is the
    change of the share of refusals where the gold answer is none, `refusals_wanted` where it is
    one. `missing`: field -> reason for every None.
    """

    arm: str
    general: Interval | None = None
    general_n: int = 0
    tail: Interval | None = None
    ece: Interval | None = None
    known: Interval | None = None
    refusals: Interval | None = None
    refusals_wanted: Interval | None = None
    kl_on: float | None = None
    kl_off: float | None = None
    missing: dict[str, str] = Field(default_factory=dict)


class RobustnessResult(Record):
    """Robustness of one arm: its score at a temperature, or with another instruction."""

    arm: str
    how: str
    temperature: float | None
    n: int
    valid: Proportion
    score: Interval


class LayerChange(Record):
    """The size of the change that training made in one layer.

    `ratio` is the Frobenius norm of the weight change over that of the weights. `effective_rank` is
    exp(entropy of the singular values of the change), the mean over the layer's matrices, at most
    `rank`; None if nothing changed. `shift_on` and `shift_off` are how far the layer's output moved
    on and off the task: mean norm of the change over the norm before.
    """

    layer: str
    ratio: float
    rank: int
    effective_rank: float | None
    shift_on: float | None = None
    shift_off: float | None = None


class BeforeAfter(Record):
    """One prompt answered by the base and by the tuned model, with the score of each answer."""

    case: str
    before: str
    after: str
    score_before: float | None
    score_after: float | None


class ModelChanges(Record):
    """The differences of one arm's trained model from its base, on identical tokens.

    `kl_on` and `kl_off` are mean KL divergences of the tuned model from the base in nats per token:
    on its own answers to the task (`n_on` of them), and on general text (`n_off` texts). `examples`
    show the same prompt before and after; of `asked` prompts, `differ` got different answers.
    `temperatures` are its validity and score at higher temperatures. `missing`: field -> reason for
    every None.
    """

    arm: str
    seed: int
    fold: int | None
    ratio: float | None = None
    layers: tuple[LayerChange, ...] = ()
    kl_on: Interval | None = None
    kl_off: Interval | None = None
    n_on: int = 0
    n_off: int = 0
    examples: tuple[BeforeAfter, ...] = ()
    asked: int = 0
    differ: int = 0
    temperatures: tuple[RobustnessResult, ...] = ()
    missing: dict[str, str] = Field(default_factory=dict)


def for_verdict(changes: Sequence[ModelChanges]) -> dict[str, Any] | None:
    """Return the value of `changes` in verdict.json: {"arms": [one dict per arm]}, or None."""
    return {"arms": [change.plain() for change in changes]} if changes else None


class LearningPoint(Record):
    """The score after training on `rows` rows, on `n` scored cases, over `repeats` draws.

    `rows` counts labelled rows, including dev rows in the same proportion as in the whole fold.
    """

    rows: int
    n: int
    repeats: int
    score: Interval


class LabelCleaningGain(Record):
    """The gain of an arm from leaving out training rows with doubtful answers.

    `dropped` of `rows` training rows per fold are contradicted by a copy or by their neighbours.
    `gain` is the paired gain on `n` scored cases (two-sided 95 %), None if nothing was left out;
    then `because` says why. Scored cases keep their own answers, so their noise hides some of the
    gain.
    """

    arm: str
    rows: float
    dropped: float
    n: int = 0
    gain: Interval | None = None
    because: str = ""


class LearningCurve(Record):
    """Scores against training rows, and the value of more rows.

    `last_doubling` is the paired gain of the last doubling of rows (two-sided 95 %). `needed` is
    the total number of rows the arm needs to beat `rival`, the best arm that learns nothing, by the
    margin, `low` and `high` its 80 % interval; None if the curve does not tell, then `because` says
    why. `cleaning` is the value of better labels, None if it was not measured.
    """

    arm: str
    tool: Tool | None
    points: tuple[LearningPoint, ...] = ()
    last_doubling: Interval | None = None
    needed: float | None = None
    low: float | None = None
    high: float | None = None
    rival: str = ""
    cleaning: LabelCleaningGain | None = None
    because: str = ""


class SearchStep(Record):
    """The best prompt after `tried` prompts: its mean score on `n` dev cases."""

    tried: int
    score: float
    n: int


LEAST_SEARCHED = 4  # prompts; fewer are no search: they compare a prompt with one other


class PromptSearch(Record):
    """A prompt search under a declared budget of prompts tried.

    `gain` is the gain on dev of the last doubling of the budget (paired, two-sided 95 %). `rho` is
    the share of the tuning gain that the best prompt reaches, (prompt - base) / (tune - base), None
    if tune - base is not shown to differ from 0 (`because` says so). `optimised`: a search was run,
    not only prompts written by hand or recorded elsewhere.
    """

    arm: str
    budget: int
    steps: tuple[SearchStep, ...] = ()
    gain: Interval | None = None
    rho: Interval | None = None
    optimised: bool = False
    because: str = ""


class UntriedSearch(Record):
    """A search for a better prompt that could run here and did not: `arm` tries `prompts` prompts.

    `minutes` are those that the plan gives it, None if the task does not list it. `how` says what
    to write or to call so that it runs.
    """

    arm: str
    prompts: int
    minutes: int | None = None
    how: str


SMALL_SLICE = 20  # cases; the report greys out smaller slices, whose intervals say little


class Slice(Record):
    """One part of the scored cases: `score` of the arm, `rival` of its rival on the same cases.

    `kind` is length, class, group, time, rare words, hardest, or a field of `meta`. `delta` is arm
    minus rival, paired. Intervals are two-sided; those of all slices hold together at 95 %.
    """

    kind: str
    name: str
    n: int
    score: Interval
    rival: Interval | None = None
    delta: Interval | None = None

    @property
    def small(self) -> bool:
        """Return whether the slice has fewer than SMALL_SLICE cases."""
        return self.n < SMALL_SLICE


class Slices(Record):
    """An arm and its rival on every slice of the cases that both answered.

    `said` are sentences on how to read the table; `missing` maps a kind of slice to why it is
    absent.
    """

    arm: str
    rival: str | None
    n: int
    slices: tuple[Slice, ...] = ()
    said: tuple[str, ...] = ()
    missing: dict[str, str] = Field(default_factory=dict)
