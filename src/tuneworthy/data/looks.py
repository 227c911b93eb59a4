"""Recognise scored cases that earlier studies opened, and report it."""

from __future__ import annotations

from collections.abc import Iterable

from tuneworthy.core.audit_report import Observation
from tuneworthy.core.case import Case
from tuneworthy.core.look_text import Scope, look_line
from tuneworthy.core.record import digest
from tuneworthy.data.copies import asked, plain_key
from tuneworthy.stats.power import worth

DIGITS = 12  # hex digits of a hash: among a million inputs a collision has a chance of 1 in 500


def marks(cases: Iterable[Case]) -> tuple[str, ...]:
    """Return short digests of the cases' inputs, sorted and unique.

    Ids, answers, system prompts, case and spaces don't count: a row that was renamed, relabelled or
    put under another instruction counts as opened before.
    """
    return tuple(sorted({digest(plain_key(asked(case)), DIGITS) for case in cases}))


def opened(earlier: int) -> str:
    """Return how many studies opened some cases, in words."""
    if not earlier:
        return "no study has opened them"
    return "1 study has opened them" if earlier == 1 else f"{earlier:,} studies have opened them"


def looked(earlier: int, scored: int, scope: Scope) -> Observation | None:
    """Return the observation that `earlier` studies opened these scored cases, None without any."""
    if not earlier or not scored:
        return None
    look = earlier + 1
    text = (
        f"{opened(earlier).replace('them', 'these cases')} (at least 1 in 20 of them): another one "
        f"is {look_line(look, scope)}; {scored:,} cases then show what {worth(scored, look):,} "
        "fresh ones would"
    )
    fix = (
        "score on rows that no study has opened: data.locked keeps some, `tuneworthy settle` "
        "supplies them from the inputs of data.unlabelled"
    )
    return Observation(kind="looks", level="warning", text=text, count=earlier, fix=fix)
