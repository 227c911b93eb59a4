"""Turn one raw row into a Case, checking every field."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tuneworthy.records.case import Case, Message
from tuneworthy.records.record import canonical
from tuneworthy.rows.bad_rows import ROW_FIELDS, BadRow, RawRow, RowFault, likely_name
from tuneworthy.rows.csv_rows import DELIMITER_OF, json_texts, read_csv, read_table
from tuneworthy.rows.lines import read_jsonl

_IDENTIFYING_FIELDS = ("accepted", "must_say", "must_not_say", "group", "time", "context")
_ENCODER = json.JSONEncoder(sort_keys=True)
CONTENT_ID = re.compile(r"[0-9a-f]{16}(-\d+)?(@train|@dev)?")
"""Matches the ids that are made of a row's content where it has no id."""
MOST_ID_CHARACTERS = 200
_WHOLE_NUMBER = re.compile(r"[0-9]+\.0")


def read_rows(path: Path, shown: str) -> Iterator[RawRow | RowFault]:
    """Return an iterator over the rows and faults of a JSONL, CSV or TSV file of our fields."""
    reader = read_csv if path.suffix.lower() in DELIMITER_OF else read_jsonl
    return reader(path, shown)


def read_records(path: Path, shown: str) -> Iterator[RawRow | RowFault]:
    """Return an iterator over the records of a JSONL, CSV or TSV file with any fields."""
    reader = read_table if path.suffix.lower() in DELIMITER_OF else read_jsonl
    return reader(path, shown)


def to_case(raw: RawRow, *, answered: bool = True) -> Case | RowFault:
    """Return the case of a row, or its fault; a row without an id gets a content hash."""
    try:
        return _make_case(raw, answered)
    except BadRow as error:
        why, got, fix, field = (*error.args, "")[:4]
        return RowFault(raw.where, why, got, fix, field, id=_shown_id(raw.fields.get("id")))
    except (ValidationError, ValueError) as error:
        got = str(error).splitlines()[0]
        return RowFault(raw.where, "the row can't be read", got, "compare it with the other rows")


def lacks_answer(raw: RawRow) -> bool:
    """Return whether a row has no right answer, nor a field that probably means one."""
    if raw.fields.keys() & {"output", "accepted"} or likely_name(raw.fields, "output"):
        return False
    case = to_case(raw, answered=False)
    return isinstance(case, RowFault) or not case.output


def _make_case(raw: RawRow, answered: bool) -> Case:
    row = raw.fields
    messages, answer = _read_conversation(row)
    if answered:
        answer = _answer_text(row, answer)
    context, doc = _read_context(row.get("context"))
    meta = row.get("meta") or {}
    if not isinstance(meta, dict):
        raise BadRow("`meta` is no object", str(meta), 'write {"key": ...}', "meta")
    others = {key: value for key, value in row.items()
              if key not in ROW_FIELDS and isinstance(value, str | int | float)}  # fmt: skip
    meta = {**others, **meta}
    if doc is not None:
        meta = {**meta, "doc_id": doc}
    fields = {
        "accepted": _text_tuple(row, "accepted"),
        "must_say": _text_tuple(row, "must_say"),
        "must_not_say": _text_tuple(row, "must_not_say"),
        "context": context,
        "group": _text_or_number(row.get("group"), "group"),
        "time": _checked_time(row.get("time")),
        "meta": meta,
    }
    return Case(
        id=_checked_id(row.get("id")) or _content_id(messages, answer, row),
        messages=messages,
        output=answer or "",
        where=raw.where,
        # pydantic records which fields were set: passing defaults costs 500 bytes per row.
        **{name: value for name, value in fields.items() if value},
    )


def _read_conversation(row: dict[str, Any]) -> tuple[tuple[Message, ...], str | None]:
    if "messages" in row:
        if row.get("input") is not None:
            raise BadRow("`messages` and `input` exclude each other", "", "keep one", "input")
        return _read_chat_row(row)
    text = row.get("input")
    if text is None:
        raise _missing_field(row, "input")
    if not isinstance(text, str):
        raise BadRow(
            "the input is no text", canonical(text), "write it as text, or as chat turns under "
            "`messages`", "input",
        )  # fmt: skip
    if not text.strip():
        raise BadRow("empty input", text, "write the input, or leave the row out", "input")
    return (Message(role="user", content=text),), None


