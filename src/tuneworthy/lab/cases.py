"""The cases of the lab: every failure mode, with its task, its rows and its options.

A failure mode is a file of `lab/failures/`. It defines NUMBER, HARD, SLUG, TITLE, TASK, STORY, WIN,
PLANTED, CLEAN, KNOBS, FIXES (tempting ones), CHARTS, MEASURES (five to choose from), PROOF, CAUSES,
NEEDS and HARMLESS; `detect` and `victory` (whose first check is that of the cause); and may define
METRIC (instead of the task's metric), `rows(rows, config, seed)` (the rows as this configuration
has them, with probes), `render(row, config)` (a row's tokens), `probes(config, seed)` (other rows
by name, whose score and loss are measured before and after), `of_probe(name, rows, texts)` (facts
of its own from the answers to them) and `facts(rows, texts, config)` (facts of its own from the 40
answers). Knows no page. A card (TRAINS = False) trains nothing: it defines LOOKS and `answer(setup,
tools)`, which yields its looks, see `records.card`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from random import Random
from types import ModuleType
from typing import Any

from tuneworthy.lab.events import SCHEMA, Event, run_id
from tuneworthy.records.case import Case, Message
from tuneworthy.records.errors import TaskError
from tuneworthy.records.failure import DEFAULTS, Config, LabRow, LabRows, Runs
from tuneworthy.records.plugins import catalogue, load
from tuneworthy.records.task import Task
from tuneworthy.rows.docs import Doc

NEW_ROWS = 40  # new rows that measure a run
# Training rows whose tokens are shown; new rows that each look answers.
SHOWN_LOSS_ROWS, ASKED_ROWS = 3, 4
ANSWER_TOKENS = 64  # most tokens of an answer
HELD_ROWS = 16  # new rows whose loss each look reads
_DEMAND_KEYS = ("accepted", "must_say", "must_not_say")
_ROWS_DRAWN = 360  # rows that a generated task is asked for


@dataclass(frozen=True)
class LabCase:
    """A failure mode with its generated task."""

    name: str
    module: Any

    @property
    def slug(self) -> str:
        """Return the name in URLs, which does not tell the cause."""
        return str(self.module.SLUG)

    @property
    def trains(self) -> bool:
        """Return whether the case trains a model (an inference card does not)."""
        return bool(getattr(self.module, "TRAINS", True))

    def config(self, role: str) -> Config:
        """Return the whole configuration of the planted run (role "plant") or of its clean twin."""
        planted = self.module.PLANTED if role == "plant" else {}
        return {**DEFAULTS, **self.module.CLEAN, **planted}

    def task(self) -> Task:
        """Return the task, with its output type and the metric of the case."""
        return _validated_task(self.module.TASK, getattr(self.module, "METRIC", ""))

    def docs(self) -> tuple[Doc, ...]:
        """Return the documents of the task, () if it has none."""
        return tuple(Doc.model_validate(doc) for doc in _generated_task(self.module.TASK, 0).docs)

    def rows(self, config: Config, seed: int) -> LabRows:
        """Return the rows to train on and the new rows, as this configuration has them."""
        given = _draw_rows(self.module.TASK, seed)
        own = getattr(self.module, "rows", None)
        rows: LabRows = own(given, config, seed) if own else given
        most = int(config["rows"] or 0)
        return LabRows(rows.train[:most], rows.new[:NEW_ROWS], rows.probes)

    def begin_event(self, config: Config, seed: int, role: str, **more: Any) -> Event:
        """Return the event `begin` of a run of this case."""
        return {"kind": "begin", "schema": SCHEMA, "id": run_id(self.slug, config, seed),
                "case": self.slug, "role": role, "config": config, "seed": seed,
                **more}  # fmt: skip

    def end_event(
        self, role: str, runs: Runs, state: str, because: str | None, seconds: float
    ) -> Event:
        """Return the event `end` with finding and checks; no checks for a stopped run."""
        twin = runs.own if role == "twin" else runs.twin
        checks = self.module.victory(runs.own, twin) if twin and state != "stopped" else ()
        return {
            "kind": "end",
            "state": state,
            "because": because,
            "seconds": round(seconds, 1),
            "facts": runs.own.plain(),
            "finding": self.module.detect(runs).plain(),
            "checks": [each.plain() for each in checks],
        }


@lru_cache(maxsize=1)
def all_cases() -> dict[str, LabCase]:
    """Return {slug: case} of all cases, in the order of their numbers."""
    cases = [LabCase(name, load("failures", name)) for name in catalogue("failures")]
    cases.sort(key=lambda case: (case.module.NUMBER, case.name))
    return {case.slug: case for case in cases}


def case_of(slug: str) -> LabCase:
    """Return a case by its slug. Raise TaskError with the nearest slug if there is none."""
    cases = all_cases()
    if slug in cases:
        return cases[slug]
    from difflib import get_close_matches

    near = get_close_matches(slug, cases, n=1)
    raise TaskError(
        "no case has this name",
        got=slug,
        fix=f"did you mean `{near[0]}`?" if near else f"there are: {', '.join(cases)}",
    )


def scored_case(row: LabRow) -> Case:
    """Return a row as a case for its metric, with other right answers and required phrases."""
    demands = {key: tuple(row.meta[key]) for key in _DEMAND_KEYS if key in row.meta}
    return Case(id=row.id, messages=row.messages, output=row.output, **demands)


@lru_cache(maxsize=16)
def _generated_task(name: str, seed: int) -> Any:
    module: ModuleType = load("suite", name)
    return module.make(seed, _ROWS_DRAWN)


@lru_cache(maxsize=16)
def _validated_task(name: str, metric: str) -> Task:
    made = _generated_task(name, 0)
    content = {**made.task, "data": {"train": "train.jsonl"}}
    if metric:
        content["success"] = {**content["success"], "metric": metric}
    output = dict(content["output"])
    if made.schema:
        output["schema"] = made.schema
    return Task.model_validate({**content, "output": output})


@lru_cache(maxsize=16)
def _draw_rows(name: str, seed: int) -> LabRows:
    """Return the task's training and new rows, each shuffled by the seed; no input is in both."""
    made = _generated_task(name, 0)
    said = made.task["instruction"]
    rows = [
        _lab_row(name, said, k, {**row, **_editions_of_answer(made, row)})
        for k, row in enumerate(made.rows)
    ]
    train, new = rows[: made.split], rows[made.split :]
    Random(f"lab {name} {seed} train").shuffle(train)
    Random(f"lab {name} {seed} new").shuffle(new)
    return LabRows(tuple(train), tuple(new))


def _editions_of_answer(made: Any, row: dict[str, Any]) -> dict[str, Any]:
    """Return {"docs": all editions of the document with a row's answer, oldest first}, or {}."""
    own = (row.get("context") or {}).get("doc")
    titles = [doc["title"] for doc in made.docs if doc["id"] == own]
    return {"docs": [doc for doc in made.docs if doc["title"] in titles]} if titles else {}


def _lab_row(name: str, instruction: str, number: int, row: dict[str, Any]) -> LabRow:
    turns = (Message(role="system", content=instruction),
             Message(role="user", content=row["input"]))  # fmt: skip
    meta = {key: value for key, value in row.items() if key not in ("input", "output")}
    return LabRow(f"{name} {number}", turns, row["output"], meta)
