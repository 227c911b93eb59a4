"""The words of a text for search and comparison. Knows no language."""

from __future__ import annotations

import re
import unicodedata

_WORD = re.compile(r"\w+")
_STEM_LETTERS = 4
_ENOUGH_WORDS = 0.8  # share of an answer's distinct words; of up to four, all must occur


def words(text: str) -> list[str]:
    """Return the words of a text, NFKC-normalised and case-folded."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def terms(text: str) -> list[str]:
    """Return the BM25 terms of a text: each word, and the first four letters of a longer one.

    So `storing` and `storage` share a stem without a list of endings, in any language that inflects
    at the end. Chosen on training questions (bench/journal), not on the scored ones.
    """
    result: list[str] = []
    for word in words(text):
        result.append(word)
        if len(word) > _STEM_LETTERS:
            result.append(f"{word[:_STEM_LETTERS]}~")
    return result


def covers(passage: str, answer: str) -> bool:
    """Return whether a passage contains at least 80 % of an answer's distinct words."""
    wanted = set(words(answer))
    return bool(wanted) and len(wanted & set(words(passage))) >= _ENOUGH_WORDS * len(wanted)
