"""The cost of a next step on one scale, in labels; machine minutes and dollars are converted."""

from __future__ import annotations

from dataclasses import dataclass

from tuneworthy.core.verdict import Next

LABEL_MINUTES = 0.5
"""A person's minutes per label: to read an input and write or check its answer."""
LABELS_PER_CLICK = 0.2
"""The effort of one click, in labels: a glance shows which of two answers is better."""
MACHINE_MINUTE_COST = 0.1
"""Cost of a machine minute as a share of a person's minute: a person waits for the result but can
do other work meanwhile."""
LABEL_USD = 0.25
"""Default of economics.label_each, the price of a label in dollars: half a minute of a person at
$30 an hour."""
LABELS_PER_MODEL = 30.0
"""The effort to pick, get and try another model, in labels: a quarter of an hour."""


@dataclass(frozen=True)
class StepOption:
    """A next step and its cost in labels; `settles`: it settles the verdict with chance >= .5."""

    labels: float
    step: Next
    settles: bool = False


def in_labels(minutes: float | None, usd: float | None, each: float | None) -> float:
    """Return the cost of machine minutes and dollars in labels of `each` dollars.

    Unknown costs count 0: a machine's work is nearly always cheaper than labels.
    """
    return (minutes or 0.0) * MACHINE_MINUTE_COST / LABEL_MINUTES + (usd or 0.0) / (
        each or LABEL_USD
    )
