"""A faster path for Llama-family models on a CPU: the engine behind the door of tuneworthy.

The door is `tuneworthy.models.local.cpu_engine`; it finds this module by its entry point and calls
no other. This package knows torch, numba and weights; it knows no task, no arm, no metric and no
ledger. numba is imported when a model is opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tuneworthy_cpu.loop_cache import compiled_before

if TYPE_CHECKING:
    from tuneworthy_cpu.read.decoder import Decoder
    from tuneworthy_cpu.train.hand_gradient import HandGradient

__all__ = ["compiled_before", "gemm_available", "open_reader", "open_trainer"]


def open_reader(module: Any) -> Decoder | None:
    """Return a fast forward pass of a causal language model, None if it is not supported."""
    from tuneworthy_cpu.read.decoder import open_decoder

    return open_decoder(module)


def open_trainer(module: Any, shares: bool) -> HandGradient | None:
    """Return a model's LoRA training step with a hand-written gradient, None if not supported."""
    from tuneworthy_cpu.train.hand_gradient import open_hand_gradient

    return open_hand_gradient(module, shares)


def gemm_available() -> bool:
    """Return whether the package's own GEMM, not torch's, is used on this processor."""
    from tuneworthy_cpu.gemm.products import own_gemm_available

    return own_gemm_available()
