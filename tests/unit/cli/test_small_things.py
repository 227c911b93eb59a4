"""What newcomers stumbled over: units, headers, equal faults, rows that only teach, places."""

import json
import subprocess
from pathlib import Path

import pytest
from tests import studies

from tuneworthy.cli import doctor
from tuneworthy.cli._frame import run
from tuneworthy.records.errors import DataError
from tuneworthy.records.task import Data, Task
from tuneworthy.rows.load import load

ROOT = Path(__file__).parents[3]


def test_measured_speeds_are_rounded():
    shown = doctor._value_text("gflops", {"float32": 173.3796180581872, "bfloat16": 9.1234})
    assert shown == "float32 173, bfloat16 9.12"
    assert doctor._value_text("free_memory", 3 * 2**30) == "3.0 GiB"


def test_doctor_and_models_have_a_header_with_units(capsys):
    assert run(["models"]) == 0
    head, first, *_ = capsys.readouterr().out.splitlines()
    assert head.split() == ["name", "parameters", "download", "on", "disk", "licence", "state",
                            "what", "it", "is"]  # fmt: skip
    assert "M" in first
    assert "MB" in first
    assert head.index("licence") == first.index("Apache") or "Apache" not in first


def test_equal_faults_are_one_message_with_the_mapping_that_cures_them(tmp_path):
    rows = [{"input": f"question {k}", "label": "yes"} for k in range(300)]
    rows += [{"input": "", "output": "no"}, {"output": "no"}]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(DataError) as caught:
        load(Task(data=Data(file="rows.jsonl")).at(tmp_path))
    lines = caught.value.where.splitlines()
    assert lines[0].endswith("and 297 more")
    assert len(lines) <= 3
    assert "tuneworthy init FILE --output label" in caught.value.fix


def test_rows_that_only_teach_are_said_and_no_row_is_called_scored(tmp_path, capsys):
    path = studies.write(tmp_path, arms=studies.LIGHT, present=None)
    assert run(["check", str(path)]) == 0
    assert "5 folds, every row scored once" in " ".join(capsys.readouterr().out.split())
    made = [{**row, "time": f"2026-01-{k % 28 + 1:02d}T{k // 28:02d}:00"}
            for k, row in enumerate(studies.rows(60))]  # fmt: skip
    studies.lines(tmp_path / "rows.jsonl", made)
    assert run(["check", str(path)]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "every row scored once" not in told
    assert "every row has a `time`: the earliest 10 only teach" in told


def test_recorded_answers_may_name_a_row_by_its_place(tmp_path):
    made = [{"input": row["input"], "output": row["output"]} for row in studies.rows(60)]
    path = studies.write(tmp_path, arms=studies.LIGHT)
    studies.lines(tmp_path / "rows.jsonl", made)
    answers = [{"id": f"rows.jsonl:{k + 1}", "answer": row["output"] if k else "x"}
               for k, row in enumerate(made)]  # fmt: skip
    studies.lines(tmp_path / "logged.jsonl", answers)
    assert run(["check", str(path)]) == 0
    studies.lines(tmp_path / "rows.jsonl", [*made, {**made[0], "output": "other"}])
    assert run(["check", str(path)]) == 0


def test_the_audit_names_rows_without_an_id_by_their_place(tmp_path, capsys):
    made = [{"input": row["input"], "output": row["output"]} for row in studies.rows(60)]
    path = studies.write(tmp_path, arms=studies.LIGHT, present=None)
    studies.lines(tmp_path / "rows.jsonl", [*made, {**made[0], "output": "warranty"}])
    assert run(["check", str(path)]) == 0
    assert "[rows.jsonl:1, rows.jsonl:61]" in capsys.readouterr().out.replace("\n          ", " ")


def test_the_test_run_waits_for_the_lock_of_the_packages(tmp_path):
    """`./run` hands apt-get the time to wait; a stand-in for apt-get writes what it was given."""
    text = (ROOT / "run").read_text()
    part = text[text.index("fetch_browser() {") : text.index("tests() {")]
    for name, body in (("apt-get", f'echo "$@" >> {tmp_path}/given'), ("id", "echo 0")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    shell = "/bin/sh"
    script = f"set -eu\nsay() {{ :; }}\n{part}\nfetch_browser\n"
    subprocess.run([shell, "-c", script], check=True, env={"PATH": str(tmp_path)}, cwd=tmp_path)
    given = (tmp_path / "given").read_text().splitlines()
    assert len(given) == 2
    assert all(line.startswith("-o DPkg::Lock::Timeout=300 ") for line in given)


def test_an_error_names_the_task_file_that_was_given(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    path = studies.write(tmp_path, model="openai:gpt-4o-mini", present=None)
    path = path.rename(tmp_path / "hosted.yaml")
    assert run(["run", str(path)]) == 2
    told = capsys.readouterr().err
    assert "hosted.yaml budget.usd" in told
    assert "task.yaml" not in told
