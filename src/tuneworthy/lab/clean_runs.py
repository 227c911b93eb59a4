"""The facts of the recorded clean runs, whose ranges a visitor may take as usual."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from tuneworthy.core.failure import RunFacts
from tuneworthy.lab import words
from tuneworthy.lab.cases import LabCase, all_cases
from tuneworthy.lab.recordings import Recordings


@dataclass(frozen=True)
class UsualRange:
    """The range of a fact over the clean runs: its lowest and highest value, and both as text."""

    low: float
    high: float
    in_words: str


def usual_ranges(keys: Sequence[str]) -> dict[str, UsualRange]:
    """Return the range of each fact over the shipped clean runs, if any run has the fact."""
    found = {}
    for key in keys:
        known = [(value, run) for run in clean_runs() if _is_number(value := getattr(run, key))]
        if known:
            (low, _), (high, run) = min(known, key=_value_of_pair), max(known, key=_value_of_pair)
            found[key] = UsualRange(low, high, words.measure_of(key).span(low, high, run))
    return found


def outside_usual_range(key: str, own: RunFacts) -> str | None:
    """Return in words that a fact lies outside the clean runs' range; None if it does not.

    A value that is written as an end of the range is written lies inside.
    """
    if key not in RunFacts.model_fields or not _is_number(value := getattr(own, key)):
        return None
    found = usual_ranges((key,)).get(key)
    if found is None or found.low <= value <= found.high:
        return None
    side, end = ("above", found.high) if value > found.high else ("below", found.low)
    said = words.measure_of(key)
    if said.value(value, own) == said.value(end, own):
        return None
    return f"{side} what {len(clean_runs())} clean runs had: {found.in_words}"


@lru_cache(maxsize=1)
def clean_runs() -> tuple[RunFacts, ...]:
    """Return the facts of the shipped clean twins of cases that train."""
    return tuple(facts for case in all_cases().values() if (facts := _clean_facts(case)))


def _clean_facts(case: LabCase) -> RunFacts | None:
    return Recordings(case).twin_facts if case.trains else None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def _value_of_pair(known: tuple[float, RunFacts]) -> float:
    return known[0]
