"""Locked rows in a study: nobody is shown them, an unlock scores them alone, and it is counted."""

import json

import pytest
from tests import studies

import tuneworthy
from tuneworthy import RunOptions
from tuneworthy.cli._frame import run
from tuneworthy.flows.settling import open_settling
from tuneworthy.flows.study import check
from tuneworthy.records.errors import TaskError
from tuneworthy.rows.load import load
from tuneworthy.rows.taskfile import read_task
from tuneworthy.stats.bounds import level
from tuneworthy.store.store import open_ledger

UNLOCK = RunOptions(unlock=True)
DATA = {"file": "rows.jsonl", "locked": 0.25}


@pytest.fixture
def path(tmp_path):
    return studies.write(tmp_path, n=80, arms=studies.LIGHT, data=DATA)


def aside(path):
    return load(read_task(path)).aside


def written(folder):
    """All that a study wrote: results and store, as text."""
    files = [one for one in folder.rglob("*") if one.is_file() and one.name != "rows.jsonl"]
    return "".join(
        one.read_bytes().decode("latin-1") for one in files
        if one.parent.name.startswith("planted-") or ".tuneworthy" in one.parts
    )  # fmt: skip


def test_no_text_of_a_locked_row_is_written_before_it_is_unlocked(path):
    shut = aside(path)
    assert len(shut) > 10
    study = tuneworthy.run(path)
    assert {case.id for case in shut}.isdisjoint(case.id for case in study.results.cases)
    told = written(path.parent)
    assert study.results.cases[0].input in told  # the check can fail
    assert not [case.id for case in shut if case.input in told]
    tuneworthy.run(path, UNLOCK)
    assert all(case.input in written(path.parent) for case in shut)


def test_an_unlock_scores_the_locked_rows_alone_and_lies_beside_the_study(path):
    first, opened = tuneworthy.run(path), tuneworthy.run(path, UNLOCK)
    shut = {case.id for case in aside(path)}
    assert {case.id for case in opened.results.cases} == shut
    assert opened.folder.name.endswith("-unlocked")
    assert opened.folder.parent == first.folder.parent
    assert first.folder != opened.folder
    learnt = {i for part in opened.results.split.parts for i in (*part.train, *part.dev)}
    assert learnt
    assert not learnt & shut
    assert f"Scored on {len(shut)} locked rows, unlock 1." in opened.verdict.because
    assert "locked" not in first.verdict.because
    assert "locked rows · look 1" in (opened.folder / "report.html").read_text()
    assert "tuneworthy run --unlock" in opened.results.reproduce["commands"]
    assert run(["report", str(opened.folder), "--recompute"]) == 0


def test_each_unlock_is_counted_logged_and_paid_for_and_no_study_twice(path):
    tuneworthy.run(path)
    said = []
    opened = tuneworthy.run(path, UNLOCK, lambda event, data: said.append((event, data)))
    rows = len(aside(path))
    assert ("say", f"{rows} locked rows unlocked: look 1: no earlier study of this folder "
            "opened them") in said  # fmt: skip
    assert tuneworthy.run(path, UNLOCK).verdict.looks == opened.verdict.looks == 1
    task = json.loads(path.read_text())
    path.write_text(json.dumps(task | {"instruction": "Sort the mail."}))
    same = tuneworthy.run(path, UNLOCK)
    assert same.verdict.looks == 1, "the same answers are no further look"
    path.write_text(json.dumps(task | {"arms": [*task["arms"], "tfidf"]}))
    said.clear()
    again = tuneworthy.run(path, UNLOCK, lambda event, data: said.append((event, data)))
    assert again.verdict.looks == 2
    assert max(pair.level for pair in again.results.evidence.pairs) <= level(0.05, 2, 2)
    told = next(data for event, data in said if event == "say" and "unlocked" in data)
    assert ".05/4" in told
    assert "only fresh rows" in told
    assert "unlock 2" in again.verdict.because
    with open_ledger(path.parent, write=False) as ledger:
        doors = [one for one in ledger.doors(again.results.evidence.task_hash)
                 if one["door"] == "unlock"]  # fmt: skip
    assert [one["purpose"] for one in doors] == [f"{rows} locked rows"]


def test_rows_scored_before_they_were_locked_are_no_first_look(path):
    task = json.loads(path.read_text())
    path.write_text(json.dumps(task | {"data": {"file": "rows.jsonl"}}))
    tuneworthy.run(path)
    path.write_text(json.dumps(task))
    assert tuneworthy.run(path, UNLOCK).verdict.looks == 2


def test_check_says_how_many_rows_are_locked_and_what_they_can_show(path, capsys):
    rows = len(aside(path))
    said = next(o for o in check(path).observations if o.kind == "locked")
    assert (said.level, said.count, said.ids) == ("note", rows, ())
    assert run(["check", str(path)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert f"{rows} rows are locked, no study has opened them" in printed
    assert f"left out: {rows} locked" in printed
    tuneworthy.run(path, UNLOCK)
    said = next(o for o in check(path).observations if o.kind == "locked")
    assert "1 study has opened them" in said.text
    plain = studies.write(path.parent / "plain", arms=studies.LIGHT)
    assert not [o for o in check(plain).observations if o.kind == "locked"]


def test_recorded_answers_without_ids_keep_their_order(path):
    lines = (path.parent / "logged.jsonl").read_text().splitlines()
    logged = {row["id"]: row for row in map(json.loads, lines)}
    bare = [{"answer": row["answer"]} for row in logged.values()]
    studies.lines(path.parent / "logged.jsonl", bare)
    task = json.loads(path.read_text())
    task["present"]["match"] = "order"
    path.write_text(json.dumps(task))
    for options in (RunOptions(), UNLOCK):
        results = tuneworthy.run(path, options).results
        given = {a.case: a.text for r in results.runs if r.spec.name == "present"
                 for a in r.answers}  # fmt: skip
        assert given == {case.id: logged[case.id]["answer"] for case in results.cases}


def test_answers_to_locked_rows_are_no_strangers(path):
    assert not [o for o in check(path).observations if o.kind.startswith("answers")]


def test_a_locked_row_among_the_unlabelled_inputs_is_not_shown_to_the_settler(path):
    task = json.loads(path.read_text())
    shut = aside(path)
    fresh = [{"id": f"f{i}", "input": f"a new one {i}"} for i in range(30)]
    pool = [{"id": f"p{i}", "input": case.input} for i, case in enumerate(shut)]
    studies.lines(path.parent / "pool.jsonl", [*pool, *fresh])
    logged = [*map(json.loads, (path.parent / "logged.jsonl").read_text().splitlines())]
    more = [{"id": row["id"], "answer": "refund"} for row in (*pool, *fresh)]
    studies.lines(path.parent / "logged.jsonl", [*logged, *more])
    data = {**DATA, "unlabelled": "pool.jsonl"}
    path.write_text(json.dumps(task | {"data": data, "success": {"margin": 0.001}}))
    assert tuneworthy.run(path).verdict.status == "provisional"
    with open_settling(path) as settling:
        assert settling._arms.size == len(fresh)


def test_unlock_where_nothing_is_locked_is_refused(tmp_path, capsys):
    path = studies.write(tmp_path, arms=studies.LIGHT)
    with pytest.raises(TaskError, match="no locked rows"):
        tuneworthy.run(path, UNLOCK)
    assert run(["run", str(path), "--unlock"]) == 2
    assert "data.locked" in capsys.readouterr().err
