"""Run a cell: write its task, run it as an ordinary study, and keep its entry in the atlas."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from bench.atlas.atlas_data import write_entry
from bench.atlas.cells import (
    ARM_SEEDS,
    ARMS,
    MODEL,
    Cell,
    applicable_arms,
    facts_change,
    generated_task,
    sample_task,
    split_rows,
)
from bench.atlas.check_entry import check_entry
from bench.atlas.entry import Entry, EntryLabels, make_entry

from tuneworthy.flows.session import open_session, read
from tuneworthy.flows.study import Watch, run
from tuneworthy.models._roles import unusable
from tuneworthy.models.local import wheel
from tuneworthy.records.errors import ModelError, TuneworthyError
from tuneworthy.records.measured_task import ShownRow
from tuneworthy.records.plan import NO_DIAGNOSIS_CUT, Plan
from tuneworthy.records.plugins import load
from tuneworthy.records.results import Results
from tuneworthy.records.run import RunOptions
from tuneworthy.report.results_folder import RESULTS_FILE
from tuneworthy.rows.fingerprint import rows_digest
from tuneworthy.store.elsewhere import FOLDER_ONLY, LOOKS_VARIABLE
from tuneworthy.store.store import read_ledger
from tuneworthy.suite import GeneratedTask

CELLS_FOLDER = Path("atlas")  # below the working folder
CELL_MINUTES = 100_000  # so many that no plan is cut; the caller stops the run
SCORING_PURPOSES = ("compare", "score")  # of opening scored rows, in the ledger's log
SHOWN_ROWS = 10  # rows to learn from that an adviser may see


@dataclass(frozen=True)
class CellOptions:
    """Options of a cell's run: model, teacher, arms (None: all that apply), seeds per trained arm.

    `kinds` are the arms from which those that apply are taken.
    `usd` is the most that one cell may cost at an endpoint; None: endpoints are refused, unless
    `pay` allows them without a cap.
    """

    model: str = MODEL
    teacher: str | None = None
    arms: Sequence[str] | None = None
    seeds: int = ARM_SEEDS
    usd: float | None = None
    pay: bool = False
    kinds: Sequence[str] = ARMS

    def arms_of(self, made: GeneratedTask) -> list[str]:
        """Return the names of the arms that a cell of this type of task runs."""
        if self.arms is not None:
            return list(self.arms)
        return applicable_arms(made, bool(self.teacher), self.kinds)

    @property
    def run_options(self) -> RunOptions:
        """Return the options of the study of a cell."""
        return RunOptions(brief=True, pay=self.pay)


def write_cell(cell: Cell, working: Path, options: CellOptions = CellOptions()) -> Path:
    """Write a cell's task and rows into `atlas/<cell>/` and return the task file.

    Files that already have the same content are not written again.
    """
    folder = working / CELLS_FOLDER / cell.id
    made, (learn, test) = generated_task(cell), split_rows(cell)
    data = {"train": "train.jsonl", "test": "test.jsonl"}
    texts = {"train.jsonl": _json_lines(learn), "test.jsonl": _json_lines(test)}
    if made.docs:
        data["docs"], texts["docs.jsonl"] = "docs.jsonl", _json_lines(made.docs)
    if made.schema:
        texts["schema.json"] = json.dumps(made.schema, indent=1) + "\n"
    task = {key: made.task[key] for key in ("instruction", "output", "success")}
    keys: dict[str, Any] = {"name": cell.id, **task, "data": data, "model": options.model}
    keys |= {"arms": options.arms_of(made), "seeds": options.seeds}
    keys |= {"budget": {"stages": False, "minutes": CELL_MINUTES, "usd": options.usd}}
    keys |= {"teacher": options.teacher} if options.teacher else {}
    texts["task.yaml"] = json.dumps(keys, indent=1, ensure_ascii=False) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        path = folder / name
        if not path.is_file() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")
    return folder / "task.yaml"


def _json_lines(rows: Sequence[dict[str, Any]] | tuple[dict[str, Any], ...]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def run_cell(
    cell: Cell, working: Path, options: CellOptions = CellOptions(), watch: Watch | None = None
) -> Entry:
    """Run a cell or continue its run; check its entry, write it into the atlas and return it.

    A stopped study makes no entry: its StopRequested is raised.
    """
    _refuse_absent_model(cell, options)
    path = write_cell(cell, working, options)
    with _count_looks_per_cell():
        _freeze_without_diagnosis(path, options, watch)
        study = run(path, options.run_options, watch)
    if study.stopped:
        raise study.stopped
    sample = sample_task(cell)
    named = EntryLabels(
        key=cell.key(options.model),
        kind=cell.kind,
        title=f"{cell.kind}, {cell.size:,} rows",
        facts_change=facts_change(sample),
        source=cell.name,
        shown=() if cell.data else shown_rows(path, study.results),
    )
    day, public = measured_on(study.folder, study.results), cell.data is not None
    entry = make_entry(study.results, named, day, figures_only=public)
    check_entry(entry)
    write_entry(entry, working)
    return entry


def _refuse_absent_model(cell: Cell, options: CellOptions) -> None:
    """Raise ModelError if some arms need a model that can't be used on this machine."""
    arms = options.arms_of(sample_task(cell))
    asks = any(load("arms", name).NEEDS & {"model", "training"} for name in arms)
    absent = options.model == MODEL and wheel.locate() is None
    if asks and (absent or unusable(options.model)):
        raise ModelError(
            "the model of this cell can't be asked here",
            where=cell.id,
            got=str(unusable(options.model) or f"{MODEL} is not fetched"),
            fix=f"tuneworthy models get {MODEL}; or --arms majority,tfidf",
        )


