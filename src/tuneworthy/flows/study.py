"""Run a study in order: read, audit, plan, measure, compare, decide, write.

The Python API: the command line, the lab and notebooks call `check`, `plan` and `run`. Knows no arm
by name.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from tuneworthy.explain.comparison import compare
from tuneworthy.explain.diagnosis import diagnose_runs, with_minutes, without_unread_causes
from tuneworthy.explain.label_errors import label_doubts
from tuneworthy.explain.questions import ask_all
from tuneworthy.explain.trends import with_fits_and_trends
from tuneworthy.explain.two_studies import (
    Repetition,
    Scoring,
    check_same_metric,
    compare_repetition,
)
from tuneworthy.flows.identity import add_minutes, competing_arms, needs_met
from tuneworthy.flows.look_count import (
    charge_look,
    count_look,
    end_look,
    is_counted,
    look_warning,
    looks_so_far,
)
from tuneworthy.flows.missing_keys import (
    key_notice,
    key_observations,
    nothing_measured_error,
    refuse_without_key,
)
from tuneworthy.flows.session import UNLOCKED_SUFFIX, Session, open_session, read
from tuneworthy.matrix.look_text import look_line
from tuneworthy.measure.calibration import blocks_ahead
from tuneworthy.measure.further.runner import ExtrasInputs, with_extras, with_slices
from tuneworthy.measure.plan_cuts import (
    fit_extras,
    minutes_beside,
    without_diagnosis,
    without_extras,
)
from tuneworthy.measure.schedule_runner import FIRST_LOOK, LAST_STEP, ScheduleRunner
from tuneworthy.models.remote.price_list import misspelt, outdated
from tuneworthy.records.artefact import Recipe
from tuneworthy.records.audit_report import Audit, Observation
from tuneworthy.records.case import Case, LabelDoubt
from tuneworthy.records.causes import Diagnosis
from tuneworthy.records.counting import count_noun
from tuneworthy.records.errors import TaskError
from tuneworthy.records.evidence import Evidence
from tuneworthy.records.plan import Plan
from tuneworthy.records.reason import NO_ROOM, Reason, Why
from tuneworthy.records.results import Grade, Results, as_read_back
from tuneworthy.records.run import Run, RunOptions
from tuneworthy.records.specs import specs
from tuneworthy.records.verdict import Standing, Verdict
from tuneworthy.report.results_folder import Study, folder_of, make_results_folder, open_study
from tuneworthy.rows.audit import audit, with_observations
from tuneworthy.rows.recorded import answer_observations, recorded_answers
from tuneworthy.rows.sealed import scored_cases
from tuneworthy.store.signals import StopRequested, go_on
from tuneworthy.store.study_events import StudyEvents
from tuneworthy.verdict.phrases import moment_line
from tuneworthy.verdict.rungs import policy_of

__all__ = ["RunOptions", "Study", "Watch", "check", "plan", "run"]

_STOPPED = Reason(why=Why.STOPPED)
Watch = Callable[[str, Any], None]

"""Called as (event, data); events: look (a warning, before a second look is spent), audit, plan,
arm, answers (number of new ones), say, step (Standing or None), done (Results). After the arms that
take seconds a `say` tells the first look, and one tells the last step before what explains it."""


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
    arms = competing_arms(loaded.task, needs_met(loaded, "later"))
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
    with open_session(path, options, tell, "later") as session:
        if notice := key_notice(session.task, session.available):
            tell("say", notice)
        return session.plan(keep=False)


def run(path: Path | str, options: RunOptions = RunOptions(), watch: Watch | None = None) -> Study:
    """Run a study, or resume it; write its results, verdict, plan and report; return it.

    Raises a TuneworthyError; everything measured before stays in the ledger.
    """
    tell = watch or (lambda event, data: None)
    with open_session(Path(path), options, tell, "first") as session:
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
    with open_session(Path(path), options, tell, "first") as session:
        before = _study_to_repeat(session)
        study = _run_session(session, watch)
    return study, compare_repetition(before, study.results)


def _run_session(session: Session, watch: Watch | None) -> Study:
    options, tell, begun = session.options, session.tell, time.monotonic()
    if options.more is not None:
        add_minutes(session.ledger, session.study, options.more, session.task.budget.minutes)
    if (stored := session.finished()) is not None and not session.repeats(stored):
        tell("done", stored)
        return Study(stored, session.write(stored))
    session.refuse_unpaid()
    if not is_counted(session.ledger, session.study):
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
    tell("plan", planned)
    runs: list[Run] = []
    recipes = [Recipe() for _ in session.split.parts]
    read, live = _Diagnosing(session), _LiveLine(session)
    steps = ScheduleRunner(
        replace(session.runner(), runs=runs),  # shares the list, which grows
        planned, session.inputs, runs, recipes, session.minutes, tell,
        planning=(time.monotonic() - begun) / 60,
    )  # fmt: skip
    stopped = None
    try:
        for moment in steps.run():
            count_look(session, runs)
            if moment in (FIRST_LOOK, LAST_STEP):
                if text := live.line(moment, planned, runs, time.monotonic() - begun):
                    session.say(text)
            elif watch and _any_measured(runs):
                tell("step", live.standing(planned, runs))
        end_look(session, planned, runs)
    except StopRequested as stop:
        if not _any_measured(runs) or not planned.staged:
            raise
        stopped = stop
        go_on()
        steps.end(_STOPPED)
        charge_look(session, runs)
    if not _any_measured(runs):
        raise nothing_measured_error(runs)
    planned = without_diagnosis(steps.plan) if stopped else fit_extras(steps.plan, steps.left)
    if not stopped:
        try:
            most = minutes_beside(planned, steps.left)
            results = _results_of_runs(session, planned, (runs, recipes), read, most)
        except StopRequested as stop:  # what explains the verdict is not worth losing it
            stopped = stop
            go_on()
    if stopped:
        planned = without_extras(planned, _STOPPED)
        results = _results_of_runs(session, planned, (runs, recipes), read, 0.0)
    results = results.model_copy(update={"steps": tuple(steps.steps)})
    results = as_read_back(results) if stopped else session.finish(results)
    tell("done", results)
    return Study(results, session.write(results), stopped=stopped)


def _study_to_repeat(session: Session) -> Results:
    """Return the results of the study that this one repeats, and store which it is."""
    home = session.task.folder
    kept = session.ledger.frozen(session.study, "repeats")
    named = home / "results" / str(kept["folder"]) if kept else home
    opened = open_study(named, session.ledger)
    before, folder = opened.results, opened.folder
    if before.task.name != session.task.name:
        raise TaskError("the latest study of this folder is of another task", where=str(folder),
                        got=f"{before.task.name}, not {session.task.name}",
                        fix="run this task once without --again")  # fmt: skip
    check_same_metric(Scoring.of(before), Scoring(session.task, session.metric_source))
    if before.reproduce.get("study") == session.study and "stored" not in before.reproduce:
        raise TaskError("the latest study did not come to its end", where=str(folder),
                        fix="`tuneworthy run` goes on with it; then --again")  # fmt: skip
    if before.reproduce.get("study") == session.study and session.finished() is not None:
        raise TaskError(
            "nothing changed since that verdict, so there is nothing to repeat",
            where=str(folder),
            got=before.verdict.__rich__(),
            fix="change the model or add rows; --fresh measures the same ones anew",
        )
    session.ledger.freeze(session.study, "repeats", {"folder": folder.name})
    return before


def unlock(session: Session) -> None:
    """Log that the locked rows are opened, count the look, tell the user; before any arm runs."""
    rows = count_noun(len(session.loaded.test or ()), "locked row")
    session.ledger.door(session.study, "unlock", rows)
    look = look_line(session.looks.look, session.looks.scope, locked=True)
    session.tell("say", f"{rows} unlocked: {'look ' if session.looks.look < 2 else ''}{look}")


def _any_measured(runs: Sequence[Run]) -> bool:
    """Return whether a candidate was measured."""
    return any(run.state == "measured" and run.spec.role == "candidate" for run in runs)


class _LiveLine:
    """Computes the verdict so far after an arm, in about a tenth of the study's time at most."""

    def __init__(self, session: Session) -> None:
        self._session, self._due = session, time.monotonic()

    def standing(self, planned: Plan, runs: Sequence[Run]) -> Standing | None:
        """Return what the rule would name now, without diagnosis; None if it is not due."""
        begun = time.monotonic()
        if begun < self._due or not _any_measured(runs):
            return None
        standing = self._computed(planned, runs)
        self._due = time.monotonic() + 9 * (time.monotonic() - begun)
        return standing

    def line(self, moment: str, planned: Plan, runs: Sequence[Run], seconds: float) -> str:
        """Return the sentence of a moment after so many seconds; "" if nothing was scored."""
        if not _any_measured(runs):
            return ""
        done = {run.spec.name for run in runs}
        waiting = [
            arm.spec.name for arm in planned.arms
            if arm.scheduled and arm.spec.role == "candidate" and arm.spec.name not in done
        ]  # fmt: skip
        then = waiting and f"not measured yet: {', '.join(waiting)}"
        then = "what follows explains it" if moment == LAST_STEP else then or ""
        return moment_line(moment, self._computed(planned, runs), then, seconds)

    def _computed(self, planned: Plan, runs: Sequence[Run]) -> Standing:
        from tuneworthy.verdict.decide import standing_so_far

        session = self._session
        cases, done = tuple(session.sealed.open("compare").values()), {r.spec.name for r in runs}
        waits = any(not arm.because and arm.spec.name not in done for arm in planned.arms)
        evidence = compare(session.inputs, cases, runs)
        return standing_so_far(evidence, policy_of(session.task), waits)


