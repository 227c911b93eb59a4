"""Find API keys in texts and remove them: those of the environment, and what looks like one.

Keys of the environment are the values of OPENAI_API_KEY and HF_TOKEN. The readers of rows, prompts
and task.yaml refuse a text that holds one; replies, errors and logs lose it in every spelling. So
nothing that is stored or shown holds one.
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

# A shorter key ("none", "EMPTY", "ollama") is no secret, and may be a word in answers.
_LEAST_KEY_LENGTH = 8
_SHOWN_KEY_CHARACTERS = 4  # leading characters of a key (`sk-…`) that reveal nothing
REMOVED = "[key removed]"
_SURROGATE = re.compile("[\ud800-\udfff]")


class Redactor:
    """Removes one key in every spelling from text and JSON; without a key, only surrogates."""

    def __init__(self, key: str | None) -> None:
        spelled = set(_spellings(key)) if key and len(key) >= _LEAST_KEY_LENGTH else set()
        self._longest_first = sorted(spelled, key=lambda text: (-len(text), text))
        self._key = re.compile("|".join(map(re.escape, self._longest_first))) if spelled else None

    def text(self, text: str) -> str:
        """Return the text without the key, as valid Unicode."""
        return _SURROGATE.sub("\ufffd", self.without_key(text))

    def without_key(self, text: str) -> str:
        """Return the text without the key, and otherwise as it was."""
        return text if self._key is None else self._key.sub(REMOVED, text)

    def end(self, text: str) -> str:
        """Return a truncated text, with the beginning of a key at its end replaced."""
        cuts = [
            size
            for key in self._longest_first
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


def _environment_keys() -> dict[str, str]:
    """Return {variable: key}. A key has a digit: `lm-studio` and `not-needed` are words of rows."""
    values = {name: os.environ.get(name, "").strip() for name in _KEY_VARIABLES}
    return {name: key for name, key in values.items()
            if len(key) >= _LEAST_KEY_LENGTH and any(map(str.isdigit, key))}  # fmt: skip


def environment_key_in(value: Any) -> str:
    """Return the variable whose key is in a text, or in JSON at any depth; "" for none."""
    return next((name for name, key in _environment_keys().items() if _holds(value, key)), "")


def _holds(value: Any, key: str) -> bool:
    if isinstance(value, str):
        return key in value
    if isinstance(value, dict):
        return any(_holds(name, key) or _holds(inner, key) for name, inner in value.items())
    return isinstance(value, list | tuple) and any(_holds(inner, key) for inner in value)


def without_environment_keys(text: str) -> str:
    """Return a text without the keys of the environment, in any spelling."""
    for key in _environment_keys().values():
        text = _redactor(key).without_key(text)
    return text


@cache
def _redactor(key: str) -> Redactor:
    return Redactor(key)


def has_key(text: str) -> bool:
    """Return whether a text has a key of the environment, or what looks like a provider's key."""
    return _KEY_PATTERN.search(text) is not None or environment_key_in(text) != ""


def without_keys(text: str) -> str:
    """Return a text without keys of the environment, and without what looks like one."""
    text = _PRIVATE_KEY_BLOCK.sub("[key]", without_environment_keys(text))
    return _KEY_PATTERN.sub("[key]", text)