@contextmanager
def _count_looks_per_cell() -> Iterator[None]:
    """Count looks at test rows per cell in this block, though all sizes of a type share their rows.

    Otherwise a cell's bounds would depend on the cells that this user ran before it.
    """
    before = os.environ.get(LOOKS_VARIABLE)
    os.environ[LOOKS_VARIABLE] = FOLDER_ONLY
    try:
        yield
    finally:
        if before is None:
            del os.environ[LOOKS_VARIABLE]
        else:
            os.environ[LOOKS_VARIABLE] = before


def _freeze_without_diagnosis(path: Path, options: CellOptions, watch: Watch | None) -> None:
    """Freeze a plan without placebos and pilots: the atlas says which arm wins, not why."""
    with open_session(path, options.run_options, watch or (lambda event, data: None)) as session:
        if session.ledger.frozen(session.study, "plan") is None:
            plan = drop_diagnosis(session.plan(keep=False))
            session.ledger.freeze(session.study, "plan", plan.plain())


def drop_diagnosis(plan: Plan) -> Plan:
    """Return the plan without the runs of the diagnosis."""
    return plan.model_copy(update={"across": (), "read": 0, "cuts": (*plan.cuts, NO_DIAGNOSIS_CUT)})


def shown_rows(path: Path, results: Results) -> tuple[ShownRow, ...]:
    """Return the first ten rows that a study's arms learnt from, read from its task file.

    Empty if the rows can't be read, or are others than the study's.
    """
    try:
        loaded, _ = read(path, RunOptions())
    except (TuneworthyError, OSError):
        return ()
    if rows_digest(loaded.cases) != results.reproduce.get("rows") or results.split is None:
        return ()
    part = max(results.split.parts, key=lambda each: len(each.train), default=None)
    known = set(part.train) if part else set()
    rows = [case for case in loaded.cases if case.id in known][:SHOWN_ROWS]
    return tuple(ShownRow(input=case.input, output=case.output) for case in rows)


def measured_on(folder: Path, results: Results) -> date:
    """Return the day on which a study last opened its scored rows to score arms, by its ledger.

    Without a ledger beside it, the day on which its results file was written: each run of a
    finished study, and each copy, writes it again. A ledger that only the results name is not read.
    """
    study, home = str(results.reproduce.get("study", "")), folder.resolve().parent.parent
    days: list[str] = []
    with suppress(TuneworthyError), read_ledger(home) as ledger:
        doors = ledger.doors(study) if ledger else []
        days = [str(door["at"]) for door in doors if door["purpose"] in SCORING_PURPOSES]
    if days:
        return date.fromisoformat(max(days)[:10])
    return date.fromtimestamp((folder / RESULTS_FILE).stat().st_mtime)
