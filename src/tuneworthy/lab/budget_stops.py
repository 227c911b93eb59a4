"""The plans of a task at several budgets of minutes (stops), made by the planner itself.

A child process makes them: it opens and times a local model, as `tuneworthy plan` does. Nothing is
frozen. Knows no HTTP library.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuneworthy.core.errors import StoreError
from tuneworthy.lab.child_call import call_in_child
from tuneworthy.lab.problem import Problem

if TYPE_CHECKING:  # sessions and planning are slow to import, and only the process needs them
    from tuneworthy.core.plan import Plan
    from tuneworthy.lab.studies import StudyPlace
    from tuneworthy.session import Session

MINUTE_STOPS = (2, 5, 10, 20, 30, 60, 120, 240, 480, 960)
UNLIMITED_MINUTES = 1e6  # more minutes than any plan needs
OPENING_SECONDS = 300.0  # the most seconds for opening and timing a model and planning
StopTable = dict[str, Any]


class BudgetStops:
    """A cache of each study's plans at several budgets, valid until its task file changes."""

    def __init__(self) -> None:
        self._stops: dict[tuple[Path, int], StopTable] = {}
        self._busy = threading.Lock()

    def cached(self, place: StudyPlace) -> StopTable | None:
        """Return the cached stops of a study, None if they were not computed yet."""
        return self._stops.get(_file_stamp(place))

    def compute(self, place: StudyPlace) -> StopTable:
        """Return the stops of a study, cached or computed now, which takes up to a minute.

        Raises Problem: 409 while a run holds the ledger, 422 for a task that can't be planned, 429
        while other stops are computed, 504 or 500 if the process takes too long or dies.
        """
        stamp = _file_stamp(place)
        if stamp in self._stops:
            return self._stops[stamp]
        if not self._busy.acquire(blocking=False):
            raise Problem(429, "another plan is being worked out", where="this lab",
                          fix="wait until it is there, then try again")  # fmt: skip
        try:
            stops: StopTable = call_in_child(
                OPENING_SECONDS, compute_stops, place.task_file, place.name
            )
        except StoreError as error:  # usually because a run holds the ledger
            raise Problem(409, error.what, where=error.where, got=error.got, fix=error.fix,
                          kept=error.kept) from None  # fmt: skip
        finally:
            self._busy.release()
        self._stops[stamp] = stops
        return stops


def compute_stops(path: Path, name: str) -> StopTable:
    """Return the plans of a task file at several budgets of minutes, as the page shows them.

    `own` is the task's budget, `enough` the one from which nothing is left out. `same` tells
    whether the task is still that of the study whose results folder has this name.
    """
    from tuneworthy.core.run_options import RunOptions
    from tuneworthy.results_folder import folder_of
    from tuneworthy.session import open_session

    with open_session(path, RunOptions()) as session:
        facts, task = session.plan_inputs(), session.task
        own = task.budget.minutes

        def at(minutes: float) -> Plan:
            budget = task.budget.model_copy(update={"minutes": minutes})
            changed = task.model_copy(update={"budget": budget}).at(task.folder)
            return session.make_plan(replace(facts, task=changed))

        least = ceil(_uncut_minutes(at(UNLIMITED_MINUTES)))
        tried = (least, *(minutes for minutes in MINUTE_STOPS if minutes > least))
        enough = next((minutes for minutes in tried if not at(minutes).cuts), UNLIMITED_MINUTES)
        wanted = sorted(set(_stop_minutes(own, enough)))
        return {
            "own": own,
            "enough": enough,
            "same": folder_of(task.name, session.study) == name,
            "stops": [_stop_data(session, minutes, at(minutes)) for minutes in wanted],
        }


def _uncut_minutes(plan: Plan) -> float:
    """Return the minutes of a plan without cuts: arms that always run, and half the diagnosis."""
    from tuneworthy.measure.planning import diagnosis_minutes

    return max(1.0, plan.minutes + diagnosis_minutes(plan.across, plan.staged))


def _stop_minutes(own: float, enough: float) -> Iterator[float]:
    """Yield the minutes of the stops: the task's, `enough`, and the round ones up to the larger."""
    yield from (float(own), float(enough))
    for minutes in MINUTE_STOPS:
        yield float(minutes)
        if minutes >= max(own, enough):
            return


def _stop_data(session: Session, minutes: float, plan: Plan) -> dict[str, Any]:
    """Return the data of a stop: arms, cuts, minutes, money, and the detectable differences."""
    from tuneworthy.core.specs import is_recorded
    from tuneworthy.lab.study_facts import money_of, plan_lines, plan_rows
    from tuneworthy.ledger.elsewhere import next_look
    from tuneworthy.matrix.detectable import visible_differences
    from tuneworthy.report._tables import visible_line

    live = [arm for arm in plan.arms if not arm.because and not is_recorded(session.task, arm.spec)]
    folds = max((len(arm.folds) for arm in live), default=None)
    parts = session.split.learning[:folds]
    rows = {case for part in parts for case in part.test} - set(session.split.early)
    known = session.audit.visible
    other = minutes != session.task.budget.minutes  # then it would be another study: one look more
    look = known.look
    if other:
        look = next_look(session.ledger, "", *session.scored_rows_identity()).look
    shown = visible_differences(session.split, len(rows), known.arms, look)
    return {
        "minutes": minutes,
        "planned": plan.minutes,
        "rows": plan_rows(plan),
        "lines": plan_lines(plan),
        "cuts": list(plan.cuts),
        "usd": money_of(plan.sent),
        "visible": visible_line(shown),
    }


def _file_stamp(place: StudyPlace) -> tuple[Path, int]:
    try:
        return place.task_file, place.task_file.stat().st_mtime_ns
    except OSError:
        return place.task_file, 0
