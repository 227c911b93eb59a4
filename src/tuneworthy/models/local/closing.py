"""Complete a grammar-constrained answer before its token limit, by a short path to a legal end.

A small model may go on inventing (keys, list items, words) until the token limit and leave half an
object. So a token is accepted only if the answer can still be completed after it; otherwise the
answer takes the shortest path found. Knows no network.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_CLOSERS = frozenset(b"}]")
_QUOTE = ord('"')
_LETTERS_IN_STRING = ("q", "Z")  # letters that may both come next only inside a free string
_SLACK = 8  # a token may lengthen the path by a few tokens, so checking starts that much earlier


class Closer:
    """Finds short paths to the end of an answer, by ranking a vocabulary's closing tokens."""

    def __init__(self, words: Any) -> None:
        """Rank every token once, for use inside strings and outside (about 0.1 s)."""
        texts = [bytes(words.decode_bytes([token])) for token in range(words.vocab_size)]
        self._ends = frozenset(words.eos_tokens)
        self._plain = [words.tokenize_str(letter)[0] for letter in _LETTERS_IN_STRING]
        self._inside = np.array([_rank(text, inside=True) for text in texts])
        self._outside = np.array([_rank(text, inside=False) for text in texts])

    def in_time(self, matcher: Any, token: int, left: int) -> int:
        """Return `token` if the answer can still end within `left` tokens, else one towards an end.

        If no path to an end is found, `token` is returned.
        """
        if token in self._ends or matcher.is_stopped():
            return token
        trial = matcher.deep_copy()
        trial.consume_token(token)
        if self.way(trial, left - 1) is not None:
            return token
        way = self.way(matcher.deep_copy(), left)
        return way[0] if way else token

    def near(self, matcher: Any, room: int) -> int:
        """Return the number of tokens left below which `in_time` must check each token."""
        way = self.way(matcher.deep_copy(), room)
        return (len(way) if way is not None else 0) + _SLACK

    def way(self, matcher: Any, most: int) -> list[int] | None:
        """Return at most `most` tokens that end the answer, or None; the matcher is used up."""
        path: list[int] = []
        while not matcher.is_stopped():
            if matcher.is_accepting():
                path.append(min(self._ends))
                break
            if len(path) >= most:
                return None
            token = self._best(matcher)
            if token is None or not matcher.consume_token(token):
                return None
            path.append(token)
        return path if len(path) <= most else None

    def _best(self, matcher: Any) -> int | None:
        row = np.zeros((self._inside.size + 31) // 32, dtype=np.int32)
        matcher.unsafe_compute_mask_ptr(row.ctypes.data, row.nbytes)
        bits = np.unpackbits(row.view(np.uint8), bitorder="little")[: self._inside.size]
        legal = np.flatnonzero(bits)
        if not legal.size:
            return None
        free = all(bits[token] for token in self._plain)
        rank = self._inside if free else self._outside
        return int(legal[rank[legal].argmin()])


def _rank(text: bytes, *, inside: bool) -> int:
    """Return a token's rank in the search for an end; smaller is better.

    Inside a free string the quote comes first (a brace would be content). Outside: the token that
    closes most, then an empty string, a digit, and then the longest.
    """
    closes = sum(byte in _CLOSERS for byte in text)
    quotes = text.count(_QUOTE)
    if closes + quotes == len(text) > 0 and ((quotes <= 1 and text[0] == _QUOTE) or not inside):
        return -1000 * closes - (quotes if not inside else 1)
    if text.isdigit() and not inside:
        return 1000 + len(text)
    return 10_000 - len(text)
