"""Two more ways in: five questions that end in a task file, and the demo without a model."""

import io
import sys
from pathlib import Path

import pytest
from tests import recorded
from tests.studies import lines

from tuneworthy.cli._frame import EXAMPLES, SHORT, run
from tuneworthy.records.plugins import catalogue
from tuneworthy.rows.taskfile import read_task

ROOT = Path(__file__).parents[3]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = recorded.rows(60)
    lines(Path("rows.jsonl"), made)
    lines(Path("today.jsonl"), recorded.failing(made, lambda at: 0.3))
    return tmp_path


def typed(monkeypatch, *answers):
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{a}\n" for a in answers)))


def test_five_answers_end_in_a_task_that_runs(here, monkeypatch, capsys):
    typed(monkeypatch, "rows.jsonl", "today.jsonl", "10", "90", "")
    assert run(["tour"]) == 0
    told = capsys.readouterr()
    assert told.out.strip() == "task.yaml"
    assert [f"{n}. " in told.err for n in range(1, 6)] == [True] * 5
    task = read_task(Path("task.yaml"))
    assert (task.success.margin, task.success.target) == (0.1, 0.9)
    assert task.present.answers == "today.jsonl"
    assert task.arms == ("present", "majority", "tfidf")
    assert "# " in Path("task.yaml").read_text("utf-8")  # the comments of `init` are kept
    assert run(["run", "--no-progress"]) in (0, 3)


def test_a_tour_reads_a_table_with_columns_of_its_own(here, monkeypatch, capsys):
    queues = ("Faktury", "Dostawa")
    cells = [f"Z{k};Proszę o pomoc {k};{queues[k % 2]};{queues[k // 3 % 2]}" for k in range(40)]
    table = ["Nr zgłoszenia;Treść;Kategoria;Model A", *cells]
    Path("z.csv").write_text("\n".join(table), "utf-8")
    typed(monkeypatch, "z.csv", "", "", "", "")
    assert run(["tour"]) == 0
    assert "`Model A`, 40 answers" in capsys.readouterr().err
    assert read_task(Path("task.yaml")).arms == ("present", "majority", "tfidf")
    Path("odd.csv").write_text("a;b\n1;2\n3;4\n", "utf-8")
    typed(monkeypatch, "odd.csv", "", "", "", "")
    assert run(["tour", "-o", "other.yaml"]) == 5
    assert not list(Path().glob("other*"))


def test_enter_takes_the_defaults_and_a_wrong_answer_is_asked_again(here, monkeypatch, capsys):
    typed(monkeypatch, "", "nothing.jsonl", "rows.jsonl", "", "many", "", "", "gpt", "openai:x")
    assert run(["tour", "-o", "mine.yaml"]) == 0
    told = capsys.readouterr().err
    for why in (
        "a file is needed",
        "there is no file nothing.jsonl",
        "a number from 1",
        "write none",
    ):
        assert why in told
    task = read_task(Path("mine.yaml"))
    assert (task.success.margin, task.success.target, task.present) == (0.05, None, None)
    assert (task.model, task.arms) == ("openai:x", "auto")


def test_a_tour_that_ends_early_writes_nothing(here, monkeypatch):
    typed(monkeypatch, "rows.jsonl", "")
    assert run(["tour"]) == 130
    assert not Path("task.yaml").exists()
    Path("task.yaml").write_text("data: {file: rows.jsonl}", "utf-8")
    assert run(["tour"]) == 2


def without_a_port(monkeypatch):
    """Let `serve`, `lab` and `mcp` open everything but wait for nobody; return who was started."""
    started = []

    def serve(service, opened, load, tell, limits):
        tell(load())
        opened.close()
        started.append("serve")
        return 0

    def look(lab, opened, tell):
        tell()
        opened.close()
        started.append("lab")
        return 0

    monkeypatch.setattr("tuneworthy.handover.serve.http_server.run_server", serve)
    monkeypatch.setattr("tuneworthy.lab.app.run_lab", look)
    mcp = "tuneworthy.agents.mcp_server.serve"
    monkeypatch.setattr(mcp, lambda root, port: started.append("mcp"))
    return started


def test_the_demo_of_recorded_answers_and_every_example_work_as_they_stand(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    assert run(EXAMPLES["demo"].split()[1:]) == 0
    screen = capsys.readouterr().out
    assert "Don't fine-tune yet.   Use: tfidf (classifier)" in screen
    assert "rules_second leads by" in screen
    assert max(map(len, screen.splitlines())) <= 100  # paths of reports may be longer than 80
    assert "provisional · 40 rows" in screen
    assert not opened  # nothing opens where no terminal looks on
    started = without_a_port(monkeypatch)
    replies = {"settle": ["q"], "tour": ["demo/recorded/support_tickets/test.jsonl", *[""] * 4]}
    for name in list(EXAMPLES)[1:]:  # in order: a later one may use what an earlier one wrote
        typed(monkeypatch, *replies.get(name, ()))
        # No task is measured yet, says `advice`; a classifier is named, so nothing is trained.
        other = {"advice": 4, "train_gate": 2}.get(name, 0)
        assert run(EXAMPLES[name].split()[1:]) in {0, other}, name
    assert sorted(started) == ["lab", "mcp", "serve"]
    assert run(["demo", "--recorded", "--only", "nothing"]) == 2
    assert "clause_type, support_tickets, open_clauses" in capsys.readouterr().err


def test_every_command_has_an_example_in_its_help(capsys):
    assert set(EXAMPLES) == set(SHORT) == set(catalogue("cli"))
    assert all(len(line) <= 64 for line in SHORT.values())
    for name in catalogue("cli"):
        assert run([name.replace("_", "-"), "--help"]) == 0
        assert "Example" in capsys.readouterr().out, name
    for name in ("list", "get", "verify"):
        assert run(["models", name, "--help"]) == 0
        assert "Example: tuneworthy models" in capsys.readouterr().out


def test_the_picture_of_the_terminal_shows_what_the_command_prints(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import terminal_svg

    assert terminal_svg.OUT.read_text("utf-8") == terminal_svg.drawing(terminal_svg.screen())


def test_the_recorded_answers_are_what_their_rules_say(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import record_demo

    shipped = {path.name: path.read_bytes() for path in record_demo.OUT.glob("*.jsonl")}
    monkeypatch.setattr(record_demo, "OUT", tmp_path)
    record_demo.main()
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.jsonl")} == shipped
