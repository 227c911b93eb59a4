"""Adapted linear layers whose products are taken of the weights as they lie, by a team.

The same figures as `pieces.Fan` gives, where the processor multiplies bf16 fast and has no matrix
unit (`models._products`): an adapter's product is added on the way, and products of a few rows do
not wait for threads. Knows no attention and no model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from tuneworthy.models._blocks import WIDE
from tuneworthy.models._products import GRAIN, fits
from tuneworthy.models._team import Team
from tuneworthy.training.kernels import turned_over
from tuneworthy.training.pieces import Fan
from tuneworthy.training.tape import Tape

# Tokens of a step up to which a team is faster. With more, torch's products are as fast, and what
# stands between them has its threads.
FEW = 1500


class Plain(Fan):
    """Linear layers that read the same input, multiplied by a team."""

    def __init__(self, team: Team, *layers: Any) -> None:
        super().__init__(*layers)
        self.team, self.over = team, list[Any]()

    @property
    def fit(self) -> bool:
        """Return whether weights and adapters are of whole blocks, both ways."""
        whole = all(
            fits(n.weight) and not any(side % WIDE for side in n.weight.shape) for n in self.linears
        )
        return whole and not any(linear.rank % GRAIN for linear in self.linears)

    def lay(self, firsts: Any, seconds: Any, slopes: tuple[Any, Any]) -> None:
        """Take the fan's places, and memory for every B turned over."""
        super().lay(firsts, seconds, slopes)
        self.over = [b if b is None else torch.empty(*b.shape[::-1], dtype=b.dtype) for b in self.b]

    def refresh(self) -> None:
        """Turn over the present B of all layers."""
        for b, over in zip(self.b, self.over, strict=True):
            if b is not None:
                turned_over(b, over)

    def forward(self, x: Any, tape: Tape, add: Any = None) -> tuple[list[Any], Any]:
        """Return each layer's y (plus `add`) and x Aᵀ of all, which the gradient needs."""
        if tape.tokens > FEW:
            return super().forward(x, tape, add)
        low: Any = None
        if self.ranks:
            low = tape.take((len(x), self.ranks), x.dtype)
            self.team.product(x, self.a, into=(low, tape.do))
        found, at = [], 0
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
            found.append(y)
        return found, low

    def backward(
        self, slopes_of_y: Sequence[Any], kept: Any, tape: Tape, *, whole: bool = True
    ) -> Any:
        """Return the gradient of x, if `whole`; that of the adapters is written to its place.

        `kept` are x and what `forward` left. What is written for an A lacks its scale.
        """
        if tape.tokens > FEW:
            return super().backward(slopes_of_y, kept, tape, whole=whole)
        (x, given), team, at = kept, self.team, 0
        dx, fed = tape.lent(x), None
        down: Any = tape.lend((len(x), self.ranks), x.dtype) if self.ranks else None
        aside: Any = tape.lend((self.ranks, len(x)), x.dtype) if self.ranks else None
        if self.ranks:
            turned_over(given, aside, tape.do)
        found = zip(self.linears, self.over, self.slopes_of_b, slopes_of_y, strict=True)
        for linear, over, slope, dy in found:
            own = slice(at, at + linear.rank)
            if linear.rank:
                team.product(dy, over, into=(down[:, own], tape.do))
                turned = tape.lent(over)
                team.turned(aside[own], dy, into=(turned, tape.do))
                turned_over(turned, slope, tape.do)
            low = (down, self.a) if linear is self.linears[-1] and self.ranks else None
            if whole:
                team.turned(dy, linear.weight, low, fed, (dx, tape.do))
            at, fed = own.stop, dx
        if self.ranks:
            turned_over(down, aside, tape.do)
            team.turned(aside, x, into=(self.slopes_of_a, tape.do))
        return dx
