"""Exports that eight evaluation tools wrote of a toy task: read by `compare` and `init` as is."""

import json
import shutil
from pathlib import Path

import pytest
from tests.studies import lines

from tuneworthy.cli._frame import run

SAMPLES = Path(__file__).parents[2] / "samples" / "exports"
PAIRS = {
    "braintrust": ("braintrust_today.jsonl", "braintrust_tuned.jsonl"),
    "deepeval": ("deepeval_today.json", "deepeval_tuned.json"),
    "langsmith": ("langsmith_today.jsonl", "langsmith_tuned.csv"),
    "mlflow": ("mlflow_eval_today.jsonl", "mlflow_eval_tuned.csv"),
    "mlflow traces": ("mlflow_traces_today.jsonl", "mlflow_eval_tuned.csv"),
    "opik": ("opik_experiment_today.json", "opik_experiment_tuned.json"),
    "phoenix spans": ("phoenix_spans.jsonl", "phoenix_experiment_tuned.csv"),
    "phoenix": ("phoenix_experiment_today.json", "phoenix_experiment_tuned.csv"),
    "pydantic-evals": ("pydantic_evals_today.json", "pydantic_evals_tuned.json"),
    "weave": ("weave_today.jsonl", "weave_tuned.jsonl"),
}
GOLD = [("red lamps", "Shelf 4"), ("blue rugs", "Hall B"), ("tents", "Shelf 9"),
        ("garden chairs", "Yard"), ("mirrors", "Hall A"), ("screws", "Shelf 2")]  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for path in SAMPLES.iterdir():
        shutil.copy(path, tmp_path)
    rows = [{"question": f"Where are the {thing}?", "place": place} for thing, place in GOLD]
    lines(tmp_path / "gold.jsonl", rows)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def means(capsys, *words):
    """Return the number of rows and both mean scores of a comparison."""
    assert run(["compare", *words, "--metric", "exact", "--json"]) == 0, capsys.readouterr().err
    found = json.loads(capsys.readouterr().out)
    return found["n"], found["a"]["score"]["mean"], found["b"]["score"]["mean"]


def right_shares():
    """Three of six answers of today's system are right, and five of the tuned one's."""
    return 6, pytest.approx(0.5), pytest.approx(5 / 6)


@pytest.mark.parametrize("pair", PAIRS)
def test_two_exports_are_compared_without_naming_a_column(folder, capsys, pair):
    """The right answers stand in a file of rows, or in one of the exports."""
    for gold in (["--gold", "gold.jsonl"], ["--gold", PAIRS[pair][1]], []):
        assert means(capsys, *PAIRS[pair], *gold) == right_shares()