def _read_chat_row(row: dict[str, Any]) -> tuple[tuple[Message, ...], str | None]:
    """Return a chat row's turns before the answer, and the answer (None if `output` has it)."""
    from tuneworthy.rows.chat import read_chat

    messages, answer = read_chat(row["messages"])
    if answer is not None and row.get("output") is not None:
        raise BadRow("two answers: the last turn and `output`", answer, "keep one", "output")
    if answer is None and row.get("output") is None and "output" not in row:
        return messages, None
    return messages, answer


def _answer_text(row: dict[str, Any], said: str | None) -> str:
    value = row.get("output") if said is None else said
    if value is None:
        if "messages" in row and "output" not in row:
            fix = "end `messages` with an assistant turn"
            raise BadRow("no answer: the last turn is the user's", "", fix, "messages")
        raise _missing_field(row, "output")
    text = as_text(value)
    if not text.strip():
        raise BadRow("empty answer", text, "write the answer, or leave the row out", "output")
    return text


def as_text(value: Any) -> str:
    """Return an answer as text: text unchanged, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _missing_field(row: dict[str, Any], field: str) -> BadRow:
    if field in row:
        fix = f"write the {field}, or leave the row out"
        return BadRow(f"empty {'answer' if field == 'output' else field}", "null", fix, field)
    near = likely_name(row, field)
    fix = (
        f"did you mean `{field}` where `{near}` stands? rename it, or let `tuneworthy init FILE"
        f" --{field} {near}` read it as it is"
        if near
        else ""
    )
    got = f"fields: {', '.join(row) or 'none'}"
    return BadRow(f"field `{field}` is missing", got, fix or f"add `{field}`", field)


def _text_tuple(row: dict[str, Any], field: str) -> tuple[str, ...]:
    value = row.get(field)
    if value is None:
        return ()
    texts_in_cell = json_texts(value) if isinstance(value, str) and value[:1] == "[" else []
    items = value if isinstance(value, list) else texts_in_cell or [value]
    if any(item is None for item in items):
        raise BadRow(f"null in `{field}`", "null", "remove it from the list", field)
    texts = tuple(as_text(item) for item in items)
    if not all(text.strip() for text in texts):
        raise BadRow(f"empty text in `{field}`", "", "remove it from the list", field)
    return texts


def _read_context(value: Any) -> tuple[str | None, str | None]:
    if value is None or isinstance(value, str):
        return (value or None), None
    if isinstance(value, dict) and set(value) == {"doc"} and isinstance(value["doc"], str | int):
        return None, str(value["doc"])
    got, fix = as_text(value), 'write text, or {"doc": ID}'
    raise BadRow("the context is neither text nor a document", got, fix, "context")


def _checked_id(value: Any) -> str:
    if value is None or value == "":
        return ""
    text = id_text(value)
    if text is None:
        raise BadRow("the id is no text", as_text(value), "write text or a whole number", "id")
    if len(text) > MOST_ID_CHARACTERS:
        raise BadRow("the id is too long", text, f"at most {MOST_ID_CHARACTERS} characters", "id")
    return text


def id_text(value: Any) -> str | None:
    """Return an id as text without spaces at its ends, None for a value that is no id."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else None
    return str(value).strip() or None


def key_text(value: Any) -> str | None:
    """Return an id as `id_text` does; `12.0` as `12`, as tables write numbers where one lacks."""
    text = id_text(value)
    return text[:-2] if text and _WHOLE_NUMBER.fullmatch(text) else text


def _content_id(messages: tuple[Message, ...], answer: str | None, row: dict[str, Any]) -> str:
    """Return 16 hex digits that identify a row by its content, independent of its place."""
    turns = [(m.role, m.content) for m in messages]
    rest = [row[key] for key in _IDENTIFYING_FIELDS if row.get(key) is not None]
    text = _ENCODER.encode([turns, answer, rest])
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:16]


def _shown_id(value: Any) -> str:
    return str(value)[:40] if isinstance(value, str | int) else ""


def _text_or_number(value: Any, field: str) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool | float) or not isinstance(value, str | int):
        raise BadRow(f"`{field}` is no text", as_text(value), "write text or a number", field)
    return str(value)


def _checked_time(value: Any) -> str | None:
    text = _text_or_number(value, "time")
    if text is not None:
        try:
            sortable_time(text)
        except (ValueError, OverflowError):
            fix = "write an ISO date (2026-01-31 or 2026-01-31T08:00:00Z), or a number"
            raise BadRow("the time can't be read", text, fix, "time") from None
    return text


def sortable_time(text: str) -> float:
    """Return a row's time as a sortable number: an ISO date as UTC seconds, else the number."""
    if re.fullmatch(r"-?[0-9]{1,16}(\.[0-9]+)?", text):
        return float(text)
    parsed = datetime.fromisoformat(text.strip())
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
