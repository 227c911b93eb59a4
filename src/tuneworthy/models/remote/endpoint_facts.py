"""Facts that a study learns about one model at one endpoint, stored with the study.

A resumed study starts with them, so its requests stay the same. The first value of a fact is never
replaced.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tuneworthy.records.model import Prompt, Reply
from tuneworthy.records.record import digest

ANSWERS, SERVED, THINKS, ROOM = "answers", "served", "thinks", "room"

CHANGED, UNASKED, NOISE = "fingerprint changed", "thinks unasked", "batch noise"

FORMLESS, UNLIKELY = "answers outside the form", "choices that are not the likeliest"

_FACTS_WITH_NOTES = (THINKS, UNASKED, ROOM, CHANGED, NOISE, FORMLESS, UNLIKELY)


class EndpointFacts:
    """Stored facts by name, each a small record; `say` receives the note of a new fact."""

    def __init__(
        self, purse: Any, fingerprint: Mapping[str, str], say: Callable[[str], None]
    ) -> None:
        self._purse = purse if hasattr(purse, "learn") else None
        self._name, self._say = f"endpoint {digest(dict(fingerprint), 16)}", say
        self._facts: dict[str, dict[str, Any] | None] = {}
        self._new: set[str] = set()
        self._lock = threading.RLock()

    def get(self, what: str) -> dict[str, Any] | None:
        """Return the record of a fact, None if it was not stored."""
        with self._lock:
            if what not in self._facts:
                kept = self._purse and self._purse.recall(f"{self._name}: {what}")
                self._facts[what] = kept or None
            return self._facts[what]

    def earlier(self, what: str) -> bool:
        """Return whether a fact was stored in an earlier run of the study, not in this one."""
        with self._lock:
            return self.get(what) is not None and what not in self._new

    def learn(self, what: str, value: dict[str, Any], note: str = "") -> dict[str, Any]:
        """Store a fact and return its record; if it is stored already, return that record."""
        with self._lock:
            if (stored := self.get(what)) is not None:
                return stored
            made = {**value, "note": note} if note else value
            self._new.add(what)
            if self._purse is not None:
                made = self._purse.learn(f"{self._name}: {what}", made)
            self._facts[what] = made
        if note:
            self._say(note)
        return made

    def without(self, parameter: str) -> bool:
        """Return whether the endpoint refused a parameter, which requests then leave out."""
        return self.get(f"without {parameter}") is not None

    def notes(self, parameters: tuple[str, ...]) -> tuple[str, ...]:
        """Return the notes stored with facts, and with refusals of `parameters`, for the report."""
        names = (*_FACTS_WITH_NOTES, *(f"without {parameter}" for parameter in parameters))
        facts = [self.get(name) for name in names]
        return tuple(str(fact["note"]) for fact in facts if fact and fact.get("note"))


_MOST_REPEATED = 8  # prompts that are sent again


def measure_noise(
    facts: EndpointFacts,
    prompts: Sequence[Prompt],
    replies: Sequence[Reply],
    alone: Callable[[Prompt], Reply],
    who: str,
) -> None:
    """Send the first prompts again one by one; store the number of changed answers in `facts`.

    Done once a study, on the first call with at least two answered prompts.
    """
    pairs = [
        (prompt, reply) for prompt, reply in zip(prompts, replies, strict=True) if not reply.error
    ][:_MOST_REPEATED]
    if len(pairs) < 2 or facts.get(NOISE) is not None:
        return
    again = [alone(prompt) for prompt, _ in pairs]
    differ = sum(now.text != reply.text for now, (_, reply) in zip(again, pairs, strict=True))
    note = ""
    if differ:
        note = (
            f"{differ} of {len(pairs)} answers of {who} were others when they were asked for one by"
            " one: its answers depend on their batch (no batch-invariant mode), so a difference of"
            " that share between two arms may be noise"
        )
    facts.learn(NOISE, {"differ": differ, "of": len(pairs)}, note)
