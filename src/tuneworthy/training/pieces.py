"""What the written-out gradient is made of: adapted linear layers and RMSNorm.

They write their calls on a tape. Knows no attention and no model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tuneworthy.models._kernels import rms_norm
from tuneworthy.training.kernels import rms_norm_back
from tuneworthy.training.tape import Tape

Adapter = tuple[Any, Any, float]
"""A weight that is trained, where it is read in the model's precision, and what it is times."""


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
    `a` and `b` hold the adapters' weights of this step in the model's precision, each B times its
    scale.
    """

    def __init__(self, *layers: Any) -> None:
        self.linears = [Linear(layer) for layer in layers]
        self.ranks = sum(linear.rank for linear in self.linears)
        kind, wide = self.linears[0].weight.dtype, self.linears[0].weight.shape[1]
        self.a = torch.empty(self.ranks, wide, dtype=kind)
        self.b: list[Any] = [
            torch.empty_like(linear.second, dtype=kind) if linear.rank else None
            for linear in self.linears
        ]
        self.start = 0

    def place(self, start: int) -> tuple[int, list[Adapter]]:
        """Take a place in the flat gradient from `start`; return its end and all A, then all B."""
        self.start = start
        adapted = [(n, b) for n, b in zip(self.linears, self.b, strict=True) if n.rank]
        parts = zip(adapted, self.a.split([n.rank for n, _ in adapted]), strict=True)
        found = [(n.first, a, 1.0) for (n, _), a in parts]
        found += [(n.second, b, n.scale) for n, b in adapted]
        return start + sum(weight.numel() for weight, _, _ in found), found

    def forward(self, x: Any, tape: Tape, add: Any = None) -> tuple[list[Any], Any]:
        """Return each layer's y (plus `add`) and x Aᵀ of all, which the gradient needs."""
        low: Any = None
        if self.ranks:
            low = tape.take((len(x), self.ranks), x.dtype)
            tape.do(torch.mm, x, self.a.t(), out=low)
        found, at = [], 0
        for linear, second in zip(self.linears, self.b, strict=True):
            y = tape.take((len(x), len(linear.weight)), x.dtype)
            if add is None:
                tape.do(torch.mm, x, linear.weight.t(), out=y)
            else:
                tape.do(torch.addmm, add, x, linear.weight.t(), out=y)
            if linear.bias is not None:
                tape.do(y.add_, linear.bias)
            if linear.rank:
                tape.do(y.addmm_, low[:, at : at + linear.rank], second.t())
            at += linear.rank
            found.append(y)
        return found, low

    def backward(self, slopes_of_y: Sequence[Any], kept: Any, slopes: Any, tape: Tape) -> Any:
        """Return the gradient of x; that of the adapters is written into `slopes`.

        `kept` are x and what `forward` left.
        """
        x, low = kept
        dx = tape.lent(x)
        down: Any = tape.lend((len(x), self.ranks), x.dtype) if self.ranks else None
        place, at, fed = self.start + self.ranks * x.shape[1], 0, False
        for linear, second, dy in zip(self.linears, self.b, slopes_of_y, strict=True):
            rank, end = linear.rank, place + len(linear.weight) * linear.rank
            if rank:
                tape.do(torch.mm, dy, second, out=down[:, at : at + rank])
                found = slopes[place:end].view(second.shape)
                tape.do(torch.mm, dy.t(), low[:, at : at + rank], out=found)
                tape.do(found.mul_, linear.scale)
            if fed:
                tape.do(dx.addmm_, dy, linear.weight)
            else:
                tape.do(torch.mm, dy, linear.weight, out=dx)
            place, at, fed = end, at + rank, True
        if down is not None:
            first = slopes[self.start : self.start + down.shape[1] * x.shape[1]]
            tape.do(torch.mm, down.t(), x, out=first.view(self.ranks, -1))
            tape.do(dx.addmm_, down, self.a)
        return dx


@dataclass
class Norm:
    """RMSNorm: y = w · x / sqrt(mean(x²) + eps)."""

    weight: Any
    eps: float

    def forward(self, x: Any, tape: Tape) -> tuple[Any, Any]:
        """Return y and the factor of each row, [rows, 1]."""
        return rms_norm(x, (self.weight, self.eps), tape.take(x.shape, x.dtype), tape.do)

    def backward(self, dy: Any, kept: tuple[Any, Any], add: Any, out: Any, tape: Tape) -> Any:
        """Write the gradient of x, plus `add`, into `out`; `kept` are x and its rows' factors."""
        x, factor = kept
        return rms_norm_back(dy, x, (self.weight, factor), add, out, tape.do)


def open_norm(layer: Any) -> Norm | None:
    """Return an RMSNorm of transformers as this file's, None for None."""
    return layer and Norm(layer.weight.detach(), float(layer.variance_epsilon))
