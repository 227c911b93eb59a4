"""`run --again`: the new verdict, paired with the one before on the cases of both."""

import json

import pytest
from tests import studies

from tuneworthy.cli._frame import run
from tuneworthy.flows.study import run as run_study
from tuneworthy.flows.study import run_again
from tuneworthy.records.errors import StoreError, TaskError
from tuneworthy.report.results_folder import find_results, read_results

ARMS = ["present", "majority", "zero_shot"]


@pytest.fixture
def path(tmp_path):
    made = studies.write(tmp_path, n=60, arms=ARMS)
    run_study(made)
    return made


def other_replies(folder):
    """A new model under another name: it answers every row alike."""
    studies.lines(folder / "new.jsonl", [{"when": "", "say": "warranty"}])
    return "scripted:./new.jsonl"


def test_a_new_model_is_paired_with_the_old_one(path, tmp_path):
    before = (tmp_path / "results" / "latest").read_text().strip()
    studies.write(tmp_path, n=60, arms=ARMS, model=other_replies(tmp_path))
    study, repeated = run_again(path)
    assert (tmp_path / "results" / "latest").read_text().strip() != before
    old = read_results(tmp_path / "results" / before)
    assert repeated.before == old.verdict
    assert repeated.now == study.verdict
    pairs = {pair.arm: pair for pair in repeated.pairs}
    assert pairs["zero_shot"].n == 60
    assert pairs["zero_shot"].high < 0  # it got worse, and what was recorded did not change
    assert (pairs["present"].mean, pairs["present"].differ) == (0.0, 0)
    assert repeated.because == ""
    assert study.verdict.looks == 2
    same, again = run_again(path)
    assert (same.verdict, again) == (study.verdict, repeated)  # the same pair, nothing measured


def test_more_rows_are_paired_where_they_are_the_same(path, tmp_path):
    studies.write(tmp_path, n=90, arms=ARMS)
    (tmp_path / "rows.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in [*studies.rows(60), *studies.rows(90)[60:]])
    )
    study, repeated = run_again(path)
    assert len(study.results.cases) == 90
    assert {pair.n for pair in repeated.pairs} == {60}


def test_rows_that_are_all_new_are_a_verdict_without_pairs(path, tmp_path):
    studies.write(tmp_path, n=60, arms=ARMS)
    fresh = [{**row, "id": f"n{at}", "input": f"{row['input']} again {at}"}
             for at, row in enumerate(studies.rows(60, 3))]  # fmt: skip
    studies.lines(tmp_path / "rows.jsonl", fresh)
    studies.lines(
        tmp_path / "logged.jsonl", [{"id": r["id"], "answer": r["output"]} for r in fresh]
    )
    _, repeated = run_again(path)
    assert repeated.pairs == ()
    assert repeated.because == "no case was answered in both studies"


def test_results_that_the_ledger_does_not_hold_are_not_repeated(path, tmp_path):
    kept = find_results(tmp_path) / "results.json"
    told = kept.read_text()
    kept.write_text(told.replace('"warranty"', '"refund"'))
    assert kept.read_text() != told
    studies.write(tmp_path, n=60, arms=ARMS, model=other_replies(tmp_path))
    with pytest.raises(StoreError, match="not those that the ledger holds"):
        run_again(path)


def test_nothing_to_repeat_is_a_usage_error(path, tmp_path):
    with pytest.raises(TaskError, match="nothing changed") as told:
        run_again(path)
    assert told.value.exit_code == 2
    with pytest.raises(TaskError, match="no finished study"):
        run_again(studies.write(tmp_path / "new", n=60, arms=ARMS))


def test_another_metric_is_refused_before_anything_runs(path, tmp_path):
    studies.write(tmp_path, n=60, arms=ARMS, success={"metric": "exact"})
    with pytest.raises(TaskError, match="same metric"):
        run_again(path)
    assert len(list((tmp_path / "results").glob("planted-*"))) == 1


def test_the_command_shows_the_difference_and_exits_as_run(path, tmp_path, capsys):
    target = {"target": 0.99}
    studies.write(tmp_path, n=60, arms=ARMS, model=other_replies(tmp_path), success=target)
    capsys.readouterr()
    assert run(["run", str(path), "--again", "--no-progress"]) == 3
    screen = capsys.readouterr().out
    assert "again: the same arm is named: present" in screen
    assert "now − before" in screen
    assert max(map(len, screen.splitlines())) <= 80
    assert run(["run", str(path), "--again", "--json"]) == 3
    told = json.loads(capsys.readouterr().out)
    assert told["verdict"]["schema"] == told["before"]["schema"] == 1
    assert told["arm_changed"] is False
    assert {pair["arm"] for pair in told["pairs"]} == {"present", "majority", "zero_shot"}


def own_metric(folder, right=1.0):
    """Write the user's own metric: an exact answer scores `right`."""
    (folder / "score.py").write_text(
        f"def score(case, answer):\n    return {right} * (answer.strip() == case['output'])\n"
    )
    return {"metric": "./score.py:score"}


def test_a_changed_file_of_the_own_metric_is_refused_before_anything_runs(tmp_path, capsys):
    path = studies.write(tmp_path, n=60, arms=ARMS, success=own_metric(tmp_path))
    first = run_study(path)
    own_metric(tmp_path, 0.5)  # the same name in task.yaml, another measure
    with pytest.raises(TaskError, match="its file was changed") as told:
        run_again(path)
    assert told.value.exit_code == 2
    assert len(list((tmp_path / "results").glob("planted-*"))) == 1
    second = run_study(path)  # measured again alone, it is another study
    capsys.readouterr()
    assert run(["compare", str(first.folder), str(second.folder)]) == 2
    assert "its file was changed" in capsys.readouterr().err


def test_an_own_metric_that_did_not_change_is_compared_and_said_to_be_the_same(tmp_path, capsys):
    path = studies.write(tmp_path, n=60, arms=ARMS, success=own_metric(tmp_path))
    first = run_study(path)
    studies.write(
        tmp_path, n=60, arms=ARMS, model=other_replies(tmp_path), success=own_metric(tmp_path)
    )
    second, repeated = run_again(path)
    assert len(repeated.pairs) == 3
    assert repeated.caution == ""
    capsys.readouterr()
    assert run(["compare", str(first.folder), str(second.folder)]) == 0
    screen = " ".join(capsys.readouterr().out.split())
    assert "The tasks differ (the metric's name, file and options do not)" in screen
