"""Studies for the tests of the lab's study pages: a finished one, one that runs, no model."""

import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tuneworthy.verdict.decide import standing_so_far
from tuneworthy.verdict.rungs import policy_of

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))
from study_fixture import attacked, study  # noqa: F401

from tuneworthy.records.plan import PlannedArm
from tuneworthy.records.record import digest
from tuneworthy.records.run import Spec
from tuneworthy.report.results_folder import folder_of, write_results
from tuneworthy.store.store import open_ledger
from tuneworthy.store.study_events import StudyEvents

HASH = "ab" * 32
RESULTS = study(30)
NAME = folder_of(RESULTS.task.name, HASH)
KEY = digest(NAME, 16)


def finished(home, results=RESULTS, study=HASH):
    """Write a finished study and its task file; return its id."""
    folder = write_results(results, home, study)
    (home / "task.yaml").write_text("name: tickets\ndata: {file: rows.jsonl}\n")
    return digest(folder.name, 16)


@contextmanager
def running(home, steps=(0.14, 0.09)):
    """A study that runs: this process holds the lock, and one arm is at work; yield its events."""
    home.mkdir(exist_ok=True)
    (home / "task.yaml").write_text("name: tickets\n")
    with open_ledger(home) as ledger:
        ledger.freeze(HASH, "plan", RESULTS.plan.plain())
        tell = StudyEvents(ledger, HASH, NAME, lambda event, data: None)
        for number, left in enumerate(steps):
            tell("arm", arm(f"arm {number}"))
            tell("answers", 10)
            now = standing_so_far(RESULTS.evidence, policy_of(RESULTS.task), False)
            tell("step", replace(now, left=left))
        tell("arm", arm("left out", because="no room"))
        tell("arm", arm("at work now"))
        tell("answers", 7)
        tell("say", "a <b>message</b>")
        yield tell


def arm(name, because=""):
    return PlannedArm(spec=Spec(name=name, arm="zero_shot"), requests=30, because=because)
