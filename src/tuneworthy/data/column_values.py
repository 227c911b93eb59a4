"""Recognise id columns, fields inside objects and a missing header, by a column's values."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tuneworthy.core.errors import DataError

_ID_NAMES = {"id", "ids", "uuid", "guid", "uid", "qid", "rid", "sid", "pid", "tid", "nr", "no",
             "nummer", "numéro", "numero", "número"}  # fmt: skip
_BEFORE_ID_WORDS = {"row", "case", "doc", "msg", "item", "test", "task", "ex", "ticket", "question",
              "sample", "record", "order", "user", "message", "document", "request"}  # fmt: skip
_ALONE_IDS = (["case"], ["row"])  # the whole name: `case text` is no id
_KEY_WORDS = {"key", "number", "index", "idx"}
_NUMBER_SIGN = re.compile(r"№|#|\b[nN]\s*[°º]")
_LONGEST_ID = 64
_DATE_OR_DECIMAL = re.compile(
    r"\d{4}-\d\d-\d\d\b.*|\d{1,2}[./]\d{1,2}[./]\d{2,4}\b.*|[-+]?\d+[.,]\d+"
)
# Share of a column's values that equal its name, from which the name is a value.
_NAME_REPEATED_SHARE = 0.05
_CODE_PATTERN = re.compile(r"[A-Za-z_/#.-]*\d[A-Za-z0-9_/#.-]*")


def words_of(name: str) -> list[str]:
    """Return the words of a column's name in lower case: `TeamId` is `team`, `id`."""
    split = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)
    return [word for word in re.split(r"[\W_]+", split.casefold()) if word]


def is_id(name: str, values: Sequence[Any]) -> bool:
    """Return whether a column identifies its rows: an id's name and unique one-word values."""
    return is_id_name(name) and _are_unique_words(values)


def is_id_name(name: str) -> bool:
    """Return whether a column is named like an id, as `TicketId`, `Nr.` or `case` are."""
    words = words_of(_NUMBER_SIGN.sub(" nr ", name))
    return words in _ALONE_IDS or any(one in _ID_NAMES or _is_compound(one) for one in words)


def is_key_name(name: str) -> bool:
    """Return whether a column may be a key of two files by name: an id, `order_key`, `index`."""
    return is_id_name(name) or bool(_KEY_WORDS & set(words_of(name)[-1:]))


def _is_compound(word: str) -> bool:
    return word.endswith("id") and word.removesuffix("id") in _BEFORE_ID_WORDS


def are_codes(values: Sequence[Any]) -> bool:
    """Return whether values look like ids of one shape (`q001`, `q002`), whatever the name is."""
    if len(values) < 3 or not _are_unique_words(values):
        return False
    texts = list(map(str, values))
    shapes = {re.sub(r"\d+", "0", text) for text in texts}
    if any(_is_number(text) or _DATE_OR_DECIMAL.fullmatch(text) for text in texts):  # a date, say
        return False
    return len(shapes) == 1 and all(map(_CODE_PATTERN.fullmatch, texts))


def _are_unique_words(values: Sequence[Any]) -> bool:
    plain = all(isinstance(one, str | int) and not isinstance(one, bool) for one in values)
    if len(values) < 2 or not plain:
        return False
    texts = list(map(str, values))
    whole = all(len(text) <= _LONGEST_ID and len(text.split()) == 1 for text in texts)
    return whole and len(set(texts)) == len(texts)


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).replace(",", "").lstrip("-").isdigit()


def value_of(record: Mapping[str, Any], name: str) -> Any:
    """Return the value of a record's column; `a.b` also names the field `b` of an object `a`.

    `a.0` is the first item of a list `a`. None for what is not there.
    """
    if name in record or "." not in name:
        return record.get(name)
    value: Any = record
    for key in name.split("."):
        if isinstance(value, list):
            value = value[int(key)] if key.isdecimal() and int(key) < len(value) else None
        else:
            value = value.get(key) if isinstance(value, Mapping) else None
    return value


def inner_columns(sample: Sequence[Mapping[str, Any]], left: set[str]) -> list[str]:
    """Return the fields of a table's objects as `column.field`, without the columns in `left`."""
    found: dict[str, None] = {}
    for row in sample:
        for key, value in row.items():
            if isinstance(value, Mapping) and key not in left:
                found.update((f"{key}.{inner}", None) for inner in value)
    return [*found]


def check_header(shown: str, sample: Sequence[Mapping[str, Any]]) -> None:
    """Raise DataError if the first line of a table is a row, not column names."""
    names = list(dict.fromkeys(key for row in sample for key in row))
    for name in names:
        values = Counter(str(row.get(name, "")).strip() for row in sample)
        repeated = values[name] > 1 and values[name] >= _NAME_REPEATED_SHARE * len(sample)
        if _DATE_OR_DECIMAL.fullmatch(name.strip()) or repeated:
            raise DataError(
                "the first line holds a row, not the names of the columns", where=f"{shown}:1",
                got=", ".join(names)[:180], kept="",
                fix="write the names above it, as `input,output`, or name the columns by what"
                " stands there: --input COL --output COL",
            )  # fmt: skip
