"""P: cases that an earlier study opened are known again, counted, printed and paid for."""

import json

import pytest
from tests import studies

import tuneworthy
from tuneworthy.cli._frame import run
from tuneworthy.flows.study import check, plan
from tuneworthy.stats.bounds import level


def another(folder, name, change, **task):
    """Write a task file beside the first one, on rows that `change` made of its rows."""
    rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    studies.lines(folder / f"{name}.jsonl", change(rows))
    keys = json.loads((folder / "task.yaml").read_text())
    keys |= {"name": name, "data": {"file": f"{name}.jsonl"}, **task}
    path = folder / f"{name}.yaml"
    path.write_text(json.dumps(keys))
    return path


def fresh(n, tag):
    return [{**row, "id": f"{tag}{i}", "input": f"{tag} {row['input']}"}
            for i, row in enumerate(studies.rows(n, seed=7))]  # fmt: skip


def other_answers(folder, name="other"):
    """Write a model that answers otherwise, and return the task's keys that name it."""
    replies = [json.loads(line) for line in (folder / "replies.jsonl").read_text().splitlines()]
    replies.insert(0, {"when": f"number {len(name)}", "say": "nothing"})
    studies.lines(folder / f"{name}.jsonl", replies)
    return {"model": f"scripted:./{name}.jsonl"}


LIGHT = {"arms": ["majority", "zero_shot"], "present": None}


@pytest.fixture
def opened(tmp_path):
    """A folder with one finished study of 60 rows."""
    path = studies.write(tmp_path, **LIGHT)
    return tmp_path, tuneworthy.run(path)


def renamed(rows):
    return [{**row, "id": f"new{i}"} for i, row in enumerate(rows)]


def relabelled(rows):
    return [{**row, "output": studies.LABELS[i % 2], "input": f" {row['input'].upper()} "}
            for i, row in enumerate(rows)]  # fmt: skip


@pytest.mark.every(3)
@pytest.mark.parametrize(
    ("change", "look"),
    [
        (lambda rows: rows, 2),
        (renamed, 2),
        (relabelled, 2),
        (lambda rows: rows[:30] + fresh(30, "half"), 2),
        (lambda rows: rows[:4] + fresh(60, "some"), 2),
        (lambda rows: rows[:2] + fresh(60, "hardly any"), 1),
        (lambda rows: fresh(60, "none"), 1),
    ],
    ids=["same", "renamed", "relabelled", "half", "1 in 16", "1 in 31", "fresh"],
)
def test_rows_that_were_opened_are_known_again(opened, change, look):
    folder, first = opened
    assert first.verdict.looks == 1
    path = another(folder, "second", change, **other_answers(folder))
    assert plan(path).looks == look
    second = tuneworthy.run(path)
    assert second.verdict.looks == look
    levels = {pair.level for pair in second.results.evidence.pairs}
    assert levels == {level(0.05, look, 1)}
    assert tuneworthy.run(path).verdict.looks == look
    assert tuneworthy.run(folder / "task.yaml").verdict.looks == 1


def test_the_third_look_is_printed_everywhere_with_what_it_costs(opened, capsys):
    folder, _ = opened
    tuneworthy.run(another(folder, "second", renamed, **other_answers(folder)))
    path = another(folder, "third", renamed, **other_answers(folder, "another"))
    said = next(o for o in check(path).observations if o.kind == "looks")
    assert (said.count, said.level) == (2, "warning")
    assert "look 3" in said.text
    assert ".05/12" in said.text
    assert "read" in said.text
    assert "settle" in said.fix
    assert run(["check", str(path)]) == 0
    assert run(["plan", str(path)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "2 studies have opened these cases" in printed
    told = "look 3 of these cases, counted in this folder only: every bound uses .05/12"
    assert told.capitalize() in printed
    assert "23 fresh ones" in printed  # 60 * (1.645 / 2.638) ** 2
    study = tuneworthy.run(path)
    assert told in study.verdict.because
    assert told in (study.folder / "report.html").read_text()


def test_rows_that_nobody_opened_are_not_remarked_on(tmp_path, opened):
    path = studies.write(tmp_path / "elsewhere", **LIGHT)
    assert not [o for o in check(path).observations if o.kind == "looks"]
    free = another(opened[0], "free", lambda rows: fresh(60, "free"))
    assert not [o for o in check(free).observations if o.kind == "looks"]


def test_the_same_rows_in_another_folder_are_no_first_look(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("TUNEWORTHY_LOOKS")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    first = tuneworthy.run(studies.write(tmp_path / "a", **LIGHT))
    same = studies.write(tmp_path / "b", **LIGHT)
    assert tuneworthy.run(same).verdict.looks == 1  # the same study: no other look
    studies.write(tmp_path / "c", **LIGHT)
    path = another(tmp_path / "c", "second", renamed, **other_answers(tmp_path / "c"))
    said = next(o for o in check(path).observations if o.kind == "looks")
    assert said.text.startswith("1 study has opened these cases")
    assert "this folder" not in said.text
    assert plan(path).looks == 2
    study = tuneworthy.run(path)
    assert study.verdict.looks == 2
    assert "look 2 of these cases: every bound uses .05/4" in study.verdict.because
    assert run(["report", str(study.folder), "--recompute"]) == 0
    page = (first.folder / "report.html").read_text()
    assert "1: no earlier study of yours on this machine opened them" in page


def test_a_store_that_fails_stops_no_study_and_is_said(tmp_path, monkeypatch):
    monkeypatch.delenv("TUNEWORTHY_LOOKS")
    (tmp_path / "state").write_text("no folder")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    path, said = studies.write(tmp_path / "a", **LIGHT), []
    assert [o for o in check(path).observations if "counted in this folder only" in o.text]
    study = tuneworthy.run(path, watch=lambda event, data: said.append((event, data)))
    assert study.results.evidence.looks_scope == "folder"
    told = [data for event, data in said if event == "say" and "this folder only" in data]
    assert len(told) == 1
