"""The steps in order: read, audit, plan, measure, compare, decide, write. Command line, lab and
notebooks call these; nothing here knows an arm by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tuneworthy.compare.choice import best_on_dev, best_prompt
from tuneworthy.compare.comparison import compare
from tuneworthy.compare.trends import explained
from tuneworthy.core.arm import Recipe
from tuneworthy.core.audit_report import Audit, Observation
from tuneworthy.core.case import Case
from tuneworthy.core.causes import Diagnosis
from tuneworthy.core.counting import counted
from tuneworthy.core.errors import DataError, ModelError
from tuneworthy.core.finding import Finding
from tuneworthy.core.look_text import look_line
from tuneworthy.core.plan import Plan, PlannedArm
from tuneworthy.core.results import Grade, Results
from tuneworthy.core.run import NOT_ASKED, Run
from tuneworthy.core.specs import specs, trains, wants_dev
from tuneworthy.core.verdict import Verdict
from tuneworthy.data.audit import D, audit, with_more
from tuneworthy.data.fingerprint import rows_digest
from tuneworthy.data.load import Loaded
from tuneworthy.data.locked import seen_locked
from tuneworthy.data.looks import looked, marks
from tuneworthy.data.recorded import odd_answers, recorded
from tuneworthy.diagnose.diagnosis import across
from tuneworthy.diagnose.remedies import with_minutes
from tuneworthy.extras.runner import Asking, beside, sliced
from tuneworthy.identity import go_on
from tuneworthy.judge.grading import blocks_ahead
from tuneworthy.ledger.elsewhere import ahead
from tuneworthy.ledger.store import HOME, STORE, Ledger, open_ledger
from tuneworthy.measure.block_race import Field, raced
from tuneworthy.measure.placebos import probes
from tuneworthy.measure.stage_runner import Follow, room_beside
from tuneworthy.measure.units import Bench
from tuneworthy.models import is_local
from tuneworthy.models.local.serving import serve_command
from tuneworthy.questions import ask_all
from tuneworthy.results_folder import ready
from tuneworthy.session import Desk, Wishes, open_desk, read, scored_cases
from tuneworthy.verdict.policy import policy_of

__all__ = ["Study", "Watch", "Wishes", "check", "plan", "run"]
NOT_READ = "the minutes have no room to read the matrix across (budget.minutes)"
EXTRA_LEAST = 0.1  # of the minutes: what is spent beside the arms even where they took all
EXTRA_SHARE = 0.25  # of the minutes: the most that is spent beside the arms under the stage rule
Watch = Callable[[str, Any], None]
"""Called as (event, data): audit, plan, arm, answers (how many more), say, step, done (Results)."""


@dataclass(frozen=True)
class Study:
    """A finished study: its results, and where they were written."""

    results: Results
    folder: Path

    @property
    def verdict(self) -> Verdict:
        """Return the verdict."""
        return self.results.verdict

    def serving(self) -> str:
        """Return the vLLM command that serves the adapter that was built (of the named arm, if
        it built one; of several folds or seeds the one best on dev), or "".
        """
        built = [r for r in self.results.runs if r.artefact and r.spec.role == "candidate"]
        if not built:
            return ""
        named = self.verdict.arm
        best = best_on_dev([r for r in built if r.spec.name == named] or built)
        task, home = self.results.task, self.folder.parent.parent
        adapter = home / str(best.artefact)
        return serve_command(task.tune or task.model or "", home, adapter, best.spec.name)

    def table(self) -> Any:
        """Return the final table of arms, a rich renderable that notebooks show too."""
        from tuneworthy.report.terminal import table

        return table(self.results)

    def _repr_html_(self) -> str:
        return self.verdict._repr_html_()


def check(path: Path, wishes: Wishes = Wishes(), watch: Watch | None = None) -> Audit:
    """Read and audit the rows and recorded answers of a task, and what would block a verdict.

    Nothing is sent and no arm is scored. Raises what `plan` and `run` would of arms and files.
    """
    loaded, parts = read(path, wishes, watch or (lambda event, data: None))
    specs(loaded.task)
    cases = scored_cases(loaded, parts)
    odd = odd_answers(loaded, recorded(loaded, cases), parts.early)
    more = [*odd, *_looks_so_far(loaded, cases)]
    found = with_more(audit(loaded, parts), more)
    told = {seen.text for seen in found.observations}
    reasons = [why for why in blocks_ahead(loaded.task, found, cases) if why not in told]
    fix = "(repair it first: `run` names no arm before)"
    return with_more(found, [
        Observation(kind="blocks", level="blocked", text=why, count=len(cases), fix=fix)
        for why in reasons
    ])  # fmt: skip


def _looks_so_far(loaded: Loaded, cases: Sequence[Case]) -> Iterator[Observation]:
    """Yield what earlier studies opened of the scored cases and of the locked ones."""
    if not (loaded.task.folder / HOME / STORE).exists():
        yield from _looks(None, loaded, cases)
        return
    with open_ledger(loaded.task.folder, write=False) as ledger:
        yield from _looks(ledger, loaded, cases)


def _looks(ledger: Ledger | None, loaded: Loaded, cases: Sequence[Case]) -> Iterator[Observation]:
    scored, aside = (
        ahead(ledger, "", rows_digest(some), marks(some)) for some in (cases, loaded.aside)
    )
    if said := looked(scored.look - 1, len(cases), scored.scope):
        yield said
    if loaded.task.data.locked:
        yield seen_locked(len(loaded.aside), aside.look - 1, D)
    if scored.trouble:
        yield Observation(kind="looks_unknown", level="note", text=scored.trouble, count=0)


def plan(path: Path, wishes: Wishes = Wishes(), watch: Watch | None = None) -> Plan:
    """Return the plan that `run` would follow: the frozen one where the study has begun."""
    with open_desk(path, wishes, watch or (lambda event, data: None)) as desk:
        return desk.plan(keep=False)


def run(path: Path | str, wishes: Wishes = Wishes(), watch: Watch | None = None) -> Study:
    """Run a study, or continue it where it stopped, and write verdict, report and plan.

    Raises a TuneworthyError; whatever was measured before stays in the ledger.
    """
    tell = watch or (lambda event, data: None)
    with open_desk(Path(path), wishes, tell) as desk:
        if wishes.more is not None:
            go_on(desk.ledger, desk.study, wishes.more, desk.task.budget.minutes)
        if (stored := desk.finished()) is not None:
            tell("done", stored)
            return Study(stored, desk.write(stored))
        desk.refuse_unpaid()
        ready(desk.task.folder)
        if wishes.unlock:
            _unlock(desk)
        tell("audit", desk.audit)
        planned = desk.plan()
        tell("plan", planned)
        runs: list[Run] = []
        recipes = [Recipe() for _ in desk.split.parts]
        follow = _follow(desk, planned, runs, recipes)
        staged = planned.staged
        for results in (
            _followed(desk, follow) if staged else _steps(desk, planned, runs, recipes, tell)
        ):
            tell("step", results)
        if not _named(runs):
            raise _nothing(runs)
        if staged:
            room = max(EXTRA_LEAST * desk.minutes, follow.left)
            planned = room_beside(planned, room, EXTRA_SHARE * desk.minutes)
        results = _results(desk, planned, runs, recipes)
        results = desk.finish(results.model_copy(update={"steps": tuple(follow.steps)}))
        tell("done", results)
        return Study(results, desk.write(results))


def _unlock(desk: Desk) -> None:
    """Log that the locked rows are opened, count it, and say so, before an arm is asked."""
    rows = counted(len(desk.loaded.test or ()), "locked row")
    desk.ledger.door(desk.study, "unlock", rows)
    look = look_line(desk.looks.look, desk.looks.scope, locked=True).removeprefix("look ")
    desk.tell("say", f"{rows} unlocked: look {look}")


def _steps(
    desk: Desk, planned: Plan, runs: list[Run], recipes: list[Recipe], tell: Watch
) -> Iterator[Results]:
    """Measure arm after arm, the simplest first; yield what the study says after each.

    `runs` grow, and `recipes` hold each fold's best prompt so far.
    """
    bench, read = replace(desk.bench(), runs=runs), False  # the list itself: it grows
    for arm in planned.arms:
        if not read and not arm.because and trains(arm.spec):  # what was wrong, before training
            read = True
            _probe(desk, bench, planned, runs, recipes, tell)
        tell("arm", arm)
        field = Field(desk.shape, runs, _competing(planned.arms))
        able = [one.spec for one in planned.arms if not one.because]
        new = raced(bench, arm, recipes, wants_dev(desk.task, arm.spec, able), field)
        runs += new
        # Later arms stand on the prompt that is best on dev in their own fold.
        recipes[:] = [best_prompt(runs, fold, desk.seed) for fold in range(len(recipes))]
        if _named(runs):
            yield _results(desk, planned, runs)
    if not read:
        _probe(desk, bench, planned, runs, recipes, tell)


def _followed(desk: Desk, follow: Follow) -> Iterator[Results]:
    """Measure by the stage rule; yield what the study says after each arm."""
    for _ in follow.run():
        if _named(follow.runs):
            yield _results(desk, follow.plan, follow.runs)


def _follow(desk: Desk, planned: Plan, runs: list[Run], recipes: list[Recipe]) -> Follow:
    def diagnose() -> Diagnosis | None:
        return _diagnosed(desk, planned, runs)

    bench = replace(desk.bench(), runs=runs)  # the list itself: it grows
    return Follow(bench, planned, desk.shape, runs, recipes, desk.minutes, diagnose, desk.tell)


def _named(runs: Sequence[Run]) -> bool:
    return any(run.state == "measured" and run.spec.role == "candidate" for run in runs)


def _probe(
    desk: Desk,
    bench: Bench,
    planned: Plan,
    runs: list[Run],
    recipes: Sequence[Recipe],
    tell: Watch,
) -> None:
    """Ask the placebos and pilots that show what was wrong; their runs are added to `runs`."""
    if planned.read == 0:
        return
    paid = not is_local(desk.task.model)
    dear = [arm for arm in planned.across if arm.spec.role == "candidate"]  # on failed cases only
    for probe in probes(bench, [*planned.arms, *dear], runs, paid, planned.read):
        tell("arm", probe.planned)
        runs += probe.run(bench, recipes, runs)


def _competing(arms: Sequence[PlannedArm]) -> int:
    """Return how many arms may compete: all that run and can be named."""
    return sum(not a.because and a.spec.role == "candidate" for a in arms)


def _results(
    desk: Desk, planned: Plan, runs: Sequence[Run], recipes: Sequence[Recipe] | None = None
) -> Results:
    """Return what the study says now; with `recipes` all that is beside the matrix is measured.

    That is: the matrix read across, what the arms' bounds can't say, and the questions.
    """
    from tuneworthy.verdict.decide import decide, grid

    cases, policy = tuple(desk.sealed.open("compare").values()), policy_of(desk.task)
    evidence = explained(desk.split, cases, runs, compare(desk.shape, cases, runs)).model_copy(
        update={"looks_scope": desk.looks.scope, "locked": desk.wishes.unlock}
    )
    evidence = with_minutes(evidence, planned)
    findings: tuple[Finding, ...] = ()
    if recipes is not None:
        evidence = evidence.model_copy(update={"diagnosis": _diagnosed(desk, planned, runs)})
        asking = Asking(desk.bench(), desk.loaded, cases, planned, runs, recipes)
        evidence = beside(asking, evidence)
        findings = ask_all(evidence, desk.task)
        evidence = sliced(asking, evidence, *_contenders(decide(evidence, findings, policy)))
    return Results(
        task=desk.task,
        audit=desk.audit,
        plan=planned,
        cases=cases,
        runs=tuple(runs),
        evidence=evidence,
        verdict=decide(evidence, findings, policy),
        grid=grid(evidence, findings, policy),
        reproduce=desk.reproduce(),
        split=desk.split,
        policy=policy,
        grades=_graded(desk),
    )


def _diagnosed(desk: Desk, planned: Plan, runs: Sequence[Run]) -> Diagnosis | None:
    cases = tuple(desk.sealed.open("compare").values())
    found = across(desk.task, cases, runs, desk.metric, desk.split, desk.loaded.everyone)
    if found and planned.read == 0:  # without placebos anything that helps would be a cause
        return Diagnosis(arm=found.arm, n_fail=found.n_fail, n_pass=found.n_pass,
                         doubts=found.doubts, because=NOT_READ)  # fmt: skip
    return found


def _graded(desk: Desk) -> tuple[Grade, ...] | None:
    """Return the human grades that corrected the judge, None where no judge grades."""
    if desk.shape.grades is None:
        return None
    found = desk.shape.grades.items()
    return tuple(Grade(case=case, answer=text, grade=grade) for (case, text), grade in found)


def _contenders(verdict: Verdict) -> tuple[str | None, str | None]:
    """Return the named arm and the best of those it was compared with."""
    others = [a for a in verdict.arms if a.delta and a.score and a.role == "candidate"]
    best = max(others, key=lambda arm: arm.delta.mean if arm.delta else 0.0, default=None)
    return verdict.arm, best.name if best else None


def _nothing(runs: Sequence[Run]) -> Exception:
    reasons = "; ".join(f"{run.spec.name}: {run.because}" for run in runs if run.because)
    if any(run.state == "failed" or run.because.startswith(NOT_ASKED) for run in runs):
        return ModelError("no candidate could be measured", where="task.yaml arms", got=reasons,
                          fix="see the reasons")  # fmt: skip
    return DataError(
        "no arm applies to these rows",
        where="task.yaml arms",
        got=reasons,
        fix="`tuneworthy check` says what the rows can show; add recorded answers or a model",
    )
