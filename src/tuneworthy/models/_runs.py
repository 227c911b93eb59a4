"""How rows are cut into runs that cost alike. Knows no model, no rows and no torch."""

from __future__ import annotations

from collections.abc import Sequence

LEAST, SHARE, MOST = 512, 0.05, 2048
FINE = 256, 0.01  # the first two where a product of another length needs no preparation


def balanced(costs: Sequence[int], rows: int, most: int, count: int) -> list[range]:
    """Cut rows, costliest first, into runs whose padded costs (costliest × rows) are alike.

    At most `rows` rows and a padded cost of `most` each (a row above it stands alone); as few
    runs as that allows, made a multiple of `count` where there are rows enough.
    """

    def cut(limit: int) -> list[range]:
        runs, start = [], 0
        while start < len(costs):
            size = max(1, min(rows, limit // costs[start]))
            runs.append(range(start, min(start + size, len(costs))))
            start += size
        return runs

    if not costs:
        return []
    runs = min(len(costs), -(-len(cut(most)) // count) * count)
    low, high = min(costs[0], most), max(costs[0], most)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if len(cut(middle)) <= runs else (middle + 1, high)
    return cut(low)


def alike(
    lengths: Sequence[int], least: int = LEAST, share: float = SHARE, most: int = MOST
) -> list[range]:
    """Cut rows, in their order, into runs of like length.

    A run ends where the next row would leave more than `share` of it padding, once it has `least`
    tokens: fewer are read no faster. More than `most` padded tokens are read slower: what a layer
    makes of them no longer stays in the cache. A row above that stands alone.
    """
    runs, start, longest, sum_ = [], 0, 0, 0
    for at, length in enumerate(lengths):
        widest, tokens = max(longest, length), sum_ + length
        padded = widest * (at + 1 - start)
        loose = sum_ >= least and padded - tokens > share * padded
        if at > start and (loose or padded > most):
            runs.append(range(start, at))
            start, widest, tokens = at, length, length
        longest, sum_ = widest, tokens
    return [*runs, range(start, len(lengths))] if lengths else []
