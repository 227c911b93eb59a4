"""Find a phrase in a text as whole words, ignoring case, spacing and kinds of quotes."""

from __future__ import annotations

import re

from tuneworthy.metrics._words import UNSPACED_SCRIPTS
from tuneworthy.metrics._writing import normalise_characters

_WORD_CHARACTER = rf"[^\W{UNSPACED_SCRIPTS}]"  # of a script that puts spaces between words
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")


def normalise(text: str) -> str:
    """Return a text in lower case, with single spaces and without commas in numbers."""
    return _THOUSANDS.sub("", " ".join(normalise_characters(text).casefold().split()))


def contains_phrase(text: str, phrase: str) -> bool:
    """Return whether a text, already normalised, contains a phrase as whole words.

    Letters of a script without spaces between words (Chinese, Thai) end no word and begin none.
    """
    wanted = normalise(phrase)
    if not wanted:
        return False
    before = rf"(?<!{_WORD_CHARACTER})" if _is_word_character(wanted[0]) else ""
    after = rf"(?!{_WORD_CHARACTER})" if _is_word_character(wanted[-1]) else ""
    before += r"(?<!\d[.,])" if wanted[0].isdigit() else ""
    after += r"(?![.,]\d)" if wanted[-1].isdigit() else ""
    return re.search(before + re.escape(wanted) + after, text) is not None


def _is_word_character(character: str) -> bool:
    return re.match(_WORD_CHARACTER, character) is not None
