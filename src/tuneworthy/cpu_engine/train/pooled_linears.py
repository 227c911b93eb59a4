"""Adapted linear layers that use the thread pool's bf16 GEMM on unpacked weights.

The same figures as `AdaptedLinears`, for CPUs with fast bf16 products and no matrix unit
(`models._products`): the adapter's product is added in the same pass, and products of a few rows do
not wait for threads to wake. Knows no attention and no model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from tuneworthy.cpu_engine.gemm.products import GRAIN, gemm_supports
from tuneworthy.cpu_engine.gemm.thread_pool import ThreadPool
from tuneworthy.cpu_engine.gemm.tiles import WIDE
from tuneworthy.cpu_engine.train.adapted_linears import AdaptedLinears
from tuneworthy.cpu_engine.train.gradient_kernels import transpose
from tuneworthy.cpu_engine.train.recorded_step import RecordedStep

# Tokens of a step up to which the thread pool is faster. With more, torch's products are as fast,
# and its threads also run the operations between them.
FEW = 1500


class PooledLinears(AdaptedLinears):
    """Linear layers that read the same input, multiplied by the thread pool."""

    def __init__(self, team: ThreadPool, *layers: Any) -> None:
        super().__init__(*layers)
        self.team, self.over = team, list[Any]()

    @property
    def fit(self) -> bool:
        """Return whether weights and adapters consist of whole blocks, also when transposed."""
        whole = all(
            gemm_supports(n.weight) and not any(side % WIDE for side in n.weight.shape)
            for n in self.linears
        )
        return whole and not any(linear.rank % GRAIN for linear in self.linears)

    def lay(self, firsts: Any, seconds: Any, slopes: tuple[Any, Any]) -> None:
        """Set the buffers, and allocate memory for every transposed B."""
        super().lay(firsts, seconds, slopes)
        self.over = [b if b is None else torch.empty(*b.shape[::-1], dtype=b.dtype) for b in self.b]

    def refresh(self) -> None:
        """Transpose the current B of all layers."""
        for b, over in zip(self.b, self.over, strict=True):
            if b is not None:
                transpose(b, over)

    def forward(self, x: Any, tape: RecordedStep, add: Any = None) -> tuple[list[Any], Any]:
        """Return each layer's y (plus `add`) and x Aᵀ of all, which the gradient needs."""
        if tape.tokens > FEW:
            return super().forward(x, tape, add)
        low: Any = None
        if self.ranks:
            low = tape.take((len(x), self.ranks), x.dtype)
            self.team.product(x, self.a, into=(low, tape.do))
        outputs, at = [], 0
        for linear, b in zip(self.linears, self.b, strict=True):
            y, change = tape.take((len(x), len(linear.weight)), x.dtype), None
            if linear.rank:
                change = low[:, at : at + linear.rank], b
            bias = linear.bias if linear.bias is None else linear.bias[None]
            more = bias if add is None else add
            self.team.product(x, linear.weight, change, more, (y, tape.do))
            if add is not None and bias is not None:
                tape.do(y.add_, linear.bias)
            at += linear.rank
            outputs.append(y)
        return outputs, low

    def backward(
        self, slopes_of_y: Sequence[Any], kept: Any, tape: RecordedStep, *, whole: bool = True
    ) -> Any:
        """Return the gradient of x, if `whole`; write that of the adapters to its buffers.

        `kept` are x and the x Aᵀ of `forward`. The gradient of each A still lacks its scale.
        """
        if tape.tokens > FEW:
            return super().backward(slopes_of_y, kept, tape, whole=whole)
        (x, low_rank), team, at = kept, self.team, 0
        dx, fed = tape.lent(x), None
        down: Any = tape.lend((len(x), self.ranks), x.dtype) if self.ranks else None
        transposed: Any = tape.lend((self.ranks, len(x)), x.dtype) if self.ranks else None
        if self.ranks:
            transpose(low_rank, transposed, tape.do)
        layers = zip(self.linears, self.over, self.slopes_of_b, slopes_of_y, strict=True)
        for linear, over, slope, dy in layers:
            own = slice(at, at + linear.rank)
            if linear.rank:
                team.product(dy, over, into=(down[:, own], tape.do))
                slope_t = tape.lent(over)
                team.turned(transposed[own], dy, into=(slope_t, tape.do))
                transpose(slope_t, slope, tape.do)
            low = (down, self.a) if linear is self.linears[-1] and self.ranks else None
            if whole:
                team.turned(dy, linear.weight, low, fed, (dx, tape.do))
            at, fed = own.stop, dx
        if self.ranks:
            transpose(down, transposed, tape.do)
            team.turned(transposed, x, into=(self.slopes_of_a, tape.do))
        return dx
