"""The schedule of a run: the learning rate by the size of the base, the order of an epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

MOST_LORA_RATE = 1e-3


_FULL_RATE, _LORA_FACTOR, _REFERENCE_WIDTH = 5e-5, 10, 2000


_WIDTH_POWERS = {"llama": 0.781, "qwen": 0.0775}


_SOURCE = "LoRA Without Regret, 2025"


@dataclass(frozen=True)
class _Rate:
    """A peak learning rate and why it was chosen."""

    value: float
    why: str


def rate_of(config: Any, wanted: float | None = None, *, full: bool = False) -> _Rate:
    """Return the peak learning rate for a model: `wanted` if the user sets it, else the rule's.

    `config` is the model's transformers config; `full`: every weight is trained, not an adapter.
    """
    if wanted is not None:
        return _Rate(wanted, "set by the option `rate`")
    inner = config.get_text_config(decoder=True)
    hidden, family = int(inner.hidden_size), str(inner.model_type)
    name = next((name for name in _WIDTH_POWERS if family.startswith(name)), None)
    # for other families the power that falls faster with size, as the safer choice
    power = _WIDTH_POWERS[name or "llama"]
    most = MOST_LORA_RATE / _LORA_FACTOR if full else MOST_LORA_RATE
    ruled = float(
        f"{_FULL_RATE * (1 if full else _LORA_FACTOR) * (_REFERENCE_WIDTH / hidden) ** power:.1e}"
    )
    fitted = f"fitted for {name.capitalize()}" if name else f"fitted for Llama, not for {family}"
    why = f"hidden size {hidden:,}, rule of {_SOURCE}, {fitted}{', for all weights' * full}"
    if ruled > most:
        return _Rate(most, f"{why}: {ruled:.1e}, held at {most:g}")
    return _Rate(ruled, why)


def order(count: int, seed: int, epoch: int) -> list[int]:
    """Return the row indexes 0 … count - 1 in an order shuffled by seed and epoch alone."""
    return [int(i) for i in np.random.default_rng([seed, epoch]).permutation(count)]
