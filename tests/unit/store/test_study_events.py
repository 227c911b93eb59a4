"""What a running study tells stands in its ledger, for a process that reads it."""

import sys
from pathlib import Path

import tuneworthy
from tuneworthy.records.plan import PlannedArm
from tuneworthy.records.run import Spec
from tuneworthy.store import study_events
from tuneworthy.store.store import open_ledger
from tuneworthy.store.study_events import StudyEvents, begun_studies

sys.path.insert(0, str(Path(__file__).parents[2]))
import studies

OPTIONS = tuneworthy.RunOptions(brief=True)


def kinds(ledger, study):
    return [event["kind"] for event in ledger.events(study)]


def test_a_study_tells_its_ledger(tmp_path):
    task = studies.write(tmp_path, 30, arms=studies.LIGHT)
    told = []
    study = tuneworthy.run(task, OPTIONS, watch=lambda event, data: told.append(event))
    name = study.results.reproduce["study"]
    with open_ledger(tmp_path, write=False) as ledger:
        assert begun_studies(ledger) == {name: study.folder.name}
        events = ledger.events(name)
        seen = [event["kind"] for event in events]
        assert seen[0] == "begin"
        assert seen.count("step") == told.count("step") > 0
        last = next(
            event["value"]
            for event in reversed(events)
            if event["kind"] == "step" and event["value"]
        )
        rows = ledger.journal.counted()
    assert {arm["name"] for arm in last["arms"]} >= {"present"}
    assert all(set(arm["score"]) == {"mean", "low", "high"} for arm in last["arms"] if arm["score"])
    again = tuneworthy.run(task, OPTIONS)
    assert again.results == study.results
    with open_ledger(tmp_path, write=False) as ledger:
        assert ledger.journal.counted() == rows, "a finished study tells nothing more"


def test_answers_and_messages_are_written_seldom(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(study_events.time, "monotonic", lambda: now[0])
    passed = []
    with open_ledger(tmp_path) as ledger:
        tell = StudyEvents(ledger, "s", "x-1", lambda event, data: passed.append(event))
        for second in range(10):
            now[0] = float(second)
            tell("say", f"message {second}" + "x" * 9999)
        assert kinds(ledger, "s") == ["begin", *["say"] * 5]
        assert all(len(e["value"]["text"]) <= 500 for e in ledger.events("s")[1:])
    assert passed == ["say"] * 10, "the terminal still hears all"


def test_every_event_of_an_arm_is_written_with_its_progress(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(study_events.time, "monotonic", lambda: now[0])
    arm = PlannedArm(spec=Spec(name="a", arm="zero"), requests=5)
    with open_ledger(tmp_path) as ledger:
        tell = StudyEvents(ledger, "s", "x-1", lambda event, data: None)
        tell("answers", 1)
        tell("step", None)
        for event, data in (("arm", arm), ("answers", 2), ("answers", 1)):
            tell(event, data)
        now[0] = 2.0
        tell("answers", 4)
        tell("step", None)
        tell("arm", arm.model_copy(update={"because": "no time"}))
        tell("answers", 1)
        told = [(e["kind"], e["value"]) for e in ledger.events("s")]
    begun = {"arm": "a", "total": 5}
    assert told == [
        ("begin", {}),
        ("step", {}),
        ("arm", begun | {"because": ""}),
        ("answers", begun | {"done": 2}),
        ("answers", begun | {"done": 5}),
        ("answers", begun | {"done": 5}),
        ("step", {}),
        ("arm", begun | {"because": "no time"}),
    ]
