"""Live runs: the queue, the twin before its run, control, a killed worker, restarts."""

import errno
import os
import signal

import pytest
from lab_kit import SLUG, clean, config, kinds, state_of, until
from lab_runner import FAILS, SLOW_RATE, fake

from tuneworthy.lab import events, recordings
from tuneworthy.lab.events import run_id, write_record
from tuneworthy.lab.jobs import MOST_WAITING, Jobs
from tuneworthy.lab.lab_folder import make_lab_folder
from tuneworthy.lab.problem import Problem
from tuneworthy.lab.recordings import RecordStore, live_id
from tuneworthy.records.failure import RunFacts

PAIR = {"twin": clean(), "plant": config()}


@pytest.fixture
def start(tmp_path):
    opened = []

    def open_jobs():
        folder = make_lab_folder(tmp_path)
        records = RecordStore(tmp_path / "shipped", folder / "records")
        opened.append((Jobs(folder, records, fake), records))
        return opened[-1]

    yield open_jobs
    for jobs, _ in opened:
        jobs.close()


@pytest.fixture
def jobs(start):
    return start()[0]


@pytest.fixture
def records(jobs, start):
    return jobs._records


def submit(jobs, seed=0, role="own", **changed):
    return jobs.submit(SLUG, config(**changed), seed, role, PAIR)


def ended(jobs, name):
    log = jobs.log_of(name)
    until(lambda: log.ended)
    return log.events()[-1]


def test_a_run_sends_its_events_and_becomes_a_record(jobs, records):
    name = submit(jobs)
    assert name == live_id(SLUG, config(), 0)
    assert ended(jobs, name)["state"] == "done"
    assert kinds(jobs.log_of(name)) == ["queue", "begin", *["steps"] * 6, "end"]
    until(lambda: records.has(name))
    assert [event["kind"] for event in records.events(name)] == ["begin", *["steps"] * 6, "end"]
    assert records.facts(name).p_end == 0.9


def test_the_clean_twin_runs_first_and_only_once(jobs, records):
    twin = live_id(SLUG, clean(), 0)
    name = submit(jobs)
    last = ended(jobs, name)
    assert last["checks"][0]["passed"], "the run was given its twin's facts"
    assert records.has(twin)
    begun = records.events(twin)[0]
    assert begun["role"] == "twin"
    assert begun["config"] == clean()
    other = submit(jobs, rate=3e-2)
    ended(jobs, other)
    assert len([job for job in jobs._jobs.values() if job.role == "twin"]) == 1


def ship(tmp_path, **facts):
    """Write the records of both runs as made on another machine."""
    for role, setting in PAIR.items():
        name = run_id(SLUG, setting, 0)
        end = {"kind": "end", "state": "done", "facts": RunFacts(**facts).plain(), "seconds": 1.0}
        write_record([{"kind": "begin", "id": name, "role": role}, end],
                     tmp_path / "shipped" / f"{name}.json.gz")  # fmt: skip


def test_a_live_fix_is_judged_by_a_twin_of_this_machine_not_by_a_recorded_one(
    jobs, records, tmp_path
):
    ship(tmp_path, score=0.99)
    last = ended(jobs, submit(jobs, rate=3e-2))
    assert last["checks"][0]["value"] == "0.5", "the score of the twin that ran here"
    assert [job.role for job in jobs._jobs.values()] == ["twin", "plant", "own"]
    for setting in PAIR.values():
        begin = records.events(live_id(SLUG, setting))[0]
        assert begin["id"] == live_id(SLUG, setting) != run_id(SLUG, setting, 0)
        assert begin["machine"]
    ended(jobs, submit(jobs, rate=2e-2))
    assert [job.role for job in jobs._jobs.values()] == ["twin", "plant", "own", "own"], "once"


