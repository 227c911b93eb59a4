"""Run a study in order: read, audit, plan, measure, compare, decide, write.

The Python API: the command line, the lab and notebooks call `check`, `plan` and `run`. Knows no arm
by name.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tuneworthy.compare.two_studies import Repetition, compare_repetition
from tuneworthy.core.arm import Recipe
from tuneworthy.core.audit_report import Audit, Observation
from tuneworthy.core.plan import Plan
from tuneworthy.core.run import Run
from tuneworthy.core.run_options import RunOptions
from tuneworthy.core.specs import specs
from tuneworthy.data.audit import audit, with_observations
from tuneworthy.data.recorded import answer_observations, recorded_answers
from tuneworthy.data.sealed import scored_cases
from tuneworthy.identity import add_minutes, competing_arms, needs_met
from tuneworthy.judge.grading import blocks_ahead
from tuneworthy.ledger.study_events import StudyEvents
from tuneworthy.look_count import count_look, end_look, is_spent, look_warning, looks_so_far
from tuneworthy.measure.plan_cuts import fit_extras
from tuneworthy.missing_keys import key_notice, key_observations, refuse_without_key
from tuneworthy.models.remote.unlisted import misspelt, outdated
from tuneworthy.results_folder import Study, folder_of, make_results_folder
from tuneworthy.session import UNLOCKED_SUFFIX, Session, open_session, read
from tuneworthy.study_steps import (
    Diagnosing,
    LiveLine,
    any_measured,
    nothing_measured_error,
    results_of_runs,
    stage_runner,
    study_to_repeat,
    unlock,
)

__all__ = ["RunOptions", "Study", "Watch", "check", "plan", "run"]
EXTRAS_LEAST_SHARE = 0.1  # of the minutes, always left to optional measurements
EXTRAS_MOST_SHARE = 0.25  # of the minutes, at most, for them under the stage rule
Watch = Callable[[str, Any], None]
"""Called as (event, data); events: look (a warning, before a second look is spent), audit, plan,
arm, answers (number of new ones), say, step (Standing or None), done (Results)."""


def check(path: Path, options: RunOptions = RunOptions(), watch: Watch | None = None) -> Audit:
    """Return the audit of a task's rows and recorded answers, with the reasons for no verdict.

    Nothing is sent and no arm is scored. Raises the errors that `plan` and `run` would raise for
    arms and files.
    """
    loaded, parts = read(path, options, watch or (lambda event, data: None))
    specs(loaded.task)
    cases = scored_cases(loaded, parts)
    odd = answer_observations(loaded, recorded_answers(loaded, cases), parts.early)
    looks = list(looks_so_far(loaded, cases))
    look = 1 + sum(observation.count for observation in looks if observation.kind == "looks")
    arms = competing_arms(loaded.task, needs_met(loaded))
    observations = [*odd, *looks, *key_observations(loaded.task)]
    audited = with_observations(audit(loaded, parts, arms=arms, look=look), observations)
    known_texts = {observation.text for observation in audited.observations}
    reasons = [why for why in blocks_ahead(loaded.task, audited, cases) if why not in known_texts]
    fix = "(repair it first: `run` names no arm before)"
    return with_observations(audited, [*misspelt(loaded.task), *outdated(loaded.task), *(
        Observation(kind="blocks", level="blocked", text=why, count=len(cases), fix=fix)
        for why in reasons)])  # fmt: skip


def plan(path: Path, options: RunOptions = RunOptions(), watch: Watch | None = None) -> Plan:
    """Return the plan that `run` would follow: the frozen one if the study has begun."""
    tell = watch or (lambda event, data: None)
    with open_session(path, options, tell) as session:
        if notice := key_notice(session.task, session.available):
            tell("say", notice)
        return session.plan(keep=False)


def run(path: Path | str, options: RunOptions = RunOptions(), watch: Watch | None = None) -> Study:
    """Run a study, or resume it; write its results, verdict, plan and report; return it.

    Raises a TuneworthyError; everything measured before stays in the ledger.
    """
    tell = watch or (lambda event, data: None)
    with open_session(Path(path), options, tell) as session:
        return _run_session(session, watch)


def run_again(
    path: Path | str, options: RunOptions = RunOptions(), watch: Watch | None = None
) -> tuple[Study, Repetition]:
    """Run a study whose model, rows or task changed; return it and its comparison with the last.

    The last one is the folder's latest study of the same task; its folder is stored before anything
    runs, so an interrupted repetition resumes. Raises TaskError if there is none, if nothing
    changed since, or if the two are not scored by the same metric.
    """
    tell = watch or (lambda event, data: None)
    with open_session(Path(path), options, tell) as session:
        before = study_to_repeat(session)
        study = _run_session(session, watch)
    return study, compare_repetition(before, study.results)


def _run_session(session: Session, watch: Watch | None) -> Study:
    options, tell = session.options, session.tell
    if options.more is not None:
        add_minutes(session.ledger, session.study, options.more, session.task.budget.minutes)
    if (stored := session.finished()) is not None and not session.repeats(stored):
        tell("done", stored)
        return Study(stored, session.write(stored))
    session.refuse_unpaid()
    if not is_spent(session.ledger, session.study):
        refuse_without_key(session.task, session.available, session.models)
    if warned := look_warning(session.ledger, session.study, *session.scored_rows_identity()):
        tell("look", warned)
    folder = folder_of(session.task.name, session.study, UNLOCKED_SUFFIX if options.unlock else "")
    session.tell = tell = StudyEvents(session.ledger, session.study, folder, tell)
    make_results_folder(session.task.folder)
    if options.unlock:
        unlock(session)
    tell("audit", session.audit)
    planned = session.plan()
    if session.minutes > session.task.budget.minutes:
        planned = planned.with_diagnosis()
    tell("plan", planned)
    runs: list[Run] = []
    recipes = [Recipe() for _ in session.split.parts]
    read, live = Diagnosing(session), LiveLine(session)
    stages = stage_runner(session, planned, runs, recipes, read)
    for _ in stages.run():
        count_look(session, runs)
        if watch and any_measured(runs):
            tell("step", live.standing(planned, runs))
    end_look(session, planned, runs)
    if not any_measured(runs):
        raise nothing_measured_error(runs)
    if planned.staged:
        room = max(EXTRAS_LEAST_SHARE * session.minutes, stages.left)
        planned = fit_extras(stages.plan, room, EXTRAS_MOST_SHARE * session.minutes)
    results = results_of_runs(session, planned, runs, recipes, read)
    results = session.finish(results.model_copy(update={"steps": tuple(stages.steps)}))
    tell("done", results)
    return Study(results, session.write(results))
