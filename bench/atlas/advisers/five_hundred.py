"""Fine-tunes from 500 examples on, and writes a prompt below that: a well-known rule of thumb."""

from __future__ import annotations

from bench.atlas.advice_input import AdviceInput, certain

LABEL = "500 examples"
SEES = "the number of labelled rows"
BLIND = "everything else; all its probability is on one tool"
ROWS_TO_TUNE = 500  # the rule's number, from the article; nothing else of tuneworthy uses it


def advise(shown: AdviceInput) -> dict[str, float]:
    """Return all probability on `tune` from 500 rows on, else on `prompt`."""
    return certain("tune" if shown.n >= ROWS_TO_TUNE else "prompt")
