"""The gain of a prompt search against its budget."""

from __future__ import annotations

from tuneworthy.core.interval import Interval
from tuneworthy.core.record import Record


class SearchStep(Record):
    """The best prompt after `tried` prompts: its mean score on `n` dev cases."""

    tried: int
    score: float
    n: int


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
