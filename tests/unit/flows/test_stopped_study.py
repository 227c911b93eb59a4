"""A study that is stopped, or whose minutes are over: what it writes, says and does again."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest
from tests import studies
from tests.in_time import ends_within

from tuneworthy.cli._frame import run as command
from tuneworthy.flows import study as flow
from tuneworthy.flows.study import RunOptions, run, run_again
from tuneworthy.measure import plan_cuts
from tuneworthy.measure.further import runner as further
from tuneworthy.measure.schedule_runner import ScheduleRunner
from tuneworthy.records.errors import TaskError
from tuneworthy.records.reason import NO_ROOM, Reason, Why
from tuneworthy.report.results_folder import recompute
from tuneworthy.store import signals
from tuneworthy.store.signals import StopRequested, stoppable

ARMS = ["majority", "zero_shot", "few_shot", "nearest_shots"]
STOPPED = Reason(why=Why.STOPPED)


@pytest.fixture(autouse=True)
def steps(monkeypatch):
    """Take prompts step by step, though they take no time here."""
    monkeypatch.setattr(plan_cuts, "_AT_ONCE_MINUTES", -1.0)


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


@contextmanager
def interrupted(monkeypatch, arm, times=1):
    """Send Ctrl-C inside the block when an arm was begun so many times."""
    begun, tell = [], ScheduleRunner._measure

    def measure(self, runner, part, *more):
        begun.append(part.spec.name)
        if begun.count(arm) == times and part.spec.name == arm:
            interrupt()
        return tell(self, runner, part, *more)

    with monkeypatch.context() as patch, stoppable():
        patch.setattr(ScheduleRunner, "_measure", measure)
        yield


def states(study):
    return {arm.name: (arm.state, arm.because) for arm in study.results.evidence.arms}


def asked(found):
    return lambda event, data: found.append(data) if event == "answers" else None


def answers(study):
    return {(r.spec.name, r.fold): [a.text for a in r.answers] for r in study.results.runs}


def test_a_stop_between_steps_gives_a_verdict_and_a_second_run_goes_on(tmp_path, monkeypatch):
    task = studies.write(tmp_path / "a", arms=ARMS)
    first, second, whole = [], [], []
    with interrupted(monkeypatch, "nearest_shots"):
        stopped = run(task, watch=asked(first))
    assert stopped.stopped.exit_code == 130
    assert states(stopped)["nearest_shots"] == ("skipped", STOPPED)
    assert states(stopped)["zero_shot"][0] != "skipped"
    assert {p.name for p in stopped.folder.iterdir()} >= {"verdict.json", "report.html"}
    assert recompute(stopped.folder).differs == ()
    ended = run(task, watch=asked(second))
    assert ended.stopped is None
    assert states(ended)["nearest_shots"][0] == "measured"
    plain = run(studies.write(tmp_path / "b", arms=ARMS), watch=asked(whole))
    assert answers(ended) == answers(plain)
    assert sum(first) + sum(second) == sum(whole), "no answer is paid for twice"
    assert [(s.arm, s.do) for s in ended.results.steps] == [
        (s.arm, s.do) for s in plain.results.steps
    ]


def test_a_stop_in_the_first_look_names_every_arm_that_waits(tmp_path, monkeypatch):
    task = studies.write(tmp_path, arms=["tfidf", *ARMS])
    with interrupted(monkeypatch, "zero_shot"):
        stopped = run(task)
    told = states(stopped)
    assert {name for name, (_, why) in told.items() if why == STOPPED} == set(ARMS[1:])
    assert told["tfidf"][0] == "measured"
    assert run(task).stopped is None


def test_a_stop_before_anything_is_measured_gives_none_and_loses_nothing(tmp_path, monkeypatch):
    task = studies.write(tmp_path, arms=ARMS, present=None)
    with pytest.raises(StopRequested) as stop, interrupted(monkeypatch, "zero_shot"):
        run(task)
    assert stop.value.exit_code == 130
    assert not list(tmp_path.glob("results/*/verdict.json"))
    assert run(task).stopped is None


def test_a_study_without_the_schedule_gives_no_verdict_on_a_part(tmp_path, monkeypatch):
    task = studies.write(tmp_path, arms=ARMS, budget={"stages": False})
    with pytest.raises(StopRequested), interrupted(monkeypatch, "few_shot"):
        run(task)
    assert run(task).stopped is None


def asking(part):
    """Return the further measurements, the last one replaced by one that asks until stopped."""

    def measured(inputs, evidence):
        del evidence
        if inputs.why_ended != STOPPED:
            part()
        signals.check()
        yield "curves", "nothing learns"

    return (*further._MEASUREMENTS[:-1], (measured, ("curves",)))


def test_a_stop_among_the_further_measurements_keeps_the_verdict(tmp_path, monkeypatch):
    """Ctrl-C there lost the verdict on arms that were all measured."""
    task = studies.write(tmp_path, arms=ARMS)
    with monkeypatch.context() as patch, stoppable():
        patch.setattr(further, "_MEASUREMENTS", asking(interrupt))
        stopped = run(task)
    assert stopped.stopped.exit_code == 130
    assert stopped.results.evidence.missing["curves"] == str(STOPPED)
    assert stopped.results.evidence.diagnosis.effects
    assert recompute(stopped.folder).differs == ()
    ended = run(task)
    assert ended.stopped is None
    assert ended.verdict.arm == stopped.verdict.arm


def test_the_further_measurements_end_with_the_minutes(tmp_path, monkeypatch):
    def slow():
        end = time.monotonic() + 30
        while time.monotonic() < end:
            time.sleep(0.01)
            signals.check()

    task = studies.write(tmp_path, arms=ARMS, budget={"minutes": 0.001})
    monkeypatch.setattr(plan_cuts, "LEAST_MINUTES", 0.005)
    monkeypatch.setattr(further, "_MEASUREMENTS", asking(slow))
    with ends_within(20):
        ended = run(task)
    assert ended.stopped is None
    assert ended.results.evidence.missing["curves"] == str(NO_ROOM)


def test_more_minutes_are_for_a_study_that_ended(tmp_path, monkeypatch):
    task = studies.write(tmp_path, arms=ARMS)
    with interrupted(monkeypatch, "few_shot"):
        run(task)
    with pytest.raises(TaskError) as error:
        run(task, RunOptions(more=10.0))
    assert error.value.got == "a study that was stopped before its end"
    assert "it goes on where it stopped" in error.value.fix
    run(task)
    assert run(task, RunOptions(more=10.0)).results.plan.cap_minutes == 70.0


def test_more_minutes_need_the_options_that_the_study_had(tmp_path):
    task = studies.write(tmp_path, arms=ARMS)
    run(task, RunOptions(minutes=5.0))
    with pytest.raises(TaskError) as error:
        run(task, RunOptions(more=10.0))
    assert error.value.fix.endswith("with the same other options")
    assert run(task, RunOptions(more=10.0, minutes=5.0)).results.plan.cap_minutes == 15.0


def test_more_minutes_after_a_stopped_run_with_more_minutes(tmp_path, monkeypatch):
    task = studies.write(tmp_path, arms=ARMS)
    run(task)
    with interrupted(monkeypatch, "few_shot"):
        assert run(task, RunOptions(more=10.0)).stopped
    with pytest.raises(TaskError, match="no finished study"):
        run(task, RunOptions(more=10.0))
    assert run(task).results.plan.cap_minutes == 70.0


def test_a_stopped_study_is_not_compared_with_itself(tmp_path, monkeypatch):
    task = studies.write(tmp_path, arms=ARMS)
    with interrupted(monkeypatch, "few_shot"):
        run(task)
    with pytest.raises(TaskError, match="the latest study did not come to its end"):
        run_again(task)
    run(task)
    with pytest.raises(TaskError, match="nothing changed since that verdict"):
        run_again(task)


def test_minutes_that_let_nothing_be_measured_are_named(tmp_path, monkeypatch):
    """It said that no arm applies to these rows."""

    def over(self, *more):
        def end():
            raise StopRequested(signals.TIME_UP)

        self._timed("all", end)
        return []

    task = studies.write(tmp_path, arms=ARMS, budget={"minutes": 0.01})
    with monkeypatch.context() as patch:
        patch.setattr(ScheduleRunner, "_measure", over)
        with pytest.raises(TaskError, match="could be measured in the minutes") as error:
            run(task)
    assert error.value.where == "budget.minutes"
    assert "--more" in error.value.fix
    assert run(task, RunOptions(more=30.0)).verdict


def test_the_command_says_how_a_stopped_study_goes_on(tmp_path, monkeypatch, capsys):
    task = studies.write(tmp_path, arms=ARMS)
    with interrupted(monkeypatch, "few_shot"):
        code = command(["run", str(task), "--no-progress"])
    assert code == 130
    shown = capsys.readouterr()
    assert "zero_shot" in shown.out
    assert "stopped on request; `tuneworthy run` continues where it stopped" in shown.err
    assert command(["run", str(task), "--no-progress"]) in (0, 4)
    words = ["--minutes", "5m", "--brief", "--fresh"]  # another study than without them
    with interrupted(monkeypatch, "zero_shot"):
        assert command(["run", str(task), "--no-progress", *words]) == 130
    assert "`tuneworthy run --minutes 5m --brief` continues" in capsys.readouterr().err


def test_the_demo_ends_with_its_stopped_study(tmp_path, monkeypatch, capsys):
    """It went on with its next task."""
    made = run(studies.write(tmp_path, arms=ARMS))
    begun = []

    def stopped(path, *more):
        begun.append(path)
        return replace(made, stopped=StopRequested(130))

    monkeypatch.setattr("tuneworthy.flows.study.run", stopped)
    monkeypatch.setattr("tuneworthy.models.local.wheel.fetch", lambda say: None)
    monkeypatch.setenv("TUNEWORTHY_LOOKS", "folder")
    assert command(["demo", "--folder", str(tmp_path / "demo")]) == 130
    assert len(begun) == 1
    assert "`tuneworthy demo` continues" in capsys.readouterr().err


CODE = """
import os, signal, sys
from tuneworthy.flows import study
from tuneworthy.measure import plan_cuts, schedule_runner

