"""Report section on facts: how fast they change, outdated answers, what the model knows."""

from __future__ import annotations

from typing import Any

from tuneworthy.core.freshness import Freshness
from tuneworthy.core.known import KnowledgeProbe, Proportion
from tuneworthy.core.results import Results
from tuneworthy.core.span import CENTURY

MOST_UNSUPPORTED_ROWS = 12  # unsupported rows shown


def freshness_section(results: Results) -> dict[str, Any] | None:
    """Return the template values; None if neither change of facts nor knowledge was measured.

    `lines` are sentences; `rows` are (arm, faithful share, stale share) as texts, "" if an arm was
    not measured; `unsupported` are the first ids of rows that no current passage supports.
    """
    stale, known = results.evidence.staleness, results.evidence.known
    has_facts = stale is not None and (
        stale.changed or stale.faithful or stale.stale or stale.unsupported
    )
    if not has_facts and (known is None or known.unknown is None):
        return None
    lines, rows, unsupported = [], list[tuple[str, str, str]](), tuple[str, ...]()
    if stale is not None:
        lines += [change_line(stale)]
        names = sorted({*stale.faithful, *stale.stale})
        rows = [
            (n, share_text(stale.faithful.get(n)), share_text(stale.stale.get(n))) for n in names
        ]
        if unsupported := stale.unsupported:
            many = f"{len(unsupported):,} right answers stand in no current passage"
            lines.append(f"{many}: correct the row, add the document, or give the row a time.")
    if known is not None:
        lines += known_lines(known)
    return {"lines": lines, "rows": rows, "unsupported": unsupported[:MOST_UNSUPPORTED_ROWS]}


def change_line(freshness: Freshness) -> str:
    """Return a sentence on how fast facts change and how long a frozen model stays fresh enough."""
    if freshness.changed is None or freshness.days is None or freshness.over_days is None:
        return (
            f"How fast the facts change is not known: {freshness.because or 'it was not measured'}."
        )
    over, ok = f"{freshness.over_days:,.0f} days", f"{freshness.stale_ok:.0%}"
    mean, low, high = map(days_text, (freshness.days.mean, freshness.days.low, freshness.days.high))
    if freshness.declared:
        first = f"You say that {freshness.changed.share:.1%} of the facts change within {over}"
        return f"{first}: after {mean} more than {ok} of what a frozen model says is old."
    changed = freshness.changed
    first = f"Of {changed.n:,} dated documents {changed.k:,} were replaced within {over}"
    return f"{first}: a frozen model stays below {ok} of old answers for {mean} ({low} to {high})."


def days_text(value: float) -> str:
    """Return a duration in words: `43 days`, or `a century or more`."""
    if value >= CENTURY:
        return "a century or more"
    return f"{value:,.1f} days" if value < 10 else f"{value:,.0f} days"


def share_text(share: Proportion | None) -> str:
    """Return a share as counts with its interval, `24 of 60 (28 % to 53 %)`; "" for None."""
    if share is None:
        return ""
    return f"{share.k} of {share.n} ({100 * share.low:.0f} % to {100 * share.high:.0f} %)"


def known_lines(known: KnowledgeProbe) -> list[str]:
    """Return sentences on what the model knows of the rows' answers, or why it was not measured."""
    if known.unknown is None:
        return [f"What the model knows of the answers was not asked: {known.because}."]
    return [f"{line[:1].upper()}{line[1:]}." for line in known.said]
