"""Failures in one call of a remote model: decide whether the prompt or the endpoint is at fault.

A prompt that fails while others are answered becomes a failed reply, and its case is not scored. An
endpoint that fails for all prompts stops the study, which can be resumed. A prompt that used up its
attempts in an earlier run of the study, and does so again, is itself at fault: otherwise a study
with such a row could never finish. A failure that may pass is marked (`lost`): a later run
asks again, for ever if failures cost nothing, once if they may have been billed.
"""

from __future__ import annotations

import threading
import time
from typing import NamedTuple

from tuneworthy.core.answer import LOST_WORDS, Lost
from tuneworthy.core.errors import ModelError, ProviderError
from tuneworthy.core.model import Reply
from tuneworthy.ledger import signals
from tuneworthy.models.remote.endpoint_facts import ANSWERS, EndpointFacts
from tuneworthy.models.remote.wire import Outcome

GIVE_UP = 8  # failures without any answer after which the endpoint is at fault


class _Failure(NamedTuple):
    outcome: Outcome
    error: ProviderError
    again: bool  # it used up its attempts in an earlier run too


class Call:
    """Shared state of the prompts of one call: failures, whether any was answered, when to stop."""

    def __init__(self, learned: EndpointFacts, prompts: int) -> None:
        self.stop, self.answered = threading.Event(), False
        self._learned, self._prompts = learned, prompts
        self._failures: list[_Failure] = []
        self._lock = threading.Lock()

    def wait(self, seconds: float) -> None:
        """Wait `seconds` before another attempt, less if the call or the study is stopped."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not self.stop.wait(min(left, 0.2)):
            signals.check()

    def fail(self, outcome: Outcome, error: ProviderError, key: str) -> Reply:
        """Record a failed prompt and return its error reply; raise if the endpoint is at fault."""
        with self._lock:
            again = outcome.kind == "retry" and self._failed_before(key)
            self._failures.append(_Failure(outcome, error, again))
            counted = [f for f in self._failures if not f.again and not f.outcome.alone]
            if self._learned.get(ANSWERS) is not None:  # a refusal costs nothing: do not count it
                counted = [f for f in counted if f.outcome.kind != "row"]
            hopeless = len(counted) >= GIVE_UP and not self.answered
        if outcome.kind == "fatal" or hopeless or (outcome.down and not again):
            self.stop.set()
            raise error
        passing = outcome.kind == "retry" and not outcome.alone
        may_come = passing and (outcome.billed is False or not again)
        lost: Lost | None = "for now" if may_come else None
        why = (LOST_WORDS[lost] if lost else "") + (outcome.why or "no answer in time")
        return Reply(text="", finish="error", error=why, lost=lost)

    def end(self) -> None:
        """Raise if no prompt of the finished call was answered and the endpoint is at fault."""
        if self.answered or not self._failures:
            return
        answered_before, many = self._learned.get(ANSWERS) is not None, self._prompts >= GIVE_UP
        first = self._failures[0].error
        if all(f.outcome.alone for f in self._failures):
            if many and not answered_before:
                raise first
        elif answered_before and many and all(f.outcome.kind == "row" for f in self._failures):
            raise ModelError(
                "the endpoint refuses every request of this kind, and answers others",
                where=first.where,
                got=first.got,
                fix="leave this arm out, or change `options` so that the server takes its requests",
            )
        else:
            for failure in self._failures:
                outcome = failure.outcome
                prompts_fault = outcome.kind == "row" or (failure.again and not outcome.down)
                if not (prompts_fault and answered_before) and not outcome.alone:
                    raise failure.error

    def _failed_before(self, key: str) -> bool:
        """Record that a request failed; return whether it failed in an earlier run of the study."""
        fact = f"failed {key}"
        before = self._learned.earlier(fact)
        self._learned.learn(fact, {"failed": True})
        return before