def kill(*more):
    os.kill(os.getpid(), signal.SIGINT)

def before(owner, name):
    plain, times = getattr(owner, name), []
    def wrapped(*given, **named):
        if not times:
            times.append(1)
            kill()
        return plain(*given, **named)
    setattr(owner, name, wrapped)

plan_cuts._AT_ONCE_MINUTES = -1.0
for place in sys.argv[1].split(","):
    owner, name = {"plan": (study.Session, "make_plan"),
                   "step": (schedule_runner.ScheduleRunner, "_take"),
                   "results": (study, "_results_of_runs"),
                   "finish": (study.Session, "finish"),
                   "write": (study.Session, "write")}[place]
    before(owner, name)
from tuneworthy.cli._frame import run
sys.exit(run(["run", sys.argv[2], "--no-progress"]))
"""


def process(places, task):
    return subprocess.run([sys.executable, "-c", CODE, places, str(task)], text=True, timeout=120,
                          capture_output=True)  # fmt: skip


@pytest.mark.parametrize(
    ("places", "code", "verdict"),
    [
        ("plan", 130, False),
        ("step", 130, True),
        ("results", 130, True),
        ("write", 0, True),  # all is measured and stored
        ("step,results", 130, False),  # the second one exits at once
        ("step,write", 130, False),
    ],
)
def test_ctrl_c_wherever_a_study_is(places, code, verdict, tmp_path):
    task = studies.write(tmp_path, arms=ARMS)
    done = process(places, task)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert bool(list(tmp_path.glob("results/*/verdict.json"))) == verdict
    if code and "," not in places:
        assert "`tuneworthy run` continues where it stopped" in done.stderr
    assert run(task).stopped is None
    assert flow.check(task)


MINUTES = [0, -3, float("nan"), "abc", True, [60], "1h"]


@pytest.mark.parametrize("minutes", MINUTES)
def test_minutes_in_a_task_that_are_no_minutes(minutes, tmp_path, capsys):
    task = studies.write(tmp_path, arms=ARMS, budget={"minutes": minutes})
    for word in ("check", "plan", "run"):
        assert command([word, str(task)]) == 2
        shown = capsys.readouterr().err
        assert "budget.minutes" in shown
        assert "BUG" not in shown


@pytest.mark.parametrize("minutes", [0.5, 10080, 1e15])
def test_few_and_many_minutes_are_taken(minutes, tmp_path, capsys):
    task = studies.write(tmp_path, arms=ARMS, budget={"minutes": minutes})
    assert command(["plan", str(task)]) == 0
    assert command(["run", str(task), "--no-progress"]) in (0, 4)
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("text", ["0", "-5", "1w", "abc", "nan", "", "1e9h", "5 m m"])
@pytest.mark.parametrize("option", ["--minutes", "--more"])
def test_minutes_on_the_command_line_that_are_no_minutes(option, text, tmp_path, capsys):
    task = studies.write(tmp_path, arms=ARMS)
    assert command(["run", str(task), option, text]) == 2
    shown = capsys.readouterr().err
    assert f"where  {option}" in shown
    assert "fix    write 10m, 90s or 1h" in shown
