"""The article's checklist of five questions; what can't be seen counts as yes."""

from __future__ import annotations

from bench.atlas.advice_input import AdviceInput, certain
from bench.atlas.advisers import _five_questions as five

LABEL = "the five-question checklist"
SEES = five.SEES
BLIND = (
    "which prompts were tried, and how fast facts change: both count as yes (the reader is taken to"
    " have tried a prompt); all its probability is on one tool"
)


def advise(shown: AdviceInput) -> dict[str, float]:
    """Return all probability on the tool of the first question answered no, else on `tune`."""
    return certain(five.tool_by_questions(shown, unseen=True))
