"""Today's prompt, or its log, beside a new prompt from a file: who leads, in compare's words."""

import json

import pytest
from tests import studies

from tuneworthy.flows.study import RunOptions, run
from tuneworthy.measure.executors._job import _named_paths
from tuneworthy.records.errors import TaskError
from tuneworthy.records.specs import prompt_files
from tuneworthy.report.terminal import ladder_screen
from tuneworthy.report.view import opening
from tuneworthy.rows.taskfile import read_task

NEW = {"own_prompt": {"file": "new.md"}}
NAME = "own_prompt(file=new.md)"
LEADS = f"{NAME} leads by"


def write(folder, present, arms=("present", "majority", NEW)):
    """Write a study of a model that answers `NEW: ...` better than any other prompt."""
    path = studies.write(folder, n=90, present=present, arms=list(arms))
    rows = studies.rows(90)
    for n, row in enumerate(rows):
        row |= {"group": row["id"], "meta": {"language": "German" if n % 2 else "French"}}
    studies.lines(folder / "rows.jsonl", rows)
    says = [{"when": f"NEW: {row['input']}", "say": row["output"]} for row in rows[:80]]
    studies.lines(folder / "replies.jsonl", [*says, {"when": "", "say": "warranty"}])
    (folder / "old.md").write_text("Sort this.\n\n{input}")
    (folder / "new.md").write_text("NEW: {input}")
    return path


def prompts(study, arm):
    runs = [run for run in study.results.runs if run.spec.arm == arm]
    return {answer.prompt[0].content for run in runs for answer in run.answers}


@pytest.mark.parametrize(
    "present", [{"model": studies.MODEL, "prompt": "old.md"}, {"answers": "logged.jsonl"}]
)
def test_the_first_screen_says_which_prompt_leads_as_compare_does(tmp_path, present):
    study = run(write(tmp_path, present))
    screen = str(ladder_screen(study.results))
    assert opening(study.results).lead.startswith(LEADS), screen
    assert ", shown (+" in opening(study.results).lead
    assert f"{NAME} won" in " ".join(screen.split())
    assert all(text.startswith("NEW: ") for text in prompts(study, "own_prompt"))
    (table,) = study.results.evidence.slices
    parts = {one.name: one for one in table.slices if one.kind == "language"}
    assert set(parts) == {"French", "German"}
    assert table.rival == "present"
    assert all(one.delta is not None for one in parts.values())


def test_another_arm_makes_it_a_study_of_arms(tmp_path):
    study = run(write(tmp_path, {"answers": "logged.jsonl"}, ["present", "zero_shot", NEW]))
    assert opening(study.results).lead == ""


def test_a_changed_prompt_file_is_asked_anew(tmp_path):
    path = write(tmp_path, {"answers": "logged.jsonl"})
    first = run(path)
    (tmp_path / "new.md").write_text("NEWER: {input}")
    second = run(path)
    assert second.folder != first.folder
    assert all(text.startswith("NEWER: ") for text in prompts(second, "own_prompt"))


def test_a_prompt_file_that_is_not_there_is_named(tmp_path):
    path = write(tmp_path, {"model": studies.MODEL, "prompt": "old.md"})
    (tmp_path / "new.md").unlink()
    with pytest.raises(TaskError, match="no such prompt file") as caught:
        run(path, RunOptions())
    assert (caught.value.got, caught.value.where) == ("new.md", f"task.yaml {NAME}")
    (tmp_path / "new.md").write_text("x")
    (tmp_path / "old.md").unlink()
    with pytest.raises(TaskError, match="no such prompt file") as caught:
        run(path, RunOptions())
    assert caught.value.where == "task.yaml present.prompt"


def test_prompt_files_travel_to_a_node(tmp_path):
    task = read_task(write(tmp_path, {"model": studies.MODEL, "prompt": "old.md"}))
    assert prompt_files(task) == {"prompt": "old.md", NAME: "new.md"}
    assert {"old.md", "new.md"} <= _named_paths(task)
    bare = json.loads((tmp_path / "task.yaml").read_text()) | {"arms": ["own_prompt"]}
    (tmp_path / "task.yaml").write_text(json.dumps(bare))
    named = prompt_files(read_task(tmp_path / "task.yaml"))
    assert named == {"prompt": "old.md", "own_prompt": "prompt.md"}
