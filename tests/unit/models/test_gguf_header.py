"""I: a GGUF header whose counts do not fit in its file is refused before the library reads it."""

import struct

import pytest

from tuneworthy.models.local.exported_weights import read_exported
from tuneworthy.models.local.gguf_header import check_gguf_header
from tuneworthy.records.errors import ModelError

STRING, ARRAY, NUMBER = 8, 9, 4


def text(words):
    return struct.pack("<Q", len(words)) + words.encode()


def pair(kind, value, key="a.key"):
    return text(key) + struct.pack("<I", kind) + value


def array(inner, count, items=b""):
    return struct.pack("<IQ", inner, count) + items


def tensor(dimensions=1):
    return text("w") + struct.pack(f"<I{dimensions}QIQ", dimensions, *[2] * dimensions, 0, 0)


def file_of(*pairs, tensors=(), count=None, order="<"):
    head = b"GGUF" + struct.pack(f"{order}IQQ", 3, len(tensors), count or len(pairs))
    return head + b"".join(pairs) + b"".join(tensors)


WHOLE = [
    file_of(),
    file_of(pair(STRING, text("a value")), pair(NUMBER, struct.pack("<I", 7))),
    file_of(pair(ARRAY, array(STRING, 2, text("a") + text("b"))), tensors=[tensor(4)]),
    file_of(pair(ARRAY, array(ARRAY, 2, 2 * array(NUMBER, 1, b"1234")))),
    file_of(order=">"),
]


@pytest.mark.parametrize("at", range(len(WHOLE)))
def test_a_whole_header_is_read_and_a_cut_one_is_refused(tmp_path, at):
    (path := tmp_path / "model.gguf").write_bytes(WHOLE[at])
    check_gguf_header(path)
    for size in range(len(WHOLE[at])):
        path.write_bytes(WHOLE[at][:size])
        with pytest.raises((ValueError, struct.error)):
            check_gguf_header(path)


HUGE = 2**63
BAD = {
    "pairs": (file_of(count=HUGE), "it counts"),
    "strings": (file_of(pair(ARRAY, array(STRING, HUGE, text("a")))), "it counts"),
    "numbers": (file_of(pair(ARRAY, array(NUMBER, HUGE, b"1234"))), "bytes are promised"),
    "nested arrays": (file_of(pair(ARRAY, array(ARRAY, HUGE, array(NUMBER, 0)))), "it counts"),
    "nothings": (file_of(pair(ARRAY, array(99, HUGE, b"1234"))), "it counts"),
    "a string": (file_of(pair(STRING, struct.pack("<Q", HUGE) + b"a")), "bytes are promised"),
    "depth": (file_of(pair(ARRAY, 9 * array(ARRAY, 1) + array(NUMBER, 0))), "nested more than"),
    "dimensions": (file_of(tensors=[tensor(5)]), "5 dimensions"),
    "no UTF-8": (file_of(pair(STRING, struct.pack("<Q", 2) + b"a\xff")), "codec can't decode"),
    "a type": (file_of(pair(99, b"1234")), "unknown type 99"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_count_beyond_the_file_is_refused(tmp_path, what):
    raw, said = BAD[what]
    (path := tmp_path / "model.gguf").write_bytes(raw)
    with pytest.raises(ValueError, match=said):
        check_gguf_header(path)
    with pytest.raises(ModelError, match="can't be read as GGUF") as refused:
        read_exported(path)
    assert said in refused.value.got
    assert refused.value.fix


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ModelError, match="missing"):
        read_exported(tmp_path / "absent.gguf")
