"""What a model knows of the facts in the rows, as asking it with examples shows."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field

from tuneworthy.core.record import Record

Known = Literal["highly_known", "maybe_known", "weakly_known", "unknown"]
KINDS: tuple[Known, ...] = get_args(Known)


class Share(Record):
    """A share of rows, k of n, with its two-sided 95 % interval (Clopper-Pearson)."""

    k: int
    n: int
    share: float
    low: float
    high: float


class Familiarity(Record):
    """How well a model knows the right answers of the rows that were asked.

    `of` gives each case its kind: highly known (right in every greedy answer), maybe known
    (in some), weakly known (in sampled answers only), unknown (in none). `unknown` is the share of
    rows that training on would teach new facts, `by_type` the same for each type of fact with
    at least 5 rows asked. `answers` is how many answers each case was judged by. `lost` are cases
    whose answers did not come back. `because` says why nothing was asked.
    """

    of: dict[str, Known] = Field(default_factory=dict)
    shares: dict[Known, Share] = Field(default_factory=dict)
    unknown: Share | None = None
    by_type: dict[str, Share] = Field(default_factory=dict)
    sets: int = 0
    answers: int = 0
    lost: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    because: str = ""


class Forgotten(Record):
    """Facts that a model knew well before a change of its weights, and knows less well after.

    `lost`: highly known before, now right in no greedy answer; `shaken`: now right in some only.
    `share` is lost among the highly known. `learnt`: right in no greedy answer before, now in
    every one, of `unsure` such cases. `because` says why there is nothing to compare.
    """

    lost: tuple[str, ...] = ()
    shaken: tuple[str, ...] = ()
    learnt: tuple[str, ...] = ()
    unsure: int = 0
    share: Share | None = None
    because: str = ""
