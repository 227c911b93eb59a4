"""Find the prompt that rows of token ids share, and group rows of similar cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tuneworthy.core.grouping import balanced_groups

_LEAST_SHARED_TOKENS = 8  # a shorter shared prompt costs more in overhead than it saves


class TokenRow(Protocol):
    """One row as token ids; the `trained` ids from index `first` on are trained on."""

    @property
    def ids(self) -> tuple[int, ...]:
        """Return the token ids."""

    @property
    def first(self) -> int:
        """Return the index of the first trained token."""

    @property
    def trained(self) -> int:
        """Return the number of trained tokens."""


def shared_length(rows: Sequence[TokenRow]) -> int:
    """Return the length of the untrained prefix common to all rows; 0 if sharing does not pay.

    One prompt token a row is excluded, because the first answer token is predicted from it.
    """
    if len(rows) < 2:
        return 0
    length = min(row.first for row in rows) - 1
    lead = rows[0].ids
    for row in rows[1:]:
        while length > 0 and row.ids[:length] != lead[:length]:
            same = next(i for i in range(length) if row.ids[i] != lead[i])
            length = same
    return length if length >= _LEAST_SHARED_TOKENS else 0


def parts(
    rows: Sequence[TokenRow], budget: int, skipped: int = 0, count: int = 1
) -> list[list[int]]:
    """Return indices of `rows` in groups of similar length and similar cost.

    At most `budget` padded tokens each; a row above it is a group of its own. `skipped` first
    tokens of every row are not counted (the shared prompt). `count` groups run in parallel, so
    there are that many, or a multiple, if there are enough rows.
    """
    ranked = sorted(range(len(rows)), key=lambda i: (-len(rows[i].ids), i))
    costs = [len(rows[i].ids) - skipped for i in ranked]
    return [[ranked[k] for k in run] for run in balanced_groups(costs, len(rows), budget, count)]