def _results_of_runs(
    session: Session,
    planned: Plan,
    measured: tuple[Sequence[Run], Sequence[Recipe]],
    read: _Diagnosing,
    minutes: float | None,
) -> Results:
    """Return the study's results: evidence with diagnosis and optional measurements, verdict.

    These take at most `minutes` (None: no limit); with 0 nothing is asked, since a stop was.
    """
    from tuneworthy.verdict.decide import decide, grid

    runs, recipes = measured
    cases, policy = tuple(session.sealed.open("compare").values()), policy_of(session.task)
    evidence = with_fits_and_trends(
        session.inputs, cases, runs, compare(session.inputs, cases, runs)
    ).model_copy(
        update={
            "looks_scope": session.looks.scope,
            "locked": session.options.unlock,
            "diagnosis": read.of(planned, runs),
        }
    )
    evidence = with_minutes(evidence, planned)
    asking = ExtrasInputs(session.runner(), session.loaded, cases, planned, runs, recipes, minutes,
                          NO_ROOM if minutes or minutes is None else _STOPPED)  # fmt: skip
    evidence = with_extras(asking, evidence)
    findings = ask_all(evidence, session.task)
    evidence = with_slices(
        asking, evidence, *_named_and_best_other(decide(evidence, findings, policy))
    )
    verdict = decide(evidence, findings, policy)
    return Results(
        task=session.task,
        audit=session.audit,
        plan=planned,
        cases=cases,
        runs=tuple(runs),
        evidence=evidence,
        verdict=verdict,
        grid=grid(evidence, findings, policy),
        reproduce=session.reproduce() | _status_at_first_look(session, runs, evidence, verdict),
        split=session.split,
        policy=policy,
        grades=_human_grades(session),
    )


