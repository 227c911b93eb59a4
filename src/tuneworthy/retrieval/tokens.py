"""The words of a text as they are searched and compared. Knows no language."""

from __future__ import annotations

import re
import unicodedata

_WORD = re.compile(r"\w+")
_STEM = 4
_ENOUGH = 0.8  # of the different words of an answer, so that up to four words must all stand there


def words(text: str) -> list[str]:
    """Return the words of a text, in one Unicode form and without case."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def terms(text: str) -> list[str]:
    """Return what BM25 counts: each word, and the first letters of a longer one.

    `storing` and `storage` share a stem without a list of endings, in any language that inflects
    at the end. Chosen on training questions (FINDINGS), not on the scored ones.
    """
    found: list[str] = []
    for word in words(text):
        found.append(word)
        if len(word) > _STEM:
            found.append(f"{word[:_STEM]}~")
    return found


def covers(passage: str, answer: str) -> bool:
    """Say whether a passage holds at least four fifths of an answer's different words."""
    wanted = set(words(answer))
    return bool(wanted) and len(wanted & set(words(passage))) >= _ENOUGH * len(wanted)
