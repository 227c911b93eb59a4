"""Make the reply to one chat request: wait for its jobs, stream or return their text, count it."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any

from tuneworthy.handover.serve.asked_jobs import api_error_of
from tuneworthy.handover.serve.chat_reply import (
    DONE_EVENT,
    ApiError,
    Envelope,
    Logprobs,
    chunk,
    completion,
    delta,
    event,
    logprob_entries,
    usage,
)
from tuneworthy.handover.serve.chat_request import ChatRequest
from tuneworthy.handover.serve.served_models import Target
from tuneworthy.handover.serve.service import Service
from tuneworthy.handover.serve.worker import AnswerJob
from tuneworthy.records.answer import Answer


class Exchange:
    """One chat request with its jobs, and the reply made from them."""

    def __init__(
        self,
        service: Service,
        asked: ChatRequest,
        target: Target,
        jobs: Sequence[AnswerJob],
        grown: asyncio.Event,
        begun: float,
    ) -> None:
        self._service, self._asked, self._target, self._jobs = service, asked, target, jobs
        self._text_grew, self._begun = grown, begun
        self._envelope = Envelope(
            f"chatcmpl-{secrets.token_hex(12)}", int(time.time()), target.name, target.fingerprint
        )

    async def wait(self, left: Coroutine[Any, Any, None], *, first: bool) -> bool:
        """Wait for all answers (`first`: for the first text); return False if the client left.

        `left` returns when the client closes its connection.
        """
        gone = asyncio.create_task(left)
        try:
            while not self._has_enough(first):
                grown = asyncio.create_task(self._text_grew.wait())
                done, _ = await asyncio.wait({gone, grown}, return_when=asyncio.FIRST_COMPLETED)
                self._text_grew.clear()
                grown.cancel()
                if gone in done and not self._has_enough(first):
                    self.drop_jobs()
                    self._service.counters.count_cancelled()
                    return False
            return True
        except asyncio.CancelledError:
            self.drop_jobs()
            raise
        finally:
            gone.cancel()

    def _has_enough(self, first: bool) -> bool:
        failed = any(job.error is not None for job in self._jobs)
        some = first and any(job.text for job in self._jobs)
        return failed or some or all(job.ended for job in self._jobs)

    def drop_jobs(self) -> None:
        """Mark all jobs as dropped, so that the worker ends them."""
        for job in self._jobs:
            job.dropped = True

    def full_reply(self) -> dict[str, Any]:
        """Return the whole reply to a request that does not stream, and count its answers."""
        answers = self._count_answers()
        logs: list[Logprobs | None] = [self._logprobs(job, 0) for job in self._jobs]
        logs += logs[:1] * (len(answers) - len(logs))
        system = self._jobs[0].system
        sure_from = system.artefact.pack.sure_from if system else None
        return completion(self._envelope, answers, logs, sure_from)

    async def stream_events(self) -> AsyncIterator[bytes]:
        """Yield the server-sent events of a streamed reply."""
        count = self._asked.n if len(self._jobs) == 1 else 1
        shown, ended = [0] * len(self._jobs), [False] * len(self._jobs)
        more: dict[str, Any] = {"usage": None} if self._asked.include_usage else {}
        try:
            firsts = [delta(at, "", first=True) for at in range(len(self._jobs) * count)]
            yield chunk(self._envelope, firsts, **more)
            while not all(ended):
                for at, job in enumerate(self._jobs):
                    over, text = job.ended, job.text  # in this order: text is set before the end
                    if job.error is not None:
                        raise api_error_of([job]) or ApiError(500, "The model failed.")
                    parts = []
                    if len(text) > shown[at]:
                        parts.append(delta(at, text[shown[at] :]))
                        shown[at] = len(text)
                    if over and not ended[at]:
                        ended[at], finish = True, job.answer.finish if job.answer else None
                        parts.append(delta(at, None, finish=finish or "stop",
                                           log=self._logprobs(job, 0)))  # fmt: skip
                    for part in parts:
                        copies = [{**part, "index": at + n} for n in range(count)]
                        yield chunk(self._envelope, copies, **more)
                if not all(ended):
                    await self._text_grew.wait()
                    self._text_grew.clear()
            answers = self._count_answers()
            if self._asked.include_usage:
                yield chunk(self._envelope, [], usage=usage(answers))
            yield DONE_EVENT
        except ApiError as error:
            self._service.counters.count_refused(self._target.name, error.status)
            yield event(error.plain())
        finally:
            if not all(ended):
                self._service.counters.count_cancelled()
            self.drop_jobs()

    def _logprobs(self, job: AnswerJob, start: int) -> Logprobs | None:
        return None if job.top is None else logprob_entries(self._target.model, job.tops[start:])

    def _count_answers(self) -> list[Answer]:
        """Count and log all answers, and return them; a single greedy one is repeated n times."""
        answers = [job.answer for job in self._jobs if job.answer is not None]
        if len(answers) == 1:
            answers *= self._asked.n
        seconds = time.perf_counter() - self._begun
        tokens = usage(answers) or {}
        counts = {"prompt": tokens.get("prompt_tokens"), "answer": tokens.get("completion_tokens")}
        self._service.counters.count_answered(self._target.name, counts, seconds)
        if log := self._service.log:
            said = [m.content for m in self._asked.messages if m.role == "user"]
            valid = self._target.valid
            for answer in answers:
                log.add(self._target.name, said[-1] if said else "", answer, seconds,
                        valid(answer) if valid else None)  # fmt: skip
        return answers
