"""Variants of a planted system: difficulty, noise, sizes, and how a study measures it."""

from __future__ import annotations

from dataclasses import dataclass

CAUSES = (
    "metric", "format", "convention", "knowledge", "retrieval", "reading", "latent", "capability",
    "learnable", "label",
)  # fmt: skip


@dataclass(frozen=True)
class PlantVariant:
    """A variant of a planted system. Numbers are shares, except `size`, `ratio` and `group`.

    `size`: number of possible answers. `strength`: how often the missing ingredient helps.
    `churn`: right answers that any other prompt spoils; `slip`: right answers that the base itself
    spoils by chance. `ratio`: passed cases per failed one. `minor`: failures of another cause;
    `hard`: failures that no remedy repairs, of which a share `luck` passes under any prompt.
    `sampled`: the base answers three times, and once more as a rerun. `group`: number of cases in a
    group, which share their cause. `paid`: a study runs at most 60 failed and 60 passed cases.
    `sibling`: the larger model has a placebo. `pilot`: training is tried on one fold of five.
    """

    size: int
    strength: float
    churn: float
    slip: float
    ratio: float
    minor: float
    hard: float
    luck: float
    margin: float = 0.05
    group: int = 1
    sampled: bool = False
    paid: bool = False
    sibling: bool = True
    pilot: bool = False


VARIANTS = (
    PlantVariant(12, 0.95, 0.01, 0.00, 4.0, 0.00, 0.05, 0.02),
    PlantVariant(8, 0.90, 0.03, 0.01, 2.0, 0.10, 0.10, 0.05, margin=0.10),
    PlantVariant(4, 0.85, 0.05, 0.02, 1.0, 0.20, 0.10, 0.10),
    PlantVariant(20, 0.80, 0.03, 0.01, 4.0, 0.20, 0.10, 0.03, group=2),
    PlantVariant(3, 0.90, 0.02, 0.01, 3.0, 0.10, 0.10, 0.10, sibling=False),
    PlantVariant(12, 0.75, 0.05, 0.02, 3.0, 0.10, 0.15, 0.05, paid=True),
    PlantVariant(30, 0.90, 0.02, 0.05, 4.0, 0.10, 0.10, 0.05, sampled=True, margin=0.02),
    PlantVariant(6, 0.80, 0.04, 0.10, 2.0, 0.15, 0.10, 0.10, sampled=True),
    PlantVariant(15, 0.85, 0.02, 0.01, 4.0, 0.10, 0.10, 0.02, pilot=True, sibling=False),
    PlantVariant(10, 0.85, 0.05, 0.03, 2.0, 0.20, 0.10, 0.05, group=3, margin=0.10),
)
"""Ten variants of every cause, from plain to noisy."""
