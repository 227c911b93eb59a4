"""Choose the peak learning rate of an adapter or of all weights by the size of the base model.

Source, read on 2026-11-28: J. Schulman et al., "LoRA Without Regret" (Thinking Machines, 2025-09),
and `hyperparam_utils` of its tinker-cookbook: 5e-5 for all weights, ten times that for LoRA, times
(2000 / hidden size) to a power fitted by family; for LoRA with alpha 32 on all linear layers. The
rate of LoRA is capped at 1e-3, which was measured here for SmolLM2-135M, that of all weights at a
tenth of it, by the same factor. The rule itself was not measured here. Knows no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MOST_LORA_RATE = 1e-3
_FULL_RATE, _LORA_FACTOR, _REFERENCE_WIDTH = 5e-5, 10, 2000
_WIDTH_POWERS = {"llama": 0.781, "qwen": 0.0775}
_SOURCE = "LoRA Without Regret, 2025"


@dataclass(frozen=True)
class Rate:
    """A peak learning rate and why it was chosen."""

    value: float
    why: str


def rate_of(config: Any, wanted: float | None = None, *, full: bool = False) -> Rate:
    """Return the peak learning rate for a model: `wanted` if the user sets it, else the rule's.

    `config` is the model's transformers config; `full`: every weight is trained, not an adapter.
    """
    if wanted is not None:
        return Rate(wanted, "set by the option `rate`")
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
        return Rate(most, f"{why}: {ruled:.1e}, held at {most:g}")
    return Rate(ruled, why)
