"""A language model's or a person's recorded answers, from a file of JSON lines."""

from __future__ import annotations

from bench.atlas.advice_input import AdviceInput

LABEL = "recorded answers"
SEES = "the instruction, ten rows, the number of rows, the base's score, metric and form of answers"
BLIND = "what its prompt does not hold; a task that it has no answer for counts as uniform"


def advise(shown: AdviceInput) -> dict[str, float] | None:
    """Return the recorded probabilities; None where nothing readable was recorded."""
    return shown.recorded
