"""Read a task's files into cases, unlabelled queries and locked rows; count what is rejected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from tuneworthy.records.audit_report import Observation
from tuneworthy.records.case import Case, Query
from tuneworthy.records.errors import DataError
from tuneworthy.records.task import VALID, Task
from tuneworthy.rows.answer_form import MUST_SAY, has_demands, no_demand_fault
from tuneworthy.rows.bad_rows import MAX_SHOWN, BadRows, RawRow, RowFault
from tuneworthy.rows.copies import Copies, find_copies
from tuneworthy.rows.docs import Doc, read_docs
from tuneworthy.rows.infer import label_faults, output_type, with_inferred
from tuneworthy.rows.leaks import without_leaks
from tuneworthy.rows.locked import split_locked
from tuneworthy.rows.reading import (
    FileRows,
    ReadingProgress,
    SampleSpec,
    lacks_answers,
    read_file,
    with_contexts,
)

_MAX_ROWS = 100_000  # a larger file is sampled down to this, to bound memory
SLOW_COMPARISON_ROWS = 20_000  # from this many rows the pairwise comparison takes seconds
_NOT_DRAWN = "not drawn"
Policy = Literal["stop", "exclude", "draft"]


@dataclass(frozen=True)
class _ReadOptions:
    """How rows are read: what bad ones do, their largest share, whether locked ones are opened."""

    policy: Policy
    unlock: bool
    max_bad: float


@dataclass(frozen=True)
class Loaded:
    """A task with its rows: `cases` from `file` or `train`, `test` and `dev` from their own files.

    `aside` are labelled rows that this study does not use: the locked ones. If they are `unlocked`
    they become `test`, and the other rows of the user's own test file become `aside`. rows = cases
    + test + dev + aside + unlabelled + excluded, always. `excluded` maps a reason to its number of
    rows, `excluded_at` to at most 20 of their ids or places. `files`: see `file_digests`.
    """

    task: Task
    cases: tuple[Case, ...]
    test: tuple[Case, ...] | None = None
    dev: tuple[Case, ...] | None = None
    unlabelled: tuple[Query, ...] = ()
    docs: tuple[Doc, ...] = ()
    rows: int = 0
    excluded: dict[str, int] = field(default_factory=dict)
    excluded_at: dict[str, tuple[str, ...]] = field(default_factory=dict)
    observations: tuple[Observation, ...] = ()
    aside: tuple[Case, ...] = ()
    why_aside: str = ""
    unlocked: bool = False
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def everyone(self) -> tuple[Case, ...]:
        """Return all labelled rows of this study: cases, then those of the test and dev files."""
        return (*self.cases, *(self.test or ()), *(self.dev or ()))

    @cached_property
    def copies(self) -> Copies:
        """Return the copies and near-copies among all labelled rows, computed once."""
        return find_copies(self.everyone, self.task.data.copies)


def load(
    task: Task,
    bad_rows: Policy = "stop",
    max_bad: float = 0.01,
    limit: int | None = None,
    unlock: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> Loaded:
    """Return a task with its rows read and its missing keys inferred from them.

    Bad rows raise DataError, or are left out under `exclude` if they are at most `max_bad` of all
    rows. `draft` is `stop` before a task file exists: its hints name no option of `check` alone.
    `limit` is the maximum of rows per file, sampled by content. `unlock` returns the locked rows as
    the test file; else they are set aside. `say` gets the progress of long files.
    """
    bad = BadRows(task.folder, listed=bad_rows != "draft")
    try:
        most = min(limit or _MAX_ROWS, _MAX_ROWS)
        files, docs = _read_files(task, bad, SampleSpec(most, task.seed, ReadingProgress(say)))
        loaded = _usable_rows(task, files, docs, bad, _ReadOptions(bad_rows, unlock, max_bad))
        if len(loaded.everyone) >= SLOW_COMPARISON_ROWS:
            say(f"comparing {len(loaded.everyone):,} rows with each other")
        return loaded
    finally:
        bad.close()


def load_records(
    task: Task, rows: Iterable[RawRow | RowFault], bad_rows: Policy, max_bad: float
) -> Loaded:
    """Return a task with the rows of its file, which were read already; nothing is written."""
    bad, name = BadRows(task.folder, listed=False), task.data.file or ""
    kept = read_file(Path(name), name, bad, SampleSpec(_MAX_ROWS, task.seed), rows)
    return _usable_rows(task, {"main": kept}, (), bad, _ReadOptions(bad_rows, False, max_bad))


def _usable_rows(
    task: Task, files: dict[str, FileRows], docs: tuple[Doc, ...], bad: BadRows, how: _ReadOptions
) -> Loaded:
    """Return the task with its rows, less those that no study can use; DataError for too many."""
    _leave_out_variants(task, files, bad)
    _leave_out_demandless(task, files, bad)
    bad.raise_if_too_many(sum(kept.rows for kept in files.values()), how.policy, how.max_bad)
    return _make_loaded(task, files, docs, bad, how)


def _read_files(
    task: Task, bad: BadRows, draw: SampleSpec
) -> tuple[dict[str, FileRows], tuple[Doc, ...]]:
    data = task.data
    docs = read_docs(task.folder / data.docs, data.docs) if data.docs else ()
    named = {"main": data.file or data.train, "test": data.test, "dev": data.dev,
             "pool": data.unlabelled}  # fmt: skip
    files, answered = {}, not _lacks_answers(task)
    for key, name in named.items():
        if name is not None:
            kept = read_file(
                task.folder / name, name, bad, draw, answered=answered and key != "pool"
            )
            kept.cases = with_contexts(kept.cases, docs, bad)
            files[key] = kept
            if not kept.rows:
                raise DataError("the file holds no rows", where=name, got="only blank lines",
                                fix="write one row a line into it")  # fmt: skip
    return files, docs


def _lacks_answers(task: Task) -> bool:
    """Return whether no row has a right answer and a schema says which answers are valid."""
    data = task.data
    names = [name for name in (data.file, data.train, data.test, data.dev) if name is not None]
    return (
        task.output.json_schema is not None
        and task.success.metric is None
        and all(lacks_answers(task.folder / name, name) for name in names)
    )


def _leave_out_variants(task: Task, files: dict[str, FileRows], bad: BadRows) -> None:
    """Remove rows whose label is a rare spelling or type of a frequent label."""
    train = [case.output for case in files["main"].cases]
    if not train or output_type(task, train, files["main"].cases) != "label":
        return
    labelled = [kept for key, kept in files.items() if key != "pool"]
    everyone = [case for kept in labelled for case in kept.cases]
    wrong = {f.where: f for f in label_faults(everyone, task.output.labels)}
    for fault in _mixed_type_faults(
        everyone, {k: v for kept in labelled for k, v in kept.scalar_answers.items()}
    ):
        wrong.setdefault(fault.where, fault)
    for kept in labelled if wrong else ():
        for case in kept.cases:
            if case.where in wrong:
                bad.add(wrong[case.where])
        kept.cases = [case for case in kept.cases if case.where not in wrong]


def _leave_out_demandless(task: Task, files: dict[str, FileRows], bad: BadRows) -> None:
    """Remove rows without `must_say` or `must_not_say` if the metric needs them."""
    if MUST_SAY not in task.success.metrics:
        return
    for kept in (kept for key, kept in files.items() if key != "pool"):
        for case in kept.cases:
            if not has_demands(case):
                bad.add(no_demand_fault(case))
        kept.cases = [case for case in kept.cases if has_demands(case)]


def _mixed_type_faults(cases: list[Case], scalars: dict[str, str]) -> Iterator[RowFault]:
    kinds = Counter(scalars.get(case.where, "text") for case in cases)
    usual = max(sorted(kinds), key=lambda kind: kinds[kind])
    for case in cases if len(kinds) > 1 else ():
        kind = scalars.get(case.where, "text")
        if kind != usual:
            got = f"{case.output} as {kind} where {kinds[usual]:,} rows have {usual}"
            yield RowFault(case.where, "labels of mixed type", got, "write every label as text",
                        "output", case.id)  # fmt: skip


def _make_loaded(
    task: Task, files: dict[str, FileRows], docs: tuple[Doc, ...], bad: BadRows, how: _ReadOptions
) -> Loaded:
    pool = files.pop("pool", None)
    rows = sum(kept.rows for kept in files.values()) + (pool.rows if pool else 0)
    labelled, left = without_leaks(_with_distinct_ids(files), how.policy)
    if empty := next((files[key].name for key, cases in labelled.items() if not cases), None):
        raise DataError("no row of the file is left", where=empty, got="0 rows",
                        fix="correct the bad rows, or add rows")  # fmt: skip
    parted = split_locked(task, labelled, how.unlock)  # before anything is inferred from the rows
    labelled = parted.files
    excluded = dict(bad.reasons)
    at = {why: tuple(places) for why, places in bad.places.items()}
    for why, ids in left.items():
        excluded[why], at[why] = len(ids), tuple(ids[:MAX_SHOWN])
    kept_files = [*files.values(), *([pool] if pool else [])]
    if drawn := sum(kept.not_drawn for kept in kept_files):
        excluded[_NOT_DRAWN] = drawn
    outputs = [case.output for case in labelled["main"]]
    kind = output_type(task, outputs, labelled["main"])
    everyone = [case for cases in labelled.values() for case in cases or ()]
    metric = MUST_SAY if kind == "text" and all(map(has_demands, everyone)) else None
    metric = metric if any(outputs) else VALID
    return Loaded(
        task=with_inferred(task, kind, outputs, metric),
        cases=labelled["main"],
        test=labelled.get("test"),
        dev=labelled.get("dev"),
        unlabelled=tuple(case.query() for case in pool.cases) if pool else (),
        docs=docs,
        rows=rows,
        excluded=excluded,
        excluded_at=at,
        observations=tuple(_reading_observations(kept_files, excluded, at)),
        aside=parted.aside,
        why_aside=parted.why,
        unlocked=how.unlock,
    )


def _with_distinct_ids(files: dict[str, FileRows]) -> dict[str, tuple[Case, ...]]:
    """Return each file's cases with distinct ids: a repeated one gets `@train` or `@dev`."""
    taken: set[str] = set()
    out: dict[str, tuple[Case, ...]] = {}
    for key in ("test", "main", "dev"):
        if key in files:
            cases = files[key].cases
            suffix = {"main": "@train", "dev": "@dev"}.get(key, "")
            cases = [
                case.model_copy(update={"id": case.id + suffix}) if case.id in taken else case
                for case in cases
            ]
            taken |= {case.id for case in cases}
            out[key] = tuple(cases)
    return out


