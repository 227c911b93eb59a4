"""The recorded runs of cases, read by id: planted, clean, and tempting fixes."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, TypeGuard

from tuneworthy.lab import words
from tuneworthy.lab.cases import LabCase, all_cases
from tuneworthy.lab.events import RECORDED_KINDS, Event, read_record, run_id, write_record
from tuneworthy.lab.lab_folder import is_id, read_file
from tuneworthy.lab.problem import Problem
from tuneworthy.models.local.machine import processor_kind
from tuneworthy.records.failure import Config, Fix, RunFacts, Value

PACKAGE_RECORDS = Path(__file__).parent / "records"

_MOST_RECORD_BYTES = 4 << 20


class RecordStore:
    """The records of some folders. It checks each id: one without 16 hex digits has no record."""

    def __init__(self, *folders: Path) -> None:
        """Read a record from the first of these folders that has it; write to the last one."""
        self._folders = folders

    def has(self, name: str) -> bool:
        """Return whether there is a record of this id."""
        return self._path(name) is not None

    def events(self, name: str) -> list[Event]:
        """Return the events of a record. Raises Problem: 404 if there is none, 500 if damaged."""
        path = self._path(name)
        if path is None:
            raise Problem(
                404, "there is no record of this id", where="the id in the address", got=name,
                fix="open the case and run it again",
            )  # fmt: skip
        try:
            return read_record(read_file(path, _MOST_RECORD_BYTES))
        except (OSError, ValueError, RecursionError) as error:
            raise Problem(
                500, "a record is damaged", where=f"{path.parent.name}/{path.name}",
                got=type(error).__name__, fix="remove this file, then run the case again",
            ) from None  # fmt: skip

    def facts(self, name: str) -> RunFacts | None:
        """Return the facts of a recorded run; None if there is no such record, or a damaged one."""
        try:
            return RunFacts(**self.events(name)[-1]["facts"])
        except (Problem, ValueError, TypeError, LookupError):
            return None

    def seconds(self, name: str) -> float | None:
        """Return how many seconds a recorded run took, None if it is not recorded."""
        try:
            return float(self.events(name)[-1]["seconds"])
        except (Problem, ValueError, TypeError, LookupError):
            return None

    def write(self, name: str, events: list[Event]) -> None:
        """Write the record of a finished run. Raises OSError, and then keeps the old record."""
        kept = [event for event in events if event["kind"] in RECORDED_KINDS]
        write_record(kept, self._folders[-1] / f"{name}.json.gz").chmod(0o600)

    def _path(self, name: str) -> Path | None:
        if not is_id(name):
            return None
        paths = [folder / f"{name}.json.gz" for folder in self._folders]
        return next((path for path in paths if path.exists()), None)


SHIPPED_RECORDS = RecordStore(PACKAGE_RECORDS)


@lru_cache(maxsize=128)
def shipped_bytes(name: str) -> bytes | None:
    """Return the bytes of a shipped record (a JSON list of events), or None if there is none."""
    path = PACKAGE_RECORDS / f"{name}.json.gz"
    return gzip.decompress(path.read_bytes()) if path.is_file() else None


def shipped_record(name: str, rest: str) -> dict[str, Any] | None:
    """Return a shipped record's first entry, with the others as its field `rest`; None without."""
    content = shipped_bytes(name)
    if content is None:
        return None
    first, *others = json.loads(content)
    return {**first, rest: others}


SEED = 0  # the seed of all recorded runs

_CURVE_POINTS = 24  # about the most points of a card's curve


def live_id(case: str, config: Config, seed: int = SEED) -> str:
    """Return the id of a run that is made on this kind of machine."""
    return run_id(case, config, seed, processor_kind())


def known_id(records: RecordStore, case: str, config: Config, seed: int = SEED) -> str:
    """Return the id of the run that is shown: that of the package, or else one made here."""
    name = run_id(case, config, seed)
    return name if records.has(name) else live_id(case, config, seed)


