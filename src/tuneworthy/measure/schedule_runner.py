"""Execute a plan by the schedule: a first look, then the step that is worth most, then the causes.

A step that ran is kept in the ledger in its order, so a run that resumes takes the same steps, and
one with more minutes goes on after them. Knows no arm by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import inf
from typing import Any

from tuneworthy.matrix.columns import columns_of
from tuneworthy.matrix.inputs import ComparisonInputs
from tuneworthy.matrix.ladder import best_prompt, runs_before
from tuneworthy.measure.answering import Runner
from tuneworthy.measure.placebos import Probe, probes
from tuneworthy.measure.plan_cuts import (
    EXPLAIN_SHARE,
    LEAST_MINUTES,
    MINUTES_SAFETY,
    KeptMinutes,
    PaceCorrection,
    always_runs,
    at_measured_pace,
    without_diagnosis,
)
from tuneworthy.measure.step_choice import Schedule, Step
from tuneworthy.measure.teacher_gate import is_teacher, why_not_taught
from tuneworthy.measure.units import measure
from tuneworthy.models import is_paid
from tuneworthy.records.arm import Recipe
from tuneworthy.records.plan import Plan, PlannedArm, StageDecision
from tuneworthy.records.reason import NO_ROOM, NO_ROOM_FOR_FOLDS, Reason
from tuneworthy.records.run import Run
from tuneworthy.records.specs import (
    builds_on_prompt,
    learns_from_teacher,
    needs_dev_scores,
    searches,
    trains,
)
from tuneworthy.store import signals

# What `ScheduleRunner.run` yields after the arms that take seconds, and where only what explains
# the verdict is left.
FIRST_LOOK, LAST_STEP = "first look", "last step"

_READ_ROWS = 128  # rows of the first fold on which an arm is timed, and its failures are read


@dataclass
class ScheduleRunner:
    """Executes a plan, and adds to `runs` and `recipes` (the best prompt by fold) as it goes.

    `minutes` is the total time limit, `planning` the minutes of it that the plan took, `spent`
    those so far; `tell` gets ("arm", the planned arm) before each step; `time_up`: a step was
    stopped because the minutes were over.
    """

    runner: Runner
    plan: Plan
    inputs: ComparisonInputs
    runs: list[Run]
    recipes: list[Recipe]
    minutes: float
    tell: Callable[[str, Any], None]
    planning: float = 0.0
    steps: list[StageDecision] = field(default_factory=list)
    spent: float = field(init=False)
    time_up: bool = False
    _done: dict[str, int] = field(default_factory=dict)
    _pace: PaceCorrection = field(default_factory=PaceCorrection)
    _taken: int = 0
    _looked: bool = False
    _settled: bool = False
    _ended: bool = False

    def __post_init__(self) -> None:
        self.spent = self.planning

    @cached_property
    def _ledger(self) -> KeptMinutes:
        return KeptMinutes(self.runner.ledger, self.runner.study)

    @property
    def left(self) -> float:
        """Return the minutes that are left, none once a step was stopped for them."""
        return 0.0 if self.time_up else max(0.0, self.minutes - self.spent)

    def run(self) -> Iterator[str]:
        """Measure the plan's arms and probes; yield FIRST_LOOK and LAST_STEP, "" after a step."""
        if not self.plan.staged:
            yield from self._measure_all()
            return
        for arm in self.plan.arms:
            if arm.because:
                self._leave_out(arm, arm.because)
            elif always_runs(arm, self.plan.arms):
                self._measure_first(arm)
                yield ""
        self._looked = True
        yield FIRST_LOOK
        yield from self._take_steps()
        if self._taken:
            yield LAST_STEP
        yield from self._explain()
        self.end()
        if not self._run_probes():
            self.plan = without_diagnosis(self.plan)
        self.plan = at_measured_pace(self.plan, self.runs, self._pace.corrected)
        self._ledger.end(self.minutes, self.spent)

    def end(self, why: Reason | None = None) -> None:
        """Say once why arms did not run, or on no more rows: no minutes unless there is a `why`."""
        if self._ended:
            return
        self._ended, schedule = True, self._schedule()
        ran, short = {run.spec.name for run in self.runs}, why or NO_ROOM
        if self._settled:
            why = Reason(text="no further row could change which arm is named")
        for arm in self.plan.arms:
            candidate = arm.scheduled and arm.spec.role == "candidate"
            ended = schedule.why_ended(arm) if candidate else ""
            if arm.spec.name not in ran:
                untaught = why_not_taught(self.inputs, self.runs, arm.spec)
                told = ended or untaught or (why if candidate else None) or short
                self._leave_out(arm, arm.because or Reason.of(told))
            elif candidate and self._done.get(arm.spec.name, 0) < len(arm.units):
                self._add_note(arm, Reason.of(ended) if ended else why or NO_ROOM_FOR_FOLDS)

    def _measure_all(self) -> Iterator[str]:
        """Measure every arm on all its folds; probes run before the first training."""
        probed = False
        for arm in self.plan.arms:
            if not probed and not arm.because and trains(arm.spec):
                probed = True
                self._run_each(self._probes(self.plan.arms, self.runs))
            if not arm.because and (why := why_not_taught(self.inputs, self.runs, arm.spec)):
                arm = arm.model_copy(update={"because": Reason(text=why)})
            self._measure(self.runner, arm, f"all of {arm.spec.name}", arm.minutes)
            yield ""
        if not probed:
            self._run_each(self._probes(self.plan.arms, self.runs))

    def _schedule(self) -> Schedule:
        return Schedule(self.inputs, self.runs, self.plan.arms, self._done, self._expected)

    def _expected(self, planned: float, pace: str) -> float:
        """Return the minutes that planned ones are expected to take at most, by those so far."""
        return MINUTES_SAFETY * self._pace.corrected(planned, pace)

    def _take_steps(self) -> Iterator[str]:
        """Take the steps of an earlier run, then the best one that fits until none is left."""
        kept, arms = list(self._ledger.steps()), {arm.spec.name: arm for arm in self.plan.arms}
        for name, number in kept:
            if name in arms:
                self._take(arms[name], number, "as before")
                yield ""
            else:
                self._taken += 1
        while not self.time_up:
            room = self.left - EXPLAIN_SHARE * self.minutes
            schedule = self._schedule()
            if (step := schedule.next_step(room)) is None:
                self._settled = schedule.next_step(inf) is None
                break
            step = self._needed_before(step)
            self._take(step.arm, step.number, _why_step(step, schedule))
            yield ""

    def _needed_before(self, step: Step) -> Step:
        """Return the step of a teacher or prompt that this one builds on, else the step itself."""
        fold, spec = step.arm.units[step.number][0], step.arm.spec
        needed: list[PlannedArm] = []
        if learns_from_teacher(spec):
            needed = [arm for arm in self.plan.arms if is_teacher(arm.spec)]
        elif builds_on_prompt(spec):
            taken = [(run.fold, run.recipe) for run in self.runs
                     if run.spec == spec and run.recipe]  # fmt: skip
            own = [run.spec for run in self.runs
                   if run.spec.tool == "prompt" and (run.fold, run.recipe) in taken]  # fmt: skip
            needed = [arm for arm in self.plan.arms if arm.spec in own]
        for arm in needed:
            number = self._done.get(arm.spec.name, 0)
            if arm.scheduled and number < len(arm.units) and arm.units[number][0] <= fold:
                return Step(arm, number, step.gain, step.minutes)
        return step

    def _take(self, arm: PlannedArm, number: int, why: str) -> None:
        """Take one step of an arm; a student is left out where its teacher is not shown better."""
        self._ledger.keep_step(self._taken, arm.spec.name, number)
        self._taken += 1
        if untaught := why_not_taught(self.inputs, self.runs, arm.spec):
            self._done[arm.spec.name] = len(arm.units)
            self._leave_out(arm, Reason.of(untaught))
            return
        self._record_decision(arm, "run", why)
        self._measure_step(arm, number)

    def _measure_first(self, arm: PlannedArm) -> None:
        if arm.scheduled:
            self._measure_step(arm, 0)
        elif not self._measure(self.runner, arm, f"all of {arm.spec.name}", arm.minutes):
            self._leave_out(arm, NO_ROOM)

    @cached_property
    def _quick(self) -> Runner:
        """Return the runner of a part of a fold: it asks no cut answer again, and times nothing."""
        return replace(self.runner, longer=False, timed=False)

    def _measure_step(self, arm: PlannedArm, number: int) -> None:
        what, planned = f"step {number} of {arm.spec.name}", arm.unit_minutes[number]
        fold, cases = arm.units[number]
        left = f"{self.left:.0f} of {self.minutes:g} minutes left"
        self.tell("at", f"{arm.spec.name}: fold {fold + 1}, {cases:,} rows; {left}")
        runner = self._quick if cases < min(dict(arm.units)[fold], _READ_ROWS) else self.runner
        new = self._measure(runner, arm.up_to(number), what, planned)
        if new or not self.time_up:  # a step that the minutes ended is left
            measured = bool(new) and all(run.state == "measured" for run in new)
            self._done[arm.spec.name] = number + 1 if measured else len(arm.units)

    def _measure(self, runner: Runner, part: PlannedArm, what: str, planned: float) -> list[Run]:
        """Measure an arm as it is planned; a step that the minutes end leaves no run."""
        self.tell("arm", part)
        runnable = [arm.spec for arm in self.plan.arms if not arm.because]
        dev = needs_dev_scores(self.runner.task, part.spec, runnable)
        folds, seed, new = range(len(self.recipes)), self.runner.task.seed, list[Run]()
        begun = [best_prompt(runs_before(self.runs, part.spec, fold), fold, seed) for fold in folds]

        def measured() -> None:
            new.extend(measure(runner, part, begun, dev))

        took = self._timed(what, measured)
        if new and planned:
            self._pace.add(part.pace, planned, took)
        self._put(new)
        self.recipes[:] = [best_prompt(self.runs, fold, seed) for fold in folds]
        return new

    def _put(self, new: Sequence[Run]) -> None:
        """Add runs; those of a fold that an arm was scored on before take the place of the old."""
        again = {(run.spec.name, run.fold) for run in new}
        old = [at for at, run in enumerate(self.runs) if (run.spec.name, run.fold) in again]
        kept = [run for run in self.runs if (run.spec.name, run.fold) not in again]
        at = old[0] if old else len(kept)
        self.runs[:] = [*kept[:at], *new, *kept[at:]]

    def _timed(self, what: str, do: Callable[[], None]) -> float:
        """Do something, stop it where the minutes end, and return the minutes that it took.

        A plan without the schedule has no end but its own. What ended in an earlier run is read
        from the store again, whatever minutes are left.
        """
        cap = self.minutes if self._looked else max(self.minutes, self.planning + LEAST_MINUTES)
        ended, stopped = self._ledger.known(what)
        most = max(cap - self.spent - stopped, 0.0 if ended is None else ended + LEAST_MINUTES)
        limit = signals.stop_after(60 * most, signals.TIME_UP)
        before = self.spent
        try:
            if self.plan.staged and most <= 0:
                raise signals.StopRequested(signals.TIME_UP)
            with limit if self.plan.staged else nullcontext(), self._ledger.count(what) as took:
                do()
            self.spent += took[0]
        except signals.StopRequested as stop:
            if stop.exit_code != signals.TIME_UP:
                raise
            self.time_up, self.spent = True, max(cap, self.spent + self._ledger.known(what)[1])
        return self.spent - before

    def _explain(self) -> Iterator[str]:
        """Complete the first fold of the arms to explain, and measure ceilings, if they fit.

        Of a large fold 128 rows do. Causes are read of these rows, and both are timed; placebos
        come after them.
        """
        planned = {arm.spec.name: arm for arm in self.plan.arms}
        for name in self._explained():
            arm = planned[name]
            number = self._done.get(name, 0)
            while number < len(arm.units) and arm.units[number][0] == 0:
                read = number and arm.units[number - 1][1] >= _READ_ROWS
                expected = self._expected(arm.unit_minutes[number], arm.pace)
                if read or self.time_up or expected > self.left:
                    break
                self._measure_step(arm, number)
                number = self._done[name]
                yield ""
        for arm in self.plan.arms:
            if arm.spec.role != "ceiling" or not arm.scheduled or self._done.get(arm.spec.name):
                continue
            fits = self._expected(arm.first_minutes, arm.pace) <= self.left
            if fits and not self.time_up:
                self._measure_first(arm)
                yield ""

    def _explained(self) -> list[str]:
        """Return the names of the base prompt, of the arm that leads, and of searches that ran."""
        leader = self._schedule().leader
        return [arm.spec.name for arm in self.plan.arms if arm.scheduled and (
            always_runs(arm, self.plan.arms) or (leader is not None and arm.spec == leader.spec)
            or (searches(arm.spec) and self._done.get(arm.spec.name)))]  # fmt: skip

    def _run_probes(self) -> bool:
        """Run the placebos and pilots that the diagnosis needs and that fit.

        Return False if there were some, and none ran: then no cause can be read.
        """
        folds = {name: {run.fold for run in column.runs}
                 for name, column in columns_of(self.runs).items()}  # fmt: skip
        dear = [arm for arm in self.plan.across if arm.spec.role == "candidate"]  # on failed cases
        arms = []
        for arm in [*self.plan.arms, *dear]:
            own = folds.get(arm.spec.name, {0} if arm in dear or not arm.because else set())
            kept = tuple(fold for fold in arm.folds if fold in own)
            if kept and (arm.spec.name in folds or arm in dear):
                minutes = arm.minutes * len(kept) / len(arm.folds)
                change = {"folds": kept, "units": (), "minutes": minutes}
                arms.append(arm.model_copy(update=change))
        planned = {arm.spec.name: arm.minutes for arm in self.plan.across}
        needed, fitting, room = self._probes(arms, self.runs), list[Probe](), self.left
        for probe in needed:
            most, pace = probe.most_minutes
            cost = self._expected(min(most, planned.get(probe.planned.spec.name, most)), pace)
            if cost <= room:
                room -= cost
                fitting.append(probe)
            elif probe.planned.spec.role == "candidate":  # else nobody knows that it was not run
                self._leave_out(probe.planned, NO_ROOM)
        return self._run_each(fitting) > 0 or not needed

    def _probes(self, arms: Sequence[PlannedArm], runs: Sequence[Run]) -> list[Probe]:
        if self.plan.read == 0:
            return []
        return probes(self.runner, arms, runs, is_paid(self.runner.task.model), self.plan.read)

    def _run_each(self, needed: Sequence[Probe]) -> int:
        """Run probes until the minutes end; return how many ran to their end."""
        for at, probe in enumerate(needed):
            if self.time_up:
                return at - 1
            self.tell("arm", probe.planned)

            def run(probe: Probe = probe) -> None:
                self.runs += probe.run(self.runner, self.recipes, self.runs)

            self._timed(f"probe {probe.planned.spec.name} on {len(probe.cases)} rows", run)
        return len(needed) - self.time_up

    def _add_note(self, arm: PlannedArm, why: Reason) -> None:
        """Say on how many rows an arm was scored, and why on no more."""
        own = [at for at, run in enumerate(self.runs) if run.spec.name == arm.spec.name]
        if not own or any(self.runs[at].state != "measured" for at in own):
            return
        rows = len({answer.case for at in own for answer in self.runs[at].answers})
        size = sum(dict(arm.units).values())
        note = f"scored on {rows:,} of {size:,} rows: {why}"
        self._record_decision(arm, "stop", str(why))
        told = {
            "notes": (*self.runs[own[-1]].notes, note),
            "because": Reason(why=why.why, text=note),
        }
        self.runs[own[-1]] = self.runs[own[-1]].model_copy(update=told)

    def _leave_out(self, arm: PlannedArm, why: Reason) -> None:
        if not arm.because:
            self._record_decision(arm, "leave out", why)
        left_out = arm.model_copy(update={"because": why})
        self.tell("arm", left_out)
        self.runs += measure(self.runner, left_out, self.recipes, False)

    def _record_decision(self, arm: PlannedArm, do: str, why: str | Reason) -> None:
        step = {"arm": arm.spec.name, "do": do, "why": str(why), "minutes": round(self.spent, 2)}
        self.steps.append(StageDecision.model_validate(step))


def _why_step(step: Step, schedule: Schedule) -> str:
    """Return why a step is taken, and what it is: the cases that it adds, in a plan's words."""
    fold, cases = step.arm.units[step.number]
    leader = schedule.leader and schedule.leader.spec.name
    beside = f" beside {leader}" if leader and leader != step.arm.spec.name else ""
    return f"fold {fold + 1}, {cases:,} rows{beside}: it may change what is named"
