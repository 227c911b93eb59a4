"""A build of `rag` takes its documents along, and answers from them alone."""

import json
from pathlib import Path

import pytest
from tests import studies

from tuneworthy.flows import study
from tuneworthy.handover.artefact_folder import DOCS_FILE
from tuneworthy.handover.building import BuildOptions, build
from tuneworthy.handover.system import open_artefact, read_built_docs
from tuneworthy.records.case import Message, Query
from tuneworthy.records.errors import ModelError
from tuneworthy.records.run import RunOptions
from tuneworthy.rows.docs import Doc
from tuneworthy.suite import write

NAME = "rag(dense=False, k=1)"


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    folder = tmp_path_factory.mktemp("docs")
    path = write("policy_faq", folder, 0, 60)
    studies.lines(folder / "replies.jsonl", [{"when": "", "say": "0 things"}])
    keys = {
        "name": "policy",
        "data": {"train": "train.jsonl", "test": "test.jsonl", "docs": "docs.jsonl"},
        "output": {"type": "text", "max_tokens": 12},
        "success": {"metric": "token_f1", "margin": 0.1},
        "model": studies.MODEL,
        "arms": ["zero_shot", {"rag": {"dense": False, "k": 1}}],
        "seeds": 1,
    }
    path.write_text(json.dumps(keys), "utf-8")
    with pytest.MonkeyPatch.context() as patched:  # as its tests: no encoder on this machine
        patched.setenv("TUNEWORTHY_CACHE", str(folder / "cache"))
        study.run(path, RunOptions(brief=True))
    return path


def test_documents_travel_and_decide_the_id(task):
    report = build(task, options=BuildOptions(arm=NAME))
    assert {"index", "prompt", "card"} <= set(report.artefact.forms)
    assert report.parity[0].equal == report.parity[0].asked
    (task.parent / "docs.jsonl").rename(task.parent / "away.jsonl")  # the artefact stands alone
    system = open_artefact(Path(report.folder))
    (task.parent / "away.jsonl").rename(task.parent / "docs.jsonl")
    docs = [json.loads(line) for line in (Path(report.folder) / DOCS_FILE).read_text().splitlines()]
    asked = Query(id="q", messages=(Message(role="user", content=docs[3]["text"]),))
    answer = system.answer([asked])[0]
    assert answer.passages == (docs[3]["id"],)
    assert docs[3]["text"] in answer.prompt[-1].content
    told = json.loads((Path(report.folder) / "prompt" / "pack.json").read_text())
    assert not told["fixed"]
    assert "tuneworthy serve" in told["why"]


def test_documents_with_other_line_ends_are_read_as_they_were_written(tmp_path):
    doc = Doc(id="a", text="First line.\u2028Second line.\x85Third.\u2029")
    (tmp_path / "index").mkdir()
    line = json.dumps(doc.plain(), ensure_ascii=False)  # as handover/forms/index.py writes it
    (tmp_path / DOCS_FILE).write_text(f"{line}\n{line}\n", "utf-8")
    assert read_built_docs(tmp_path / DOCS_FILE) == (doc, doc)


def test_a_plan_names_the_index(task):
    report = build(task, options=BuildOptions(arm=NAME, dry=True))
    assert "index" in {form.form for form in report.forms if not form.because}


def test_a_changed_document_is_refused(task, tmp_path):
    report = build(task, options=BuildOptions(arm=NAME, out=tmp_path))
    path = Path(report.folder) / DOCS_FILE
    path.write_text(path.read_text().replace("a", "e", 1))
    with pytest.raises(ModelError, match=r"other contents|cut or changed"):
        open_artefact(Path(report.folder), task.parent)
