"""Store a study's results, and begin a repetition that asks its temporarily failed rows again.

A repetition has a number, which is part of the key of its results. Until it ends, the results
before it are the study's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tuneworthy.core.reason import Why, is_reason
from tuneworthy.core.results import Results, as_read_back, canonical_pieces
from tuneworthy.ledger.store import Ledger

_REPETITION = "failed rows asked again"


@dataclass(frozen=True)
class StoredResults:
    """Reads and stores the results of one study in the ledger.

    `name` is the study and the minutes added to it; `key_of` returns the key of a name's results.
    """

    ledger: Ledger
    name: str
    key_of: Callable[[str], str]

    def latest(self) -> Results | None:
        """Return the results of the last repetition that ended; None if the study never ended."""
        for number in range(self._repetitions(), -1, -1):
            if stored := self.ledger.get(self._key(number)):
                return Results.model_validate(stored)
        return None

    def store(self, results: Results, study: str) -> Results:
        """Store the results and return them as stored, so that a rerun gives the same bytes.

        If a model was unavailable nothing is stored, so that the next run tries that model again.
        """
        if any(is_reason(run.because, Why.MODEL_UNAVAILABLE) for run in results.runs):
            return results
        key = self._key(self._repetitions())
        keyed = results.model_copy(update={"reproduce": {**results.reproduce, "stored": key}})
        self.ledger.put_text(key, "results", canonical_pieces(keyed), study)
        return as_read_back(keyed)

    def begin_repetition(self, latest: Results) -> int:
        """Return how many answers failed temporarily, and begin a repetition if any did.

        A repetition that was interrupted is continued under its own number.
        """
        failures = sum(run.temporary_failures for run in latest.runs)
        number = self._repetitions()
        if failures and self.ledger.get(self._key(number)):
            self.ledger.freeze(self.name, f"{_REPETITION} {number + 1}", {"failures": failures})
        return failures

    def _repetitions(self) -> int:
        number = 0
        while self.ledger.frozen(self.name, f"{_REPETITION} {number + 1}") is not None:
            number += 1
        return number

    def _key(self, number: int) -> str:
        return self.key_of(f"{self.name}, {_REPETITION} {number}" if number else self.name)
