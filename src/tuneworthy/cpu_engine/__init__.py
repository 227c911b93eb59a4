"""A faster path for Llama-family models on a CPU; README.md has the parts and the figures.

Code outside of this package imports this module alone. The package knows torch, numba and weights;
it knows no task, no arm, no metric and no ledger. Where a function returns None the caller takes
the general path. numba is imported when a model is opened, never on a GPU.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from tuneworthy.cpu_engine.loop_cache import compiled_before
from tuneworthy.cpu_engine.sizes import ROUND, whole

if TYPE_CHECKING:
    from tuneworthy.cpu_engine.read.decoder import Decoder
    from tuneworthy.cpu_engine.train.hand_gradient import HandGradient

__all__ = ["ROUND", "compiled_before", "enabled", "gemm_available", "open_reader", "open_trainer",
           "whole"]  # fmt: skip
SWITCH = "TUNEWORTHY_CPU_ENGINE"


def enabled() -> bool:
    """Return whether the engine may be used; TUNEWORTHY_CPU_ENGINE=0 turns it off."""
    return os.environ.get(SWITCH) != "0"


def open_reader(module: Any) -> Decoder | None:
    """Return a fast forward pass of a causal language model, None if it is off or not supported.

    The caller checks on a probe that it gives the model's logits.
    """
    if not enabled() or module.device.type != "cpu":
        return None
    from tuneworthy.cpu_engine.read.decoder import open_decoder

    return open_decoder(module)


def open_trainer(module: Any, shares: bool) -> HandGradient | None:
    """Return a model's LoRA training step with a hand-written gradient, None if not supported.

    `shares`: whether a prompt that all rows of a step start with is read once. The caller checks on
    a probe that it gives autograd's gradient (`HandGradient.proved`).
    """
    if not enabled() or module.device.type != "cpu":
        return None
    from tuneworthy.cpu_engine.train.hand_gradient import open_hand_gradient

    return open_hand_gradient(module, shares)


def gemm_available() -> bool:
    """Return whether the engine's own GEMM, not torch's, is used on this processor."""
    from tuneworthy.cpu_engine.gemm.products import own_gemm_available

    return own_gemm_available()
