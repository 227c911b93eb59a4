"""Character sequences in common with the right answer (chrF2), for text of any language.

After Popović, "chrF: character n-gram F-score for automatic MT evaluation" (2015): precision and
recall of character sequences of 1 to 6 letters, averaged over the lengths that both texts have;
recall counts twice. White space is left out, case counts. The score is that of sacrebleu's
sentence chrF, divided by 100. The best of all accepted answers counts.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from tuneworthy.records.answer import Answer, Score, Unscored
from tuneworthy.records.case import Case

TYPE = "text"
_LONGEST, _BETA = 6, 2


def score(
    case: Case,
    answer: Answer,
    options: dict[str, Any],  # noqa: ARG001 - every metric is called with it
) -> Score | Unscored:
    """Return the best chrF2 over the right answer and the accepted ones."""
    said = "".join(answer.text.split())
    if not said:
        return Score(value=0, why="the answer is empty")
    rights = [found for text in (case.output, *case.accepted) if (found := "".join(text.split()))]
    if not rights:
        return Unscored(reason="the right answer has no letters")
    value, precision, recall = max(_chrf(right, said) for right in rights)
    why = (
        f"{100 * precision:.0f} % of its letter sequences are right, {100 * recall:.0f} % are said"
    )
    return Score(value=value, why=why)


def _chrf(right: str, said: str) -> tuple[float, float, float]:
    """Return (F score, precision, recall) of two texts without white space."""
    precision = recall = 0.0
    orders = min(_LONGEST, len(right), len(said))
    for order in range(1, orders + 1):
        theirs, ours = _sequences(right, order), _sequences(said, order)
        common = (theirs & ours).total()
        precision += common / ours.total() / orders
        recall += common / theirs.total() / orders
    if not precision + recall:
        return 0.0, 0.0, 0.0
    factor = _BETA**2
    value = (1 + factor) * precision * recall / (factor * precision + recall)
    return min(value, 1.0), precision, recall


def _sequences(text: str, order: int) -> Counter[str]:
    return Counter(text[at : at + order] for at in range(len(text) - order + 1))
