"""Side effects of an arm outside its task, and its robustness inside it."""

from __future__ import annotations

from pydantic import Field

from tuneworthy.core.interval import Interval
from tuneworthy.core.known import Proportion
from tuneworthy.core.record import Record


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
