"""What fine-tuning changed in a model: weights, representations, what it says next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from tuneworthy.core.harm import Shake
from tuneworthy.core.interval import Interval
from tuneworthy.core.record import Record


class LayerChange(Record):
    """What training changed in one layer.

    `ratio` is the Frobenius norm of the weight change over that of the weights. `effective_rank`
    is exp(entropy of the singular values of the change), the mean over its matrices, at most
    `rank`; None where nothing changed. `shift_on` and `shift_off` are how far the layer's output
    moved on and off the task: mean norm of the move over the norm before.
    """

    layer: str
    ratio: float
    rank: int
    effective_rank: float | None
    shift_on: float | None = None
    shift_off: float | None = None


class BeforeAfter(Record):
    """One prompt answered by the base and by the tuned model, with what each answer scored."""

    case: str
    before: str
    after: str
    score_before: float | None
    score_after: float | None


class Changes(Record):
    """What training changed in one arm's model, against its base, on the very same tokens.

    `kl_on` and `kl_off` are mean KL divergences of the tuned model from the base in nats a token:
    on its own answers to the task (`n_on` of them), and on general text (`n_off` texts).
    `examples` show the same prompt before and after; `differ` of `asked` prompts were answered
    otherwise. `temperatures` are its validity and score when it is asked less coldly.
    `missing`: field -> reason for every None.
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
    temperatures: tuple[Shake, ...] = ()
    missing: dict[str, str] = Field(default_factory=dict)


def for_verdict(changes: Sequence[Changes]) -> dict[str, Any] | None:
    """Return what verdict.json holds under `changes`: one entry an arm, None without any."""
    return {"arms": [one.plain() for one in changes]} if changes else None
