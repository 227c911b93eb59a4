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

from tuneworthy.core.errors import TaskError
from tuneworthy.core.model import Grammar
from tuneworthy.models.local.closing import Closer

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
    """Return which tokens may come next, bool [rows, size]; all in a row without matcher."""
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