def _status_at_first_look(
    session: Session, runs: Sequence[Run], evidence: Evidence, verdict: Verdict
) -> dict[str, str]:
    """Return {"at_first_look": "firm: ARM"} if only a later look makes it provisional; else {}."""
    from tuneworthy.verdict.decide import decide

    if session.looks.look < 2 or verdict.status != "provisional":
        return {}
    cases = tuple(session.sealed.open("compare").values())
    first = compare(replace(session.inputs, looks=1, earlier=()), cases, runs)
    seen = evidence.model_copy(update={"pairs": first.pairs, "looks": 1})
    then = decide(seen, (), policy_of(session.task))
    if then.status != "firm":
        return {}
    return {"at_first_look": f"firm: {then.arm}" if then.arm else "firm: no arm"}


class _Diagnosing:
    """Diagnoses the runs so far; computes anew only if another run was added."""

    def __init__(self, session: Session) -> None:
        self._session, self._of = session, tuple[Run, ...]()
        self._found: Diagnosis | None = None

    @cached_property
    def _cases(self) -> tuple[Case, ...]:
        return tuple(self._session.sealed.open("compare").values())

    @cached_property
    def _doubted(self) -> list[LabelDoubt]:
        session = self._session
        return label_doubts(session.task, self._cases, session.loaded.everyone)

    def of(self, planned: Plan, runs: Sequence[Run]) -> Diagnosis | None:
        """Return the causes of the base arm's failures in these runs; None without a base arm."""
        session = self._session
        if [*map(id, runs)] != [*map(id, self._of)]:
            self._found = diagnose_runs(
                session.task, self._cases, runs, session.metric, session.split, self._doubted
            )
            self._of = tuple(runs)
        return self._found and without_unread_causes(self._found, planned.read)


def _human_grades(session: Session) -> tuple[Grade, ...] | None:
    """Return the human grades that correct the judge; None without a judge."""
    if session.inputs.grades is None:
        return None
    grades = session.inputs.grades.items()
    return tuple(Grade(case=case, answer=text, grade=grade) for (case, text), grade in grades)


def _named_and_best_other(verdict: Verdict) -> tuple[str | None, str | None]:
    """Return (named arm or None, other candidate with the largest delta or None), by name."""
    others = [a for a in verdict.arms if a.delta and a.score and a.role == "candidate"]
    best = max(others, key=lambda arm: arm.delta.mean if arm.delta else 0.0, default=None)
    return verdict.arm, best.name if best else None
