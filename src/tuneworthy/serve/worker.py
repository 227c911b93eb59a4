"""Answer all requests for one model's weights in one thread.

Requests that can join a running batch do so between two of its decoding steps. Others (labels that
are scored, votes, drafts, classifiers, endpoints) are answered as in a study, by one call for all
that wait for the same system. Knows no HTTP.
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
_IDLE_SECONDS = 0.2  # an idle worker checks so often whether to stop


class Stopping(Exception):
    """Raised for a request that was not answered because the server stops."""


class Refused(Exception):
    """Raised for a prompt that is too long or that the model's chat template refuses."""


@dataclass(eq=False)
class AnswerJob:
    """One answer to make: of a system to `query`, or of a model to `prompt` within `limits`.

    `wake` is called from the worker's thread when `text` (of a `watched` job) has grown or the job
    has ended; one of `answer` and `error` is then set. `cap` lowers a system's own token limit.
    `tops` are top log-probabilities (see `models/local/lane.py`). The client's side sets `dropped`
    when nobody waits for the answer any more.
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
        """Return whether the job has an answer or an error."""
        return self.answer is not None or self.error is not None


def joins_batch(system: System) -> bool:
    """Return whether a system's requests can join a running batch, with `System.answer`'s text.

    They can if an answer is one reply of a local model to one prompt, with a grammar or without.
    """
    pack, model = system.artefact.pack, system.model
    plain = not pack.votes and not pack.draft
    return plain and model is not None and system.limits is not None and joins_model(
        model, system.limits
    )  # fmt: skip


def joins_model(model: Model, limits: Limits) -> bool:
    """Return whether requests to a model, within these limits, can join a running batch."""
    if not hasattr(model, "net"):
        return False
    from tuneworthy.models.local.continuous import joins

    return joins(model, limits)


class Worker(threading.Thread):
    """A thread that answers jobs; `submit` refuses those beyond `most` in flight."""

    def __init__(self, model: Model | None, most: int) -> None:
        super().__init__(name="worker", daemon=True)
        self.batcher: Any = open_batcher(model)
        self._jobs: queue.Queue[AnswerJob] = queue.Queue()
        self._waiting: list[AnswerJob] = []
        self._streams: dict[Any, AnswerJob] = {}
        self._unanswered: set[AnswerJob] = set()
        self._most, self._lock, self._ending = most, threading.Lock(), threading.Event()

    @property
    def in_flight(self) -> int:
        """Return the number of unanswered jobs."""
        return len(self._unanswered)

    def submit(self, jobs: Sequence[AnswerJob]) -> bool:
        """Queue the jobs of one request; return False if the queue has no room for them.

        Raises Stopping once the worker stops.
        """
        with self._lock:
            if self._ending.is_set():
                raise Stopping
            if self._unanswered and len(self._unanswered) + len(jobs) > self._most:
                return False
            self._unanswered.update(jobs)
        for job in jobs:
            self._jobs.put(job)
        return True

    def stop(self) -> None:
        """End the unanswered jobs with the error Stopping, and the thread.

        It does not wait for a call in progress (to an endpoint, say).
        """
        self._ending.set()
        with self._lock:
            left = list(self._unanswered)
        for job in left:
            self._end_job(job, error=Stopping())

    def run(self) -> None:
        """Answer jobs until `stop`."""
        while not self._ending.is_set():
            taken = self._take_jobs()
            try:
                self._admit(taken)
                self._answer_together()
                self._step_batch()
            except StopRequested:  # a call for many rows noticed the signal that stops the server
                self.stop()
            except Exception as error:  # our own bug: these requests fail, later ones need not
                self._restart(error, taken)

    def _restart(self, error: Exception, taken: Sequence[AnswerJob]) -> None:
        """End the jobs of the running batch and those just taken with an error; begin a batch.

        Otherwise their clients would wait until they give up.
        """
        for job in (*self._streams.values(), *taken):
            self._end_job(job, error=error)
        self._streams, self._waiting = {}, [job for job in self._waiting if not job.ended]
        self.batcher = self.batcher and type(self.batcher)()

    def _take_jobs(self) -> list[AnswerJob]:
        idle = not (self._waiting or self._streams or self._ending.is_set())
        taken: list[AnswerJob] = []
        try:
            taken.append(self._jobs.get(timeout=_IDLE_SECONDS) if idle else self._jobs.get_nowait())
            while True:
                taken.append(self._jobs.get_nowait())
        except queue.Empty:
            return taken

    def _admit(self, jobs: Sequence[AnswerJob]) -> None:
        """Add jobs to the running batch, or to the list of those that one call answers together."""
        by_system: dict[int, list[AnswerJob]] = {}
        for job in jobs:
            if job.system is not None and joins_batch(job.system):
                by_system.setdefault(id(job.system), []).append(job)
            elif (
                job.system is None
                and job.model
                and job.limits
                and joins_model(job.model, job.limits)
            ):
                self._join_batch(job)
            else:
                self._waiting.append(job)
        for group in by_system.values():
            self._build_prompts(group)
            for job in group:
                if not job.ended:
                    self._join_batch(job)

    def _build_prompts(self, jobs: Sequence[AnswerJob]) -> None:
        """Set prompt, model and limits of jobs for one system, or end them with its error."""
        system = jobs[0].system
        assert system is not None
        try:
            prompts = system.prompts([job.query for job in jobs if job.query])
        except Exception as error:
            for job in jobs:
                self._end_job(job, error=error)
            return
        for job, prompt in zip(jobs, prompts or (), strict=True):
            assert system.limits is not None
            cap = min(system.limits.max_tokens, job.cap or system.limits.max_tokens)
            job.prompt, job.model = prompt, system.model
            job.limits = system.limits.model_copy(update={"max_tokens": cap})

    def _join_batch(self, job: AnswerJob) -> None:
        from tuneworthy.models.local.lane import Stream

        assert job.prompt is not None
        assert job.limits is not None
        stream = Stream(job.model, job.prompt, job.limits, job.head, job.top, job.watched)
        try:
            if self.batcher.add(stream):
                self._streams[stream] = job
            else:
                self._end_job(job, error=Refused(stream.reply and stream.reply.error))
        except Exception as error:
            self._end_job(job, error=error)

    def _step_batch(self) -> None:
        """Run one decoding step of the batch; finish ended jobs and wake those with new text."""
        if not self._streams:
            return
        for stream, job in self._streams.items():
            stream.dropped = job.dropped
        for stream in self.batcher.advance():
            self._finish_stream(self._streams.pop(stream), stream)
        for stream, job in self._streams.items():
            if job.watched and len(stream.text) > len(job.text):
                job.text = stream.text
                job.wake()

    def _finish_stream(self, job: AnswerJob, stream: Any) -> None:
        if job.dropped or stream.reply is None:
            self._end_job(job, error=Stopping())  # nobody reads it
        elif stream.reply.error is not None:
            self._end_job(job, error=RuntimeError(stream.reply.error))
        else:
            job.tops = stream.tops
            self._end_job(job, _answer_from_reply(job, stream.reply))

    def _answer_together(self) -> None:
        """Answer, by one call, the waiting jobs for one system, or for one model and limits."""
        self._end_dropped()
        if not self._waiting:
            return
        first = _batch_key(self._waiting[0])
        jobs = [job for job in self._waiting if _batch_key(job) == first][:MOST_TOGETHER]
        taken = set(map(id, jobs))
        self._waiting = [job for job in self._waiting if id(job) not in taken]
        try:
            answers = _answers_of(jobs)
        except Exception as error:  # a model's failure ends its requests, not the server
            for job in jobs:
                self._end_job(job, error=error)
            return
        for job, answer in zip(jobs, answers, strict=True):
            if answer.error is None:
                self._end_job(job, answer)
            else:
                self._end_job(job, error=TuneworthyError("no answer", got=answer.error))

    def _end_dropped(self) -> None:
        gone = [job for job in self._waiting if job.dropped]
        self._waiting = [job for job in self._waiting if not job.dropped]
        for job in gone:
            self._end_job(job, error=Stopping())

    def _end_job(
        self, job: AnswerJob, answer: Answer | None = None, error: BaseException | None = None
    ) -> None:
        with self._lock:
            if job not in self._unanswered:
                return
            self._unanswered.remove(job)
            if answer is not None:
                job.text = answer.text
            job.answer, job.error = answer, error
        job.wake()


def _batch_key(job: AnswerJob) -> tuple[Any, ...]:
    if job.system is not None:
        return ("system", id(job.system))
    limits = job.limits.model_dump_json() if job.limits else ""
    return ("model", id(job.model), limits)


def _answers_of(jobs: Sequence[AnswerJob]) -> list[Answer]:
    system, model, limits = jobs[0].system, jobs[0].model, jobs[0].limits
    if system is not None:
        answers = system.answer([job.query for job in jobs if job.query])
        none = {} if system.model else {"tokens_in": 0, "tokens_out": 0}  # no model, no token
        return [answer.model_copy(update=none) for answer in answers]
    assert model is not None
    assert limits is not None
    replies = model.reply([job.prompt for job in jobs if job.prompt is not None], limits)
    return [_answer_from_reply(job, reply) for job, reply in zip(jobs, replies, strict=True)]


def _answer_from_reply(job: AnswerJob, reply: Reply) -> Answer:
    names = ("text", "tokens_in", "tokens_cached", "tokens_out", "tokens_thought", "seconds",
             "finish", "error", "lost")  # fmt: skip
    case = job.query.id if job.query else ""
    return Answer(case=case, **{name: getattr(reply, name) for name in names})
