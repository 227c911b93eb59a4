"""The recorded runs of a case: its planted run, its clean twin, other settings of its knobs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import product
from typing import Any

from tuneworthy.core.failure import Config, RunFacts, Value
from tuneworthy.lab.cases import LabCase
from tuneworthy.lab.events import Event, run_id
from tuneworthy.lab.record_store import SHIPPED_RECORDS, RecordStore

SEED = 0  # the seed of all recorded runs
CURVE_POINTS = 24  # about the most points of a card's curve


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
        name = run_id(self.case.slug, config, SEED)
        return name if self._records.has(name) else None

    def settings(self) -> Iterator[dict[str, Any]]:
        """Yield each recorded setting of the knobs: its values, run id and checks."""
        planted, twin = self.case.config("plant"), self.twin_facts
        knobs = {key: self.options(key) for key in self.case.module.KNOBS}
        for values in product(*knobs.values()):
            chosen = dict(zip(knobs, values, strict=True))
            name = self.id_of({**planted, **chosen})
            own = facts_of(self._events(name))
            if own and twin:
                checks = [each.plain() for each in self.case.module.victory(own, twin)]
                yield {"values": chosen, "id": name, "checks": checks}

    def options(self, key: str) -> list[Value]:
        """Return the values of a knob, with the planted one first if it is not among them."""
        values, planted = list(self.case.module.KNOBS[key]), self.case.config("plant").get(key)
        return values if planted in values else [planted, *values]

    def ids(self) -> list[str]:
        """Return the ids of all recorded runs: planted, clean, and other settings."""
        ends = (self.id_of(self.case.config(role)) for role in ("plant", "twin"))
        found = [*ends, *(each["id"] for each in self.settings())]
        return list(dict.fromkeys(name for name in found if name))

    def hero(self) -> dict[str, list[Event] | None]:
        """Return both runs' events, shortened for the home page: one answer per look, no tokens.

        The question is the one on which the clean run's lead is largest at the end.
        """
        runs = {"plant": self.plant, "twin": self.twin}
        asked = _telling_question(self.plant, self.twin) if self.plant and self.twin else 0
        return {
            role: _shortened(events, asked) if events else None for role, events in runs.items()
        }

    def sparkline(self, key: str, top: float | None) -> dict[str, Any] | None:
        """Return both runs' curves of a figure as points in a box of 100 by 100; None without."""
        if not (self.plant and self.twin):
            return None
        curves = {"run": figure_points(key, self.plant), "twin": figure_points(key, self.twin)}
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
    return RunFacts(**{key: value for key, value in last["facts"].items() if key in known})


def figure_points(key: str, events: Sequence[Event]) -> list[tuple[int, float]]:
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
    every = max(1, len(points) // CURVE_POINTS)
    return [*points[:-1:every], points[-1]]


def _telling_question(plant: Sequence[Event], twin: Sequence[Event]) -> int:
    """Return the index of the question on which the twin's last score leads most (0 if none)."""
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
