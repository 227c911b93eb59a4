"""`run --more 10m`: the same study goes on where its rule had no room; nothing is a second look."""

import pytest
from tests import studies

from tuneworthy.cli._options import minutes
from tuneworthy.explain.diagnosis import NO_TIME_TO_DIAGNOSE
from tuneworthy.flows.study import RunOptions, run
from tuneworthy.measure.schedule_runner import ScheduleRunner
from tuneworthy.records.errors import TaskError
from tuneworthy.records.plan import NO_DIAGNOSIS_CUT
from tuneworthy.records.reason import NO_ROOM
from tuneworthy.report import results_folder

ARMS = ["majority", "zero_shot", "few_shot", "optimised_prompt"]


def states(study):
    return {arm.name: (arm.state, arm.because) for arm in study.results.evidence.arms}


def test_a_study_goes_on_with_what_had_no_room_and_stays_one_look(tmp_path):
    task = studies.write(tmp_path, arms=ARMS, budget={"minutes": 1e-5}, present=None)
    first = run(task)
    assert states(first)["optimised_prompt"] == ("skipped", NO_ROOM)
    assert [(s.arm, s.do) for s in first.results.steps] == [("optimised_prompt", "leave out")]
    again = run(task)
    assert again.results == first.results, "running again alone adds no minutes"
    more = run(task, RunOptions(more=30.0))
    assert states(more)["optimised_prompt"][0] == "measured"
    assert more.results.steps[-1].do == "run"
    assert more.folder == first.folder
    assert more.results.evidence.looks == first.results.evidence.looks == 1
    assert more.results.plan.possible_arms == first.results.plan.possible_arms == 3
    before = {run.spec.name: run.answers for run in first.results.runs if run.answers}
    assert before.items() <= {r.spec.name: r.answers for r in more.results.runs}.items()
    assert run(task).results == more.results, "the minutes stay given"
    assert results_folder.recompute(more.folder).differs == ()


def test_a_study_without_room_to_diagnose_does_so_with_more_minutes(tmp_path, monkeypatch):
    monkeypatch.setattr(ScheduleRunner, "_expected", lambda self, planned, pace: 99.0)
    task = studies.write(tmp_path, arms=ARMS)
    first = run(task)
    monkeypatch.undo()
    assert first.results.evidence.diagnosis.because == NO_TIME_TO_DIAGNOSE
    assert NO_DIAGNOSIS_CUT in first.results.plan.cuts
    assert results_folder.recompute(first.folder).differs == ()
    more = run(task, RunOptions(more=30.0))
    assert more.results.evidence.diagnosis.because != NO_TIME_TO_DIAGNOSE
    assert more.results.evidence.diagnosis.effects
    assert NO_DIAGNOSIS_CUT not in more.results.plan.cuts
    assert results_folder.recompute(more.folder).differs == ()


def test_bounds_of_the_first_part_paid_for_what_came_later(tmp_path):
    short = studies.write(tmp_path / "a", arms=ARMS, budget={"minutes": 1e-5})
    fixed = studies.write(tmp_path / "b", arms=ARMS[:-1], budget={"stages": False})
    pairs = [
        {(p.arm, p.versus): p for p in run(task).results.evidence.pairs} for task in (short, fixed)
    ]
    key = ("few_shot", "zero_shot")
    assert pairs[0][key].mean == pairs[1][key].mean
    assert pairs[0][key].level < pairs[1][key].level


@pytest.mark.parametrize("budget", [{}, {"stages": False}])
def test_there_must_be_a_finished_study_with_the_rule(tmp_path, budget):
    task = studies.write(tmp_path, arms=ARMS, budget=budget)
    if budget:
        run(task)
    with pytest.raises(TaskError, match="no finished study"):
        run(task, RunOptions(more=10.0))


@pytest.mark.parametrize(
    ("text", "expected"), [("10m", 10.0), ("90s", 1.5), ("1.5h", 90.0), ("7", 7.0)]
)
def test_a_time_is_written_in_seconds_minutes_or_hours(text, expected):
    assert minutes(text) == expected


@pytest.mark.parametrize("text", ["", "m", "-3m", "0", "nan", "inf", "1e9h", "10 days"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(TaskError, match="no length of time"):
        minutes(text)
