"""The most frequent training answer, whatever the input: the reference that reads no input."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tuneworthy.records.answer import Answer
from tuneworthy.records.arm import Fitted, Setup
from tuneworthy.records.case import Query
from tuneworthy.records.errors import DoesNotApply
from tuneworthy.records.record import Record

TOOL, ROLE, SIMPLICITY = "", "reference", 0
NEEDS: frozenset[str] = frozenset()
CHOOSES = False


class Options(Record):
    """No options."""


def fit(setup: Setup, options: Options, seed: int) -> Fitted:  # noqa: ARG001
    """Return the fitted arm; ties go to the answer that sorts first, whatever the order of rows."""
    if not setup.train:
        raise DoesNotApply("there are no training rows to take an answer from")
    counts = Counter(case.output for case in setup.train)
    text = min(counts, key=lambda output: (-counts[output], output))

    def answer(queries: Sequence[Query]) -> list[Answer]:
        return [Answer(case=query.id, text=text, seconds=0.0, finish="stop") for query in queries]

    return Fitted(answer=answer, learned=True)
