"""The train gate: trains where the verdict says so and holds; refuses where it says otherwise."""

import io
import json
import os
import subprocess
import sys
from datetime import date

import pytest
from tests import studies

import tuneworthy
from tuneworthy.agents.train_gate import TrainGateCallback, asks_to_train, may_train
from tuneworthy.cli._frame import run
from tuneworthy.rows.fingerprint import file_digests

FIRM = {"task": {"name": "planted"}, "use": "tune", "arm": "lora", "status": "firm",
        "because": "It is better.", "next": {"do": "use it"},
        "economics": {"expires": None}}  # fmt: skip


@pytest.fixture
def told(tmp_path):
    """Return a function that stores a verdict of the task, newer than its files."""
    path = studies.write(tmp_path)

    def store(**changes):
        folder = tmp_path / "results" / "planted-1"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "verdict.json").write_text(json.dumps({**FIRM, **changes}))
        (folder / "files.json").write_text(json.dumps(file_digests(path)))
        (tmp_path / "results" / "latest").write_text("planted-1")
        return path

    return store


@pytest.mark.parametrize(
    ("changes", "open_", "closed", "why"),
    [({}, True, True, "is tune (lora), firm"),
     ({"use": "distil"}, True, True, "is distil"),
     ({"use": "classifier", "arm": "tfidf"}, False, False, "don't fine-tune yet"),
     ({"use": "none", "arm": None}, False, False, "don't fine-tune yet"),
     ({"status": "blocked"}, False, False, "is tune (lora), blocked"),
     ({"status": "provisional"}, True, False, "not shown yet; next: use it"),
     ({"economics": {"expires": "2026-01-31"}}, True, False, "ended on 2026-01-31")],
)  # fmt: skip
def test_the_verdict_decides(told, changes, open_, closed, why):
    path, today = told(**changes), date(2026, 12, 1)
    assert (may_train(path, False, today).allowed, may_train(path, True, today).allowed) == (
        open_, closed)  # fmt: skip
    assert why in may_train(path, True, today).why


@pytest.mark.parametrize("name", ["rows.jsonl", "task.yaml", "logged.jsonl"])
def test_a_verdict_does_not_speak_for_other_rows_however_old(told, name):
    path = told()
    assert may_train(path, closed=True).allowed
    with (path.parent / name).open("a") as file:
        file.write("\n")
    os.utime(path.parent / name, (1e9, 1e9))
    found = may_train(path, closed=True)
    assert (found.allowed, found.measured) == (False, False)
    assert f"the verdict is not of this {name}" in found.why
    assert may_train(path).allowed


@pytest.mark.parametrize("name", ["planted", "another"])
def test_a_verdict_of_another_task_file_of_the_folder_does_not_hold(told, name):
    path = told()
    second = path.with_name("second.yaml")
    second.write_text(json.dumps(json.loads(path.read_text()) | {"name": name}))
    found = may_train(second, closed=True)
    assert (found.allowed, found.measured) == (False, False)
    assert "the verdict is not of this second.yaml" in found.why


def test_documents_count_and_other_folders_do_not(told):
    path = told()
    for name in ("docs", "elsewhere"):
        (path.parent / name).mkdir()
        (path.parent / name / f"{name}.md").write_text("a")
    keys = {"instruction": "elsewhere", "data": {"file": "rows.jsonl", "docs": "docs"}}
    path.write_text(json.dumps(json.loads(path.read_text()) | keys), "utf-8")
    told_again = path.parent / "results" / "planted-1" / "files.json"
    told_again.write_text(json.dumps(file_digests(path)))
    (path.parent / "elsewhere" / "elsewhere.md").write_text("b")
    assert may_train(path, closed=True).allowed
    (path.parent / "docs" / "docs.md").write_text("b")
    assert "the verdict is not of this docs/docs.md" in may_train(path, closed=True).why


def test_without_a_study_only_a_closed_gate_refuses(tmp_path):
    path = studies.write(tmp_path)
    assert may_train(path) == (True, False, may_train(path).why)
    assert not may_train(path, closed=True).allowed
    assert "no study was run" in may_train(path).why
    assert not may_train(tmp_path / "elsewhere.yaml", closed=True).allowed
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "latest").write_text("../../etc")
    assert not may_train(path, closed=True).allowed


def test_a_real_study_is_read(tmp_path):
    path = studies.write(tmp_path, arms=["majority", "tfidf"], present=None)
    verdict = tuneworthy.run(path).verdict
    found = may_train(path)
    assert (found.allowed, found.measured) == (False, True)
    assert verdict.because in found.why


@pytest.mark.parametrize(
    ("command", "trains"),
    [("python train.py --epochs 3", True), ("accelerate launch sft.py", True),
     ("trl sft --model_name_or_path x", True), ("axolotl train c.yml", True),
     ("uv run finetune_lora.py", True), ("openai api fine_tuning.jobs.create", True),
     ("pytest tests/test_train.py", False), ("cat README.md", False),
     ("tuneworthy run finetune/task.yaml", False), (["torchrun", "x.py"], True)],
)  # fmt: skip
def test_a_tool_call_that_trains_is_known_by_its_words(command, trains):
    assert asks_to_train({"tool_name": "Bash", "tool_input": {"command": command}}) == trains
    assert not asks_to_train({"tool_name": "Read", "tool_input": {"path": "x"}})


def test_the_hook_refuses_with_the_reason_on_stderr(told, monkeypatch, capsys):
    path = told(use="prompt", arm="few_shot")
    for words, code in (("ls", 0), ("python train.py", 2)):
        event = {"tool_name": "Bash", "tool_input": {"command": words}}
        monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(event)))
        assert run(["train-gate", "--hook", "--task", str(path)]) == code
    assert "don't fine-tune yet" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin", io.StringIO("no json"))
    assert run(["train-gate", "--hook"]) == 2


def test_the_command_runs_or_is_refused(told):
    words = [sys.executable, "-c", "print('trained')"]
    for use, code, out in (("tune", 0, "trained\n"), ("prompt", 2, "")):
        path = told(use=use)
        gate = [sys.executable, "-m", "tuneworthy", "train-gate", "--task", str(path), "--"]
        done = subprocess.run([*gate, *words], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (code, out)


def test_the_answer_is_json_where_asked(told, capsys):
    assert run(["train-gate", "--task", str(told()), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["measured"] is True


@pytest.mark.full
@pytest.mark.parametrize(("use", "warned"), [("prompt", 1), ("tune", 0)])
def test_a_trainer_warns_before_it_trains(told, use, warned):
    import warnings

    from transformers.trainer_callback import CallbackHandler, TrainerControl, TrainerState

    handler = CallbackHandler([TrainGateCallback(told(use=use))], None, None, None, None)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        control = handler.on_train_begin(None, TrainerState(), TrainerControl())
        handler.on_step_end(None, TrainerState(), control)
    assert len([one for one in seen if "don't fine-tune yet" in str(one.message)]) == warned
