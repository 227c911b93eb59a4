"""Documents in a folder of files: each is one document, whatever its form."""

import json
import os
from pathlib import Path

import pytest
from tests import studies

from tuneworthy.cli._frame import run
from tuneworthy.records.errors import DataError, NotInstalled
from tuneworthy.rows import docs
from tuneworthy.rows.docs import read_docs
from tuneworthy.rows.load import load
from tuneworthy.rows.taskfile import read_task

HTML = """<html><head><style>p {color: red}</style><script>alert("no")</script></head>
<body><h1>Returns</h1><p>Goods go back within 30 days.</p></body></html>"""


def pdf(text):
    """Return a PDF file of one page that says a text."""
    stream = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET".encode()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R"
        b" /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    out, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    return (out + b"xref\n0 6\n0000000000 65535 f \n" + table
            + b"trailer << /Size 6 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % len(out))  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "handbook"
    (place / "hr").mkdir(parents=True)
    (place / "returns.html").write_text(HTML)
    (place / "hr" / "leave.md").write_text("# Leave\n\n28 days a year.")
    (place / "notes.txt").write_bytes(b"Open \xff at nine.")
    (place / "price.pdf").write_bytes(pdf("The cable costs 12 euros"))
    (place / "logo.png").write_bytes(b"\x89PNG")
    (place / ".hidden.txt").write_text("secret")
    return place


def test_each_file_is_a_document_under_its_path(folder):
    found = {doc.id: doc.text for doc in read_docs(folder, "handbook")}
    assert list(found) == ["hr/leave.md", "notes.txt", "price.pdf", "returns.html"]
    assert found["returns.html"] == "Returns\nGoods go back within 30 days."
    assert found["price.pdf"].strip() == "The cable costs 12 euros"
    assert found["notes.txt"] == "Open \ufffd at nine."


def test_a_damaged_file_is_named(folder):
    (folder / "price.pdf").write_bytes(b"%PDF-1.4 broken")
    with pytest.raises(DataError) as refused:
        read_docs(folder, "handbook")
    assert refused.value.where == "handbook/price.pdf"


def test_a_folder_without_documents_is_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(b"x")
    with pytest.raises(DataError, match="there are no documents"):
        read_docs(tmp_path, "docs")


def test_a_missing_reader_says_what_to_install(folder, monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(docs, "import_module", missing)
    with pytest.raises(NotInstalled) as refused:
        read_docs(folder, "handbook")
    assert "tuneworthy[documents]" in refused.value.fix


def test_init_writes_the_folder_and_takes_no_answers_for_labels(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [{"input": f"What about part {i}?", "output": f"fact {i % 72}"} for i in range(240)]
    studies.lines(tmp_path / "qa.jsonl", rows)
    assert run(["init", "qa.jsonl", "-o", "plain.yaml"]) == 0
    assert read_task(tmp_path / "plain.yaml").data.docs is None
    assert run(["init", "qa.jsonl", "--docs", "handbook"]) == 0
    task = read_task(tmp_path / "task.yaml")
    assert (task.data.docs, task.output.type) == ("handbook", "text")
    assert len(load(task).docs) == 4
    assert run(["init", "qa.jsonl", "--docs", "elsewhere", "-o", "x.yaml"]) == 5


def test_few_answers_about_documents_stay_labels(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rows = [{"input": f"Is part {i} covered?", "output": "yes" if i % 3 else "no"}
            for i in range(60)]  # fmt: skip
    studies.lines(tmp_path / "qa.jsonl", rows)
    assert run(["init", "qa.jsonl", "--docs", "handbook", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["task"] == "task.yaml"
    assert read_task(tmp_path / "task.yaml").output.type == "label"


def test_p24_a_link_out_of_the_folder_and_a_name_that_is_no_text_are_refused(tmp_path):
    folder = tmp_path / "handbook"
    folder.mkdir()
    (folder / "a.txt").write_text("A.")
    (folder / "b.txt").symlink_to(folder / "a.txt")
    assert [doc.id for doc in read_docs(folder, "handbook")] == ["a.txt", "b.txt"]
    (tmp_path / "secret.txt").write_text("Mine.")
    (folder / "c.txt").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(DataError, match="leads out of the folder") as refused:
        read_docs(folder, "handbook")
    assert refused.value.where == "handbook/c.txt"
    (folder / "c.txt").unlink()
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.txt")).write_text("B.")
    with pytest.raises(DataError, match="can't be shown"):
        read_docs(folder, "handbook")


@pytest.mark.parametrize("error", [AssertionError, TypeError, AttributeError])
def test_a_pdf_on_which_its_library_fails_is_named(tmp_path, monkeypatch, error):
    import pypdf

    def fail(path):
        raise error("inside")

    monkeypatch.setattr(pypdf, "PdfReader", fail)
    (tmp_path / "a.pdf").write_bytes(b"%PDF")
    with pytest.raises(DataError, match="can't be read") as refused:
        read_docs(tmp_path, "docs")
    assert refused.value.where == "docs/a.pdf"