def test_another_kind_of_processor_runs_both_again(jobs, monkeypatch):
    first = submit(jobs, rate=3e-2)
    ended(jobs, first)
    monkeypatch.setattr(recordings, "processor_kind", lambda: "another")
    second = submit(jobs, rate=3e-2)
    assert second != first
    ended(jobs, second)
    assert [job.role for job in jobs._jobs.values()] == ["twin", "plant", "own"] * 2


def test_two_tabs_share_one_run(jobs):
    assert submit(jobs, rate=SLOW_RATE) == submit(jobs, rate=SLOW_RATE)
    assert len(jobs._jobs) == 3, "the run, the planted one and its twin"


def test_who_waits_is_told_how_many_are_ahead(jobs):
    first = submit(jobs, rate=SLOW_RATE)
    until(lambda: state_of(jobs, first) == "running")
    second = submit(jobs, rate=3e-2)
    told = jobs.log_of(second).events()
    assert told[0] | {"wait_s": 0} == told[0] | {"kind": "queue", "ahead": 1, "wait_s": 0}
    assert told[0]["wait_s"] is not None, "the twin's run says how long one takes"
    ended(jobs, second)


def test_pause_resume_and_stop(jobs):
    name = submit(jobs, rate=SLOW_RATE)
    until(lambda: "begin" in kinds(jobs.log_of(name)))
    assert jobs.control(name, "pause") == "pausing"
    until(lambda: state_of(jobs, name) == "paused")
    paused = jobs.log_of(name).events()[-1]
    assert (paused["kind"], paused["state"]) == ("log", "paused")
    assert jobs.control(name, "resume") == "resuming"
    until(lambda: state_of(jobs, name) == "running")
    jobs.control(name, "pause")
    until(lambda: state_of(jobs, name) == "paused")
    assert jobs.control(name, "stop") == "stopping"
    last = ended(jobs, name)
    assert last["state"] == "stopped"
    assert last["because"] == f"stopped at step {last['facts']['steps']}"
    assert jobs.control(name, "resume") == "stopped", "an ended run stays as it is"
    assert not jobs._records.has(name), "half a run is no record"
    again = submit(jobs, rate=SLOW_RATE)
    assert again == name
    assert kinds(jobs.log_of(again))[0] == "queue"


def test_a_run_that_waits_can_be_stopped_but_not_paused(jobs):
    first, second = submit(jobs, rate=SLOW_RATE), submit(jobs, rate=3e-2)
    with pytest.raises(Problem) as refused:
        jobs.control(second, "pause")
    assert refused.value.status == 409
    assert jobs.control(second, "stop") == "stopped"
    assert ended(jobs, second)["because"] == "stopped before it began"
    assert ended(jobs, first)["state"] == "done"


def test_a_killed_worker_fails_its_run_and_the_next_has_a_new_one(jobs):
    name = submit(jobs, rate=SLOW_RATE)
    until(lambda: "steps" in kinds(jobs.log_of(name)))
    killed = jobs._worker.pid
    os.kill(killed, signal.SIGKILL)
    last = ended(jobs, name)
    assert last["state"] == "failed"
    assert "SIGKILL" in last["because"]
    assert "after step" in last["because"]
    assert last["facts"]["steps"] >= 1
    assert last["facts"]["p_end"] is None
    assert last["finding"] is None
    assert ended(jobs, submit(jobs, rate=3e-2))["state"] == "done"
    assert jobs._worker.pid != killed


def test_a_failure_in_the_worker_has_its_reason(jobs):
    last = ended(jobs, submit(jobs, rate=FAILS))
    assert last["state"] == "failed"
    assert last["because"].startswith("the disk is full")
    assert ended(jobs, submit(jobs))["state"] == "done"


def test_too_many_waiting_runs_are_refused(jobs):
    first = submit(jobs, rate=SLOW_RATE)
    until(lambda: state_of(jobs, first) == "running")
    for rank in range(1, MOST_WAITING + 1):
        submit(jobs, rank=rank)
    with pytest.raises(Problem) as refused:
        submit(jobs, rank=100)
    assert refused.value.status == 429


