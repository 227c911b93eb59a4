"""The line that a run begins with: what the minutes are for."""

from types import SimpleNamespace as Some

import pytest
import typer

from tuneworthy.cli._options import Watcher
from tuneworthy.records.reason import Reason

SMALL = Some(minutes=0.2, because="")


@pytest.mark.parametrize(
    ("across", "beside", "said"),
    [
        ((), (), "plan: 1 arm, about 12 min on this machine"),
        ((Some(minutes=9.3, because=""),), (SMALL,), "machine, at most 9 to see what was wrong"),
        ((), (Some(minutes=2.4, because=""),), "machine, 2 beside the arms"),
        ((), (Some(minutes=25.0, because="no room"), SMALL), "on this machine"),
    ],
)
def test_a_plan_says_what_its_minutes_are_for(across, beside, said):
    lines = []
    arms = [Some(because=None), Some(because=Reason.needs("bigger"))]
    plan = Some(arms=arms, sent=None, minutes=99.0, cap_minutes=12.1, across=across, beside=beside)
    Watcher(Some(say=lines.append))("plan", plan)
    assert lines[0].endswith(said)


def test_the_step_that_runs_now_is_passed_on():
    said = []
    Watcher(Some(at=said.append))("at", "lora: fold 1, 80 rows; 40 of 60 minutes left")
    assert said == ["lora: fold 1, 80 rows; 40 of 60 minutes left"]


def test_an_arm_that_was_skipped_is_not_called_done():
    said, told = [], Some(left=None, use="none", arm=None)
    view = Some(say=said.append, progress=lambda *row: said.append(row), now=lambda *verdict: None)
    watch = Watcher(view)
    reasons = None, Reason(text="no schema"), Reason.needs("bigger")
    for why, because in zip(("", "no schema", "needs bigger"), reasons, strict=True):
        watch("arm", Some(spec=Some(name=f"arm {why}"), requests=0, because=because, sent=None))
        watch("step", told)
    assert said == [("arm ", 0, 0), ("arm ", 1, 0), "arm no schema: skipped, no schema"]


def test_the_progress_of_an_endpoint_counts_the_requests_that_the_plan_expects():
    said = []
    watch = Watcher(Some(say=said.append, progress=lambda *row: said.append(row)))
    sent = Some(requests=250, most_requests=366)
    watch("arm", Some(spec=Some(name="zero_shot"), requests=366, because="", sent=sent))
    watch("answers", 240)
    watch("answers", 20)
    assert said == [("zero_shot", 0, 250), ("zero_shot", 240, 250), ("zero_shot", 250, 250)]


def test_what_arms_lack_is_told_once_and_a_short_study_shows_no_verdict_so_far():
    said, seen = [], []
    view = Some(say=said.append, progress=lambda *row: None, now=lambda *verdict: seen.append(1))
    train = Reason.not_installed(["torch", "peft"], "tuneworthy[train]")
    docs = Reason.joined([Reason.needs("data.docs"), train])
    arms = [Some(because=why) for why in (None, train, train, docs, Reason(text="cut"))]
    for minutes in (0.1, 3.0):
        watch = Watcher(view)
        watch(
            "plan",
            Some(arms=arms, sent=None, minutes=minutes, cap_minutes=None, across=(), beside=()),
        )
        watch("step", Some(left=None, use="none", arm=None))
    assert said[1] == (
        "Not run: 2 arms need tuneworthy[train] (pip install 'tuneworthy[train]'); 1 arm needs"
        " data.docs."
    )
    assert len(seen) == 1


def test_a_warning_before_a_look_can_end_the_run():
    watch = Watcher(Some(ask_to_go_on=lambda text: "twice" not in text))
    watch("look", "looked at once")
    with pytest.raises(typer.Abort):
        watch("look", "looked at twice")
