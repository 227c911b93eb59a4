"""Remove an API key from all text that a server sends, before anything else reads that text.

A server or a library can echo the key as it is, as escaped text, percent-encoded, in base64 (also
inside a longer header) or in hex. Lone surrogates, which no UTF-8 file can hold, are replaced in
the same pass.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

# A shorter key ("none", "EMPTY", "ollama") is no secret, and may be a word in answers.
LEAST_KEY_LENGTH = 8
SHOWN_KEY_CHARACTERS = 4  # leading characters of a key (`sk-…`) that reveal nothing
REMOVED = "[key removed]"
_SURROGATE = re.compile("[\ud800-\udfff]")


class Redactor:
    """Removes one key in every spelling from text and JSON; without a key, only surrogates."""

    def __init__(self, key: str | None) -> None:
        spelled = set(_spellings(key)) if key and len(key) >= LEAST_KEY_LENGTH else set()
        longest_first = sorted(spelled, key=lambda text: (-len(text), text))
        self._spellings_of_key = longest_first
        self._key = re.compile("|".join(map(re.escape, longest_first))) if spelled else None

    def text(self, text: str) -> str:
        """Return the text without the key, as valid Unicode."""
        if self._key is not None:
            text = self._key.sub(REMOVED, text)
        return _SURROGATE.sub("\ufffd", text)

    def end(self, text: str) -> str:
        """Return a truncated text; a beginning of the key at its end is replaced."""
        cuts = [
            size
            for key in self._spellings_of_key
            for size in range(SHOWN_KEY_CHARACTERS, len(key))
            if text.endswith(key[:size])
        ]
        return text[: -max(cuts)] + REMOVED if cuts else text

    def json(self, value: Any) -> Any:
        """Return parsed JSON with every string redacted, field names included."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.json(item) for item in value]
        if isinstance(value, dict):
            return {self.text(name): self.json(item) for name, item in value.items()}
        return value

    def __repr__(self) -> str:
        return "Redactor()"


def _spellings(key: str) -> Iterator[str]:
    raw = key.encode("utf-8", "surrogatepass")
    yield key
    yield key.strip()
    yield html.escape(key)
    for written in (repr(key)[1:-1], repr(raw)[2:-1], json.dumps(key)[1:-1]):  # as code, as JSON
        yield written
        yield written.replace("/", "\\/")
    percent = "".join(f"%{byte:02X}" for byte in raw)
    for quoted in (quote(key, safe=""), quote(quote(key, safe=""), safe=""), percent):
        yield quoted
        yield re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), quoted)
    yield raw.hex()
    yield raw.hex().upper()
    for before in range(3):  # base64 has three spellings of a text, by its offset modulo 3 bytes
        whole = base64.b64encode(b"\0" * before + raw).decode()
        inner = whole[-(-8 * before // 6) : 8 * (before + len(raw)) // 6]
        yield inner
        yield inner.replace("+", "-").replace("/", "_")
