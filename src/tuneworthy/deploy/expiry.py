"""The day from which a verdict, and what was built on it, no longer holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

from tuneworthy.core.evidence import ArmResult
from tuneworthy.core.freshness import Freshness
from tuneworthy.core.live_check import Expiry
from tuneworthy.core.span import CENTURY


def made_on(doors: Iterable[Mapping[str, Any]]) -> str | None:
    """Return when a study first opened its scored rows, by its ledger's log; None if it did not."""
    return min((str(door["at"]) for door in doors if door["purpose"] == "compare"), default=None)


def expiry_of(
    made: str | None,
    staleness: Freshness | None,
    arm: ArmResult | None,
    reads_docs: bool,
    today: str,
) -> Expiry:
    """Return the day from which the verdict may not hold: facts are stale or the model is retired.

    Facts count as stale after the lower bound of the study's days (see extras/freshness_rate.py),
    counted from `made`; never for an arm that looks them up. Without a day, `because` says why.
    """
    ends: list[tuple[str, str]] = []
    why = "no end of the model is known"
    if arm and arm.expires:
        ends.append((arm.expires, "the model that the arm stands on is retired"))
    days = staleness.days if staleness else None
    if reads_docs:
        why += "; the arm looks facts up, so they do not go stale in it"
    elif days is None:
        said = (staleness.because if staleness else "") or "knowledge.changed_share is not set"
        why += f"; how fast facts change is not known ({said})"
    elif made is None:
        why += "; the date of the study is not known: no ledger lies beside it"
    elif days.low >= CENTURY:
        why += "; no fact is known to change"
    else:
        last = datetime.fromisoformat(made).date() + timedelta(days=int(days.low))
        share = f"{100 * staleness.stale_ok:.3g} %" if staleness else ""
        ends.append((last.isoformat(), f"more than {share} of the facts may be stale then"))
    if not ends:
        return Expiry(day=None, because=why)
    day, because = min(ends)
    return Expiry(day=day, passed=date.fromisoformat(today[:10]) > date.fromisoformat(day),
                  because=because)  # fmt: skip
