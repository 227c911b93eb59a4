"""Find API keys in texts and remove them: those of this process in every spelling, and strangers'.

The keys of this process are the values of OPENAI_API_KEY and HF_TOKEN. `RawRow` and the reader of
task.yaml refuse them, errors and logs remove them, so nothing that is stored or shown has one.
"""

from __future__ import annotations

import base64
import html
import json
import os
import re
from collections.abc import Iterator
from functools import cache
from typing import Any
from urllib.parse import quote

_KEY_VARIABLES = ("OPENAI_API_KEY", "HF_TOKEN")

_KEY_PATTERN = re.compile(
    r"""(?x) (?<![A-Za-z0-9])(?:
      sk-[A-Za-z0-9_-]{16,} | hf_[A-Za-z0-9]{20,} | gh[pousr]_[A-Za-z0-9]{20,}
    | github_pat_[A-Za-z0-9_]{20,} | glpat-[A-Za-z0-9_-]{16,} | (?:AKIA|ASIA)[A-Z0-9]{16}
    | AIza[A-Za-z0-9_-]{30,} | xox[abprs]-[A-Za-z0-9-]{10,} | gsk_[A-Za-z0-9]{20,}
    | r8_[A-Za-z0-9]{20,} | nvapi-[A-Za-z0-9_-]{20,} | xai-[A-Za-z0-9]{20,}
    | pplx-[A-Za-z0-9]{20,} | eyJ[A-Za-z0-9_-]{10,400}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}
    ) | -----BEGIN\ [A-Z\ ]*PRIVATE\ KEY-----"""
)
_PRIVATE_KEY_BLOCK = re.compile(
    r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*-----|\Z)"
)

_LEAST_KEY_LENGTH = 8
_SHOWN_KEY_CHARACTERS = 4  # leading characters of a key (`sk-…`) that reveal nothing
REMOVED = "[key removed]"
_SURROGATE = re.compile("[\ud800-\udfff]")


class Redactor:
    """Removes one key in every spelling from text and JSON; without a key, only surrogates."""

    def __init__(self, key: str | None) -> None:
        spelled = set(_spellings(key)) if key and _is_secret(key) else set()
        longest_first = sorted(spelled, key=lambda text: (-len(text), text))
        self._spellings_of_key = longest_first
        self._key = re.compile("|".join(map(re.escape, longest_first))) if spelled else None

    def text(self, text: str) -> str:
        """Return the text without the key, as valid Unicode."""
        return _SURROGATE.sub("\ufffd", self.without_key(text))

    def without_key(self, text: str) -> str:
        """Return the text without the key, and otherwise as it was."""
        return text if self._key is None else self._key.sub(REMOVED, text)

    def end(self, text: str) -> str:
        """Return a truncated text; a beginning of the key at its end is replaced."""
        cuts = [
            size
            for key in self._spellings_of_key
            for size in range(_SHOWN_KEY_CHARACTERS, len(key))
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


def _is_secret(key: str) -> bool:
    """Return whether a key is one: `none`, `EMPTY` or `lm-studio` may be words of rows."""
    return len(key) >= _LEAST_KEY_LENGTH and any(char.isdigit() for char in key)


def own_key_in(value: Any) -> str:
    """Return the variable whose key is in a text, or in JSON at any depth; "" for none."""
    keys = [(name, key) for name in _KEY_VARIABLES
            if _is_secret(key := os.environ.get(name, "").strip())]  # fmt: skip
    return next((name for name, key in keys if _holds(value, key)), "") if keys else ""


def _holds(value: Any, key: str) -> bool:
    if isinstance(value, str):
        return key in value
    if isinstance(value, dict):
        return any(_holds(name, key) or _holds(inner, key) for name, inner in value.items())
    return isinstance(value, list | tuple) and any(_holds(inner, key) for inner in value)


def without_own_keys(text: str) -> str:
    """Return a text without the keys of this process, in any spelling."""
    for name in _KEY_VARIABLES:
        if key := os.environ.get(name, "").strip():
            text = _redactor(key).without_key(text)
    return text


@cache
def _redactor(key: str) -> Redactor:
    return Redactor(key)


def has_key(text: str) -> bool:
    """Return whether a text has a key of this process, or what looks like a provider's key."""
    return _KEY_PATTERN.search(text) is not None or own_key_in(text) != ""


def without_keys(text: str) -> str:
    """Return a text without keys of this process, and without what looks like a provider's key."""
    return _KEY_PATTERN.sub("[key]", _PRIVATE_KEY_BLOCK.sub("[key]", without_own_keys(text)))
