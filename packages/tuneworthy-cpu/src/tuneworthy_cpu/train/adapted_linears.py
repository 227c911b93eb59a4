"""Linear layers with adapters, and RMSNorm, with their gradients, as calls of a recorded step.

Knows no attention and no model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tuneworthy_cpu.read.layer_kernels import rms_norm
from tuneworthy_cpu.train.gradient_kernels import rms_norm_backward
from tuneworthy_cpu.train.recorded_step import RecordedStep


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


class AdaptedLinears:
    """Linear layers that read the same input; their adapters' A are multiplied as one matrix.

    `a` and `b` are buffers with the adapters' current weights in the model's precision (each A
    times its scale), `slopes_of_a` and `slopes_of_b` the buffers of their gradients.
    """

    def __init__(self, *layers: Any) -> None:
        self.linears = [Linear(layer) for layer in layers]
        self.firsts = [linear.first for linear in self.linears if linear.rank]
        self.seconds = [linear.second for linear in self.linears if linear.rank]
        self.ranks = sum(linear.rank for linear in self.linears)
        self.a: Any = None
        self.slopes_of_a: Any = None
        self.b: Sequence[Any] = ()
        self.slopes_of_b: Sequence[Any] = ()

    def set_buffers(self, firsts: Any, seconds: Any, slopes: tuple[Any, Any]) -> None:
        """Set the buffers to views of flat memory: of all A, of all B, and of their gradients."""
        if self.ranks:
            self.a, self.slopes_of_a = (flat.view(self.ranks, -1) for flat in (firsts, slopes[0]))
        self.b, self.slopes_of_b = (self._b_views(flat) for flat in (seconds, slopes[1]))

    def refresh(self) -> None:
        """Update data that depends on the adapters' weights, once a step; here there is none."""

    def _b_views(self, flat: Any) -> list[Any]:
        sizes = [len(linear.weight) * linear.rank for linear in self.linears]
        parts = zip(flat.split(sizes), self.linears, strict=True)
        return [part.view(-1, linear.rank) if linear.rank else None for part, linear in parts]

    def forward(self, x: Any, step: RecordedStep, add: Any = None) -> tuple[list[Any], Any]:
        """Return each layer's x Wᵀ + b + s · (x Aᵀ) Bᵀ (plus `add`), and all layers' x Aᵀ."""
        low: Any = None
        if self.ranks:
            low = step.take((len(x), self.ranks), x.dtype)
            step.do(torch.mm, x, self.a.t(), out=low)
        outputs, at = [], 0
        for linear, second in zip(self.linears, self.b, strict=True):
            y = step.take((len(x), len(linear.weight)), x.dtype)
            if add is None:
                step.do(torch.mm, x, linear.weight.t(), out=y)
            else:
                step.do(torch.addmm, add, x, linear.weight.t(), out=y)
            if linear.bias is not None:
                step.do(y.add_, linear.bias)
            if linear.rank:
                step.do(y.addmm_, low[:, at : at + linear.rank], second.t())
            at += linear.rank
            outputs.append(y)
        return outputs, low

    def backward(
        self, slopes_of_y: Sequence[Any], kept: Any, step: RecordedStep, *, whole: bool = True
    ) -> Any:
        """Write the adapters' gradients to their buffers; return the gradient of x if `whole`.

        `kept` are x and the x Aᵀ of `forward`. The gradient of each A still lacks its scale.
        """
        x, low = kept
        dx = step.take_brief_like(x)
        down: Any = step.take_brief((len(x), self.ranks), x.dtype) if self.ranks else None
        at, has_dx = 0, False
        layers = zip(self.linears, self.b, self.slopes_of_b, slopes_of_y, strict=True)
        for linear, second, slope, dy in layers:
            own = slice(at, at + linear.rank)
            if linear.rank:
                step.do(torch.mm, dy, second, out=down[:, own])
                step.do(torch.mm, dy.t(), low[:, own], out=slope)
            if has_dx:
                step.do(dx.addmm_, dy, linear.weight)
            elif whole:
                step.do(torch.mm, dy, linear.weight, out=dx)
            at, has_dx = own.stop, whole
        if down is not None:
            step.do(torch.mm, down.t(), x, out=self.slopes_of_a)
            if whole:
                step.do(dx.addmm_, down, self.a)
        return dx


