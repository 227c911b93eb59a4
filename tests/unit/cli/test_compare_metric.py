"""Two logs of free text: the metric is the one that init proposes for the same files."""

import json
from pathlib import Path

import pytest
from tests.studies import lines

from tuneworthy.cli._frame import run

COMPARE = ["compare", "a.jsonl", "b.jsonl", "--gold", "rows.jsonl"]
INIT = ["init", "rows.jsonl", "--answers", "A=a.jsonl", "--answers", "B=b.jsonl"]


@pytest.fixture
def logs(tmp_path, monkeypatch):
    """Write 60 questions with two right answers; A is right in 36, B in 42, else half right."""
    rows = [
        {"id": f"q{at}", "input": f"How long are backups {at} kept, and where?",
         "output": f"{at + 3} days", "accepted": [f"{at + 3}d"]}
        for at in range(60)
    ]  # fmt: skip
    monkeypatch.chdir(tmp_path)
    lines(Path("rows.jsonl"), rows)
    for name, right in {"a": 36, "b": 42}.items():
        own = [f"{at + 3} days" if at < right else "many days" for at in range(60)]
        lines(Path(f"{name}.jsonl"), [{"id": f"q{at}", "answer": own[at]} for at in range(60)])
    return rows


def compared(capsys, *more):
    """Return the comparison as JSON."""
    assert run([*COMPARE, *more, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def drafted(capsys):
    """Return the metric that init proposes."""
    assert run(INIT) == 0
    capsys.readouterr()
    text = Path("task.yaml").read_text("utf-8")
    return text.partition("  metric: ")[2].split()[0]


def test_half_right_answers_count_as_wrong_as_init_proposes(logs, capsys):
    found = compared(capsys)
    assert found["metric"] == drafted(capsys) == "exact_words"
    assert found["mean"] == pytest.approx(6 / 60)
    assert "78 of 120 recorded answers equal a right one" in " ".join(found["notes"])
    assert compared(capsys, "--metric", "token_f1")["mean"] < found["mean"]


def test_whole_sentences_are_searched_for_the_right_answer_as_init_proposes(logs, capsys):
    for name, right in {"a": 36, "b": 42}.items():
        own = [f"They are kept for {at + 3 + 90 * (at >= right)} days." for at in range(60)]
        lines(Path(f"{name}.jsonl"), [{"id": f"q{at}", "answer": own[at]} for at in range(60)])
    found = compared(capsys)
    assert found["metric"] == drafted(capsys) == "contains"
    assert found["mean"] == pytest.approx(6 / 60)


def test_right_answers_inside_longer_texts_are_counted_for_the_side_that_gives_them(logs, capsys):
    longer = [f"They are kept for {at + 3 + 90 * (at >= 42)} days." for at in range(60)]
    lines(Path("b.jsonl"), [{"id": f"q{at}", "answer": longer[at]} for at in range(60)])
    told = "42 of B's 60 answers hold a right one inside a longer text: `--metric contains` counts"
    for metric in ("exact", "exact_words", "token_f1"):
        notes = " ".join(compared(capsys, "--metric", metric)["notes"])
        assert told in notes
        assert "of A's" not in notes
    assert "inside a longer text" not in " ".join(compared(capsys)["notes"])


@pytest.mark.parametrize(("longer", "told"), [(6, False), (7, True)])
def test_a_note_needs_more_than_a_tenth_of_longer_texts(logs, capsys, longer, told):
    own = [f"{at + 3} days{' or so' if at < longer else ''}" for at in range(60)]
    lines(Path("b.jsonl"), [{"id": f"q{at}", "answer": own[at]} for at in range(60)])
    notes = " ".join(compared(capsys, "--metric", "exact")["notes"])
    assert (f"{longer} of B's 60 answers hold" in notes) is told


BROKEN = """
def raises(case, answer):
    raise ValueError("boom")

def takes_one(answer):
    return 1

def seven(case, answer):
    return 7

def not_many(case, answer):
    return None if answer == "many days" else float(answer == case["output"])

def one_lost(case, answer):
    return None if answer == "5 days" else float(answer == case["output"])
"""


@pytest.mark.parametrize("metric", ["raises", "takes_one", "seven", "not_many"])
def test_a_metric_that_scores_nothing_compares_nothing(logs, capsys, metric):
    Path("score.py").write_text(BROKEN, "utf-8")
    assert run([*COMPARE, "--metric", f"./score.py:{metric}"]) == 2
    both = capsys.readouterr()
    assert not both.out
    assert "the metric gives no score to" in both.err
    assert f"./score.py:{metric}" in both.err


def test_a_row_without_a_score_is_left_out_and_counted(logs, capsys):
    Path("score.py").write_text(BROKEN, "utf-8")
    found = compared(capsys, "--metric", "./score.py:one_lost")
    assert found["n"] == 59
    assert found["left_out"] == {"row with an answer that the metric gave no score": 1}


@pytest.mark.parametrize("own", [False, True])
def test_rows_that_each_name_a_group_are_not_joined_as_near_copies(logs, capsys, own):
    rows = [
        {"id": f"q{at}", "input": f"Is the city number {at} on this map of Europe to the north of"
         " the river that runs through it, or does it lie to the south of it?",
         "output": "north" if at % 2 else "south", **({"group": f"g{at}"} if own else {})}
        for at in range(60)
    ]  # fmt: skip
    lines(Path("rows.jsonl"), rows)
    for name, right in {"a": 36, "b": 42}.items():
        said = [{"id": row["id"], "answer": row["output"] if at < right else "?"}
                for at, row in enumerate(rows)]  # fmt: skip
        lines(Path(f"{name}.jsonl"), said)
    found = compared(capsys, "--metric", "accuracy")
    assert (found["grouped"] is None) == own
