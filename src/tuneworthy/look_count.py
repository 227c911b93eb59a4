"""Count a study's look at the scored rows, warn before a further look, release an unused one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tuneworthy.core.audit_report import Observation
from tuneworthy.core.case import Case
from tuneworthy.core.plan import NO_ROOM
from tuneworthy.core.run import MODEL_UNAVAILABLE, Run
from tuneworthy.data.audit import ASSUMED_DIFFERENCE_SHARE
from tuneworthy.data.fingerprint import rows_digest
from tuneworthy.data.load import Loaded
from tuneworthy.data.locked import locked_observation
from tuneworthy.data.looks import input_digests, look_observation, repeated_look_warning
from tuneworthy.ledger.elsewhere import next_look, record_look, release_look, retake_look
from tuneworthy.ledger.store import Ledger, read_ledger


def looks_so_far(loaded: Loaded, cases: Sequence[Case]) -> Iterator[Observation]:
    """Yield observations on earlier looks at the scored cases and at the locked ones."""
    task = loaded.task
    with read_ledger(task.folder, at=task.ledger, task=task.name) as ledger:
        yield from _look_observations(ledger, loaded, cases)


def _look_observations(
    ledger: Ledger | None, loaded: Loaded, cases: Sequence[Case]
) -> Iterator[Observation]:
    scored, locked = (
        next_look(ledger, "", rows_digest(rows), input_digests(rows))
        for rows in (cases, loaded.aside)
    )
    if observation := look_observation(scored.look - 1, len(cases), scored.scope):
        yield observation
    if loaded.task.data.locked:
        yield locked_observation(loaded.aside, locked.look - 1, ASSUMED_DIFFERENCE_SHARE)
    if scored.trouble:
        yield Observation(kind="looks_unknown", level="note", text=scored.trouble, count=0)


def is_spent(ledger: Ledger, study: str) -> bool:
    """Return whether a study has counted its look at the scored rows."""
    return any(row.study == study for row in ledger.journal.rows("look"))


def look_ahead(ledger: Ledger, study: str, rows: str, marks: Sequence[str]) -> int:
    """Return the ordinal of a study's look (1 = first), counted or not yet."""
    if is_spent(ledger, study):
        return record_look(ledger, study, rows, marks).look
    return next_look(ledger, study, rows, marks).look


def count_look(session: Any, runs: Sequence[Run]) -> None:
    """Count an open session's look once an arm is measured, and drop inputs with an old count."""
    if any(run.state == "measured" for run in runs) and session.looks.look != session.inputs.looks:
        del session.inputs  # another study looked meanwhile: its look widens this one's bounds


def look_warning(ledger: Ledger, study: str, rows: str, marks: Sequence[str]) -> str:
    """Return the warning before a further look at these rows; "" for a first or a spent one."""
    if is_spent(ledger, study):
        return ""
    return repeated_look_warning(next_look(ledger, study, rows, marks).look)


def release_unless_compared(ledger: Ledger, study: str, rows: str, runs: Sequence[Run]) -> None:
    """Release a study's look if it compared no arms: measured fewer than two, or only references.

    It stays spent while an arm may still be measured: one without minutes or without its model. A
    study that released it and compares arms when it is run again (with a repaired arm) spends it.
    """
    if not is_spent(ledger, study):  # nothing was scored at all
        return
    waiting = any(r.because == NO_ROOM or r.because.startswith(MODEL_UNAVAILABLE) for r in runs)
    measured = [run.spec for run in runs if run.state == "measured"]
    few = len({spec.name for spec in measured}) < 2
    if not waiting and (few or all(spec.role == "reference" for spec in measured)):
        release_look(ledger, study, rows)
    else:
        retake_look(ledger, study, rows)
