"""One thread that owns the weights of a model and answers all requests for it.

Requests that can join a running batch do so between two of its decoding steps. Others (labels that
are scored, votes, drafts, classifiers, endpoints) are answered together, as in a study, by one call
for all that wait for the same system. Knows no HTTP.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tuneworthy.core.answer import Answer
from tuneworthy.core.case import Query
from tuneworthy.core.errors import TuneworthyError
from tuneworthy.core.model import Limits, Model, Prompt, Reply
from tuneworthy.ledger.signals import StopRequested
from tuneworthy.models import open_batcher

if TYPE_CHECKING:
    from tuneworthy.core.artefact import System

MOST_TOGETHER = 64  # most requests that one call answers
_IDLE_SECONDS = 0.2  # seconds between looks at whether to stop


class Stopping(Exception):
    """The server is stopping: the request was not answered."""


class Refused(Exception):
    """The model can't be asked this: the prompt is too long, or its template refuses it."""


@dataclass(eq=False)
class Job:
    """One answer that is asked for: `query` of a system, or `prompt` and `limits` of a model.

    `wake` is called from the worker's thread when `text` (of a `watched` job) has grown or the job
    has ended; one of `answer` and `error` is then set. `cap` lowers a system's own token limit.
    `tops`: see `models/local/lane.py`. `dropped` is set by the client's side.
    """

    model: Model | None
    wake: Callable[[], None]
    system: System | None = None
    query: Query | None = None
    prompt: Prompt | None = None
    limits: Limits | None = None
    cap: int | None = None
    head: tuple[int, ...] = ()
    top: int | None = None
    watched: bool = False
    dropped: bool = False
    begun: float = field(default_factory=time.perf_counter)
    text: str = ""
    tops: list[Any] = field(default_factory=list)
    answer: Answer | None = None
    error: BaseException | None = None

    @property
    def ended(self) -> bool:
        """Return whether the job has its answer or its error."""
        return self.answer is not None or self.error is not None


def joins_batch(system: System) -> bool:
    """Return whether a system's answer is one greedy reply to its prompt, decoded freely or held.

    Then a request can join a running batch, and its text is that of `System.answer`.
    """
    pack, model = system.artefact.pack, system.model
    plain = not pack.votes and not pack.draft
    return plain and model is not None and system.limits is not None and joins_model(
        model, system.limits
    )  # fmt: skip


def joins_model(model: Model, limits: Limits) -> bool:
    """Return whether requests to a model can join a running batch."""
    if not hasattr(model, "net"):
        return False
    from tuneworthy.models.local.continuous import joins

    return joins(model, limits)


