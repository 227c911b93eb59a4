"""Declare the part of a ledger that purse and mirror use; `store.py` implements it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from tuneworthy.ledger.journal import Journal


class PaidRequests(Protocol):
    """A ledger of paid requests; `accounts` holds the account of each study."""

    home: Path
    journal: Journal
    accounts: dict[str, Any]

    def get(self, key: str) -> dict[str, Any] | None:
        """Return the value stored under a key, or None."""

    def frozen(self, study: str, kind: str) -> dict[str, Any] | None:
        """Return the value frozen for a study, or None."""

    def freeze(self, study: str, kind: str, value: Any) -> dict[str, Any]:
        """Store a decision and return the stored one: the first write wins."""

    def attempt(self, key: str, worst: dict[str, Any], study: str = "") -> int:
        """Record that a paid request is about to be sent; return its number."""

    def outcome(
        self,
        attempt: int,
        cost: dict[str, Any],
        study: str = "",
        reply: tuple[str, Any] | None = None,
        *,
        mirror: bool = True,
    ) -> None:
        """Record the cost of an attempt, and its reply."""
