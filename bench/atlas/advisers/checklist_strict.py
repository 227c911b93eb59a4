"""The article's checklist of five questions; what can't be seen counts as no."""

from __future__ import annotations

from bench.atlas.advice_input import AdviceInput, certain
from bench.atlas.advisers import _five_questions as five

LABEL = "the checklist, read strictly"
SEES = five.SEES
BLIND = (
    "which prompts were tried, and how fast facts change: both count as no, so that it never says"
    " `tune` from this input; all its probability is on one tool"
)


def advise(shown: AdviceInput) -> dict[str, float]:
    """Return all probability on the tool of the first question not answered yes."""
    return certain(five.tool_by_questions(shown, unseen=False))