class Worker(threading.Thread):
    """Answers jobs; `most` may be in flight at once, further ones are refused by `submit`."""

    def __init__(self, model: Model | None, most: int) -> None:
        super().__init__(name="worker", daemon=True)
        self.batcher: Any = open_batcher(model)
        self._jobs: queue.Queue[Job] = queue.Queue()
        self._waiting: list[Job] = []
        self._streams: dict[Any, Job] = {}
        self._open: set[Job] = set()
        self._most, self._lock, self._ending = most, threading.Lock(), threading.Event()

    @property
    def in_flight(self) -> int:
        """Return the number of jobs that are not answered yet."""
        return len(self._open)

    def submit(self, jobs: Sequence[Job]) -> bool:
        """Queue the jobs of one request; return False if the queue has no room for them.

        Raises Stopping once the worker stops.
        """
        with self._lock:
            if self._ending.is_set():
                raise Stopping
            if self._open and len(self._open) + len(jobs) > self._most:
                return False
            self._open.update(jobs)
        for job in jobs:
            self._jobs.put(job)
        return True

    def stop(self) -> None:
        """End all jobs that are not answered yet with the error Stopping, and the thread.

        A call that is under way (to an endpoint, say) is not waited for.
        """
        self._ending.set()
        with self._lock:
            left = list(self._open)
        for job in left:
            self._end(job, error=Stopping())

    def run(self) -> None:
        """Answer jobs until `stop`."""
        while not self._ending.is_set():
            taken = self._taken()
            try:
                self._admit(taken)
                self._answer_together()
                self._advance()
            except StopRequested:  # a call for many rows noticed the signal that ends us
                self.stop()
            except Exception as error:  # a fault of ours: its requests fail, the next ones do not
                self._restart(error, taken)

    def _restart(self, error: Exception, taken: Sequence[Job]) -> None:
        """End the running batch, and what was just taken in, with an error; begin a new batch.

        A job that nobody ends would be waited for until its client gives up.
        """
        for job in (*self._streams.values(), *taken):
            self._end(job, error=error)
        self._streams, self._waiting = {}, [job for job in self._waiting if not job.ended]
        self.batcher = self.batcher and type(self.batcher)()

    def _taken(self) -> list[Job]:
        idle = not (self._waiting or self._streams or self._ending.is_set())
        taken: list[Job] = []
        try:
            taken.append(self._jobs.get(timeout=_IDLE_SECONDS) if idle else self._jobs.get_nowait())
            while True:
                taken.append(self._jobs.get_nowait())
        except queue.Empty:
            return taken

    def _admit(self, jobs: Sequence[Job]) -> None:
        """Put jobs into the running batch, or on the list of those that are answered together."""
        by_system: dict[int, list[Job]] = {}
        for job in jobs:
            if job.system is not None and joins_batch(job.system):
                by_system.setdefault(id(job.system), []).append(job)
            elif (
                job.system is None
                and job.model
                and job.limits
                and joins_model(job.model, job.limits)
            ):
                self._join(job)
            else:
                self._waiting.append(job)
        for group in by_system.values():
            self._prompted(group)
            for job in group:
                if not job.ended:
                    self._join(job)

    def _prompted(self, jobs: Sequence[Job]) -> None:
        """Build the prompts that an opened artefact sends for some requests."""
        system = jobs[0].system
        assert system is not None
        try:
            prompts = system.prompts([job.query for job in jobs if job.query])
        except Exception as error:
            for job in jobs:
                self._end(job, error=error)
            return
        for job, prompt in zip(jobs, prompts or (), strict=True):
            assert system.limits is not None
            cap = min(system.limits.max_tokens, job.cap or system.limits.max_tokens)
            job.prompt, job.model = prompt, system.model
            job.limits = system.limits.model_copy(update={"max_tokens": cap})

    def _join(self, job: Job) -> None:
        from tuneworthy.models.local.lane import Stream

        assert job.prompt is not None
        assert job.limits is not None
        stream = Stream(job.model, job.prompt, job.limits, job.head, job.top, job.watched)
        try:
            if self.batcher.add(stream):
                self._streams[stream] = job
            else:
                self._end(job, error=Refused(stream.reply and stream.reply.error))
        except Exception as error:
            self._end(job, error=error)

    def _advance(self) -> None:
        """Make one step of the running batch, and tell those who watch it."""
        if not self._streams:
            return
        for stream, job in self._streams.items():
            stream.dropped = job.dropped
        for stream in self.batcher.advance():
            self._ended(self._streams.pop(stream), stream)
        for stream, job in self._streams.items():
            if job.watched and len(stream.text) > len(job.text):
                job.text = stream.text
                job.wake()

    def _ended(self, job: Job, stream: Any) -> None:
        if job.dropped or stream.reply is None:
            self._end(job, error=Stopping())  # nobody reads it
        elif stream.reply.error is not None:
            self._end(job, error=RuntimeError(stream.reply.error))
        else:
            job.tops = stream.tops
            self._end(job, _answer(job, stream.reply))

    def _answer_together(self) -> None:
        """Answer the jobs that wait for the same system, or the same model and limits."""
        self._drop()
        if not self._waiting:
            return
        first = _key(self._waiting[0])
        jobs = [job for job in self._waiting if _key(job) == first][:MOST_TOGETHER]
        taken = set(map(id, jobs))
        self._waiting = [job for job in self._waiting if id(job) not in taken]
        try:
            answers = _asked(jobs)
        except Exception as error:  # a model's failure ends its requests, not the server
            for job in jobs:
                self._end(job, error=error)
            return
        for job, answer in zip(jobs, answers, strict=True):
            if answer.error is None:
                self._end(job, answer)
            else:
                self._end(job, error=TuneworthyError("no answer", got=answer.error))

    def _drop(self) -> None:
        gone = [job for job in self._waiting if job.dropped]
        self._waiting = [job for job in self._waiting if not job.dropped]
        for job in gone:
            self._end(job, error=Stopping())

    def _end(
        self, job: Job, answer: Answer | None = None, error: BaseException | None = None
    ) -> None:
        with self._lock:
            if job not in self._open:
                return
            self._open.remove(job)
            if answer is not None:
                job.text = answer.text
            job.answer, job.error = answer, error
        job.wake()


def _key(job: Job) -> tuple[Any, ...]:
    if job.system is not None:
        return ("system", id(job.system))
    limits = job.limits.model_dump_json() if job.limits else ""
    return ("model", id(job.model), limits)


def _asked(jobs: Sequence[Job]) -> list[Answer]:
    system, model, limits = jobs[0].system, jobs[0].model, jobs[0].limits
    if system is not None:
        answers = system.answer([job.query for job in jobs if job.query])
        none = {} if system.model else {"tokens_in": 0, "tokens_out": 0}  # no model, no token
        return [answer.model_copy(update=none) for answer in answers]
    assert model is not None
    assert limits is not None
    replies = model.reply([job.prompt for job in jobs if job.prompt is not None], limits)
    return [_answer(job, reply) for job, reply in zip(jobs, replies, strict=True)]


def _answer(job: Job, reply: Reply) -> Answer:
    names = ("text", "tokens_in", "tokens_cached", "tokens_out", "tokens_thought", "seconds",
             "finish", "error")  # fmt: skip
    case = job.query.id if job.query else ""
    return Answer(case=case, **{name: getattr(reply, name) for name in names})
