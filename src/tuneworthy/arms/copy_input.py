"""The input itself as the answer: the reference for open text that hardly changes."""

from __future__ import annotations

from collections.abc import Sequence

from tuneworthy.records.answer import Answer
from tuneworthy.records.arm import Fitted, Setup
from tuneworthy.records.case import Query
from tuneworthy.records.errors import DoesNotApply
from tuneworthy.records.record import Record

TOOL, ROLE, SIMPLICITY = "", "reference", 1
NEEDS: frozenset[str] = frozenset()


class Options(Record):
    """No options."""


def fit(setup: Setup, options: Options, seed: int) -> Fitted:  # noqa: ARG001
    """Return the fitted arm. Raise DoesNotApply unless the answers are open text."""
    if setup.task.output.type != "text":
        raise DoesNotApply("a copy of the input can't be right: the answers are not open text")

    def answer(queries: Sequence[Query]) -> list[Answer]:
        return [Answer(case=q.id, text=q.input, seconds=0.0, finish="stop") for q in queries]

    return Fitted(answer=answer, learned=False)
