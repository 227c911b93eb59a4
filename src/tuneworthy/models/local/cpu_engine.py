"""The door to a CPU engine: a faster path for some models on a CPU, in a distribution of its own.

An installed distribution is found by its entry point. Where there is none, where it is turned off,
and where a function returns None, the caller takes the general path. Imports no compiler.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Protocol, cast

from tuneworthy.records.code import cpu_engine_entry
from tuneworthy.records.tokens import TokenRow

SWITCH = "TUNEWORTHY_CPU_ENGINE"
HOW_TO_INSTALL = "in a clone: pip install ./packages/tuneworthy-cpu"
RUN = 32  # the length of a row of scores is padded to a multiple: a remainder loop is slow
ROUND = 8  # row lengths are padded to a multiple: oneDNN compiles each new shape, and caches few


def whole(count: int, most: int | None = None) -> int:
    """Return `count` rounded up to a multiple of 32, or `most` if that is smaller."""
    runs = -(-count // RUN) * RUN
    return runs if most is None else min(runs, most)


class Reader(Protocol):
    """A forward pass; its cache has transposed keys, and `whole` columns (`prefix_attention`)."""

    @property
    def steps(self) -> bool:
        """Whether the reader also decodes steps of several rows itself, not of one row alone."""

    def adapted(self, changes: Mapping[str, tuple[Any, Any, float]]) -> Reader:
        """Return a reader with low-rank changes (A, B, scale) by the layer's name."""

    def __call__(self, ids: Any, position: Any, cache: Any, attention: Any, keep: int) -> Any:
        """Return the logits of the last `keep` tokens of each row, of all tokens where it is 0."""

    def step(self, tokens: Any, position: Any, cache: Any, prefix: Any) -> Any:
        """Return the logits after one more token of each row, [rows, vocabulary]."""


class Trainer(Protocol):
    """A training step of the adapters of a model."""

    def backward(
        self, batch: Sequence[TokenRow], budget: int
    ) -> tuple[list[float], list[tuple[Any, Any]]]:
        """Return each row's summed loss (nats), and (weight, gradient) of the batch's mean loss."""

    def evaluate(self, rows: Sequence[TokenRow], budget: int) -> tuple[list[float], list[float]]:
        """Return two lists (nats): each row's summed loss, and the loss of its last token."""

    def proved(self, rows: Sequence[TokenRow], truth: Any) -> bool:
        """Return whether loss and gradient equal those of `truth(rows, weights)`, from autograd."""

    def free_step_memory(self) -> None:
        """Free the memory that is kept between training steps."""


class Engine(Protocol):
    """What the module has that the entry point names; imported, it loads neither torch nor numba.

    `compiled_before`: whether the loops that it compiles lie on this machine. `gemm_available`:
    whether products of unpacked bf16 weights are its own on this processor.
    """

    def compiled_before(self) -> bool: ...
    def gemm_available(self) -> bool: ...
    def open_reader(self, module: Any) -> Reader | None: ...
    def open_trainer(self, module: Any, shares: bool) -> Trainer | None: ...


@cache
def _engine() -> Engine | None:
    entry = cpu_engine_entry()
    return cast(Engine, entry.load()) if entry else None


def installed() -> bool:
    """Return whether a CPU engine is installed."""
    return _engine() is not None


def enabled() -> bool:
    """Return whether a CPU engine may be used; TUNEWORTHY_CPU_ENGINE=0 turns it off."""
    return os.environ.get(SWITCH) != "0" and installed()


def _for_cpu(module: Any) -> Engine | None:
    return _engine() if enabled() and module.device.type == "cpu" else None


def open_reader(module: Any) -> Reader | None:
    """Return a fast forward pass of a causal language model, None where there is none.

    The caller checks on a probe that it gives the model's logits.
    """
    engine = _for_cpu(module)
    return engine.open_reader(module) if engine else None


def open_trainer(module: Any, shares: bool) -> Trainer | None:
    """Return a model's LoRA training step, None where there is none.

    `shares`: whether a prompt that all rows of a step start with is read once. The caller checks on
    a probe that it gives autograd's gradient (`Trainer.proved`).
    """
    engine = _for_cpu(module)
    return engine.open_trainer(module, shares) if engine else None


def gemm_available() -> bool:
    """Return whether the engine's own matrix products, not torch's, are used here."""
    engine = _engine() if enabled() else None
    return engine is not None and engine.gemm_available()


def will_compile() -> bool:
    """Return whether opening a model compiles loops, which takes half a minute."""
    engine = _engine() if enabled() else None
    return engine is not None and not engine.compiled_before()
