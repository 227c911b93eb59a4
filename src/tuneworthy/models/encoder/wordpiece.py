"""WordPiece tokenizer of BERT: clean, lower-case, cut words into the longest known pieces.

After Devlin et al. 2018 (BERT, "uncased"), with the ids of the `tokenizers` package
(BertNormalizer, BertPreTokenizer, WordPiece). One intended difference: markers such as `[SEP]`
inside a text are ordinary words, so that no text can end itself. Knows no model.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import lru_cache

_LONGEST_WORD = 100  # characters; a longer word is unknown
_IDEOGRAPHS = (
    (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F), (0x2B820, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F),
)  # fmt: skip


class WordPiece:
    """Cuts texts into the ids of a vocabulary; `words[i]` is the piece with id i."""

    def __init__(self, words: Sequence[str]) -> None:
        """Store the vocabulary. Raises ValueError if a required special token is not in it."""
        self._id = {word: at for at, word in enumerate(words)}
        lost = [mark for mark in ("[PAD]", "[UNK]", "[CLS]", "[SEP]") if mark not in self._id]
        if lost:
            raise ValueError(f"the vocabulary has no {', '.join(lost)}")
        self.pad = self._id["[PAD]"]
        self._pieces = lru_cache(1 << 16)(self._cut)

    def ids(self, text: str) -> list[int]:
        """Return the ids of a text between [CLS] and [SEP], without truncation."""
        pieces = [piece for word in _words(text) for piece in self._pieces(word)]
        return [self._id["[CLS]"], *pieces, self._id["[SEP]"]]

    def _cut(self, word: str) -> tuple[int, ...]:
        """Return the pieces of one word, longest match first from the left, or only [UNK]."""
        unknown = (self._id["[UNK]"],)
        if len(word) > _LONGEST_WORD:
            return unknown
        out: list[int] = []
        at = 0
        while at < len(word):
            lead = "##" if at else ""
            ends = range(len(word), at, -1)
            end = next((end for end in ends if lead + word[at:end] in self._id), None)
            if end is None:
                return unknown
            out.append(self._id[lead + word[at:end]])
            at = end
        return tuple(out)


def _words(text: str) -> list[str]:
    """Return a text's lower-case words without accents; a punctuation mark is its own word."""
    clean = "".join(map(_clean_character, text))
    bare = (c for c in unicodedata.normalize("NFD", clean) if unicodedata.category(c) != "Mn")
    low = "".join(c.lower() for c in bare)  # by character: a final sigma is a sigma
    return "".join(f" {c} " if _is_punctuation(c) else c for c in low).split()


@lru_cache(1 << 14)
def _clean_character(c: str) -> str:
    if c in "\t\n\r":
        return " "
    if c in "\0\ufffd" or unicodedata.category(c) in {"Cc", "Cf", "Co", "Cs"}:
        return ""
    if any(low <= ord(c) <= high for low, high in _IDEOGRAPHS):
        return f" {c} "
    return " " if c.isspace() else c


@lru_cache(1 << 14)
def _is_punctuation(c: str) -> bool:
    return (c.isascii() and c.isprintable() and not c.isalnum() and c != " ") or (
        unicodedata.category(c).startswith("P")
    )