class Adapters:
    """The adapters of all layers in flat buffers (every A, then every B), and their gradient.

    A step reads them in the model's precision, each A times the scale that all adapters share.
    """

    def __init__(self, groups: Sequence[AdaptedLinears]) -> None:
        self.groups = groups
        self.seconds = [second for group in groups for second in group.seconds]
        self.weights = [*(first for group in groups for first in group.firsts), *self.seconds]
        self.scales = {n.scale for group in groups for n in group.linears if n.rank}
        self.cut = sum(first.numel() for group in groups for first in group.firsts)
        self.free_step_memory()

    def free_step_memory(self) -> None:
        """Free the buffers; the next `refresh` allocates them again."""
        self.flat: Any = None
        self.slopes: Any = None
        self.total: Any = None
        self.places: list[Any] = []
        self.pairs: list[tuple[Any, Any]] = []

    def refresh(self) -> None:
        """Copy the adapters' current weights into the buffers, once a step."""
        if self.flat is None:
            self._allocate_buffers()
        torch._foreach_copy_(self.places, [weight.detach() for weight in self.weights])
        self._scale_a(self.flat)
        for group in self.groups:
            group.refresh()

    def add_gradients(self, *, first: bool) -> None:
        """Add the gradients of this part of the batch to the step's sum; `first` starts the sum."""
        self._scale_a(self.slopes)
        if first:
            self.total.copy_(self.slopes)
        else:
            self.total.add_(self.slopes)

    def _scale_a(self, flat: Any) -> None:
        (scale,) = self.scales
        flat[: self.cut].mul_(scale)

    def _allocate_buffers(self) -> None:
        kind, wide = self.groups[0].linears[0].weight.dtype, self.weights[0].dtype
        size = sum(weight.numel() for weight in self.weights)
        self.flat, self.slopes = (torch.empty(size, dtype=kind) for _ in range(2))
        self.total = torch.empty(size, dtype=wide)
        self.places = self._split(self.flat)
        self.pairs = list(zip(self.weights, self._split(self.total), strict=True))
        firsts = [sum(first.numel() for first in group.firsts) for group in self.groups]
        seconds = [sum(second.numel() for second in group.seconds) for group in self.groups]
        a, b, *slopes = [
            flat[part].split(sizes)
            for flat in (self.flat, self.slopes)
            for part, sizes in ((slice(self.cut), firsts), (slice(self.cut, None), seconds))
        ]
        for group, *given in zip(self.groups, a, b, zip(*slopes, strict=True), strict=True):
            group.set_buffers(*given)

    def _split(self, flat: Any) -> list[Any]:
        parts = flat.split([weight.numel() for weight in self.weights])
        return [p.view(weight.shape) for p, weight in zip(parts, self.weights, strict=True)]


@dataclass
class Norm:
    """RMSNorm: y = w · x / sqrt(mean(x²) + eps)."""

    weight: Any
    eps: float

    def forward(self, x: Any, step: RecordedStep) -> tuple[Any, Any]:
        """Return y, and 1 / sqrt(mean(x²) + eps) of each row, [rows, 1]."""
        return rms_norm(x, (self.weight, self.eps), step.take(x.shape, x.dtype), step.do)

    def backward(
        self, dy: Any, kept: tuple[Any, Any], add: Any, out: Any, step: RecordedStep
    ) -> Any:
        """Write the gradient of x, plus `add`, into `out`; `kept` are x and its rows' factors."""
        x, factor = kept
        return rms_norm_backward(dy, x, (self.weight, factor), add, out, step.do)


def open_norm(layer: Any) -> Norm | None:
    """Return transformers' RMSNorm layer as a `Norm`, None for None."""
    return layer and Norm(layer.weight.detach(), float(layer.variance_epsilon))
