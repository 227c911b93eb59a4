"""The bytes of a token that is a part of a character are its own, not those of a question mark."""

from types import SimpleNamespace as Made

import pytest

from tuneworthy.models.local.token_bytes import _bytes_by_letter, token_bytes

tokenizers = pytest.importorskip("tokenizers")


def byte_level():
    """Return a tokenizer whose every token is one byte."""
    letters = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    inner = tokenizers.Tokenizer(tokenizers.models.BPE({a: n for n, a in enumerate(letters)}, []))
    inner.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = tokenizers.decoders.ByteLevel()
    return inner, Made(
        decode=lambda ids, **how: inner.decode(ids), convert_ids_to_tokens=inner.id_to_token
    )


def test_the_bytes_of_all_tokens_are_those_of_the_text():
    inner, coder = byte_level()
    for text in ("é", "分类 \n\x00~\xad", "👍 ok"):
        parts = [token_bytes(coder, token) for token in inner.encode(text).ids]
        assert bytes(byte for part in parts for byte in part) == text.encode()


def test_the_table_is_that_of_byte_level_tokenizers():
    table = _bytes_by_letter()
    assert set(table) == set(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    assert sorted(table.values()) == list(range(256))


def test_other_tokenizers():
    def told(word, text="\ufffd"):
        coder = Made(decode=lambda ids, **how: text, convert_ids_to_tokens=lambda token: word)
        return token_bytes(coder, 1)

    assert told("<0xE4>") == [0xE4]
    assert told("anything", "ä") == [0xC3, 0xA4]
    assert told("▁分") is None
