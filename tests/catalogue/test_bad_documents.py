"""The bad-input catalogue, documents: what is refused, and what is warned of."""

import json
from pathlib import Path

import pytest
from tests.catalogue.test_bad_input import GOOD, check_parts, ends_with, row
from tests.studies import MODEL

from tuneworthy.arms.retrieval.gold import with_inferred_passages
from tuneworthy.records.errors import DataError
from tuneworthy.rows.load import load
from tuneworthy.rows.observations import row_observations
from tuneworthy.rows.taskfile import read_task


def with_docs(folder: Path, *texts: str) -> Path:
    """Write three rows, the first with a passage, and documents d0, d1 ... of these texts."""
    docs = [json.dumps({"id": f"d{n}", "title": "Rules", "text": t}) for n, t in enumerate(texts)]
    (folder / "docs.jsonl").write_text("\n".join(docs))
    (folder / "rows.jsonl").write_text(row(7, meta={"doc_id": "d0"}) + "\n" + GOOD)
    keys = "data: {file: rows.jsonl, docs: docs.jsonl}\narms: [majority, zero_shot]\n"
    (folder / "task.yaml").write_text(f"{keys}output: {{type: text}}\nmodel: {MODEL}\n")
    return folder


@pytest.mark.parametrize("texts", [(" ",), ("", "\t\n", "\u3000")], ids=["one", "all"])
def test_i58_documents_without_any_text_are_refused(texts, tmp_path, capsys):
    folder = with_docs(tmp_path, *texts)
    with pytest.raises(DataError) as caught:
        load(read_task(folder / "task.yaml"))
    check_parts(caught.value, "no document has text", "docs.jsonl", f"{len(texts)} document",
                "remove `docs:`")  # fmt: skip
    ends_with(folder, 5, capsys)


def test_i58_an_empty_file_of_documents_is_refused(tmp_path, capsys):
    folder = with_docs(tmp_path)
    with pytest.raises(DataError) as caught:
        load(read_task(folder / "task.yaml"))
    check_parts(caught.value, "empty", "docs.jsonl", "0 bytes", "write rows")
    ends_with(folder, 5, capsys)


def test_i58_a_document_without_text_among_others_is_warned_of(tmp_path):
    loaded = load(read_task(with_docs(tmp_path, " \n", "The answer 7.") / "task.yaml"))
    (warned,) = [one for one in row_observations(loaded, loaded.cases) if one.kind == "blank_docs"]
    assert (warned.level, warned.count, warned.ids) == ("warning", 1, ("d0",))
    assert "1 of 2 documents" in warned.text
    assert loaded.cases[0].context is None, "a blank text is no passage"
    assert with_inferred_passages(loaded).cases[0].context == "The answer 7."
