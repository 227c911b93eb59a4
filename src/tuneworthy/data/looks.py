"""Recognise scored cases that earlier studies opened, and report it."""

from __future__ import annotations

from collections.abc import Iterable

from tuneworthy.core.audit_report import Observation
from tuneworthy.core.case import Case
from tuneworthy.core.record import digest
from tuneworthy.core.run import LookScope
from tuneworthy.data.copies import input_text, normalised_text
from tuneworthy.matrix.detectable import fresh_rows
from tuneworthy.matrix.look_text import look_line

_ROWS_FOR_WIDTH = 10_000  # rows, so that rounding does not show in the width of a bound

# Hex digits of a hash: among a million inputs a collision has a chance of 1 in 500.
HASH_DIGITS = 12


def input_digests(cases: Iterable[Case]) -> tuple[str, ...]:
    """Return short digests of the cases' inputs, sorted and unique.

    Ids, answers, system prompts, case and spaces don't count: a row that was renamed, relabelled or
    put under another instruction counts as opened before.
    """
    return tuple(sorted({digest(normalised_text(input_text(case)), HASH_DIGITS) for case in cases}))


def studies_text(earlier: int, what: str = "them") -> str:
    """Return a clause on how many earlier studies opened some cases."""
    many = (
        f"{earlier:,} studies have" if earlier > 1 else "1 study has" if earlier else "no study has"
    )
    return f"{many} opened {what}"


def repeated_look_warning(look: int) -> str:
    """Return a warning that a look repeats an earlier one and widens bounds; "" for a first."""
    if look < 2:
        return ""
    before, now = (fresh_rows(_ROWS_FOR_WIDTH, at) for at in (look - 1, look))
    times = {2: "once", 3: "twice"}.get(look, f"{look - 1:,} times")
    return (
        f"these rows have been looked at {times}; another look widens every bound by about"
        f" {100 * ((before / now) ** 0.5 - 1):.0f} %. `tuneworthy run --dry-run` shows costs and"
        " spends none; rows that no study has opened need no such correction"
    )


def look_observation(earlier: int, scored: int, scope: LookScope) -> Observation | None:
    """Return the observation that `earlier` studies opened these scored cases, None without any."""
    if not earlier or not scored:
        return None
    look = earlier + 1
    text = (
        f"{studies_text(earlier, 'these cases')} (at least 1 in"
        f" 20 of them): another one "
        f"is {look_line(look, scope)}; {scored:,} cases then show what"
        f" {fresh_rows(scored, look):,} "
        "fresh ones would"
    )
    fix = (
        "score on rows that no study has opened: data.locked keeps some, `tuneworthy settle` "
        "supplies them from the inputs of data.unlabelled"
    )
    return Observation(kind="looks", level="warning", text=text, count=earlier, fix=fix)
