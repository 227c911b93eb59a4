"""The queue of live runs: one at a time in a worker process, with pause, resume and stop.

A run's clean twin runs first where no record of it exists. A worker that dies ends its run with the
reason, and the next run starts a new worker. What waits is found again after a restart. Knows no
HTTP and no model.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from tuneworthy.core.failure import RunFacts, Value
from tuneworthy.lab.event_log import EventLog
from tuneworthy.lab.events import RECORDED, Event, run_id
from tuneworthy.lab.lab_folder import is_id
from tuneworthy.lab.play_setup import PLAY
from tuneworthy.lab.problem import Problem
from tuneworthy.lab.record_store import RecordStore
from tuneworthy.lab.run_process import OpenRunner, RunOrder
from tuneworthy.lab.run_worker import RunWorker, WorkerDied

MOST_WAITING = 8
MOST_PLAYS = 32  # plays that have ended and are kept
CLOSED = "the lab was closed"
GRACE_SECONDS = 5.0  # seconds that a run gets to stop when the lab ends


@dataclass
class Job:
    """A run that waits, runs or has ended in this lab."""

    id: str
    case: str
    config: dict[str, Any]
    seed: int
    role: str
    twin: str | None  # the id of its clean twin; None: it is the twin, or a play
    log: EventLog
    state: str = "waiting"
    begun: float = 0.0
    told: tuple[int, bool] | None = None  # runs ahead, and whether the wait was known

    @property
    def spec(self) -> dict[str, Any]:
        """Return the values from which this job is made again after a restart."""
        names = ("case", "config", "seed", "role", "twin")
        return {name: getattr(self, name) for name in names}


class Jobs:
    """All live runs of one lab. Methods may be called from any thread; they never wait for a run.

    `folder` is that of the lab; `open_runner` is called in the worker process.
    """

    def __init__(self, folder: Path, records: RecordStore, open_runner: OpenRunner) -> None:
        self._folder, self._records = folder, records
        self._worker = RunWorker(open_runner)
        self._jobs: dict[str, Job] = {}
        self._waiting: deque[Job] = deque()
        self._current: Job | None = None
        self._seconds: dict[bool, list[float]] = {False: [], True: []}  # True: those of plays
        self._closed = False
        self._changed = threading.Condition(threading.RLock())
        self._recover()
        self._thread = threading.Thread(target=self._work, name="lab runs", daemon=True)
        self._thread.start()

    def submit(
        self, case: str, config: dict[str, Value], seed: int, role: str, clean: dict[str, Value]
    ) -> str:
        """Return the id of a run: one that goes on or waits already, or one that now waits.

        Its clean twin (configuration `clean`) is put before it if it has no record. Raises Problem
        (429) if too many runs wait, and (503) once the lab ends.
        """
        name, twin = run_id(case, config, seed), run_id(case, clean, seed)
        with self._changed:
            if self._active(name):
                return name
            self._check_room()
            if name != twin and not (self._records.facts(twin) or self._active(twin)):
                self._add(Job(twin, case, clean, seed, "twin", None, self._log(twin)))
            self._add(Job(name, case, config, seed, "twin" if name == twin else role,
                          None if name == twin else twin, self._log(name)))  # fmt: skip
            return name

    def submit_play(self, config: dict[str, Any], seed: int) -> str:
        """Return the id of a play: a known one (the same seed answers the same), or a new one.

        Raises Problem as `submit` does.
        """
        name = run_id(PLAY, config, seed)
        with self._changed:
            known = self._jobs.get(name)
            if known and (not known.log.ended or known.state == "done"):
                return name
            self._check_room()
            self._add(Job(name, PLAY, config, seed, PLAY, None, self._log(name)))
            self._forget_plays()
            return name

    def control(self, name: str, action: str) -> str:
        """Pause, resume or stop a run; return its state. Raises Problem (404, 409)."""
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
        """Return the events of a run of this lab or of an earlier one on this folder."""
        if not is_id(name):
            return None
        with self._changed:
            job = self._jobs.get(name)
        return job.log if job else EventLog.read(self._path(name))

    def state_of(self, name: str) -> str | None:
        """Return the state of a run of this lab, None if it has none of this id."""
        with self._changed:
            job = self._jobs.get(name)
            return job.state if job else None

    def end_streams(self) -> None:
        """End the streams of all who watch a run, before the server ends."""
        with self._changed:
            for job in self._jobs.values():
                job.log.close()

    def close(self) -> None:
        """Stop the run that goes on and end the worker; runs that wait are found again later."""
        with self._changed:
            self._closed = True
            if self._current and not self._current.log.ended:
                self._current.state = "stopping"
                self._worker.control("stop", self._current.id)
            self._changed.notify_all()
        self._thread.join(GRACE_SECONDS)
        self._worker.kill()
        self._thread.join(GRACE_SECONDS)

    def _path(self, name: str) -> Path:
        return self._folder / "runs" / f"{name}.jsonl"

    def _log(self, name: str) -> EventLog:
        log = EventLog(self._path(name))
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
        """Remove the oldest plays that have ended: a slider makes many."""
        ended = [job for job in self._jobs.values() if job.role == PLAY and job.log.ended]
        for job in ended[: len(ended) - MOST_PLAYS]:
            del self._jobs[job.id]
            job.log.path.unlink(missing_ok=True)

    def _active(self, name: str) -> bool:
        job = self._jobs.get(name)
        return job is not None and not job.log.ended

    def _add(self, job: Job) -> None:
        ahead = len(self._waiting) + (self._current is not None)
        self._jobs.pop(job.id, None)  # so that the newest is the last
        self._jobs[job.id] = job
        self._waiting.append(job)
        self._tell_place(job, ahead, job.spec)
        self._changed.notify_all()

    def _control_waiting(self, job: Job, action: str) -> str:
        if action == "stop":
            self._waiting.remove(job)
            self._end(job, "stopped", "stopped before it began")
            self._tell_places()
        elif action == "pause":
            raise Problem(
                409, "this run has not begun", where="pause", got="a run that waits",
                fix="stop it, or pause it once it runs",
            )  # fmt: skip
        return job.state

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                job = self._current = self._waiting.popleft()
                job.state, job.begun = "running", time.monotonic()
                self._tell_places()
            try:
                self._run(job)
            except Exception as error:  # a fault of ours must not end the queue
                self._end(job, "failed", f"{type(error).__name__}: {error}")
            with self._changed:
                self._current = None

    def _run(self, job: Job) -> None:
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
                    self._end(job, "stopped" if stopped else "failed", message[2])
                elif message[1]:
                    self._record(job)
        except WorkerDied as died:
            closed = CLOSED if self._closed else str(died)
            self._end(job, "stopped" if self._closed else "failed", f"{closed} {_after(job)}")

    def _on_event(self, job: Job, event: Event) -> None:
        if event["kind"] == "end":
            with self._changed:
                job.state = str(event["state"])
                self._seconds[job.role == PLAY].append(time.monotonic() - job.begun)
            if self._closed and event["state"] == "stopped":
                event = {**event, "because": f"{CLOSED} {_after(job)}"}
        job.log.append(event)

    def _on_state(self, job: Job, state: str, step: int) -> None:
        with self._changed:
            if job.state != "stopping":
                job.state = state
        said = "Paused after" if state == "paused" else "Going on after"
        job.log.append({"kind": "log", "line": f"{said} step {step}.", "state": state})
        self._tell_places()

    def _record(self, job: Job) -> None:
        if job.role == PLAY:
            return
        events = [event for event in job.log.events() if event["kind"] in RECORDED]
        try:
            self._records.write(job.id, events)
        except OSError as error:
            line = f"The run is shown but not recorded: {error.strerror or error}."
            job.log.append({"kind": "log", "line": line, "state": "unsaved"})

    def _end(self, job: Job, state: str, because: str) -> None:
        """End a run that did not end itself: what was measured so far stays in its events."""
        if job.log.ended:
            return
        job.state = state
        steps = _steps(job.log)
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

    def _tell_places(self) -> None:
        for ahead, job in enumerate(list(self._waiting), 1 if self._current else 0):
            self._tell_place(job, ahead, {})

    def _tell_place(self, job: Job, ahead: int, more: dict[str, Any]) -> None:
        wait = self._wait(ahead)
        if job.told != (place := (ahead, wait is not None)):
            job.told = place
            job.log.append({"kind": "queue", "ahead": ahead, "wait_s": wait, **more})

    def _wait(self, ahead: int) -> float | None:
        """Return the seconds until a run with so many before it begins; None if not known."""
        if not ahead:
            return 0.0
        first = self._current
        if first and first.state in ("paused", "pausing"):
            return None
        before = [job for job in (first, *self._waiting) if job][:ahead]
        usual = [self._usual(job) for job in before]
        known = [seconds for seconds in usual if seconds is not None]
        if len(known) < len(before):
            return None
        if first:
            known[0] = max(0.0, known[0] - (time.monotonic() - first.begun))
        return round(sum(known), 1)

    def _usual(self, job: Job) -> float | None:
        """Return how long such a job takes; None while none has been measured."""
        play = job.role == PLAY
        known = [self._records.seconds(each.id) for each in (job, *self._waiting)]
        mean = self._seconds[play] or [one for one in known if one and not play]
        return fmean(mean) if mean else None

    def _recover(self) -> None:
        """Find runs of an earlier lab: those that waited wait again, one cut short gets its end."""
        paths = sorted((self._folder / "runs").glob("*.jsonl"), key=lambda path: path.name)
        for path in paths:
            log = EventLog.read(path) if is_id(path.stem) else None
            events = log.events() if log else []
            job = _job_of(path.stem, events[0], log) if log and events else None
            if job is None:
                continue
            if job.log.ended:
                job.state = str(events[-1].get("state"))
                if job.role == PLAY:
                    self._jobs[job.id] = job
                elif job.state == "done" and not self._records.has(job.id):
                    self._record(job)
                continue
            self._jobs[job.id] = job
            if {event["kind"] for event in events} <= {"queue"}:
                self._waiting.append(job)
            else:
                self._end(job, "stopped", f"{CLOSED} {_after(job)}")
        self._waiting = deque(sorted(self._waiting, key=lambda job: job.twin is not None))
        self._forget_plays()


def _job_of(name: str, first: Event, log: EventLog) -> Job | None:
    """Return the job that the first event of a log describes, None if it is not one of ours."""
    try:
        job = Job(name, first["case"], first["config"], first["seed"], first["role"],
                  first["twin"], log)  # fmt: skip
        return job if run_id(job.case, job.config, job.seed) == name else None
    except (LookupError, TypeError, AttributeError, ValueError):
        return None


def _steps(log: EventLog) -> int:
    events = [event for event in log.events() if event["kind"] == "steps"]
    return events[-1]["from"] + len(events[-1]["loss"]) - 1 if events else 0


def _after(job: Job) -> str:
    steps = _steps(job.log)
    return f"after step {steps}" if steps else "before its first step"
