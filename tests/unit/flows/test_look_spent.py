"""Point 6: a second look is warned of before it is spent; nothing compared spends none."""

import json
import os

import pytest
from tests import recorded, studies

import tuneworthy
from tuneworthy.cli._frame import run
from tuneworthy.flows.study import plan
from tuneworthy.records.errors import TuneworthyError
from tuneworthy.report import results_folder
from tuneworthy.report.terminal import ladder_screen
from tuneworthy.stats.bounds import level
from tuneworthy.stats.many import nested_level


def two_systems(folder, gap=0.25, n=150, **task):
    made = recorded.rows(n)
    systems = {"old": recorded.failing(made, lambda at: 0.35, seed=1),
               "new": recorded.failing(made, lambda at: 0.35 - gap, seed=2)}  # fmt: skip
    return recorded.write(folder, made, systems, **task)


def again(path, **keys):
    """Write the same task with another key: another study of the same rows."""
    path.write_text(json.dumps(json.loads(path.read_text()) | keys), "utf-8")
    return path


def test_a_first_look_is_no_event_and_a_second_is_told_before_anything_runs(tmp_path):
    path, told = two_systems(tmp_path), []
    tuneworthy.run(path, watch=lambda event, data: told.append((event, data)))
    assert "look" not in [event for event, _ in told]
    told.clear()
    again(path, instruction="Sort the mail.")
    tuneworthy.run(path, watch=lambda event, data: told.append((event, data)))
    events = [event for event, _ in told]
    assert events.index("look") < events.index("audit")
    text = dict(told)["look"]
    assert "these rows have been looked at once" in text
    assert "another look widens every bound by about 36 %" in text
    told.clear()
    tuneworthy.run(path, watch=lambda event, data: told.append((event, data)))
    assert [event for event, _ in told] == ["done"]


def test_stopping_at_the_warning_spends_nothing(tmp_path):
    path = two_systems(tmp_path)
    tuneworthy.run(path)
    again(path, instruction="Sort.")

    def stop(event, data):
        if event == "look":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tuneworthy.run(path, watch=stop)
    assert plan(path).looks == 2
    again(path, instruction="Sort the mail.")
    assert plan(path).looks == 2


