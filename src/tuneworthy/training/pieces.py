"""What the written-out gradient is made of: memory used again, adapted linear layers, RMSNorm.

Knows no attention and no model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tuneworthy.models._kernels import rms_norm
from tuneworthy.training.kernels import rms_norm_back

_CHUNK = 1 << 26  # bytes of memory that an arena takes at once


class Arena:
    """Memory for one lane, taken once and used again in every step: fresh pages cost time."""

    def __init__(self) -> None:
        self.chunks: list[Any] = []
        self.typed: dict[tuple[int, Any], Any] = {}
        self.at = (0, 0)

    def take(self, shape: Sequence[int], dtype: Any) -> Any:
        """Return an uninitialised tensor, good until the arena is reset before this point."""
        count, strides = 1, []
        for side in reversed(shape):
            strides.append(count)
            count *= side
        size = -(-count * dtype.itemsize // 64) * 64
        chunk, start = self.at
        if chunk >= len(self.chunks) or start + size > len(self.chunks[chunk]):
            chunk, start = (chunk + 1 if start else chunk), 0
            while chunk < len(self.chunks) and size > len(self.chunks[chunk]):
                chunk += 1
            if chunk >= len(self.chunks):
                self.chunks.append(torch.empty(max(_CHUNK, size), dtype=torch.uint8))
        self.at = (chunk, start + size)
        if (chunk, dtype) not in self.typed:
            self.typed[chunk, dtype] = self.chunks[chunk].view(dtype)
        return self.typed[chunk, dtype].as_strided(shape, strides[::-1], start // dtype.itemsize)


class Linear:
    """A frozen linear layer and its adapter, if any: y = x Wᵀ + b + s · (x Aᵀ) Bᵀ."""

    def __init__(self, layer: Any) -> None:
        base = layer.base_layer if hasattr(layer, "base_layer") else layer
        self.weight, self.bias = base.weight.detach(), base.bias
        adapted = base is not layer and "default" in layer.lora_A
        self.first: Any = layer.lora_A["default"].weight if adapted else None
        self.second: Any = layer.lora_B["default"].weight if adapted else None
        self.scale = float(layer.scaling["default"]) if adapted else 0.0
        self.rank: int = len(self.first) if self.first is not None else 0


class Fan:
    """Linear layers that read the same input: the small products of their adapters are one.

    `place` puts their gradients into a flat one: all A, [ranks, in], then each B, [out, rank].
    """

    def __init__(self, *layers: Any) -> None:
        self.linears = [Linear(layer) for layer in layers]
        self.ranks = sum(linear.rank for linear in self.linears)
        self.a: Any = None
        self.b: list[Any] = []
        self.start = 0

    def place(self, start: int) -> tuple[int, list[Any], list[Any]]:
        """Take a place in the flat gradient from `start`; return its end, the A and the B."""
        self.start = start
        firsts = [linear.first for linear in self.linears if linear.rank]
        seconds = [linear.second for linear in self.linears if linear.rank]
        return start + sum(w.numel() for w in (*firsts, *seconds)), firsts, seconds

    def refresh(self) -> None:
        """Read the adapters' present weights."""
        kind = self.linears[0].weight.dtype
        adapted = [linear for linear in self.linears if linear.rank]
        if adapted:
            self.a = torch.cat([linear.first.detach() for linear in adapted]).to(kind)
        self.b = [
            (linear.second.detach() * linear.scale).to(kind) if linear.rank else None
            for linear in self.linears
        ]

    def forward(self, x: Any, memory: Arena, add: Any = None) -> tuple[list[Any], Any]:
        """Return each layer's y (plus `add`) and x Aᵀ of all, which the gradient needs."""
        low: Any = None
        if self.ranks:
            low = torch.mm(x, self.a.t(), out=memory.take((len(x), self.ranks), x.dtype))
        found, at = [], 0
        for linear, second in zip(self.linears, self.b, strict=True):
            y = memory.take((len(x), len(linear.weight)), x.dtype)
            if add is None:
                torch.mm(x, linear.weight.t(), out=y)
            else:
                torch.addmm(add, x, linear.weight.t(), out=y)
            if linear.bias is not None:
                y.add_(linear.bias)
            if linear.rank:
                y.addmm_(low[:, at : at + linear.rank], second.t())
            at += linear.rank
            found.append(y)
        return found, low

    def backward(self, slopes_of_y: Sequence[Any], x: Any, low: Any, slopes: Any, dx: Any) -> Any:
        """Write the adapters' gradients into `slopes` and that of x into `dx`; return `dx`.

        The gradient of a y is None where nothing was made of it.
        """
        down: Any = x.new_empty(len(x), self.ranks) if self.ranks else None
        place, at, fed = self.start + self.ranks * x.shape[1], 0, False
        for linear, second, dy in zip(self.linears, self.b, slopes_of_y, strict=True):
            rank, end = linear.rank, place + len(linear.weight) * linear.rank
            if dy is None:
                if rank:
                    down[:, at : at + rank].zero_()
                    slopes[place:end].zero_()
            else:
                if rank:
                    torch.mm(dy, second, out=down[:, at : at + rank])
                    found = slopes[place:end].view(second.shape)
                    torch.mm(dy.t(), low[:, at : at + rank], out=found)
                    found.mul_(linear.scale)
                if fed:
                    dx.addmm_(dy, linear.weight)
                else:
                    torch.mm(dy, linear.weight, out=dx)
                fed = True
            place, at = end, at + rank
        if down is not None:
            first = slopes[self.start : self.start + down.shape[1] * x.shape[1]]
            torch.mm(down.t(), x, out=first.view(self.ranks, -1))
            dx.addmm_(down, self.a)
        return dx


@dataclass
class Norm:
    """RMSNorm: y = w · x / sqrt(mean(x²) + eps)."""

    weight: Any
    eps: float

    def forward(self, x: Any, memory: Arena) -> tuple[Any, Any]:
        """Return y and the factor of each row, [rows, 1]."""
        return rms_norm(x, self.weight, self.eps, memory.take(x.shape, x.dtype))

    def backward(self, dy: Any, x: Any, factor: Any, add: Any, out: Any) -> Any:
        """Write the gradient of x, plus `add`, into `out`."""
        return rms_norm_back(dy, x, (self.weight, factor), add, out)


def open_norm(layer: Any) -> Norm | None:
    """Return an RMSNorm of transformers as this file's, None for None."""
    return layer and Norm(layer.weight.detach(), float(layer.variance_epsilon))
