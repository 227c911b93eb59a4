"""Read documents for retrieval: id, title, text, and the dates between which they are valid."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydantic import Field

from tuneworthy.records.counting import count_noun
from tuneworthy.records.errors import DataError
from tuneworthy.records.record import Record
from tuneworthy.rows.bad_rows import RowFault
from tuneworthy.rows.rows import read_records, sortable_time

_FIELDS = {"id", "title", "text", "from", "to"}


class Doc(Record):
    """One document. `from` and `to` bound the validity of its facts (ISO dates), None: always."""

    id: str
    text: str
    title: str = ""
    since: str | None = Field(default=None, alias="from")
    until: str | None = Field(default=None, alias="to")


def read_docs(path: Path, shown: str) -> tuple[Doc, ...]:
    """Return the documents of a file in order, blank ones included.

    Raises DataError at the first unreadable document, and if none has text: retrieval would find
    nothing.
    """
    docs: dict[str, Doc] = {}
    for raw in read_records(path, shown):
        doc = raw if isinstance(raw, RowFault) else _parse_doc(raw.where, raw.fields)
        if isinstance(doc, Doc) and doc.id in docs:
            doc = RowFault(raw.where, "an id stands twice", doc.id, "give each document its own id")
        if isinstance(doc, RowFault):
            what = f"a document can't be read: {doc.why}"
            fix = doc.fix or "correct this line"
            raise DataError(what, where=doc.place(), got=doc.got, fix=fix)
        docs[doc.id] = doc
    if not docs:
        raise DataError("there are no documents", where=shown, got="0", fix="add some, or no docs:")
    if len(blank_ids(docs.values())) == len(docs):
        fix = "write what each document says under `text`, or remove `docs:`"
        got = count_noun(len(docs), "document") + ", every `text` blank"
        raise DataError("no document has text", where=shown, got=got, fix=fix)
    return tuple(docs.values())


def blank_ids(docs: Iterable[Doc]) -> list[str]:
    """Return the ids of documents with only whitespace as text: retrieval finds nothing there."""
    return [doc.id for doc in docs if not doc.text.strip()]


def _parse_doc(where: str, fields: dict[str, object]) -> Doc | RowFault:
    if isinstance(fields.get("id"), int):
        fields = {**fields, "id": str(fields["id"])}
    known = {key: value for key, value in fields.items() if key in _FIELDS and value is not None}
    if missing := [key for key in ("id", "text") if not isinstance(known.get(key), str)]:
        got = f"fields: {', '.join(fields)}"
        return RowFault(where, f"`{missing[0]}` is missing or no text", got, f"add `{missing[0]}`")
    if not all(isinstance(value, str) for value in known.values()):
        return RowFault(where, "a field is no text", str(sorted(known)), "write text")
    return _check_dates(where, Doc.model_validate(known))


def _check_dates(where: str, doc: Doc) -> Doc | RowFault:
    edges = []
    for key, text in (("from", doc.since), ("to", doc.until)):
        try:
            edges.append(None if text is None else sortable_time(text))
        except (ValueError, OverflowError):
            fix = "write an ISO date (2026-01-31 or 2026-01-31T08:00:00Z), or a number"
            return RowFault(where, f"`{key}` can't be read", str(text), fix)
    if None not in edges and edges[0] >= edges[1]:  # type: ignore[operator]
        return RowFault(
            where, "it ends before it begins", f"{doc.since} to {doc.until}", "correct it"
        )
    return doc
