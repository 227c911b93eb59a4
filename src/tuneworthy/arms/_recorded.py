"""The arm that looks up recorded answers by case."""

from __future__ import annotations

from collections.abc import Sequence

from tuneworthy.core.answer import Answer
from tuneworthy.core.arm import Fitted, Setup
from tuneworthy.core.case import Query
from tuneworthy.core.run import RECORDED


def recorded_arm(setup: Setup) -> Fitted:
    """Return an arm that looks up each answer; a case without one is an error, never dropped."""

    def look_up(query: Query) -> Answer:
        return setup.recorded.get(query.id) or Answer.missing(query.id, "not recorded")

    def answer(queries: Sequence[Query]) -> list[Answer]:
        return [look_up(query) for query in queries]

    return Fitted(answer=answer, learned=False, notes=(RECORDED,))
