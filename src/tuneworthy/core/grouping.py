"""Cut rows into consecutive groups of similar cost. Knows no model, no rows and no torch."""

from __future__ import annotations

from collections.abc import Sequence

LEAST_TOKENS, PADDING_SHARE, MOST_PADDED_TOKENS = 512, 0.05, 2048
FINE_GROUPS = 256, 0.01  # least tokens and padding share for a GEMM without a setup per length


def balanced_groups(costs: Sequence[int], rows: int, most: int, count: int) -> list[range]:
    """Return ranges of rows, costliest first, of similar padded cost (rows × their largest cost).

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
    lengths: Sequence[int],
    least: int = LEAST_TOKENS,
    share: float = PADDING_SHARE,
    most: int = MOST_PADDED_TOKENS,
) -> list[range]:
    """Return consecutive ranges of rows whose lengths are similar.

    A group ends where the next row would make more than `share` of it padding, once it has `least`
    tokens, because fewer take as long. A group has at most `most` padded tokens: with more, a
    layer's activations no longer fit the cache. A row above that is a group of its own.
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
