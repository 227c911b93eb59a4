"""Dates of documents are checked when the file is read, not when a question fails on them."""

import json

import pytest

from tuneworthy.records.errors import DataError
from tuneworthy.rows.docs import Doc, read_docs
from tuneworthy.rows.fingerprint import docs_digest


def read(tmp_path, **fields):
    (tmp_path / "docs.jsonl").write_text(json.dumps({"id": "a", "text": "t", **fields}) + "\n")
    return read_docs(tmp_path / "docs.jsonl", "docs.jsonl")


def test_a_document_holds_from_a_date_to_a_date(tmp_path):
    (doc,) = read(tmp_path, **{"from": "2024-01-01", "to": "2024-07-01T00:00:00Z"})
    assert (doc.since, doc.until) == ("2024-01-01", "2024-07-01T00:00:00Z")
    assert read(tmp_path, **{"from": None, "to": "2024-07-01"})[0].since is None


@pytest.mark.parametrize(
    ("dates", "why"),
    [
        ({"from": "last summer"}, "`from` can't be read"),
        ({"to": "2024-13-01"}, "`to` can't be read"),
        ({"from": "2024-07-01", "to": "2024-01-01"}, "it ends before it begins"),
        ({"from": "2024-07-01", "to": "2024-07-01"}, "it ends before it begins"),
    ],
)
def test_a_date_that_cannot_be_is_refused_with_its_line(tmp_path, dates, why):
    with pytest.raises(DataError, match=why) as caught:
        read(tmp_path, **dates)
    assert "docs.jsonl:1" in caught.value.where


def test_the_digest_of_documents_is_that_of_their_content():
    docs = [Doc(id="a", text="1"), Doc(id="b", text="2", since="2024-01-01")]
    assert docs_digest(docs) == docs_digest(docs[::-1])
    changed = [docs[0], docs[1].model_copy(update={"since": "2024-01-02"})]
    assert docs_digest(docs) != docs_digest(changed)
    assert docs_digest(docs) != docs_digest(docs[:1])
