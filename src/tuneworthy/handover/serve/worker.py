"""Answer all requests for one model's weights in one thread: one call for all that wait alike.

An answer of a local model that is decoded from one prompt is followed token by token: its text can
be streamed, and it ends when its client leaves. Others (labels that are scored, votes, drafts,
classifiers, endpoints) come whole. Knows no HTTP.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tuneworthy.records.answer import Answer
from tuneworthy.records.case import Query
from tuneworthy.records.errors import TuneworthyError
from tuneworthy.records.model import Limits, Model, Prompt, Reply
from tuneworthy.store.signals import StopRequested

if TYPE_CHECKING:
    from tuneworthy.models.local.follower import Follower
    from tuneworthy.records.artefact import System

_MOST_TOGETHER = 64  # most requests that one call answers
_IDLE_SECONDS = 0.2  # an idle worker checks so often whether to stop


class Stopping(Exception):
    """Raised for a request that was not answered because the server stops."""


class Refused(Exception):
    """Raised for a prompt that is too long or that the model's chat template refuses."""


@dataclass(eq=False)
class AnswerJob:
    """One answer being made, by a system or a model; the worker sets `text`, `answer` or `error`.

    `wake` is called from the worker's thread when `text` (of a `watched` job) has grown or the job
    has ended; one of `answer` and `error` is then set. `cap` lowers a system's own token limit.
    `tops` are the log-probabilities of its tokens with the `top` likeliest (see `Follower`). The
    client's side sets `dropped` when nobody waits for the answer any more.
    """

    model: Model | None
    wake: Callable[[], None]
    system: System | None = None
    query: Query | None = None
    prompt: Prompt | None = None
    limits: Limits | None = None
    cap: int | None = None
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


def follows_system(system: System) -> bool:
    """Return whether a system's answer is one decoded reply of a local model to one prompt."""
    pack, model, limits = system.artefact.pack, system.model, system.limits
    whole = pack.votes or pack.draft or pack.first
    return bool(model and limits and not whole) and follows_model(model, limits)


def follows_model(model: Model | None, limits: Limits | None) -> bool:
    """Return whether a model's replies within these limits can be followed while they are made."""
    local: Any = model
    return hasattr(local, "net") and limits is not None and not local.scores_labels(limits)


class Worker(threading.Thread):
    """A thread that answers jobs; `submit` refuses those beyond `most` in flight."""

    def __init__(self, most: int) -> None:
        super().__init__(name="worker", daemon=True)
        self._jobs: queue.Queue[AnswerJob] = queue.Queue()
        self._waiting: list[AnswerJob] = []
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

        It does not wait for a call in progress (to an endpoint, say); answers that are decoded end.
        """
        self._ending.set()
        with self._lock:
            left = list(self._unanswered)
        for job in left:
            job.dropped = True
            self._end_job(job, error=Stopping())

    def run(self) -> None:
        """Answer jobs until `stop`."""
        while not self._ending.is_set():
            self._take_jobs()
            self._end_dropped()
            try:
                if self._waiting:
                    self._answer_together()
            except StopRequested:  # a call for many rows noticed the signal that stops the server
                self.stop()

    def _take_jobs(self) -> None:
        try:
            if not self._waiting:
                self._waiting.append(self._jobs.get(timeout=_IDLE_SECONDS))
            while True:
                self._waiting.append(self._jobs.get_nowait())
        except queue.Empty:
            return

    def _answer_together(self) -> None:
        """Answer, by one call, the waiting jobs that are asked like the first one."""
        jobs = list(self._waiting)
        try:
            first = _call_key(jobs[0])
            jobs = [job for job in jobs if _call_key(job) == first][:_MOST_TOGETHER]
            answers = _answers_of(jobs)
        except Exception as error:  # a model's failure or our bug ends these jobs, not the server
            for job in jobs:
                self._end_job(job, error=error)
        else:
            for job, answer in zip(jobs, answers, strict=True):
                self._end_answered(job, answer)
        self._waiting = [job for job in self._waiting if not job.ended]

    def _end_answered(self, job: AnswerJob, answer: Answer) -> None:
        if job.dropped:
            self._end_job(job, error=Stopping())  # nobody reads it
        elif answer.error is None:
            self._end_job(job, answer)
        elif hasattr(job.model, "net"):
            self._end_job(job, error=Refused(answer.error))
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


def _call_key(job: AnswerJob) -> tuple[Any, ...]:
    """Return a key that is equal for jobs which one call can answer together."""
    if job.system is not None:
        return ("system", id(job.system), job.cap)
    assert job.limits is not None
    draws = 0 if follows_model(job.model, job.limits) else job.limits.sample
    return (
        "model",
        id(job.model),
        job.limits.model_copy(update={"sample": draws}).model_dump_json(),
    )


def _answers_of(jobs: Sequence[AnswerJob]) -> list[Answer]:
    system, model, limits = jobs[0].system, jobs[0].model, jobs[0].limits
    prompts = [job.prompt for job in jobs if job.prompt is not None]
    if system is not None:
        queries = [job.query for job in jobs if job.query]
        if not follows_system(system):
            answers = system.answer(queries)
            none = {} if system.model else {"tokens_in": 0, "tokens_out": 0}  # no model, no token
            return [answer.model_copy(update=none) for answer in answers]
        model, prompts, limits = system.model, system.prompts(queries) or [], system.limits
        assert limits is not None
        cap = min(limits.max_tokens, jobs[0].cap or limits.max_tokens)
        limits = limits.model_copy(update={"max_tokens": cap})
    assert model is not None
    assert limits is not None
    if follows_model(model, limits):
        replies = _followed_replies(model, prompts, limits, jobs)
    else:
        replies = model.reply(prompts, limits)
    return [_answer_from_reply(job, reply) for job, reply in zip(jobs, replies, strict=True)]


def _followed_replies(
    model: Any, prompts: Sequence[Prompt], limits: Limits, jobs: Sequence[AnswerJob]
) -> list[Reply]:
    """Return the replies to the jobs' prompts; texts and log-probabilities reach the jobs."""
    from tuneworthy.models.local.follower import Follower

    def follower_of(job: AnswerJob) -> Follower:
        def told(follower: Follower) -> bool:
            if len(follower.text) > len(job.text):
                job.text = follower.text
                job.wake()
            return job.dropped

        return Follower(told, job.limits.sample if job.limits else 0, job.top, job.watched)

    followers = [follower_of(job) for job in jobs]
    replies: list[Reply] = model.reply_followed(prompts, limits, followers)
    for job, follower in zip(jobs, followers, strict=True):
        job.tops = follower.tops
    return replies


def _answer_from_reply(job: AnswerJob, reply: Reply) -> Answer:
    """Return a reply as an answer; how much of the prompt was read once would tell of others'."""
    names = ("text", "tokens_in", "tokens_out", "tokens_thought", "seconds", "finish", "error",
             "lost")  # fmt: skip
    case = job.query.id if job.query else ""
    return Answer(case=case, **{name: getattr(reply, name) for name in names})
