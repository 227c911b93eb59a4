"""A study whose facts stand in documents: rag and oracle run, and a changed document counts."""

import json

import pytest
from tests import studies

import tuneworthy
from tuneworthy.flows.session import read
from tuneworthy.records.run import RunOptions
from tuneworthy.suite import write

ARMS = ["zero_shot", {"rag": {"dense": False, "k": 1}}, "oracle"]


@pytest.fixture
def task(tmp_path):
    """Sixty questions on office rules; the scripted model says the figure of the first passage."""
    path = write("policy_faq", tmp_path, 0, 60)
    docs = [json.loads(line) for line in (tmp_path / "docs.jsonl").read_text().splitlines()]
    rows = [json.loads(line) for line in (tmp_path / "test.jsonl").read_text().splitlines()]
    answers = {row["context"]["doc"]: row["output"] for row in rows}
    replies = [{"when": d["text"], "say": answers[d["id"]]} for d in docs if d["id"] in answers]
    studies.lines(tmp_path / "replies.jsonl", [*replies, {"when": "", "say": "0 things"}])
    keys = {
        "name": "policy",
        "data": {"train": "train.jsonl", "test": "test.jsonl", "docs": "docs.jsonl"},
        "output": {"type": "text", "max_tokens": 12},
        "success": {"metric": "token_f1", "margin": 0.1},
        "model": studies.MODEL,
        "arms": ARMS,
        "seeds": 1,
    }
    path.write_text(json.dumps(keys), "utf-8")
    return path


def scores(study):
    return {arm.name: arm.score.mean for arm in study.results.evidence.arms if arm.score}


def test_a_study_measures_rag_and_oracle_and_a_changed_document_is_another_study(task):
    first = tuneworthy.run(task)
    found = scores(first)
    assert found["oracle"] == 1
    assert found["zero_shot"] < 0.1
    assert found["rag(dense=False, k=1)"] > found["zero_shot"] + 0.2
    runs = {run.spec.name: run for run in first.results.runs}
    rag = runs["rag(dense=False, k=1)"]
    assert all(len(answer.passages) == 1 for answer in rag.answers)
    assert tuneworthy.run(task).results.evidence.hash == first.results.evidence.hash

    docs = task.parent / "docs.jsonl"
    rows = [json.loads(line) for line in docs.read_text().splitlines()]
    studies.lines(docs, [{**row, "text": f"Gone. {row['id']}"} for row in rows])
    second = tuneworthy.run(task)
    assert second.results.evidence.task_hash != first.results.evidence.task_hash
    assert scores(second)["rag(dense=False, k=1)"] < 0.1, "no answer of the old documents is kept"


def test_the_audit_says_how_many_answers_no_current_passage_supports(task):
    loaded, _ = read(task, RunOptions())
    (seen,) = [one for one in loaded.observations if one.kind == "unsupported"]
    old = {row.id for row in loaded.everyone if row.meta["doc_id"] in ended(task)}
    assert len(old) > 10
    assert seen.text == f"{seen.count:,} gold answers are supported by no current passage"
    assert len(old) - 2 <= seen.count <= len(old)
    assert set(seen.ids) <= old, "rows of rules that still hold are not among them"


def ended(task):
    rows = [json.loads(line) for line in (task.parent / "docs.jsonl").read_text().splitlines()]
    return {row["id"] for row in rows if row["to"]}
