"""The command line: exit codes, JSON on stdout, light start, nothing of data forges a line."""

import errno
import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from tests import studies
from tests.key_kit import KEY, traces

from tuneworthy.cli._frame import app, run
from tuneworthy.records import own_files
from tuneworthy.records.plugins import catalogue
from tuneworthy.store.store import open_ledger


def test_help_names_every_command(capsys):
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    words = typer.main.get_command(app()).commands
    assert len(words) == len(catalogue("cli"))
    for word in words:
        assert word in shown
        assert run([word, "--help"]) == 0
    assert run(["--version"]) == 0


def test_starting_loads_no_torch_and_no_statistics():
    code = (
        "import sys; from tuneworthy.cli._frame import run; run(['--help']);"
        "heavy = {'torch', 'scipy', 'sklearn', 'openai'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.splitlines()[-1] == "[]"


def test_a_verdict_exits_0_and_prints_the_screen_or_json(tmp_path, capsys):
    path = studies.write(tmp_path)
    assert run(["run", str(path), "--no-progress"]) == 0
    screen = capsys.readouterr().out
    assert "Use:" in screen
    assert "\x1b" not in screen
    assert max(map(len, screen.splitlines())) <= 80
    assert run(["run", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["schema"] == 1


def test_target_missed_exits_3_and_thin_evidence_4_where_firmness_is_required(tmp_path):
    path = studies.write(tmp_path, arms=studies.LIGHT, success={"target": 1.0})
    assert run(["run", str(path), "--no-progress"]) == 3
    thin = studies.write(tmp_path / "thin", n=20, arms=studies.LIGHT, success={"margin": 0.01})
    assert run(["run", str(thin), "--no-progress", "--require-firm"]) == 4


def test_the_other_commands_end_with_0(tmp_path, capsys):
    path = studies.write(tmp_path, arms=studies.LIGHT)
    for words in (["check"], ["plan"], ["run", "--no-progress"]):
        assert run([words[0], str(path), *words[1:]]) == 0
    folder = next((tmp_path / "results").glob("planted-*"))
    for suffix in ("html", "json", "csv", "xml"):
        out = tmp_path / f"out.{suffix}"
        assert run(["report", str(tmp_path), "-o", str(out)]) == 0
        assert out.stat().st_size > 100
    assert run(["compare", str(folder), str(folder)]) == 0
    told = capsys.readouterr().out
    assert "not shown to differ" in told
    assert "Each line is B − A" in told
    assert run(["compare", str(folder), str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["difference"] == "b - a"
    assert run(["models"]) == 0
    listed = capsys.readouterr().out
    assert {"smollm2-135m", "minilm"} <= set(listed.split())


def test_init_writes_a_task_that_runs(tmp_path, monkeypatch, capsys):
    studies.write(tmp_path)
    (tmp_path / "task.yaml").unlink()
    monkeypatch.chdir(tmp_path)
    assert run(["init", "rows.jsonl", "--answers", "today=logged.jsonl"]) == 0
    text = (tmp_path / "task.yaml").read_text()
    assert "margin" in text
    assert (tmp_path / "task.schema.json").exists()
    assert run(["check"]) == 0
    assert run(["init", "rows.jsonl"]) == 2


@pytest.mark.parametrize(
    ("entry", "why"),
    [("majority=logged.jsonl", "the name of an arm"), ("logged.jsonl", "need a name and a file")],
)
def test_init_refuses_answers_that_check_would(entry, why, tmp_path, monkeypatch, capsys):
    studies.write(tmp_path)
    (tmp_path / "task.yaml").unlink()
    monkeypatch.chdir(tmp_path)
    assert run(["init", "rows.jsonl", "--answers", entry]) == 2
    assert why in capsys.readouterr().err
    assert not (tmp_path / "task.yaml").exists()


@pytest.mark.parametrize(
    ("task", "code", "where"),
    [
        ({"arms": ["present", "tf_idf"]}, 2, "task.yaml:1 arms[1]"),
        ({"answers": {"present": "logged.jsonl"}}, 2, "task.yaml:1 answers.present"),
        ({"answers": {"majority": "logged.jsonl"}, "arms": "auto"}, 2, "answers.majority"),
        ({"present": {"answers": "nowhere.jsonl"}}, 5, "nowhere.jsonl"),
    ],
)
def test_check_refuses_what_plan_and_run_would(task, code, where, tmp_path, capsys):
    path = studies.write(tmp_path, **task)
    for command in ("check", "plan"):
        assert run([command, str(path), "--json"]) == code
        told = json.loads(capsys.readouterr().out)
        assert where in told["where"]


@pytest.mark.parametrize(
    ("model", "variables"),
    [
        ("openai:m@file:///etc/passwd", {}),
        ("openai:m@ftp://host/v1", {}),
        ("openai:m@http://169.254.169.254/v1", {}),
        ("openai:m", {"OPENAI_BASE_URL": "file:///etc"}),
        ("vllm:org/name", {"TUNEWORTHY_VLLM": "http://metadata.google.internal/v1"}),
    ],
)
def test_plan_refuses_the_address_that_run_would(model, variables, tmp_path, monkeypatch, capsys):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    path = studies.write(tmp_path, model=model, arms=["majority", "zero_shot"])
    for command in ("check", "plan"):
        assert run([command, str(path)]) == 2
        assert "address" in capsys.readouterr().err


def test_check_says_what_blocks_and_exits_0_as_run_alone_tells_by_its_code(tmp_path, capsys):
    from tuneworthy.flows.study import check

    path = studies.write(tmp_path, success={"metric": "fields_f1"})
    assert run(["check", str(path)]) == 0
    assert "BLOCKED the metric gives no score to 60 of 60 gold answers" in capsys.readouterr().out
    (tmp_path / "score.py").write_text("def score(case, answer):\n    raise RuntimeError\n")
    own = {"metric": "./score.py:score"}
    path = studies.write(tmp_path, success=own, arms=["majority", "tfidf"])
    assert not [seen for seen in check(path).observations if seen.level == "blocked"]
    assert run(["run", str(path)]) == 4
    told = " ".join(capsys.readouterr().out.split())
    assert "gold answers: ./score.py:score: RuntimeError" in told


@pytest.mark.parametrize(
    ("words", "code", "name"),
    [
        (["run", "no-such.yaml"], 2, "TaskError"),
        (["run", "--no-such-option"], 2, "TaskError"),
        (["nonsense"], 2, "TaskError"),
        (["compare", "a", "b"], 2, "TaskError"),
        (["models", "get", "gpt-9"], 2, "TaskError"),
    ],
)
def test_usage_errors_exit_2_and_are_json_when_asked(words, code, name, capsys):
    assert run([*words]) == code
    assert name in capsys.readouterr().err
    assert run([*words, "--json"]) == code


def test_refused_rows_exit_5_and_a_busy_store_7(tmp_path, capsys):
    path = studies.write(tmp_path)
    (tmp_path / "rows.jsonl").write_text('{"input": "a", "output": "b"\n')
    assert run(["run", str(path), "--json"]) == 5
    told = json.loads(capsys.readouterr().out)
    assert told["error"] == "DataError"
    assert all(told[part] for part in ("what", "where", "fix", "kept"))
    path = studies.write(tmp_path / "b")
    with open_ledger(tmp_path / "b"):
        assert run(["run", str(path)]) == 7


def test_our_bug_exits_1_without_a_trace_back_on_the_terminal(tmp_path, monkeypatch, capsys):
    import tuneworthy.flows.study

    monkeypatch.setattr(tuneworthy.flows.study, "open_session", lambda *a: 1 / 0)
    assert run(["run", str(studies.write(tmp_path))]) == 1
    shown = capsys.readouterr().err
    assert "BUG: ZeroDivisionError" in shown
    assert "Traceback" not in shown


def test_the_file_of_a_bug_holds_no_key(tmp_path, monkeypatch, capsys):
    import tuneworthy.flows.study

    def broken(*words):
        raise ValueError(f"no answer to {KEY}")

    monkeypatch.setattr(tuneworthy.flows.study, "open_session", broken)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert run(["run", str(studies.write(tmp_path / "a"))]) == 1
    (file,) = tmp_path.glob("tuneworthy-bug-*.txt")
    assert "ValueError: no answer to [key removed]" in file.read_text()
    assert not traces(file.read_text() + capsys.readouterr().err)


@pytest.fixture
def read_only(monkeypatch):
    """Return a switch: from then on no file below a folder can be written (as root too)."""

    def switch(folder):
        opened = own_files.open_draft

        def refused(path):
            if path.resolve().is_relative_to(folder):
                raise OSError(errno.EROFS, "Read-only file system", str(path))
            return opened(path)

        monkeypatch.setattr(own_files, "open_draft", refused)

    return switch


def test_a_read_only_folder_is_no_bug(tmp_path, read_only, monkeypatch, capsys):
    path = studies.write(tmp_path, arms=studies.LIGHT)
    assert run(["run", str(path), "--no-progress"]) == 0
    capsys.readouterr()
    monkeypatch.chdir(tmp_path)
    read_only(tmp_path)
    for words in (["init", "rows.jsonl", "-o", "t.yaml"], ["report", "-o", "out.html"]):
        assert run(words) == 7
        told = capsys.readouterr().err
        assert told.startswith("StoreError: the folder or its disk is read-only"), told
        assert words[-1] in told
    assert run(["report"]) == 0
    shown = capsys.readouterr()
    assert "Use:" in shown.out
    assert "report.html could not be written: the folder or its disk is read-only" in shown.err


def test_a_folder_that_is_not_there_is_no_bug(tmp_path, monkeypatch, capsys):
    studies.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert run(["init", "rows.jsonl", "-o", "none/t.yaml"]) == 7
    assert "there is no folder to write into" in capsys.readouterr().err


def test_init_gives_hints_that_can_be_followed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("bad.jsonl").write_text('{"input": "a"}\n{"input": "b"}\n')
    Path("blank.jsonl").write_text("\n\n")
    for file in ("bad.jsonl", "nope.jsonl", "blank.jsonl"):
        assert run(["init", file, "-o", "t.yaml"]) == 5
        told = capsys.readouterr().err
        assert "nothing was written" in told
        assert "`tuneworthy run` continues" not in told
        assert "the path in task.yaml" not in told
        assert "out: --bad-rows" not in told
    assert not Path("t.yaml").exists()
    assert not Path(".tuneworthy").exists()
    studies.write(tmp_path)
    assert run(["init", "rows.jsonl", "-o", "t.yaml"]) == 0
    assert "`tuneworthy check t.yaml` and `tuneworthy run t.yaml`" in capsys.readouterr().err
    assert run(["check", "t.yaml"]) == 0


def test_no_command_is_plain_help_and_a_closed_pipe_no_bug(tmp_path, capfd):
    assert run([]) == 0
    shown = capfd.readouterr()
    assert shown.out.startswith("Usage: tuneworthy")
    assert shown.err == ""
    code = (
        "import os, sys; from tuneworthy.cli._frame import run; r, w = os.pipe();"
        "os.close(r); os.dup2(w, 1); sys.exit(run(['--help']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (141, "")
