"""Compile grammars for constrained decoding, and compute which tokens may come next.

JSON is written compactly or, if the grammar says so, with one space after comma and colon. Knows no
network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import llguidance.hf
import numpy as np
import torch
from llguidance import LLMatcher

from tuneworthy.records.errors import TaskError
from tuneworthy.records.model import Grammar

_COMPACT = {"whitespace_flexible": False, "item_separator": ",", "key_separator": ":"}

_SPACED = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


class CompiledGrammar:
    """A grammar compiled for a vocabulary; `begin()` returns a new matcher for a row.

    Raises TaskError if the grammar can't be compiled; its message names the keyword.
    """

    def __init__(self, words: Any, grammar: Grammar, closer: Closer | None = None) -> None:
        self.words, self.closer = words, closer or Closer(words)
        text = _text(grammar)
        wrong, notes = LLMatcher.validate_grammar_with_warnings(text, words)
        if wrong:
            raise TaskError(
                "answers can't be held to this grammar",
                where="output.schema" if grammar.kind == "json" else grammar.kind,
                got="; ".join(notes),
                fix="simplify the schema (see the keyword named), or leave out `constrained`",
            )
        self._first = LLMatcher(words, text)

    def begin(self) -> Any:
        """Return a matcher at the start of an answer."""
        return self._first.deep_copy()


def vocabulary(tokenizer: Any, size: int, ends: Sequence[int]) -> Any:
    """Return the tokenizer in the grammar engine's form (takes about a second: reuse it)."""
    return llguidance.hf.from_tokenizer(tokenizer, n_vocab=size, eos_token=list(ends))


def allowed(matchers: Sequence[Any], size: int) -> Any:
    """Return a bool tensor [rows, size] of legal next tokens; all True without a matcher."""
    words = np.zeros((len(matchers), (size + 31) // 32), dtype=np.int32)
    for row, matcher in zip(words, matchers, strict=True):
        if matcher is None:
            row.fill(-1)
            continue
        matcher.unsafe_compute_mask_ptr(row.ctypes.data, row.nbytes)
    bits = np.unpackbits(words.view(np.uint8), axis=1, bitorder="little")[:, :size]
    return torch.from_numpy(bits.view(bool))


def _text(grammar: Grammar) -> str:
    try:
        if grammar.kind == "json":
            form = _SPACED if grammar.spaced else _COMPACT
            return str(LLMatcher.grammar_from_json_schema(grammar.value, defaults=form))
    except ValueError as error:
        raise TaskError("the schema is no JSON object", got=str(error)) from error
    if grammar.kind == "labels":
        return str(LLMatcher.grammar_from_lark("start: " + " | ".join(map(_quoted, grammar.value))))
    return str(LLMatcher.grammar_from_regex(str(grammar.value)))


def _quoted(label: str) -> str:
    import json

    return json.dumps(label, ensure_ascii=False)


_CLOSERS = frozenset(b"}]")

_QUOTE = ord('"')

_LETTERS_IN_STRING = ("q", "Z")  # letters that may both come next only inside a free string

_SLACK_TOKENS = 8  # checking starts so much earlier: a token may lengthen the path


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
        """Return `token` if the answer can still end within `left` tokens, else one nearer an end.

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
        return (len(way) if way is not None else 0) + _SLACK_TOKENS

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
