"""Recording: which fixes, one run for equal runs, ends judged by the case as it stands."""

import pytest
from bench._lab_records import (
    Recorder,
    facts_of,
    relabel_events,
    run_key,
    settings_to_record,
)

from tuneworthy.lab.cases import all_cases, case_of
from tuneworthy.lab.events import read_record
from tuneworthy.lab.run_process import LabRun
from tuneworthy.records.failure import RunFacts


@pytest.mark.parametrize("case", all_cases().values(), ids=lambda case: case.slug)
def test_each_fix_is_recorded_from_the_planted_run(case):
    planted = case.config("plant")
    for config, fix in zip(settings_to_record(case), case.module.FIXES, strict=True):
        assert {key for key in config if config[key] != planted[key]} == set(fix.turns)


def recorder(tmp_path, opened):
    return Recorder(lambda: opened.append(1) or object(), tmp_path / "runs", lambda line: None)


def test_a_run_is_made_once_and_shipped_with_equal_bytes(tmp_path):
    case, opened = case_of("out-of-date"), []
    run = LabRun(case, case.config("plant"), 0, "plant")
    path = recorder(tmp_path, opened).write_shipped(run, tmp_path / "one")
    again = recorder(tmp_path, opened).write_shipped(run, tmp_path / "two")
    assert opened == [1], "the second recorder found both runs stored"
    assert path.name == f"{run.id}.json.gz"
    assert path.read_bytes() == again.read_bytes()
    events = read_record(path.read_bytes())
    assert (events[0]["id"], events[0]["role"]) == (run.id, "plant")
    assert events[-1]["finding"]["found"] is True
    assert len(events[-1]["checks"]) == 2


def test_clean_runs_of_equal_cases_have_one_key_and_cases_with_own_rows_their_own():
    own, plain = case_of("out-of-date"), case_of("never-stops")
    runs = [LabRun(case, case.config("twin"), 0, "twin") for case in (own, plain)]
    assert run_key(runs[0]) != run_key(runs[1])
    other = LabRun(plain, plain.config("twin"), 0, "own")
    assert run_key(runs[1]) == run_key(other)
    assert run_key(runs[1]) != run_key(LabRun(plain, plain.config("twin"), 1, "twin"))
    assert run_key(runs[1]) != run_key(LabRun(plain, plain.config("plant"), 0, "twin"))


def test_a_shared_run_gets_the_case_s_own_id_finding_and_checks():
    case = case_of("never-stops")
    facts = RunFacts(end_trained=0.0, p_end=0.1, ended=3, answers=40, score=0.1)
    events = [{"kind": "begin", "id": "x", "case": "other", "role": "twin", "config": {}},
              {"kind": "end", "facts": facts.plain(), "finding": {}, "checks": []}]  # fmt: skip
    run = LabRun(case, case.config("plant"), 0, "plant")
    begin, end = relabel_events(events, run, RunFacts(score=0.8))
    assert (begin["id"], begin["case"], begin["role"]) == (run.id, "never-stops", "plant")
    assert begin["config"] == run.config
    assert end["finding"]["found"] is True
    assert [check["passed"] for check in end["checks"]] == [False, False, False]
    assert facts_of([begin, end]) == facts
