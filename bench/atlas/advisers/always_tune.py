"""Fine-tunes every time, whatever the task."""

from __future__ import annotations

from bench.atlas.advice_input import AdviceInput, certain

LABEL = "always fine-tune"
SEES = "nothing"
BLIND = "everything; all its probability is on one tool"


def advise(shown: AdviceInput) -> dict[str, float]:  # noqa: ARG001
    """Return all probability on `tune`."""
    return certain("tune")
