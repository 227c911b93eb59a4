"""What a next step costs, on one scale: labels. Minutes of a machine and dollars turn into them."""

from __future__ import annotations

from dataclasses import dataclass

from tuneworthy.core.verdict import Next

LABEL_MINUTES = 0.5
"""A person's minutes a label: to read an input and write or check its answer."""
CLICK = 0.2
"""Of a label: which of two answers is better is seen at a glance."""
MACHINE = 0.1
"""What a machine's minute costs, as a share of a person's minute: a person waits for the result but
can do other work meanwhile."""
LABEL_USD = 0.25
"""Price of a label in dollars where economics.label_each is not set: half a minute of a person at
$30 an hour."""
A_MODEL = 30.0
"""Labels: a quarter of an hour of a person who names a model, gets it, and sees that it runs."""


@dataclass(frozen=True)
class Offer:
    """A step with its cost in labels. `settles`: it makes the verdict firm more often than not."""

    labels: float
    step: Next
    settles: bool = False


def in_labels(minutes: float | None, usd: float | None, each: float | None) -> float:
    """Return what a machine's minutes and dollars cost in labels of `each` dollars.

    What is not known counts nothing: a machine's work is nearly always cheaper than labels.
    """
    return (minutes or 0.0) * MACHINE / LABEL_MINUTES + (usd or 0.0) / (each or LABEL_USD)
