"""Record runs of cases: the planted one, its clean twin, and the tempting fixes.

A run is stored under a digest of all that it depends on, so a stopped recording can go on, and a
run that several cases share (most clean twins) is made once. Knows no page.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tuneworthy.lab.cases import LabCase
from tuneworthy.lab.events import SCHEMA, Event, read_record, write_record
from tuneworthy.lab.recordings import PACKAGE_RECORDS, SHIPPED_RECORDS
from tuneworthy.lab.run_process import LabRun, run_case
from tuneworthy.records.code import source_digest
from tuneworthy.records.failure import Config, RunFacts, Runs
from tuneworthy.records.record import digest

MEASURED_CODE = (
    "records/failure.py", "lab/experiment.py", "lab/encode.py", "lab/facts.py", "lab/cases.py",
    "lab/card_*.py",
)  # fmt: skip
"""Code that decides what a run does and measures: a change of it makes another run."""
MODULE_HOOKS = ("rows", "render", "probes", "of_probe", "facts", "answer")


def settings_to_record(case: LabCase) -> list[Config]:
    """Return the configuration of each tempting fix of a case."""
    plant = case.config("plant")
    return [{**plant, **fix.turns} for fix in case.module.FIXES]


class Recorder:
    """Runs cases, each run once, and stores their events in a folder."""

    def __init__(
        self, open_model: Callable[[], Any], folder: Path, say: Callable[[str], None] = print
    ) -> None:
        """`open_model` is called before the first run that is not stored yet."""
        self._open_model, self._folder, self._say = open_model, folder, say
        self._model: Any = None

    def twin_facts(self, case: LabCase, seed: int) -> RunFacts:
        """Return the facts of a case's clean run: the stored one, the shipped one, or a new one."""
        run = LabRun(case, case.config("twin"), seed, "twin")
        shipped = SHIPPED_RECORDS.facts(run.id) if not self._path(run).exists() else None
        return shipped or facts_of(self._events(run))

    def events(self, run: LabRun) -> list[Event]:
        """Return the events of a run; its end is judged by the case's present code."""
        twin = self.twin_facts(run.case, run.seed)
        return relabel_events(self._events(run), run, twin)

    def write_shipped(self, run: LabRun, folder: Path = PACKAGE_RECORDS) -> Path:
        """Write the record of a run to the folder of shipped records; return the file."""
        return write_record(self.events(run), folder / f"{run.id}.json.gz")

    def _path(self, run: LabRun) -> Path:
        return self._folder / f"{run_key(run)}.json.gz"

    def _events(self, run: LabRun) -> list[Event]:
        path = self._path(run)
        if path.exists():
            return read_record(path.read_bytes())
        if self._model is None:
            self._model = self._open_model()
        events: list[Event] = []
        run_case(run, self._model, events.append, self._folder / "work" / "run")
        write_record(events, path)
        self._say(f"{run.case.slug} seed {run.seed} {run.role}: {events[-1]['seconds']} s")
        return events


def run_key(run: LabRun) -> str:
    """Return a digest of what a run depends on: task, configuration, seed and code."""
    module = run.case.module
    own = [
        inspect.getsource(hook) for name in MODULE_HOOKS if (hook := getattr(module, name, None))
    ]
    own += [module.METRIC] if hasattr(module, "METRIC") else []
    if own or "same_as_base" in module.MEASURES:
        shared = sorted(Path(module.__file__).parent.glob("_*.py"))
        own += [run.case.slug, *(path.read_text("utf-8") for path in shared)]
    code = source_digest(MEASURED_CODE)
    return digest([SCHEMA, code, module.TASK, dict(sorted(run.config.items())), run.seed, own], 16)


def relabel_events(events: list[Event], run: LabRun, twin: RunFacts) -> list[Event]:
    """Return a run's events under this case, role and id, with finding and checks judged anew."""
    begin, *middle, end = events
    begin = {**begin, "id": run.id, "case": run.case.slug, "role": run.role, "config": run.config}
    own, module = facts_of(events), run.case.module
    judged = {
        "finding": module.detect(Runs(own, None if run.role == "twin" else twin)).plain(),
        "checks": [check.plain() for check in module.victory(own, twin)],
    }
    return [begin, *middle, {**end, **judged}]


def facts_of(events: list[Event]) -> RunFacts:
    """Return the facts in a run's last event, which must be its end."""
    return RunFacts(**events[-1]["facts"])
