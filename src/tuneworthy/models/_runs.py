"""How rows are cut into runs that cost alike. Knows no model, no rows and no torch."""

from __future__ import annotations

from collections.abc import Sequence


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
