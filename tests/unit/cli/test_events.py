"""The line that a run begins with: what the minutes are for."""

from types import SimpleNamespace as Some

import pytest

from tuneworthy.cli._options import Watcher

SMALL = Some(minutes=0.2, because="")


@pytest.mark.parametrize(
    ("across", "beside", "said"),
    [
        ((), (), "plan: 1 arms, about 12 min on this machine"),
        ((Some(minutes=9.3, because=""),), (SMALL,), "machine, at most 9 to see what was wrong"),
        ((), (Some(minutes=2.4, because=""),), "machine, 2 beside the arms"),
        ((), (Some(minutes=25.0, because="no room"), SMALL), "on this machine"),
    ],
)
def test_a_plan_says_what_its_minutes_are_for(across, beside, said):
    lines = []
    arms = [Some(because=""), Some(because="needs bigger")]
    plan = Some(arms=arms, sent=None, minutes=12.1, across=across, beside=beside)
    Watcher(Some(say=lines.append))("plan", plan)
    assert lines[0].endswith(said)


def test_an_arm_that_was_skipped_is_not_called_done():
    said, told = [], Some(left_on_table=None, use="none", arm=None)
    view = Some(say=said.append, progress=lambda *row: said.append(row), now=lambda *verdict: None)
    watch = Watcher(view)
    for why in ("", "needs bigger"):
        watch("arm", Some(spec=Some(name=f"arm {why}"), requests=0, because=why))
        watch("step", told)
    assert said == [("arm ", 0, 0), ("arm ", 1, 0), "arm needs bigger: skipped, needs bigger"]
