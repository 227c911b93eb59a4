"""The queue of live runs: one at a time in a worker process, with pause, resume and stop.

What a run is compared with runs first, on this machine. If the worker dies, its run ends with the
reason and the next run starts a new worker. Waiting runs survive a restart of the lab. Knows no
HTTP and no model.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from tuneworthy.lab.events import RECORDED_KINDS, Event, EventLog, run_id
from tuneworthy.lab.lab_folder import is_id
from tuneworthy.lab.play_run import PLAY_KIND
from tuneworthy.lab.problem import Problem
from tuneworthy.lab.recordings import RecordStore, live_id
from tuneworthy.lab.run_process import OpenRunner, RunOrder
from tuneworthy.lab.run_worker import RunWorker, WorkerDied
from tuneworthy.models.local.machine import processor_kind
from tuneworthy.records.failure import Config, RunFacts

MOST_WAITING = 8
MOST_PLAYS = 32  # ended plays whose events are kept
_CLOSED_REASON = "the lab was closed"
_RUN_ORDER = {"twin": 0, "plant": 1}  # what other runs are compared with begins first
CLOSE_SECONDS = 5.0  # seconds that a run gets to stop when the lab ends


@dataclass
class _LabJob:
    """A run (or a play) of this lab that waits, runs or has ended."""

    id: str
    case: str
    config: dict[str, Any]
    seed: int
    role: str
    twin: str | None  # the id of its clean twin; None: it is the twin, or a play
    log: EventLog
    state: str = "waiting"
    begun: float = 0.0
    sent_place: tuple[int, bool] | None = None  # sent last: runs ahead, whether the wait is known

    @property
    def spec(self) -> dict[str, Any]:
        """Return the values that restore this job after a restart."""
        names = ("case", "config", "seed", "role", "twin")
        return {name: getattr(self, name) for name in names}


class Jobs:
    """All live runs of one lab. Any thread may call its methods; they never wait for a run.

    `folder` is that of the lab; `open_runner` is called in the worker process.
    """

    def __init__(self, folder: Path, records: RecordStore, open_runner: OpenRunner) -> None:
        self._folder, self._records = folder, records
        self._worker = RunWorker(open_runner)
        self._jobs: dict[str, _LabJob] = {}
        self._waiting: deque[_LabJob] = deque()
        self._current: _LabJob | None = None
        self._seconds: dict[bool, list[float]] = {False: [], True: []}  # True: those of plays
        self._closed = self._asked_to_open = False
        self._changed = threading.Condition(threading.RLock())
        self._recover()
        self._thread = threading.Thread(target=self._run_queue, name="lab runs", daemon=True)
        self._thread.start()

    def submit(
        self, case: str, config: Config, seed: int, role: str, pair: Mapping[str, Config]
    ) -> str:
        """Queue a run and return its id, also if it already waits.

        `pair` are the configurations of the case's clean twin and planted run. What the run is
        compared with runs before it, once on this kind of machine: the twin, and the planted run
        if the role is "own". Raises Problem: 429 if too many runs wait, 503 once the lab ends.
        """
        wanted = {"twin": ("twin",), "plant": ("twin",), "own": ("twin", "plant")}[role]
        with self._changed:
            name, twin = live_id(case, config, seed), live_id(case, pair["twin"], seed)
            if self._is_active(name):
                return name
            self._check_room()
            for each in wanted:
                other = live_id(case, pair[each], seed)
                if other != name and not (self._records.facts(other) or self._is_active(other)):
                    self._add_run(other, case, pair[each], seed, each, twin)
            self._add_run(name, case, config, seed, role, twin)
            return name

    def _add_run(
        self, name: str, case: str, config: Config, seed: int, role: str, twin: str
    ) -> None:
        judged = None if name == twin else twin
        self._add_job(_LabJob(name, case, dict(config), seed, role, judged, self._new_log(name)))

    def submit_play(self, config: dict[str, Any], seed: int) -> str:
        """Queue a play and return its id; a known one (equal seeds answer alike) is reused.

        Raises Problem as `submit` does.
        """
        name = run_id(PLAY_KIND, config, seed)
        with self._changed:
            known = self._jobs.get(name)
            if known and (not known.log.ended or known.state == "done"):
                return name
            self._check_room()
            self._add_job(
                _LabJob(name, PLAY_KIND, config, seed, PLAY_KIND, None, self._new_log(name))
            )
            self._forget_plays()
            return name

    def open_worker(self) -> None:
        """Let the worker load the model now if no run does, so that the first play is fast."""
        with self._changed:
            self._asked_to_open = True
            self._changed.notify_all()

    def control(self, name: str, action: str) -> str:
        """Pause, resume or stop a run; return its state after that. Raises Problem (404, 409)."""
        with self._changed:
            job = self._jobs.get(name)
            if job is None:
                raise Problem(
                    404, "this lab has no such run", where="the id in the address", got=name,
                    fix="open the case and run it again",
                )  # fmt: skip
            if job.log.ended:
                return job.state
            if job in self._waiting:
                return self._control_waiting(job, action)
            changes = {"pause": ("running", "pausing"), "resume": ("paused", "resuming"),
                       "stop": (job.state, "stopping")}  # fmt: skip
            before, after = changes[action]
            if job.state == before or (action == "resume" and job.state == "pausing"):
                job.state = after
                self._worker.control(action, name)
            return job.state

    def log_of(self, name: str) -> EventLog | None:
        """Return a run's event log by id, also one of an earlier lab here; None if unknown."""
        if not is_id(name):
            return None
        with self._changed:
            job = self._jobs.get(name)
        return job.log if job else EventLog.read(self._log_path(name))

    def end_streams(self) -> None:
        """Close the logs of all runs, so that their streams end before the server does."""
        with self._changed:
            for job in self._jobs.values():
                job.log.close()

    def close(self) -> None:
        """Stop the current run and end the worker; waiting runs stay on disk for the next lab."""
        with self._changed:
            self._closed = True
            if self._current and not self._current.log.ended:
                self._current.state = "stopping"
                self._worker.control("stop", self._current.id)
            self._changed.notify_all()
        self._thread.join(CLOSE_SECONDS)
        self._worker.kill()
        self._thread.join(CLOSE_SECONDS)

    def _log_path(self, name: str) -> Path:
        return self._folder / "runs" / f"{name}.jsonl"

    def _new_log(self, name: str) -> EventLog:
        log = EventLog(self._log_path(name))
        log.begin()
        return log

    def _check_room(self) -> None:
        if self._closed:
            raise Problem(503, "the lab is being closed", fix="start it again, then ask again")
        if len(self._waiting) >= MOST_WAITING:
            raise Problem(
                429, "too many runs wait", got=f"{len(self._waiting)} waiting runs",
                fix="wait for one to end, or stop one",
            )  # fmt: skip

    def _forget_plays(self) -> None:
        """Remove the oldest ended plays beyond MOST_PLAYS, as a slider makes many."""
        ended = [job for job in self._jobs.values() if job.role == PLAY_KIND and job.log.ended]
        for job in ended[: len(ended) - MOST_PLAYS]:
            del self._jobs[job.id]
            job.log.path.unlink(missing_ok=True)

    def _is_active(self, name: str) -> bool:
        job = self._jobs.get(name)
        return job is not None and not job.log.ended

    def _add_job(self, job: _LabJob) -> None:
        ahead = len(self._waiting) + (self._current is not None)
        self._jobs.pop(job.id, None)  # so that the newest is the last
        self._jobs[job.id] = job
        self._waiting.append(job)
        self._send_place(job, ahead, job.spec)
        self._changed.notify_all()

    def _control_waiting(self, job: _LabJob, action: str) -> str:
        if action == "stop":
            self._waiting.remove(job)
            self._end_job(job, "stopped", "stopped before it began")
            self._send_places()
        elif action == "pause":
            raise Problem(
                409, "this run has not begun", where="pause", got="a run that waits",
                fix="stop it, or pause it once it runs",
            )  # fmt: skip
        return job.state

    def _run_queue(self) -> None:
        while True:
            with self._changed:
                while not (self._waiting or self._closed or self._asked_to_open):
                    self._changed.wait()
                if self._closed:
                    return
                if self._asked_to_open:
                    self._asked_to_open = False
                    self._worker.open()
                    continue
                job = self._current = self._waiting.popleft()
                job.state, job.begun = "running", time.monotonic()
                self._send_places()
            try:
                self._run_job(job)
            except Exception as error:  # a fault of ours must not end the queue
                self._end_job(job, "failed", f"{type(error).__name__}: {error}")
            with self._changed:
                self._current = None

    def _run_job(self, job: _LabJob) -> None:
        twin = self._records.facts(job.twin) if job.twin else None
        if job.twin and twin is None:
            line = "The clean twin has no record, so the checks are not measured."
            job.log.append({"kind": "log", "line": line})
        order = RunOrder(job.id, job.case, job.config, job.seed, job.role,
                         self._folder / "scratch" / job.id, twin)  # fmt: skip
        try:
            for message in self._worker.run(order):
                if message[0] == "event":
                    self._on_event(job, message[1])
                elif message[0] == "state":
                    self._on_state(job, *message[1:])
                elif message[2] is not None:
                    stopped = job.state == "stopping"
                    self._end_job(job, "stopped" if stopped else "failed", message[2])
                elif message[1]:
                    self._record_job(job)
        except WorkerDied as died:
            closed = _CLOSED_REASON if self._closed else str(died)
            self._end_job(
                job, "stopped" if self._closed else "failed", f"{closed} {_after_step_text(job)}"
            )

    def _on_event(self, job: _LabJob, event: Event) -> None:
        if event["kind"] == "end":
            with self._changed:
                job.state = str(event["state"])
                self._seconds[job.role == PLAY_KIND].append(time.monotonic() - job.begun)
            if self._closed and event["state"] == "stopped":
                event = {**event, "because": f"{_CLOSED_REASON} {_after_step_text(job)}"}
        if event["kind"] == "begin" and job.role != PLAY_KIND:
            event = {**event, "id": job.id, "machine": processor_kind()}
        job.log.append(event)

    def _on_state(self, job: _LabJob, state: str, step: int) -> None:
        with self._changed:
            if job.state != "stopping":
                job.state = state
        said = "Paused after" if state == "paused" else "Going on after"
        job.log.append({"kind": "log", "line": f"{said} step {step}.", "state": state})
        self._send_places()

    def _record_job(self, job: _LabJob) -> None:
        if job.role == PLAY_KIND:
            return
        events = [event for event in job.log.events() if event["kind"] in RECORDED_KINDS]
        try:
            self._records.write(job.id, events)
        except OSError as error:
            line = f"The run is shown but not recorded: {error.strerror or error}."
            job.log.append({"kind": "log", "line": line, "state": "unsaved"})

    def _end_job(self, job: _LabJob, state: str, because: str) -> None:
        """Append the event `end` to a run's log unless it has one; earlier events stay."""
        if job.log.ended:
            return
        job.state = state
        steps = _step_count(job.log)
        job.log.append(
            {
                "kind": "end",
                "state": state,
                "because": because,
                "seconds": round(time.monotonic() - job.begun, 1) if job.begun else None,
                "facts": RunFacts(steps=steps).plain(),
                "finding": None,
                "checks": [],
            }
        )

    def _send_places(self) -> None:
        for ahead, job in enumerate(list(self._waiting), 1 if self._current else 0):
            self._send_place(job, ahead, {})

    def _send_place(self, job: _LabJob, ahead: int, more: dict[str, Any]) -> None:
        wait = self._wait_seconds(ahead)
        if job.sent_place != (place := (ahead, wait is not None)):
            job.sent_place = place
            job.log.append({"kind": "queue", "ahead": ahead, "wait_s": wait, **more})

    def _wait_seconds(self, ahead: int) -> float | None:
        """Return the seconds until a run with `ahead` runs before it begins; None if not known."""
        if not ahead:
            return 0.0
        first = self._current
        if first and first.state in ("paused", "pausing"):
            return None
        before = [job for job in (first, *self._waiting) if job][:ahead]
        usual = [self._usual_seconds(job) for job in before]
        known = [seconds for seconds in usual if seconds is not None]
        if len(known) < len(before):
            return None
        if first:
            known[0] = max(0.0, known[0] - (time.monotonic() - first.begun))
        return round(sum(known), 1)

    def _usual_seconds(self, job: _LabJob) -> float | None:
        """Return the mean seconds of similar jobs; None if none was measured."""
        play = job.role == PLAY_KIND
        known = [self._records.seconds(each.id) for each in (job, *self._waiting)]
        mean = self._seconds[play] or [one for one in known if one and not play]
        return fmean(mean) if mean else None

    def _recover(self) -> None:
        """Read the runs of an earlier lab: waiting ones wait again, interrupted ones get an end."""
        paths = sorted((self._folder / "runs").glob("*.jsonl"), key=lambda path: path.name)
        for path in paths:
            log = EventLog.read(path) if is_id(path.stem) else None
            events = log.events() if log else []
            job = _job_of(path.stem, events[0], log) if log and events else None
            if job is None:
                continue
            if job.log.ended:
                job.state = str(events[-1].get("state"))
                if job.role == PLAY_KIND:
                    self._jobs[job.id] = job
                elif job.state == "done" and not self._records.has(job.id):
                    self._record_job(job)
                continue
            self._jobs[job.id] = job
            if {event["kind"] for event in events} <= {"queue"}:
                self._waiting.append(job)
            else:
                self._end_job(job, "stopped", f"{_CLOSED_REASON} {_after_step_text(job)}")
        self._waiting = deque(sorted(self._waiting, key=lambda job: _RUN_ORDER.get(job.role, 2)))
        self._forget_plays()


def _job_of(name: str, first: Event, log: EventLog) -> _LabJob | None:
    """Return the job that a log's first event describes, None if the event is damaged."""
    try:
        job = _LabJob(name, first["case"], first["config"], first["seed"], first["role"],
                  first["twin"], log)  # fmt: skip
        named = run_id if job.role == PLAY_KIND else live_id
        return job if named(job.case, job.config, job.seed) == name else None
    except (LookupError, TypeError, AttributeError, ValueError):
        return None


def _step_count(log: EventLog) -> int:
    events = [event for event in log.events() if event["kind"] == "steps"]
    return events[-1]["from"] + len(events[-1]["loss"]) - 1 if events else 0


def _after_step_text(job: _LabJob) -> str:
    steps = _step_count(job.log)
    return f"after step {steps}" if steps else "before its first step"
