"""The error replies of the lab: an HTTP status and five texts.

Knows no HTTP library.
"""

from __future__ import annotations

from typing import Any

from tuneworthy.records.errors import StoreError, TuneworthyError
from tuneworthy.records.escape import quoted, visible

_NOTHING_CHANGED = "everything: nothing was changed"


class Problem(Exception):
    """A refused request: status, what, where, what was got, how to fix it, what was kept."""

    def __init__(
        self, status: int, what: str, *, where: str = "", got: object = "", fix: str = "",
        kept: str = _NOTHING_CHANGED,
    ) -> None:  # fmt: skip
        super().__init__(what)
        self.status = status
        self.what, self.where, self.fix, self.kept = map(visible, (what, where, fix, kept))
        self.got = quoted(str(got))

    def plain(self) -> dict[str, Any]:
        """Return the body of the reply: {status, what, where, got, fix, kept}."""
        parts = ("status", "what", "where", "got", "fix", "kept")
        return {part: getattr(self, part) for part in parts}


def problem_of(error: TuneworthyError, status: int = 422) -> Problem:
    """Return one of our errors as a Problem with `status`, or 507 for a StoreError."""
    status = 507 if isinstance(error, StoreError) else status
    return Problem(
        status, error.what, where=error.where, got=error.got, fix=error.fix, kept=error.kept
    )