def test_a_dry_run_shows_the_plan_and_spends_nothing(tmp_path, capsys):
    path = two_systems(tmp_path)
    assert run(["run", str(path), "--dry"]) == 0
    told = capsys.readouterr()
    assert "150 rows scored" in told.out
    assert "a run would be a first look at the rows" in told.err
    assert not list((tmp_path / "results").glob("*")) if (tmp_path / "results").exists() else True
    assert plan(path).looks == 1
    tuneworthy.run(path)
    again(path, instruction="Sort.")
    assert run(["run", str(path), "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["looks"] == 2
    assert plan(path).looks == 2


@pytest.mark.parametrize("switch", ["folder", ""])
def test_a_study_that_compares_nothing_spends_no_look(tmp_path, monkeypatch, switch):
    monkeypatch.setenv("TUNEWORTHY_LOOKS", switch)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    path = studies.write(tmp_path / "a", arms=["majority", "rag"], present=None)
    with pytest.raises(TuneworthyError):
        tuneworthy.run(path)
    again(path, arms=studies.LIGHT)
    assert plan(path).looks == 1
    other = studies.write(tmp_path / "b", arms=studies.LIGHT, instruction="Sort the mail.")
    assert plan(other).looks == 1
    assert tuneworthy.run(path).verdict.looks == 1
    assert plan(other).looks == (1 if os.environ["TUNEWORTHY_LOOKS"] == "folder" else 2)


def test_references_alone_spend_no_look(tmp_path):
    rows = [
        {"input": f"question {n}", "output": f"answer {n % 7} of some length"} for n in range(40)
    ]
    path = tmp_path / "task.yaml"
    studies.lines(tmp_path / "rows.jsonl", rows)
    arms = ["majority", "copy_input", "tfidf"]
    task = {"data": {"file": "rows.jsonl"}, "output": {"type": "text"}, "arms": arms}
    path.write_text(json.dumps(task), "utf-8")
    with pytest.raises(TuneworthyError, match="no arm applies"):
        tuneworthy.run(path)
    assert plan(path).looks == 1
    assert plan(again(path, instruction="Sort.")).looks == 1


def test_a_verdict_that_only_the_looks_made_provisional_says_so(tmp_path):
    path = two_systems(tmp_path, gap=0.12, n=200)
    first = tuneworthy.run(path).results
    assert first.verdict.status == "firm"
    assert "at_first_look" not in first.reproduce
    rows, logs = (
        [json.loads(line) for line in (tmp_path / name).read_text().splitlines()]
        for name in ("rows.jsonl", "old.jsonl")
    )
    wrong = [log for row, log in zip(rows, logs, strict=True) if log["answer"] != row["output"]]
    for at in range(2, 9):  # a wrong answer becomes another wrong one
        wrong[at]["answer"] = f"attempt {at}"
        (tmp_path / "old.jsonl").write_text("".join(json.dumps(log) + "\n" for log in logs))
        last = tuneworthy.run(again(path, instruction=f"Sort, attempt {at}.")).results
        if last.verdict.status == "provisional":
            break
    assert last.verdict.status == "provisional"
    assert last.reproduce["at_first_look"] == f"firm: {first.verdict.arm}"
    text = " ".join(ladder_screen(last, 80).plain.split())
    assert f"At a first look at these rows this would be firm: {first.verdict.arm}." in text
    assert f"It is look {last.verdict.looks}" in text


def test_studies_that_show_the_same_answers_are_one_look(tmp_path):
    """Another margin, prices, a seed or an arm less: the bounds held for all of them already."""
    path = two_systems(tmp_path)
    first = tuneworthy.run(path)
    for change in ({"success": {"margin": 0.02}}, {"seed": 7}, {"instruction": "Sort."},
                   {"economics": {"prices": {"a model": {"in": 1, "out": 1}}}}):  # fmt: skip
        assert tuneworthy.run(again(path, **change)).verdict.looks == 1, change
    logs = (tmp_path / "old.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "old.jsonl").write_text("".join(
        json.dumps({**json.loads(line), "answer": "another"}) + "\n" if at < 30 else line
        for at, line in enumerate(logs)))  # fmt: skip
    second = tuneworthy.run(again(path, seed=8))
    assert second.verdict.looks == 2
    assert tuneworthy.run(again(path, seed=9)).verdict.looks == 2
    assert first.results.evidence.pairs[0].level == level(0.05, 1)


def test_arms_that_are_dropped_after_a_look_are_still_paid_for(tmp_path):
    made = recorded.rows(150)
    systems = {name: recorded.failing(made, lambda at: 0.3, seed=seed)
               for seed, name in enumerate(("old", "new", "newer", "newest"))}  # fmt: skip
    path = recorded.write(tmp_path, made, systems)
    tuneworthy.run(path)
    keys = json.loads(path.read_text())
    keys["answers"] = {name: keys["answers"][name] for name in ("old", "new")}
    fewer = tuneworthy.run(again(path, answers=keys["answers"], arms=["old", "new"]))
    assert fewer.verdict.looks == 1
    assert fewer.results.evidence.pairs[0].level == pytest.approx(0.035 / 3)
    assert results_folder.recompute(fewer.folder).differs == ()


def test_rows_added_to_the_same_answers_pay_for_what_the_new_rows_add(tmp_path):
    made = recorded.rows(300)
    answers = {"old": recorded.failing(made, lambda at: 0.35, seed=1),
               "new": recorded.failing(made, lambda at: 0.30, seed=2)}  # fmt: skip
    levels = []
    for n in (100, 200, 300):
        path = recorded.write(tmp_path, made[:n], {k: logs[:n] for k, logs in answers.items()})
        study = tuneworthy.run(path)
        assert study.verdict.looks == len(levels) + 1
        assert results_folder.recompute(study.folder).differs == ()
        levels.append(study.results.evidence.pairs[0].level)
    errors = [level(0.05, look) for look in (1, 2, 3)]
    steps = list(zip(errors, (100, 200, 300), strict=True))
    assert levels == [pytest.approx(nested_level(steps[: at + 1]), rel=0.05) for at in range(3)]
    assert levels[0] == errors[0]
    assert levels[2] > 2 * errors[2]


def test_a_lone_arm_that_was_shown_before_costs_its_comparison_nothing(tmp_path):
    """A server that refuses leaves one arm beside the reference; later its arms are compared."""
    keys = {"arms": ["majority", "tfidf"], "present": None}
    path = studies.write(tmp_path, **keys)
    for at in range(3):
        assert tuneworthy.run(again(path, instruction=f"Attempt {at}.")).verdict.looks == 1
    whole = tuneworthy.run(again(path, arms=["majority", "tfidf", "zero_shot"]))
    assert whole.verdict.looks == 1
