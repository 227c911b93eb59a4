"""What the written-out gradient is made of: memory used again, adapted linear layers, RMSNorm.

Knows no attention and no model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

_CHUNK = 1 << 26  # bytes of memory that an arena takes at once


class Arena:
    """Memory for one lane, taken once and used again in every step: fresh pages cost time."""

    def __init__(self) -> None:
        self.chunks: list[Any] = []
        self.at = (0, 0)

    def take(self, shape: Sequence[int], dtype: Any) -> Any:
        """Return an uninitialised tensor, good until the arena is reset before this point."""
        count = 1
        for side in shape:
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
        return self.chunks[chunk][start : start + count * dtype.itemsize].view(dtype).view(shape)


class Linear:
    """A frozen linear layer and its adapter, if any: y = x Wᵀ + b + s · (x Aᵀ) Bᵀ."""

    def __init__(self, layer: Any) -> None:
        base = layer.base_layer if hasattr(layer, "base_layer") else layer
        self.weight, self.bias = base.weight.detach(), base.bias
        self.adapted = base is not layer and "default" in layer.lora_A
        if self.adapted:
            self.first = layer.lora_A["default"].weight
            self.second = layer.lora_B["default"].weight
            self.scale = float(layer.scaling["default"])
        self.a: Any = None
        self.b: Any = None
        self.slots: tuple[int, int, int] = (0, 0, 0)

    def refresh(self) -> None:
        """Read the adapter's present weights."""
        if self.adapted:
            kind = self.weight.dtype
            self.a = self.first.detach().to(kind)
            self.b = (self.second.detach() * self.scale).to(kind)

    def forward(self, x: Any, memory: Arena, add: Any = None) -> tuple[Any, Any]:
        """Return y (plus `add`) and x Aᵀ, which the gradient needs."""
        y = memory.take((len(x), len(self.weight)), x.dtype)
        if add is None:
            torch.mm(x, self.weight.t(), out=y)
        else:
            torch.addmm(add, x, self.weight.t(), out=y)
        if self.bias is not None:
            y.add_(self.bias)
        if not self.adapted:
            return y, None
        low = torch.mm(x, self.a.t(), out=memory.take((len(x), len(self.a)), x.dtype))
        return y.addmm_(low, self.b.t()), low

    def backward(self, dy: Any, x: Any, low: Any, slopes: Any, dx: Any) -> None:
        """Write the adapter's gradient into `slopes`; write or add that of x into `dx`.

        `dx` is (tensor, whether it holds something already), or None where nobody needs it.
        """
        down = None
        if self.adapted:
            start, middle, end = self.slots
            down = dy @ self.b
            torch.mm(down.t(), x, out=slopes[start:middle].view(self.a.shape))
            second = slopes[middle:end].view(self.b.shape)
            torch.mm(dy.t(), low, out=second)
            second.mul_(self.scale)
        if dx is None:
            return
        target, holds = dx
        if holds:
            target.addmm_(dy, self.weight)
        else:
            torch.mm(dy, self.weight, out=target)
        if down is not None:
            target.addmm_(down, self.a)


@dataclass
class Norm:
    """RMSNorm: y = w · x / sqrt(mean(x²) + eps), the quotient in fp32 or wider."""

    weight: Any
    eps: float

    def forward(self, x: Any, memory: Arena) -> tuple[Any, Any]:
        """Return y and the factor of each row, [rows, 1]."""
        wide = wide_of(x.dtype)
        size = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=wide)
        factor = torch.rsqrt(size.square_().div_(x.shape[-1]).add_(self.eps))
        y = memory.take(x.shape, x.dtype).copy_(x * factor)
        return y.mul_(self.weight), factor

    def backward(self, dy: Any, x: Any, factor: Any, add: Any, out: Any) -> Any:
        """Write the gradient of x, plus `add`, into `out`."""
        slope = (dy * self.weight).to(factor.dtype)
        unit = x * factor
        along = torch.linalg.vecdot(slope, unit).unsqueeze(-1).div_(x.shape[-1])
        slope.addcmul_(unit, along, value=-1).mul_(factor)
        return out.copy_(slope if add is None else slope.add_(add))


def wide_of(dtype: Any) -> Any:
    """Return fp32, or fp64 for fp64: what sums and scores are taken in."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def open_norm(layer: Any) -> Norm | None:
    """Return an RMSNorm of transformers as this file's, None for None."""
    return layer and Norm(layer.weight.detach(), float(layer.variance_epsilon))
