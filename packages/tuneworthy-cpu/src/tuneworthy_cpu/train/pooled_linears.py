"""Adapted linear layers that use the thread pool's bf16 GEMM on unpacked weights.

The results are those of `AdaptedLinears`, for CPUs with fast bf16 products and no matrix unit
(`gemm/products.py`): the adapter's product is added in the same pass, and products of a few rows do
not wait for threads to wake. Knows no attention and no model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from tuneworthy_cpu.gemm.products import GRAIN, gemm_supports
from tuneworthy_cpu.gemm.thread_pool import ThreadPool
from tuneworthy_cpu.gemm.tiles import WIDE
from tuneworthy_cpu.train.adapted_linears import AdaptedLinears
from tuneworthy_cpu.train.gradient_kernels import transpose
from tuneworthy_cpu.train.recorded_step import RecordedStep

# Most tokens of a step for which the thread pool is faster. With more, torch's products are as
# fast, and its threads also run the operations between them.
FEW_TOKENS = 1500


class PooledLinears(AdaptedLinears):
    """Linear layers that read the same input, multiplied by the thread pool."""

    def __init__(self, pool: ThreadPool, *layers: Any) -> None:
        super().__init__(*layers)
        self.pool, self.transposed_b = pool, list[Any]()

    @property
    def supported(self) -> bool:
        """Return whether the GEMM takes weights and adapters, transposed too: whole blocks only."""
        whole = all(
            gemm_supports(n.weight) and not any(side % WIDE for side in n.weight.shape)
            for n in self.linears
        )
        return whole and not any(linear.rank % GRAIN for linear in self.linears)

    def set_buffers(self, firsts: Any, seconds: Any, slopes: tuple[Any, Any]) -> None:
        """Set the buffers, and allocate memory for each transposed B."""
        super().set_buffers(firsts, seconds, slopes)
        self.transposed_b = [
            b if b is None else torch.empty(*b.shape[::-1], dtype=b.dtype) for b in self.b
        ]

    def refresh(self) -> None:
        """Transpose the current B of each layer."""
        for b, transposed_b in zip(self.b, self.transposed_b, strict=True):
            if b is not None:
                transpose(b, transposed_b)

    def forward(self, x: Any, step: RecordedStep, add: Any = None) -> tuple[list[Any], Any]:
        """Return each layer's x Wᵀ + b + s · (x Aᵀ) Bᵀ (plus `add`), and all layers' x Aᵀ."""
        if step.tokens > FEW_TOKENS:
            return super().forward(x, step, add)
        low: Any = None
        if self.ranks:
            low = step.take((len(x), self.ranks), x.dtype)
            self.pool.product(x, self.a, into=(low, step.do))
        outputs, at = [], 0
        for linear, b in zip(self.linears, self.b, strict=True):
            y, change = step.take((len(x), len(linear.weight)), x.dtype), None
            if linear.rank:
                change = low[:, at : at + linear.rank], b
            bias = linear.bias if linear.bias is None else linear.bias[None]
            more = bias if add is None else add
            self.pool.product(x, linear.weight, change, more, (y, step.do))
            if add is not None and bias is not None:
                step.do(y.add_, linear.bias)
            at += linear.rank
            outputs.append(y)
        return outputs, low

    def backward(
        self, slopes_of_y: Sequence[Any], kept: Any, step: RecordedStep, *, whole: bool = True
    ) -> Any:
        """Write the adapters' gradients to their buffers; return the gradient of x if `whole`.

        `kept` are x and the x Aᵀ of `forward`. The gradient of each A still lacks its scale.
        """
        if step.tokens > FEW_TOKENS:
            return super().backward(slopes_of_y, kept, step, whole=whole)
        (x, low_rank), pool, at = kept, self.pool, 0
        dx, fed = step.take_brief_like(x), None
        down: Any = step.take_brief((len(x), self.ranks), x.dtype) if self.ranks else None
        transposed: Any = step.take_brief((self.ranks, len(x)), x.dtype) if self.ranks else None
        if self.ranks:
            transpose(low_rank, transposed, step.do)
        layers = zip(self.linears, self.transposed_b, self.slopes_of_b, slopes_of_y, strict=True)
        for linear, transposed_b, slope, dy in layers:
            own = slice(at, at + linear.rank)
            if linear.rank:
                pool.product(dy, transposed_b, into=(down[:, own], step.do))
                slope_t = step.take_brief_like(transposed_b)
                pool.untransposed_product(transposed[own], dy, into=(slope_t, step.do))
                transpose(slope_t, slope, step.do)
            low = (down, self.a) if linear is self.linears[-1] and self.ranks else None
            if whole:
                pool.untransposed_product(dy, linear.weight, low, fed, (dx, step.do))
            at, fed = own.stop, dx
        if self.ranks:
            transpose(down, transposed, step.do)
            pool.untransposed_product(transposed, x, into=(self.slopes_of_a, step.do))
        return dx