def test_a_full_disk_is_told_and_loses_nothing(jobs, records, monkeypatch):
    def full(fd, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    twin = live_id(SLUG, clean(), 0)
    jobs.submit(SLUG, clean(), 0, "twin", PAIR)
    ended(jobs, twin)
    name = submit(jobs, rate=SLOW_RATE)
    until(lambda: "steps" in kinds(jobs.log_of(name)))
    monkeypatch.setattr(events.os, "write", full)
    until(lambda: jobs.log_of(name).unsaved)
    told = [event for event in jobs.log_of(name).events() if event.get("state") == "unsaved"]
    assert len(told) == 1
    assert "No space left" in told[0]["line"]
    monkeypatch.undo()
    assert ended(jobs, name)["state"] == "done"
    kept = events.EventLog.read(jobs._log_path(name))
    assert kept.lines == jobs.log_of(name).lines, "all is written once there is space again"


def test_a_restart_ends_the_run_cut_short_and_goes_on_with_those_that_wait(start):
    jobs, _ = start()
    first, second = submit(jobs, rate=SLOW_RATE), submit(jobs, rate=3e-2)
    until(lambda: "steps" in kinds(jobs.log_of(first)))
    seen = jobs.log_of(first).lines[:3]
    jobs.close()
    again, _ = start()
    last = ended(again, first)
    assert (last["state"], last["because"][:18]) == ("stopped", "the lab was closed")
    assert again.log_of(first).lines[:3] == seen
    assert ended(again, second)["state"] == "done"


def test_a_restart_after_kill_minus_nine_of_the_lab(start, tmp_path):
    jobs, _ = start()
    name = submit(jobs, rate=SLOW_RATE)
    until(lambda: "steps" in kinds(jobs.log_of(name)))
    path = jobs._log_path(name)
    jobs.close()
    lines = [line for line in path.read_bytes().splitlines(keepends=True) if b'"end"' not in line]
    path.write_bytes(b"".join(lines) + b'{"kind":"ste')  # what a power loss leaves
    again, _ = start()
    log = again.log_of(name)
    assert log.ended
    assert log.events()[-1]["because"].startswith("the lab was closed after step")
    assert path.read_bytes().count(b"\n") == len(lines) + 1


def test_a_finished_run_whose_record_is_missing_is_recorded_at_the_next_start(start):
    jobs, records = start()
    name = submit(jobs)
    ended(jobs, name)
    until(lambda: records.has(name))
    jobs.close()
    (records._folders[-1] / f"{name}.json.gz").unlink()
    start()
    assert records.has(name)


def test_a_run_of_another_lab_on_the_folder_is_unknown_by_any_other_name(jobs):
    for name in ("../../etc/passwd", "0" * 15, "0" * 17, "G" * 16, "0" * 16 + "\n", ""):
        assert jobs.log_of(name) is None
        with pytest.raises(Problem):
            jobs.control(name, "stop")


def test_the_worker_ends_with_the_lab(jobs):
    ended(jobs, submit(jobs))
    process = jobs._worker._process
    jobs.close()
    assert not process.is_alive()


def test_damaged_logs_and_foreign_files_stop_no_start(start, tmp_path):
    folder = make_lab_folder(tmp_path) / "runs"
    (folder / f"{'a' * 16}.jsonl").write_bytes(b'{"kind":"queue","case":1}\n\xff\xfe\n[]\n')
    (folder / f"{'b' * 16}.jsonl").write_text('{"kind":"queue","case":"x","config":{},"seed":0,'
                                             '"role":"own","twin":null}\n')  # fmt: skip
    (folder / "notes.jsonl").write_text("{}")
    os.mkfifo(folder / f"{'c' * 16}.jsonl")
    jobs, _ = start()
    assert ended(jobs, submit(jobs))["state"] == "done"
