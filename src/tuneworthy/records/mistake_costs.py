"""What a wrong label costs (`success.costs`): the table, its faults, and the cheapest answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

OTHER, TAKEN_FOR = "other", " > "
Costs = Mapping[str, float]


def cost_of(costs: Costs, right: str, said: str | None) -> float:
    """Return the cost of answering `said` where `right` is right; None is no label at all."""
    if said == right:
        return 0.0
    named = {
        key.partition(TAKEN_FOR)[2].strip(): cost
        for key, cost in costs.items()
        if TAKEN_FOR in key and key.partition(TAKEN_FOR)[0].strip() == right
    }
    plain = costs.get(right, costs.get(OTHER, 0.0))
    return max([plain, *named.values()]) if said is None else named.get(said, plain)


def dearest(costs: Costs) -> float:
    """Return the cost of the dearest mistake."""
    return max(costs.values())


def cheapest_label(costs: Costs, table: Mapping[str, float]) -> str:
    """Return the label with the least expected cost by these probabilities; ties: the likeliest."""

    def expected(said: str) -> float:
        return sum(p * cost_of(costs, right, said) for right, p in table.items())

    return min(table, key=lambda said: (round(expected(said), 12), -table[said]))


def costs_fault(costs: Costs, labels: Sequence[str]) -> str:
    """Return what is wrong with a table of costs for these labels, or ""."""
    parts = {part.strip() for key in costs if key != OTHER for part in key.split(TAKEN_FOR)}
    if unknown := sorted(parts - set(labels)):
        return f"no label is called {', '.join(unknown)}"
    if not costs or dearest(costs) <= 0:
        return "no mistake costs anything"
    bare = [label for label in labels if label not in costs]
    if bare and OTHER not in costs:
        return f"no cost of a mistake on {', '.join(bare[:5])}"
    return ""
