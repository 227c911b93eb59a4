"""No command writes over a file that is not of its own kind, nor over one that it reads."""

import json
import os

import pytest
from test_init_files import tickets
from tests import studies

from tuneworthy.cli._frame import run
from tuneworthy.handover.serve.answer_log import AnswerLog
from tuneworthy.records.answer import Answer
from tuneworthy.records.errors import TaskError

OTHER = "an,own,table\n1,2,3\n"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    assert run(["run", str(studies.write(folder))]) == 0
    return folder


@pytest.mark.parametrize("suffix", [".html", ".json", ".csv", ".xml"])
def test_a_report_replaces_a_report_and_nothing_else(study, suffix, tmp_path, capsys):
    own = tmp_path / f"rows{suffix}"
    own.write_text(OTHER)
    assert run(["report", str(study), "-o", str(own)]) == 2
    assert own.read_text() == OTHER
    assert "stands there" in capsys.readouterr().err
    own.unlink()
    for _ in range(2):
        assert run(["report", str(study), "-o", str(own)]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [own.name]


def test_init_replaces_a_task_file_and_nothing_else(tmp_path, capsys):
    mine = tmp_path / tickets(tmp_path, "mine.csv")
    before = mine.read_bytes()
    assert run(["init", "mine.csv", "-o", "mine.csv", "--force"]) == 2
    assert run(["init", "mine.csv", "-o", "."]) == 2
    (tmp_path / "other.yaml").write_text("jobs:\n  data: 1\n")
    assert run(["init", "mine.csv", "-o", "other.yaml", "--force"]) == 2
    assert mine.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.csv", "other.yaml"]
    for more in ([], ["--force"]):
        assert run(["init", "mine.csv", *more]) == 0


@pytest.mark.parametrize("name", ["task.rows.jsonl", "task.present.jsonl", "task.schema.json"])
@pytest.mark.parametrize("more", [[], ["--force"]])
def test_what_init_writes_beside_the_task_file_is_not_written_over(name, more, tmp_path):
    tickets(tmp_path)
    (tmp_path / name).write_text(OTHER)
    assert run(["init", "tickets.csv", *more]) == 2
    assert (tmp_path / name).read_text() == OTHER
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "tickets.csv"])


@pytest.mark.parametrize("more", [[], ["--force"]])
def test_init_never_writes_over_what_it_reads(more, tmp_path):
    tickets(tmp_path)
    log = tmp_path / "task.today.jsonl"
    log.write_text("".join(json.dumps({"ticket": str(500 + k), "answer": "billing", "message": f"my"
                                       f" order {k} is late", "cost_usd": 1}) + "\n"
                           for k in range(60)))  # fmt: skip
    before = log.read_bytes()
    run(["init", "tickets.csv", "--answers", "today=task.today.jsonl:answer", *more])
    assert log.read_bytes() == before


def test_the_demo_leaves_files_of_others_alone(tmp_path):
    folder = tmp_path / "recorded" / "clause_type"
    folder.mkdir(parents=True)
    (folder / "train.jsonl").write_text(OTHER)
    assert run(["demo", "--recorded", "--only", "clause_type", "--folder", "."]) == 2
    assert [path.name for path in folder.iterdir()] == ["train.jsonl"]
    assert (folder / "train.jsonl").read_text() == OTHER


@pytest.mark.parametrize("name", ["r.jsonl", "r.jsonl.2"])
def test_the_log_of_serve_is_appended_to_a_log_alone(name, tmp_path):
    (tmp_path / name).write_text('{"input": "a", "output": "b"}\n')
    with pytest.raises(TaskError, match="another file stands there"):
        AnswerLog(tmp_path / "r.jsonl", 1.0, 1024)
    assert (tmp_path / name).read_text() == '{"input": "a", "output": "b"}\n'


def test_a_pipe_that_nobody_reads_holds_up_neither_the_start_nor_a_request(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="pipe"):
        AnswerLog(tmp_path / "pipe", 1.0, 1024)
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    log, answer = AnswerLog(tmp_path / "pipe", 1.0, 1 << 20), Answer(case="", text="a" * 3_000)
    for _ in range(40):  # more than a pipe holds
        log.add("m", "i", answer, 0.1, True)
    assert 0 < log.lost < 40
    os.read(reader, 1 << 20)
    log.add("m", "i", answer, 0.1, True)
    last = os.read(reader, 1 << 20).decode()
    assert json.loads(last.strip())["answer"] == "a" * 3_000
    os.close(reader)
    before = log.lost
    log.add("m", "i", answer, 0.1, True)
    assert log.lost == before + 1
