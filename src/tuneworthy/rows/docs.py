"""Read documents for retrieval: id, title, text, and the dates between which they are valid.

They stand in a file of records, or each in a file of its own in a folder (text, Markdown, HTML,
PDF); the path below the folder is then the id.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import Field

from tuneworthy.records.counting import count_noun
from tuneworthy.records.errors import DataError, NotInstalled
from tuneworthy.records.record import Record, plain_file
from tuneworthy.rows.bad_rows import RawRow, RowFault
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
    """Return the documents of a file in order, or of a folder by path, blank ones included.

    Raises DataError at the first unreadable document, and if none has text: retrieval would find
    nothing.
    """
    docs: dict[str, Doc] = {}
    for raw in _folder_records(path, shown) if path.is_dir() else read_records(path, shown):
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


def _folder_records(folder: Path, shown: str) -> Iterator[RawRow]:
    """Yield each file of a folder that holds a document, hidden ones left out, sorted by path."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and path.suffix.lower() in _TEXTS and not f"/{name}".count("/."):
            if not name.isprintable():
                raise DataError("the name of a document can't be shown", where=shown,
                                got=repr(name), fix="rename the file")  # fmt: skip
            if not path.resolve().is_relative_to(folder.resolve()):
                raise DataError("a link leads out of the folder of documents",
                                where=f"{shown}/{name}", got=str(path.resolve()),
                                fix="copy it into the folder, or remove the link")  # fmt: skip
            text = _TEXTS[path.suffix.lower()](path, f"{shown}/{name}")
            yield RawRow(f"{shown}/{name}", {"id": name, "title": path.stem, "text": text})


def _plain_text(path: Path, shown: str) -> str:
    del shown
    return plain_file(path).decode("utf-8", "replace")


def _html_text(path: Path, shown: str) -> str:
    """Return the text of an HTML file, without scripts and styles."""
    soup = _library("bs4", shown).BeautifulSoup(plain_file(path), "html.parser")
    for hidden in soup(["script", "style", "noscript", "template"]):
        hidden.decompose()
    return str(soup.get_text("\n", strip=True))


def _pdf_text(path: Path, shown: str) -> str:
    """Return the text of a PDF file's pages; raise DataError for a damaged or locked one."""
    pypdf = _library("pypdf", shown)
    try:
        return "\n\n".join(page.extract_text() for page in pypdf.PdfReader(path).pages)
    except Exception as error:  # on a damaged file it raises of any kind
        fix = "write it again as PDF or as text, or move it away"
        got = str(error)[:200]
        raise DataError("a document can't be read", where=shown, got=got, fix=fix) from None


def _library(name: str, shown: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        fix = "pip install 'tuneworthy[documents]', or write the documents as text"
        raise NotInstalled(f"reading this needs `{name}`", where=shown, fix=fix) from None


_TEXTS = {".txt": _plain_text, ".md": _plain_text, ".html": _html_text, ".htm": _html_text,
          ".pdf": _pdf_text}  # fmt: skip


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