def test_the_screen_says_which_file_holds_the_right_answers(folder, capsys):
    assert run(["compare", "langsmith_today.jsonl", "opik_experiment_tuned.json"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "right answers are read from langsmith_today.jsonl: LangSmith experiment results" in told
    assert "answers of B are read from opik_experiment_tuned.json: an Opik experiment" in told
    assert run(["compare", "opik_trace.json", "langsmith_runs_today.jsonl"]) == 2
    assert "can't be compared without the right answers" in capsys.readouterr().err


def test_exports_of_two_tools_are_matched_by_their_inputs(folder, capsys):
    words = [
        "opik_experiment_today.json",
        "weave_tuned.jsonl",
        "--gold",
        "pydantic_evals_cases.yaml",
    ]
    assert means(capsys, *words) == right_shares()
    assert means(capsys, "phoenix_spans.json", "mlflow_eval_tuned.csv") == right_shares()
    words = ["langsmith_runs_today.jsonl", "braintrust_tuned.jsonl", "--gold"]
    for gold in ("langsmith_examples.jsonl", "phoenix_dataset.jsonl", "phoenix_dataset.csv",
                 "deepeval_goldens.json"):  # fmt: skip
        assert means(capsys, *words, gold) == right_shares()


@pytest.mark.parametrize("pair", PAIRS)
def test_two_exports_become_a_task_with_two_systems(folder, capsys, pair):
    assert run(["init", *PAIRS[pair]]) == 0, capsys.readouterr().err
    rows = [json.loads(line) for line in Path("task.rows.jsonl").read_text().splitlines()]
    asked = [row.get("input") or row["messages"][-1]["content"] for row in rows]
    assert {(text, row["output"]) for text, row in zip(asked, rows, strict=True)} == {
        (f"Where are the {thing}?", place) for thing, place in GOLD
    }
    logs = [path for path in folder.glob("task.*.jsonl") if path.name != "task.rows.jsonl"]
    assert [len(path.read_text().splitlines()) for path in logs] == [6, 6]


def test_a_named_column_is_read_instead_of_the_format(folder, capsys):
    words = ["deepeval_today.json", "deepeval_tuned.json", "--gold", "gold.jsonl"]
    for column in ("A.actualOutput", "A.actualOutput,B.actualOutput", "actualOutput"):
        assert means(capsys, *words, "--answer-column", column) == right_shares()
    assert means(capsys, *words, "--answer-column", "A.EXPECTEDOUTPUT")[1] == 1
    assert run(["compare", *words[:-1], "deepeval_tuned.json", "--gold-column", "input"]) == 5
    assert "is the file of right answers" in capsys.readouterr().err


def test_epochs_of_inspect_hold_one_right_answer_a_row(folder, capsys):
    shutil.copy(SAMPLES.parent / "inspect_where.eval", folder)
    pytest.importorskip("pyarrow")
    assert run(["compare", *["inspect_where.eval"] * 2, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["n"] == 3
    assert not any("each of their answers is right" in note for note in found["notes"])


def test_an_export_with_several_systems_asks_for_one(folder, capsys):
    both = [*json.loads(Path("opik_experiment_today.json").read_text())["items"]]
    rows = [json.loads(line) for name in ("weave_today.jsonl", "weave_tuned.jsonl")
            for line in Path(name).read_text().splitlines()]  # fmt: skip
    lines(Path("both.jsonl"), rows)
    assert len(both) == 6
    words = ["both.jsonl", "weave_tuned.jsonl", "--gold", "gold.jsonl"]
    assert run(["compare", *words]) == 5
    told = " ".join(capsys.readouterr().err.split())
    assert "the file holds the answers of several systems" in told
    assert "name one: --answer-column A.today" in told
    assert means(capsys, *words, "--answer-column", "A.today") == right_shares()
    words = ["both.jsonl", "both.jsonl", "--gold", "gold.jsonl"]
    assert means(capsys, *words, "--answer-column", "A.today,B.tuned") == right_shares()


def test_traces_in_a_file_each_are_of_one_system(folder, capsys):
    whole = json.loads(Path("opik_trace.json").read_text())
    names = [f"trace_{at}.json" for at in range(len(GOLD))]
    for name, (thing, place) in zip(names, GOLD, strict=True):
        trace = {**whole["trace"], "input": {"question": f"Where are the {thing}?"},
                 "output": {"output": place}}  # fmt: skip
        Path(name).write_text(json.dumps({**whole, "trace": trace}, indent=2))
    assert run(["init", *names, "gold.jsonl"]) == 0, capsys.readouterr().err
    said = Path("task.evaluation_task.jsonl").read_text().splitlines()
    assert [json.loads(line)["answer"] for line in said] == [place for _, place in GOLD]


def test_a_file_of_right_answers_that_differ_from_those_of_an_export_is_told(folder, capsys):
    rows = [{"question": f"Where are the {thing}?", "answer": "Cellar" if at == 2 else place}
            for at, (thing, place) in enumerate(GOLD)]  # fmt: skip
    lines(Path("gold.jsonl"), rows)
    assert run(["init", "opik_experiment_today.json", "gold.jsonl"]) == 0
    told = " ".join(capsys.readouterr().err.split())
    assert "left out 1 record: another right answer than that of an earlier record" in told
    assert "(first gold.jsonl:3)" in told


def test_exports_are_logs_for_init_too(folder, capsys):
    words = ["init", "gold.jsonl", "--input", "question", "--output", "place"]
    logs = ["--answers", "A=langsmith_today.jsonl", "--answers", "B=opik_experiment_tuned.json"]
    assert run([*words, *logs]) == 0
    capsys.readouterr()
    words = ["compare", "task.A.jsonl", "task.B.jsonl", "--gold", "task.rows.jsonl"]
    assert means(capsys, *words[1:]) == right_shares()
    lines(Path("both.jsonl"), [json.loads(line) for name in ("weave_today.jsonl",
          "weave_tuned.jsonl") for line in Path(name).read_text().splitlines()])  # fmt: skip
    words = ["init", "gold.jsonl", "--input", "question", "--output", "place", "--force"]
    assert run([*words, "--answers", "A=both.jsonl"]) == 5
    assert "name one: --answers NAME=both.jsonl:today" in capsys.readouterr().err
    assert run([*words, "--answers", "A=both.jsonl:tuned"]) == 0


def test_an_answer_that_did_not_come_counts_as_wrong(folder, capsys):
    rows = [json.loads(line) for line in Path("langsmith_today.jsonl").read_text().splitlines()]
    rows[0] |= {"outputs.output": None, "error": "TimeoutError()"}
    lines(Path("langsmith_today.jsonl"), rows)
    table = Path("langsmith_tuned.csv").read_text().splitlines()
    table[1] = table[1].replace("Shelf 4,,", ",TimeoutError(),", 1)
    Path("langsmith_tuned.csv").write_text("\n".join(table) + "\n")
    expected = (6, pytest.approx(2 / 6), pytest.approx(4 / 6))
    assert means(capsys, "langsmith_today.jsonl", "langsmith_tuned.csv") == expected
    runs = [json.loads(one) for one in Path("langsmith_runs_today.jsonl").read_text().splitlines()]
    runs[0] |= {"outputs": {"output": None}, "error": "TimeoutError()"}
    lines(Path("runs.jsonl"), runs)
    assert means(capsys, "runs.jsonl", "langsmith_tuned.csv") == expected


def test_a_case_that_failed_in_each_repetition_counts_as_wrong(folder, capsys):
    words = ["pydantic_evals_failures.json", "pydantic_evals_tuned.json"]
    assert means(capsys, *words) == right_shares()
    assert means(capsys, *words, "--gold", "pydantic_evals_cases.yaml") == right_shares()
    assert run(["init", words[0]]) == 0
    rows = Path("task.rows.jsonl").read_text().splitlines()
    said = [json.loads(line) for line in
            Path("task.pydantic_evals_failures.jsonl").read_text().splitlines()]  # fmt: skip
    assert (len(rows), len(said)) == (6, 12)
    assert sum(one["answer"] is None for one in said) == 2


def test_an_experiment_that_was_repeated_answers_each_row_again(folder, capsys):
    rows = [json.loads(line) for line in Path("langsmith_today.jsonl").read_text().splitlines()]
    lines(Path("thrice.jsonl"), rows * 3)
    words = ["thrice.jsonl", "langsmith_tuned.csv"]
    assert means(capsys, *words, "--gold", "gold.jsonl") == right_shares()
    assert means(capsys, *words) == right_shares()
    assert run(["init", "thrice.jsonl"]) == 0
    made = [json.loads(line) for line in Path("task.rows.jsonl").read_text().splitlines()]
    assert len(made) == 6
    said = [json.loads(line) for line in Path("task.thrice.jsonl").read_text().splitlines()]
    assert [one.get("repeat") for one in said] == [None] * 6 + [2] * 6 + [3] * 6


def test_a_call_of_weave_whose_example_is_a_reference_says_how_to_export_it(folder, capsys):
    rows = [json.loads(line) for line in Path("weave_today.jsonl").read_text().splitlines()]
    for row in rows:
        row["inputs"]["example"] = "weave:///us/where/object/Dataset:1/attr/rows/id/2"
    lines(Path("raw.jsonl"), rows)
    assert run(["init", "raw.jsonl"]) == 5
    assert 'expand_columns=["inputs.example"]' in " ".join(capsys.readouterr().err.split())
