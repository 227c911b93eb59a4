"""What the recorded clean runs measured: the values that a visitor may take as usual."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from tuneworthy.core.failure import RunFacts
from tuneworthy.lab import words
from tuneworthy.lab.cases import LabCase, all_cases
from tuneworthy.lab.recordings import Recordings


def usual(keys: Sequence[str]) -> dict[str, str]:
    """Return the range of each fact over the clean runs of the package, where any has it."""
    found = {}
    for key in keys:
        known = [(value, run) for run in clean_runs() if _is_number(value := getattr(run, key))]
        if known:
            (low, _), (high, run) = min(known, key=_value), max(known, key=_value)
            found[key] = words.measure(key).span(low, high, run)
    return found


@lru_cache(maxsize=1)
def clean_runs() -> tuple[RunFacts, ...]:
    """Return the facts of the clean twins that come with the package, cases of training alone."""
    return tuple(facts for case in all_cases().values() if (facts := _clean(case)))


def _clean(case: LabCase) -> RunFacts | None:
    return Recordings(case).twin_facts if case.trains else None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def _value(known: tuple[float, RunFacts]) -> float:
    return known[0]
