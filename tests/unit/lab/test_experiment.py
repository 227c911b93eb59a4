"""Runs of the lab on a tiny model: the same settings give the same run, faults become symptoms."""

import json

import pytest
from tests.tiny import tiny_llama

from tuneworthy.lab.cases import all_cases, case_of
from tuneworthy.lab.run_process import LabRun, run_case
from tuneworthy.records.failure import RunFacts

pytest.importorskip("torch")
pytestmark = pytest.mark.full
TIMED = ("seconds", "left_s", "role")  # what two equal runs may say differently


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    from tuneworthy.models.hf import load

    return load(tiny_llama(tmp_path_factory.mktemp("tiny") / "model"), "hf:./model", "float32")


@pytest.fixture
def run(model, tmp_path, monkeypatch):
    """Return run(case, role, **changed): the events of a short run with few rows and answers."""
    monkeypatch.setattr("tuneworthy.lab.cases.NEW_ROWS", 4)
    monkeypatch.setattr("tuneworthy.lab.experiment.ANSWER_TOKENS", 6)

    def ran(slug, role, **changed):
        case, events = case_of(slug), []
        config = {**case.config(role), "rows": 8, "epochs": 1, **changed}
        run_case(LabRun(case, config, 0, role), model, events.append, tmp_path / "run", RunFacts())
        return events

    return ran


def steps_of(events):
    return [loss for event in events if event["kind"] == "steps" for loss in event["loss"]]


def without_times(events):
    """Return events whose steps are joined: how they were batched depends on the clock."""
    kept = [{k: v for k, v in each.items() if k not in TIMED} for each in events]
    return [steps_of(events), *(each for each in kept if each["kind"] != "steps")]


@pytest.mark.parametrize("slug", ["never-stops", "perfect-then-guessing"])
def test_the_setting_of_the_twin_gives_the_twin_bit_for_bit(run, slug):
    twin = run(slug, "twin")
    clean = {key: value for key, value in case_of(slug).config("twin").items()
             if key not in ("rows", "epochs")}  # fmt: skip
    again = run(slug, "plant", **clean)
    assert steps_of(twin)
    found = [without_times(events) for events in (twin, again)]
    for events in found:
        events[-1] = events[-1]["facts"]  # the finding has a twin to compare with, or none
    assert json.dumps(found[0]) == json.dumps(found[1])


def test_a_run_that_the_loop_refuses_is_a_recorded_symptom(run):
    *_, end = run("off-a-cliff", "plant", rate=1e30)
    assert end["kind"] == "end"
    assert end["state"] == "failed"
    assert "not finite" in end["because"]
    assert end["facts"]["refused"] == end["because"]
    assert end["finding"]["found"] is True
    json.dumps(end, allow_nan=False)


@pytest.mark.parametrize("slug", [
    "never-stops", "talks-like-customers",
    *(pytest.param(slug, marks=pytest.mark.long) for slug, case in all_cases().items()
      if case.trains and slug not in ("never-stops", "talks-like-customers")),
])  # fmt: skip
def test_the_loop_takes_the_rows_of_a_planted_run(run, slug):
    narrow = {"targets": "0.self_attn.k_proj"} if slug == "hardly-learns" else {}  # of two layers
    begin, *_, end = run(slug, "plant", **narrow)
    assert end["state"] == "done", end["because"]
    assert end["facts"]["steps"] == begin["steps"] == len(steps_of([begin, *_, end]))
    assert all(loss > 0 for loss in steps_of([begin, *_, end]))
