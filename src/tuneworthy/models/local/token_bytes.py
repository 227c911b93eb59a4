"""Return the bytes of a single token, which may be a part of a character."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

_BYTE = re.compile(r"<0x([0-9A-F]{2})>")  # a byte of tokenizers with byte fallback


def token_bytes(tokenizer: Any, token: int) -> list[int] | None:
    """Return a token's bytes in UTF-8; None if they are not known."""
    text = tokenizer.decode([token], clean_up_tokenization_spaces=False)
    if "\ufffd" not in text:
        return list(text.encode())
    word = str(tokenizer.convert_ids_to_tokens(token))
    if byte := _BYTE.fullmatch(word):
        return [int(byte[1], 16)]
    table = _bytes_by_letter()
    return [table[letter] for letter in word] if table.keys() >= set(word) else None


@cache
def _bytes_by_letter() -> dict[str, int]:
    """Return the byte for which each letter of a byte-level tokenizer stands (GPT-2's table)."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {chr(byte): byte for byte in shown} | {
        chr(256 + at): byte for at, byte in enumerate(hidden)
    }
