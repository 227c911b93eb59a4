"""One chat request and its reply: wait for the jobs, stream what they give, count the answer."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any

from tuneworthy.core.answer import Answer
from tuneworthy.serve.api_error import ApiError
from tuneworthy.serve.asked_jobs import error_of
from tuneworthy.serve.chat_reply import (
    DONE,
    Envelope,
    Logprobs,
    chunk,
    completion,
    delta,
    event,
    usage,
)
from tuneworthy.serve.chat_request import ChatRequest
from tuneworthy.serve.logprob_entries import logprob_entries
from tuneworthy.serve.served_models import Target
from tuneworthy.serve.service import Service
from tuneworthy.serve.worker import Job


class Exchange:
    """One request and its reply."""

    def __init__(
        self,
        service: Service,
        asked: ChatRequest,
        target: Target,
        jobs: Sequence[Job],
        grown: asyncio.Event,
        begun: float,
    ) -> None:
        self._service, self._asked, self._target, self._jobs = service, asked, target, jobs
        self._grown, self._begun = grown, begun
        self._envelope = Envelope(
            f"chatcmpl-{secrets.token_hex(12)}", int(time.time()), target.name, target.fingerprint
        )

    async def wait(self, left: Coroutine[Any, Any, None], *, first: bool) -> bool:
        """Wait for all answers (`first`: for any text); return False if the client has left.

        `left` ends when the client closes its connection.
        """
        gone = asyncio.create_task(left)
        try:
            while not self._over(first):
                grown = asyncio.create_task(self._grown.wait())
                done, _ = await asyncio.wait({gone, grown}, return_when=asyncio.FIRST_COMPLETED)
                self._grown.clear()
                grown.cancel()
                if gone in done and not self._over(first):
                    self.drop()
                    self._service.counters.cancelled()
                    return False
            return True
        except asyncio.CancelledError:
            self.drop()
            raise
        finally:
            gone.cancel()

    def _over(self, first: bool) -> bool:
        failed = any(job.error is not None for job in self._jobs)
        some = first and any(job.text for job in self._jobs)
        return failed or some or all(job.ended for job in self._jobs)

    def drop(self) -> None:
        """Free the places of all jobs."""
        for job in self._jobs:
            job.dropped = True

    def whole(self) -> dict[str, Any]:
        """Return the reply to a request that does not stream, and count it."""
        answers = self._counted()
        logs: list[Logprobs | None] = [self._logs(job, 0) for job in self._jobs]
        logs += logs[:1] * (len(answers) - len(logs))
        return completion(self._envelope, answers, logs)

    async def events(self) -> AsyncIterator[bytes]:
        """Yield the server-sent events of a streamed reply."""
        count = self._asked.n if len(self._jobs) == 1 else 1
        shown, ended = [0] * len(self._jobs), [False] * len(self._jobs)
        more: dict[str, Any] = {"usage": None} if self._asked.include_usage else {}
        try:
            firsts = [delta(at, "", first=True) for at in range(len(self._jobs) * count)]
            yield chunk(self._envelope, firsts, **more)
            while not all(ended):
                for at, job in enumerate(self._jobs):
                    over, text = job.ended, job.text  # in this order: the end writes the text first
                    if job.error is not None:
                        raise error_of([job]) or ApiError(500, "The model failed.")
                    parts = []
                    if len(text) > shown[at]:
                        parts.append(delta(at, text[shown[at] :]))
                        shown[at] = len(text)
                    if over and not ended[at]:
                        ended[at], finish = True, job.answer.finish if job.answer else None
                        parts.append(delta(at, None, finish=finish or "stop",
                                           log=self._logs(job, 0)))  # fmt: skip
                    for part in parts:
                        copies = [{**part, "index": at + n} for n in range(count)]
                        yield chunk(self._envelope, copies, **more)
                if not all(ended):
                    await self._grown.wait()
                    self._grown.clear()
            answers = self._counted()
            if self._asked.include_usage:
                yield chunk(self._envelope, [], usage=usage(answers))
            yield DONE
        except ApiError as error:
            self._service.counters.refused(self._target.name, error.status)
            yield event(error.plain())
        finally:
            if not all(ended):
                self._service.counters.cancelled()
            self.drop()

    def _logs(self, job: Job, start: int) -> Logprobs | None:
        return None if job.top is None else logprob_entries(self._target.model, job.tops[start:])

    def _counted(self) -> list[Answer]:
        """Return all answers, n copies of a single greedy one; count and log them."""
        answers = [job.answer for job in self._jobs if job.answer is not None]
        if len(answers) == 1:
            answers *= self._asked.n
        seconds = time.perf_counter() - self._begun
        tokens = usage(answers) or {}
        counts = {"prompt": tokens.get("prompt_tokens"), "answer": tokens.get("completion_tokens")}
        self._service.counters.answered(self._target.name, counts, seconds)
        if log := self._service.log:
            said = [m.content for m in self._asked.messages if m.role == "user"]
            valid = self._target.valid
            for answer in answers:
                log.add(self._target.name, said[-1] if said else "", answer, seconds,
                        valid(answer) if valid else None)  # fmt: skip
        return answers