class Recordings:
    """The recorded runs of one case; None for a run that was not recorded."""

    def __init__(self, case: LabCase, records: RecordStore = SHIPPED_RECORDS) -> None:
        """Read from `records`, by default those of the package."""
        self.case, self._records = case, records

    @cached_property
    def plant(self) -> list[Event] | None:
        """Return the events of the planted run, None if it was not recorded."""
        return self._events(self.id_of(self.case.config("plant")))

    @cached_property
    def twin(self) -> list[Event] | None:
        """Return the events of the clean run, None if it was not recorded."""
        return self._events(self.id_of(self.case.config("twin")))

    @cached_property
    def own_facts(self) -> RunFacts | None:
        """Return the facts of the planted run, None if it was not recorded."""
        return facts_of(self.plant)

    @cached_property
    def twin_facts(self) -> RunFacts | None:
        """Return the facts of the clean run, None if it was not recorded."""
        return facts_of(self.twin)

    def id_of(self, config: Config) -> str | None:
        """Return the id of the run with this configuration, None if it was not recorded."""
        name = known_id(self._records, self.case.slug, config)
        return name if self._records.has(name) else None

    def settings(self) -> Iterator[dict[str, Any]]:
        """Yield each fix recorded where the twin was: knob values, run id, checks, sentence.

        The setting of the clean run is the first.
        """
        planted, clean = self.case.config("plant"), self.case.config("twin")
        knobs, twin = self.case.module.KNOBS, self.twin_facts
        shipped = self._records.has(run_id(self.case.slug, clean, SEED))
        named = run_id if shipped else live_id
        tried = [Fix({key: clean.get(key) for key in knobs}, ""), *self.case.module.FIXES]
        for fix in tried:
            name = named(self.case.slug, {**planted, **fix.turns}, SEED)
            own = facts_of(self._events(name))
            if own and twin:
                values = {key: {**planted, **fix.turns}.get(key) for key in knobs}
                checks = [each.plain() for each in self.case.module.victory(own, twin)]
                yield {"values": values, "id": name, "checks": checks, "says": fix.says}

    def options(self, key: str) -> list[Value]:
        """Return the values of a knob, with the planted one first if it is not among them."""
        values, planted = list(self.case.module.KNOBS[key]), self.case.config("plant").get(key)
        return values if planted in values else [planted, *values]

    def ids(self) -> list[str]:
        """Return the ids of all recorded runs: planted, clean, and tempting fixes."""
        ends = (self.id_of(self.case.config(role)) for role in ("plant", "twin"))
        found = [*ends, *(each["id"] for each in self.settings())]
        return list(dict.fromkeys(name for name in found if name))

    def hero(self) -> dict[str, list[Event] | None]:
        """Return {"plant", "twin"}: events for the home page, one answer per look, no tokens.

        The question is the one on which the clean run's lead is largest at the end.
        """
        runs = {"plant": self.plant, "twin": self.twin}
        asked = _telling_question(self.plant, self.twin) if self.plant and self.twin else 0
        return {
            role: _shortened(events, asked) if events else None for role, events in runs.items()
        }

    def sparkline(self, key: str, top: float | None) -> dict[str, Any] | None:
        """Return {"run", "twin"}: points of a figure, 100 by 100; None if one is empty."""
        if not (self.plant and self.twin):
            return None
        curves = {"run": _figure_points(key, self.plant), "twin": _figure_points(key, self.twin)}
        if not all(curves.values()):
            return None
        whole = [value for points in curves.values() for _, value in points]
        first = 0 if self.case.trains else 1
        last = max(step for points in curves.values() for step, _ in points)
        length = max(1, last - first)
        low, high = min(0.0, *whole), top or max(whole)
        span = (high - low) or 1.0
        return {
            name: [
                [
                    round(100 * (step - first) / length, 1),
                    round(97 - 94 * (min(value, high) - low) / span, 1),
                ]
                for step, value in _thin_out(points)
            ]
            for name, points in curves.items()
        }

    def _events(self, name: str | None) -> list[Event] | None:
        return self._records.events(name) if name and self._records.has(name) else None


def facts_of(events: Sequence[Event] | None) -> RunFacts | None:
    """Return the facts of a recorded run; None without events or if it has not ended.

    Facts that this version does not know are left out.
    """
    last = events[-1] if events else None
    if last is None or last["kind"] != "end":
        return None
    known = RunFacts.model_fields
    losses = [loss for _, loss in _figure_points("loss", events or ())]
    peak = {"loss_peak": max(losses)} if losses else {}  # records of older versions lack it
    return RunFacts(
        **{**peak, **{key: value for key, value in last["facts"].items() if key in known}}
    )


def _figure_points(key: str, events: Sequence[Event]) -> list[tuple[int, float]]:
    """Return the (step, value) points of a figure, from the steps' or the looks' events."""
    points: list[tuple[int, float]] = []
    for event in events:
        if event["kind"] == "steps" and isinstance(event.get(key), list):
            points += [(event["from"] + k, value) for k, value in enumerate(event[key])]
        elif event["kind"] == "look":
            value = event["held"] if key == "held" else event["facts"].get(key)
            if value is not None:
                points.append((event["at"], value))
    return [(step, value) for step, value in points if value is not None]


def _thin_out(points: list[tuple[int, float]]) -> list[tuple[int, float]]:
    every = max(1, len(points) // _CURVE_POINTS)
    return [*points[:-1:every], points[-1]]


def _telling_question(plant: Sequence[Event], twin: Sequence[Event]) -> int:
    """Return the index of the question on which the twin's last score leads most (0: on none)."""
    last = [[event for event in run if event["kind"] == "look"][-1:] for run in (plant, twin)]
    scores = [
        [answer["score"] or 0.0 for answer in looks[0]["answers"]] if looks else []
        for looks in last
    ]
    lead = [theirs - own for own, theirs in zip(*scores, strict=False)]
    return lead.index(max(lead)) if lead and max(lead) > 0 else 0


def _shortened(events: Sequence[Event], asked: int) -> list[Event]:
    short: list[Event] = []
    for event in events:
        if event["kind"] == "begin":
            short.append({**event, "rows": [], "questions": event["questions"][asked : asked + 1]})
        elif event["kind"] == "look":
            short.append({**event, "losses": [], "answers": event["answers"][asked : asked + 1]})
        elif event["kind"] == "steps":
            kept = {key: event[key] for key in ("kind", "from", "loss")}
            last = short[-1] if short else {}
            if last.get("kind") == "steps" and last["from"] + len(last["loss"]) == kept["from"]:
                last["loss"] = [*last["loss"], *kept["loss"]]
            else:
                short.append(kept)
        else:
            short.append(event)
    return short


@dataclass(frozen=True)
class UsualRange:
    """The range of a fact over the clean runs: its lowest and highest value, and both as text."""

    low: float
    high: float
    in_words: str


def usual_ranges(keys: Sequence[str]) -> dict[str, UsualRange]:
    """Return {fact: its range over the shipped clean runs}, for facts that a run has."""
    found = {}
    for key in keys:
        known = [
            (value, run) for run in clean_runs() if _is_number(value := words.value_of(run, key))
        ]
        if known:
            (low, _), (high, run) = min(known, key=_value_of_pair), max(known, key=_value_of_pair)
            found[key] = UsualRange(low, high, words.measure_of(key).span(low, high, run))
    return found


def outside_range_text(key: str, own: RunFacts) -> str | None:
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


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float)


def _value_of_pair(known: tuple[float, RunFacts]) -> float:
    return known[0]
