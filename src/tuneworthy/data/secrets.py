"""Detect keys and private data in text: provider keys, e-mail, phone and card numbers."""

from __future__ import annotations

import re

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
_MAIL_PATTERN = re.compile(
    r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,5}"
)
_CARD_PATTERN = re.compile(r"(?<![0-9])[0-9](?:[ -]?[0-9]){12,18}(?![0-9])")
_PHONE_PATTERN = re.compile(
    r"(?<![0-9])\+[0-9]{1,3}[ .-]?(?:\(?[0-9]{1,4}\)?[ .-]?){2,5}[0-9]{2,4}(?![0-9])"
)


def has_key(text: str) -> bool:
    """Return whether text contains a string shaped like a provider key or a private key."""
    return _KEY_PATTERN.search(text) is not None


def without_keys(text: str) -> str:
    """Return a text with each string shaped like a provider key or a private key cut out."""
    return _KEY_PATTERN.sub("[key]", _PRIVATE_KEY_BLOCK.sub("[key]", text))


def private_kinds(text: str) -> set[str]:
    """Return the kinds of private data that a text seems to contain: key, e-mail, card, phone."""
    kinds = set()
    if _KEY_PATTERN.search(text):
        kinds.add("key")
    if "@" in text and _MAIL_PATTERN.search(text):
        kinds.add("e-mail")
    if any(_passes_luhn(match.group()) for match in _CARD_PATTERN.finditer(text)):
        kinds.add("card")
    if "+" in text and _PHONE_PATTERN.search(text):
        kinds.add("phone")
    return kinds


def _passes_luhn(text: str) -> bool:
    digits = [int(c) for c in reversed(text) if c.isdigit()]
    doubled = [d * 2 - 9 * (d > 4) for d in digits[1::2]]
    return len(set(digits)) > 1 and (sum(digits[::2]) + sum(doubled)) % 10 == 0