def _reading_observations(
    files: list[FileRows], excluded: dict[str, int], at: dict[str, tuple[str, ...]]
) -> Iterator[Observation]:
    for why, count in excluded.items():
        yield _excluded_observation(why, count, at.get(why, ()))
    for kept in files:
        if kept.marked:
            text = f"{kept.name} starts with a byte order mark; it was skipped"
            yield Observation(kind="byte_order_mark", level="note", text=text, count=1)
        for name, count in sorted(kept.unread.items())[:MAX_SHOWN]:
            text = f"the field `{name[:40]}` of {kept.name} is not read"
            yield Observation(kind="unread_field", level="note", text=text, count=count,
                              fix="put it under `meta` where it is only for you")  # fmt: skip


def _excluded_observation(why: str, count: int, places: tuple[str, ...]) -> Observation:
    if why == _NOT_DRAWN:
        text = f"{count:,} rows were left aside: so many are drawn, by content, from a larger file"
        return Observation(kind="not_drawn", level="note", text=text, count=count)
    text = f"{count:,} rows are left out: {why}"
    fix = "correct them; all bad rows are in .tuneworthy/bad_rows.jsonl"
    return Observation(kind="excluded", level="warning", text=text, count=count, ids=places,
                       fix=fix)  # fmt: skip
