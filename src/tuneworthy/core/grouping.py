"""Cut rows into consecutive groups of similar cost. Knows no model, no rows and no torch."""

from __future__ import annotations

from collections.abc import Sequence

LEAST, SHARE, MOST = 512, 0.05, 2048
FINE = 256, 0.01  # LEAST and SHARE for a GEMM that needs no preparation for a new length


def balanced_groups(costs: Sequence[int], rows: int, most: int, count: int) -> list[range]:
    """Cut rows, costliest first, into groups of similar padded cost (costliest × rows).

    At most `rows` rows and a padded cost of `most` each (a row above it is a group of its own); as
    few groups as that allows, rounded up to a multiple of `count` if there are enough rows.
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


def similar_length_groups(
    lengths: Sequence[int], least: int = LEAST, share: float = SHARE, most: int = MOST
) -> list[range]:
    """Cut rows, in their order, into groups of similar length.

    A group ends where the next row would make more than `share` of it padding, once it has `least`
    tokens: fewer are read no faster. More than `most` padded tokens are read slower: a layer's
    activations no longer fit the cache. A row above that is a group of its own.
    """
    runs, start, longest, total = [], 0, 0, 0
    for at, length in enumerate(lengths):
        widest, tokens = max(longest, length), total + length
        padded = widest * (at + 1 - start)
        loose = total >= least and padded - tokens > share * padded
        if at > start and (loose or padded > most):
            runs.append(range(start, at))
            start, widest, tokens = at, length, length
        longest, total = widest, tokens
    return [*runs, range(start, len(lengths))] if lengths else []
