"""The knowledge probe: which facts of the rows a model knows, by few-shot questions."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field

from tuneworthy.core.interval import Interval
from tuneworthy.core.record import Record

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
