"""Find the words of a text in any script. Knows no metric.

Chinese, Japanese, Thai, Lao, Khmer and Burmese put no spaces between words, so there each letter,
with its marks, counts as a word.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from tuneworthy.metrics._writing import normalise_characters

_ASCII_WORD = re.compile(r"[a-z0-9]+")
# Thai, Lao, Burmese, Khmer; kana; Han.
UNSPACED_SCRIPTS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
    "\u3041-\u30ff\u31f0-\u31ff\uff66-\uff9f"
    "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)

_PUNCTUATION = re.compile(
    "[\u2010-\u2027\u2030-\u205e\u3000-\u3004\u3008-\u3020\u3030"
    "\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65]"
)


def script_words(text: str) -> list[str]:
    """Return a text's words, runs of letters and digits, as a list in lower case and NFC."""
    text = unicodedata.normalize("NFC", text).lower()
    return _ASCII_WORD.findall(text) if text.isascii() else _patterns()[0].findall(text)


def space_out(text: str) -> str:
    """Return a text with a space around each letter of a script without spaces.

    Punctuation that is not ASCII becomes a space in such a text; any other text is unchanged.
    """
    if text.isascii():
        return text
    spaced, letters = _patterns()[1].subn(r" \g<0> ", text)
    return _PUNCTUATION.sub(" ", spaced) if letters else text


@lru_cache(maxsize=1)
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    r"""Return the patterns of a word and of a letter of a script without spaces.

    `\w` holds no combining marks, which would cut words of Hindi or Thai apart.
    """
    characters = map(chr, range(0x300, 0x20000))
    marks = "".join(c for c in characters if unicodedata.category(c) in ("Mn", "Mc"))
    letter = rf"(?=[^\W_])[{UNSPACED_SCRIPTS}][{marks}]*"
    word = rf"(?:(?![{UNSPACED_SCRIPTS}])[^\W_][{marks}]*)+"
    return re.compile(f"{letter}|{word}"), re.compile(letter)


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
