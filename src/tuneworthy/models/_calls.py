"""One call of a remote model: who is at fault where prompts fail, the prompts or the endpoint.

A prompt that fails among answered ones is a failed reply, which becomes an unscored case. An
endpoint that fails for all stops the study, which goes on from there. A prompt that used up its
attempts in an earlier run of the study, and does so again, is at fault itself: without that rule
a study with such a row could never be finished.
"""

from __future__ import annotations

import threading
import time
from typing import NamedTuple

from tuneworthy.core.errors import ModelError, ProviderError
from tuneworthy.core.model import Reply
from tuneworthy.ledger import signals
from tuneworthy.models._learned import ANSWERS, Learned
from tuneworthy.models._wire import Outcome

GIVE_UP = 8  # failures before the first answer: the endpoint, not the prompts, is at fault


class _Failure(NamedTuple):
    outcome: Outcome
    error: ProviderError
    again: bool  # it used up its attempts in an earlier run too


class Call:
    """What the prompts of one call share: whether any was answered, and whether to stop."""

    def __init__(self, learned: Learned, prompts: int) -> None:
        self.stop, self.answered = threading.Event(), False
        self._learned, self._prompts = learned, prompts
        self._failures: list[_Failure] = []
        self._lock = threading.Lock()

    def rest(self, seconds: float) -> None:
        """Wait before another attempt, until the call or the study is stopped."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not self.stop.wait(min(left, 0.2)):
            signals.check()

    def fail(self, outcome: Outcome, error: ProviderError, key: str) -> Reply:
        """Note a failed prompt and return its reply; raise where going on makes no sense."""
        with self._lock:
            again = outcome.kind == "retry" and self._seen_before(key)
            self._failures.append(_Failure(outcome, error, again))
            counted = [f for f in self._failures if not f.again and not f.outcome.alone]
            if self._learned.get(ANSWERS) is not None:  # a refusal costs nothing: see them all
                counted = [f for f in counted if f.outcome.kind != "row"]
            hopeless = len(counted) >= GIVE_UP and not self.answered
        if outcome.kind == "fatal" or hopeless or (outcome.down and not again):
            self.stop.set()
            raise error
        return Reply(text="", finish="error", error=outcome.why or "no answer in time")

    def end(self) -> None:
        """Raise where no prompt of the call was answered and the endpoint is at fault."""
        if self.answered or not self._failures:
            return
        before, many = self._learned.get(ANSWERS) is not None, self._prompts >= GIVE_UP
        first = self._failures[0].error
        if all(f.outcome.alone for f in self._failures):
            if many and not before:
                raise first
        elif before and many and all(f.outcome.kind == "row" for f in self._failures):
            raise ModelError(
                "the endpoint refuses every request of this kind, and answers others",
                where=first.where,
                got=first.got,
                fix="leave this arm out, or change `options` so that the server takes its requests",
            )
        else:
            for failure in self._failures:
                said = failure.outcome
                mine = said.kind == "row" or (failure.again and not said.down)
                if not (mine and before) and not said.alone:
                    raise failure.error

    def _seen_before(self, key: str) -> bool:
        """Return whether a prompt failed in an earlier run of the study, and note that it did."""
        what = f"failed {key}"
        known = self._learned.earlier(what)
        self._learned.learn(what, {"failed": True})
        return known
