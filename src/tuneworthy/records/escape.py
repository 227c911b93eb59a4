"""Escape data for a terminal, HTML, a script block or a CSV cell; the only module that does."""

from __future__ import annotations

import html
import json
from typing import Any

_BIDI = set("\u061c\u200b\u200c\u200d\u200e\u200f\u2028\u2029\u2060\ufeff") | {
    chr(c) for c in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
}


def visible(text: str) -> str:
    r"""Return text with control, bidi and zero-width characters shown as escapes (`\x1b`)."""
    return "".join(_visible_char(char) for char in text)


def _visible_char(char: str) -> str:
    code = ord(char)
    if code < 32 or code == 127 or 128 <= code < 160:
        return repr(char)[1:-1] if char in "\n\r\t" else f"\\x{code:02x}"
    if char in _BIDI or 0xD800 <= code < 0xE000:
        return f"\\u{code:04x}"
    return char


def quoted(text: str, limit: int = 200) -> str:
    """Return data for a message: escaped, on one line, at most `limit` characters."""
    shown = visible(str(text)[: limit + 1])
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def json_for_terminal(text: str) -> str:
    """Return an equivalent JSON text without control, bidi or zero-width characters.

    A JSON encoder escapes only those below space; this also writes the others as `\\u009b`.
    """
    return "".join(
        char if char == "\n" or _visible_char(char) == char else f"\\u{ord(char):04x}"
        for char in text
    )


def for_html(text: str) -> str:
    """Return text escaped for HTML content and quoted attributes."""
    return html.escape(text.encode("utf-8", "replace").decode(), quote=True)


def for_script(value: Any) -> str:
    """Return JSON for a `<script type="application/json">` block; its text can't end the block.

    Raises ValueError for NaN and infinity: a number that was not measured is null.
    """
    text = json.dumps(value, ensure_ascii=True, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def for_csv(text: str) -> str:
    """Return a cell that no spreadsheet reads as a formula, and no terminal as a command.

    A quote is put in front of a formula; control characters other than line ends are escaped.
    """
    text = "".join(char if char in "\n\r\t" or (char >= " " and not "\x7f" <= char <= "\x9f")
                   else _visible_char(char) for char in text)  # fmt: skip
    lead = text.lstrip("\u200b\u200c\u200d\ufeff \xa0\u3000")
    return "'" + text if lead[:1] in set("=+-@\t\r\n＝＋－＠") else text
