"""The error replies of the lab: an HTTP status and five texts.

Knows no HTTP library.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from typing import Any

from tuneworthy.records.errors import StoreError, TuneworthyError
from tuneworthy.records.escape import for_html, quoted, visible

_NOTHING_CHANGED = "everything: nothing was changed"
# The style of a page that may not read the lab's files: the policy lets these bytes in by hash.
_PLAIN_STYLE = (
    ":root{color-scheme:light dark}body{max-width:40rem;margin:12vh auto;padding:0 24px;"
    "font:1.0625rem/1.6 system-ui,sans-serif;overflow-wrap:anywhere}h1{font-size:1.75rem;"
    "line-height:1.25}"
)
PLAIN_STYLE_HASH = b64encode(hashlib.sha256(_PLAIN_STYLE.encode()).digest()).decode()


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

    def page(self) -> str:
        """Return the reply as a page of HTML that requests nothing, not even an icon."""
        parts = {"Where": self.where, "Got": self.got, "Fix": self.fix}
        lines = "".join(f"<p>{name}: {for_html(text)}</p>" for name, text in parts.items() if text)
        title = for_html(self.what)
        return (
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f'<link rel="icon" href="data:,"><style>{_PLAIN_STYLE}</style>'
            f"<main><h1>{title}</h1>{lines}</main></html>"
        )


def problem_of(error: TuneworthyError, status: int = 422) -> Problem:
    """Return one of our errors as a Problem with `status`, or 507 for a StoreError."""
    status = 507 if isinstance(error, StoreError) else status
    return Problem(
        status, error.what, where=error.where, got=error.got, fix=error.fix, kept=error.kept
    )
