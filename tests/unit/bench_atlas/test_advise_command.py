"""`bench.atlas advise`: the table, its JSON, asking a scripted model, refusals."""

import json
from pathlib import Path

import pytest
from bench.atlas.__main__ import main
from bench.atlas.entry import Entry
from bench.atlas.package_file import figures
from tests import advice_kit as kit
from tests import atlas_kit
from tests.studies import write

from tuneworthy.cli._frame import run as run_tuneworthy
from tuneworthy.report.atlas_file import Forecast, row_features


@pytest.fixture
def measured(tmp_path, monkeypatch):
    """Write made-up measured tasks; work in their folder."""
    tasks = [kit.task(f"t{i}", size=600) for i in range(5)]
    tasks += [kit.prompt_task(f"p{i}") for i in range(3)]
    text = "".join(each.model_dump_json() + "\n" for each in tasks)
    (tmp_path / "measured.jsonl").write_text(text, "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUNEWORTHY_SOUP", "/nowhere/soup")
    return tasks


def run(words):
    return main(["advise", *words[1:]])


ADVICE = ["advice", "--tasks", "measured.jsonl"]


def test_the_table_counts_by_hand(measured, capsys):
    assert run(ADVICE) == 0
    screen = capsys.readouterr().out
    assert max(map(len, screen.splitlines())) <= 80
    said = " ".join(screen.split())
    assert "Always fine-tune leads: right on 8 of 8, wrong on 0. Its lead is not shown" in said
    assert "8 measured tasks in 8 groups (types of task, or sets of rows), 8 of them firm" in said
    assert "always fine-tune 8 / 0 / 0 100 (63 to 100)" in said
    assert "never fine-tune (prompt) 3 / 5 / 0 38 (too few)" in said
    assert "assumes, not measured: the list price of gpt-4o-mini" in said
    assert "names the verdict's own tool 5 times; 3 trainings not needed (3 min, $7.50)" in said
    assert "soup-cli is not installed" in said
    assert not Path(".tuneworthy").exists()


def test_json_holds_the_same_counts(measured, capsys):
    assert run([*ADVICE, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    by_name = {each["name"]: each for each in told["advisers"]}
    assert (told["tasks"], told["firm"]) == (8, 8)
    assert by_name["five_hundred"]["right"] == 8
    assert by_name["never_tune"]["lost"]["mean"] == pytest.approx((5 * 0.2 + 3 * 0.02) / 8)
    assert by_name["always_tune"]["usd"] == 7.5
    assert told["headline"].startswith("Always fine-tune leads: right on 8 of 8")


def test_a_scripted_model_is_asked_once_and_scored(measured, capsys):
    reply = json.dumps({"because": "rows", "tune": 0.8, "prompt": 0.2})
    Path("replies.jsonl").write_text(json.dumps({"when": "Instruction", "say": reply}), "utf-8")
    asking = [*ADVICE, "--ask", "scripted:replies.jsonl"]
    assert run(asking) == 0
    both = capsys.readouterr()
    assert "8 asked now" in both.err
    assert "scripted:replies.jsonl" in both.out
    assert run(asking) == 0
    assert "0 asked now" in capsys.readouterr().err
    assert run([*ADVICE, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["advisers"][-1]
    assert (told["name"], told["right"]) == ("scripted:replies.jsonl", 8)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([*ADVICE, "--with-skill"], 2, "belongs to --ask"),
        ([*ADVICE, "--ask", "magic"], 2, "no model has this name"),
        ([*ADVICE, "--ask", "openai:gpt-4o-mini"], 2, "no cap"),
        (["advice", "--tasks", "none.jsonl"], 5, "can't be read"),
        (["advice", "--tasks", "bad.jsonl"], 5, "no measured task"),
        (["advice", "--tasks", "twice.jsonl"], 5, "one key"),
        ([*ADVICE, "--answers", "bad.jsonl"], 5, "no recorded advice"),
    ],
)
def test_refusals(measured, capsys, words, code, message):
    Path("bad.jsonl").write_text('{"key": "x"}\n', "utf-8")
    Path("twice.jsonl").write_text(Path("measured.jsonl").read_text("utf-8") * 2, "utf-8")
    assert run(words) == code
    assert message in capsys.readouterr().err
    assert not Path("advice.jsonl").exists()


def tasks_of_a_rule(**more):
    """Return made-up tasks: few rows, a prompt wins; many rows, fine-tuning."""
    for at in range(72):
        facts = row_features(["a", "b"], 50 if at % 2 else 5000, "label")
        use = "prompt" if at % 2 else "tune"
        yield kit.task(f"{at}", kind=f"type {at // 3}", features=facts, use=use, **more)


def test_check_prints_a_prior_only_where_one_is_shown(tmp_path, monkeypatch, capsys):
    path = write(tmp_path / "study", 60)
    assert run_tuneworthy(["check", str(path)]) == 0
    plain = capsys.readouterr().out
    assert "rior" not in plain
    tasks = list(tasks_of_a_rule())
    monkeypatch.setattr(atlas_kit.Atlas, "entry", lambda self, key: Entry(card=tasks[0]))
    assert figures(atlas_kit.atlas_of(*tasks[:12])).forecast is None
    atlas_kit.ship(monkeypatch, tmp_path, atlas_kit.atlas_of(*tasks))
    assert run_tuneworthy(["check", str(path)]) == 0
    screen = capsys.readouterr().out
    assert screen.startswith(plain)
    assert "Prior, not a measurement of your rows: on 72 measured tasks of 24 types" in screen
    assert "prompt 9" in screen
    assert run_tuneworthy(["check", str(path), "--json"]) == 0
    assert "rior, not" not in capsys.readouterr().out


def test_the_prior_reads_as_many_answers_as_a_measured_task_has(tmp_path, monkeypatch):
    """The entropy of the same labels, as a share of the most, falls with their number."""
    tasks = list(tasks_of_a_rule(n=60))
    monkeypatch.setattr(atlas_kit.Atlas, "entry", lambda self, key: Entry(card=tasks[0]))
    atlas_kit.ship(monkeypatch, tmp_path, atlas_kit.atlas_of(*tasks))
    seen, whole = [], Forecast.line
    monkeypatch.setattr(Forecast, "line", lambda self, f: seen.append(f) or whole(self, f))
    for rows in (60, 600):
        path = write(tmp_path / f"{rows}", rows)
        assert run_tuneworthy(["check", str(path)]) == 0
    few, many = seen
    assert many["label_entropy"] == pytest.approx(few["label_entropy"], abs=0.02)
    assert many["rows"] < 600  # those that an arm learns from
