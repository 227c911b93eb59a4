"""Records of how fine-tuning changed a model: weights, representations, next tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from tuneworthy.core.harm import RobustnessResult
from tuneworthy.core.interval import Interval
from tuneworthy.core.record import Record


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
    """Return the value of `changes` in verdict.json: one entry per arm, None without any."""
    return {"arms": [change.plain() for change in changes]} if changes else None
