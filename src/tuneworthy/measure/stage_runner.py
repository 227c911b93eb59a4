"""Execute a plan by the stage rule: the cheap arms, the diagnosis, then the follow-up arms.

The arms that always run are measured first, and the base arm's failures are diagnosed. Then the
rule (`measure/stage_rule.py`) decides on the follow-up arms one by one. Knows no arm by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tuneworthy.explain.diagnosis import advised_against, repairable_share
from tuneworthy.matrix.columns import columns_of
from tuneworthy.matrix.inputs import ComparisonInputs
from tuneworthy.matrix.ladder import best_prompt
from tuneworthy.measure.answering import Runner
from tuneworthy.measure.placebos import Probe, probes
from tuneworthy.measure.plan_cuts import (
    FOLDS_BEFORE_LOOK,
    KeptMinutes,
    PaceCorrection,
    at_measured_pace,
)
from tuneworthy.measure.stage_rule import (
    StageRule,
    Standing,
    always_runs,
    follow_up_order,
    why_not_taught,
)
from tuneworthy.measure.units import measure
from tuneworthy.models import is_paid
from tuneworthy.records.arm import Recipe
from tuneworthy.records.causes import Diagnosis, Wrong
from tuneworthy.records.plan import Plan, PlannedArm, StageDecision
from tuneworthy.records.reason import NO_ROOM, NO_ROOM_FOR_FOLDS, Reason, Why
from tuneworthy.records.run import Run, Spec
from tuneworthy.records.specs import builds_on_prompt, needs_dev_scores, trains

_OVERRUN_SHARE = 0.5  # share of the minutes by which the first training arm may exceed them
_PLACEBO_SHARE = 0.1  # share of the minutes by which placebos of training arms may exceed them


@dataclass(frozen=True)
class _LookedAt:
    """An arm after its first folds, its standing, and the reason for it."""

    arm: PlannedArm
    standing: Standing
    why: str


@dataclass
class StageRunner:
    """Executes a plan, and adds to `runs` and `recipes` (the best prompt by fold) as it goes.

    `minutes` is the total time limit, `spent` the minutes so far; `diagnose` returns the diagnosis
    of the runs so far; `tell` gets ("arm", the planned arm) before each; `looked` has the arms that
    the rule looked at after their first folds, without training arms that lost.
    """

    runner: Runner
    plan: Plan
    inputs: ComparisonInputs
    runs: list[Run]
    recipes: list[Recipe]
    minutes: float
    diagnose: Callable[[], Diagnosis | None]
    tell: Callable[[str, Any], None]
    steps: list[StageDecision] = field(default_factory=list)
    spent: float = 0.0
    looked: list[_LookedAt] = field(default_factory=list)
    _pace: PaceCorrection = field(default_factory=PaceCorrection)

    @property
    def rule(self) -> StageRule:
        """Return the stage rule with the runs so far."""
        return StageRule(self.inputs, self.runs)

    @property
    def _minutes_ledger(self) -> KeptMinutes:
        return KeptMinutes(self.runner.ledger, self.runner.study)

    @property
    def left(self) -> float:
        """Return the minutes that are left."""
        return self.minutes - self.spent

    def run(self) -> Iterator[None]:
        """Measure all arms and probes of the plan; yield after each arm."""
        if not self.plan.staged:
            yield from self._measure_all()
            return
        always = [arm for arm in self.plan.arms if not arm.follow_up]
        for arm in always:
            if why := self._why_beyond_reach(arm):
                self._leave_out(arm, Reason.of(why))
                continue
            self._measure_first_folds(arm)
            yield
        self._run_probes(trained=False)
        diagnosis = self.diagnose() if self.plan.read != 0 else None
        wrong = diagnosis.wrong if diagnosis else ()
        shares = {arm.spec.name: repairable_share(arm.spec, wrong) for arm in self.plan.arms}
        follow_up = follow_up_order(self.plan.arms, shares)  # training arms come first
        training = [arm for arm in follow_up if trains(arm.spec)]
        yield from self._measure_follow_ups(training, wrong, shares)
        yield from self._measure_more_folds()
        yield from self._measure_follow_ups(follow_up[len(training) :], wrong, shares)
        self._run_probes(trained=True)
        self.plan = at_measured_pace(self.plan, self.runs, self._pace.corrected)
        self._minutes_ledger.end(self.minutes, self.spent)

    def _measure_all(self) -> Iterator[None]:
        """Measure every arm on all its folds; probes run before the first training."""
        probed = False
        for arm in self.plan.arms:
            if not probed and not arm.because and trains(arm.spec):
                probed = True
                self._run_all_probes()
            if not arm.because and (why := why_not_taught(self.inputs, self.runs, arm.spec)):
                arm = arm.model_copy(update={"because": Reason(text=why)})
            self._measure(arm, arm.folds)
            yield
        if not probed:
            self._run_all_probes()

    def _run_all_probes(self) -> None:
        dear = [arm for arm in self.plan.across if arm.spec.role == "candidate"]  # on failed cases
        arms, paid = [*self.plan.arms, *dear], is_paid(self.runner.task.model)
        if self.plan.read != 0:
            self._run_each(probes(self.runner, arms, self.runs, paid, self.plan.read))

    def _why_beyond_reach(self, arm: PlannedArm) -> str:
        free = arm.because or always_runs(arm, self.plan.arms)
        return "" if free else self.rule.why_beyond_reach(arm.spec)

    def _measure_follow_ups(
        self, arms: Sequence[PlannedArm], wrong: Sequence[Wrong], shares: Mapping[str, float]
    ) -> Iterator[None]:
        """Measure the first folds of each follow-up arm that may be worth it; yield after each.

        An arm that ran before the study got more minutes keeps its folds, whatever else ran since.
        """
        for arm in arms:
            measured_before = self._minutes_ledger.folds_done(arm.spec.name, arm.folds) > 0
            if not measured_before and (why := self._why_not_worth_it(arm, wrong)):
                self._leave_out(arm, Reason.of(why))
                continue
            share = shares[arm.spec.name]
            why = f"it may repair {share:.0%} of the failures" if share else "nothing rules it out"
            self._record_decision(arm, "run", why)
            self._measure_first_folds(arm)
            yield

    def _measure_first_folds(self, arm: PlannedArm) -> None:
        """Measure an arm on its first folds (all without a look); add it to `looked` or stop it.

        A training arm that lost stops at once. Another one may still have to run on further folds,
        because an open arm builds on the prompts of its fold.
        """
        if not arm.look_after:
            self._measure(arm, self._folds_with_prompts(arm))
            return
        new = self._measure(arm, arm.folds[: arm.look_after])
        if any(run.state != "measured" for run in new):
            return
        standing, why = self.rule.standing(new)
        if standing == "lost" and trains(arm.spec):
            self._stop_arm(arm, Reason(text=why))
        else:
            self.looked.append(_LookedAt(arm, standing, why))

    def _folds_with_prompts(self, arm: PlannedArm) -> tuple[int, ...]:
        """Return the arm's folds in which the prompts that it may build on were measured."""
        prompts = {a.spec.name for a in self.plan.arms if a.look_after and a.spec.tool == "prompt"}
        if not prompts or not builds_on_prompt(arm.spec):
            return arm.folds
        ran = {run.fold for run in self.runs if run.spec.name in prompts}
        return tuple(fold for fold in arm.folds if fold in ran)

    def _measure_more_folds(self) -> Iterator[None]:
        """Measure further folds of the arms that may still be named; yield after each arm.

        They run in the order of the plan. The best one stops if it has won and the others stopped.
        Arms that stay open get the same number of folds, as far as the minutes go, since they are
        compared on the rows that they share; the best one alone if there is no room for all.
        """
        columns = {entry.spec.name: entry for entry in self.rule.columns}
        ranked = sorted(self.looked, key=lambda entry: -columns[entry.arm.spec.name].mean)
        stops = self._stop_reasons(ranked)
        built_on = self._prompts_of_open_arms(ranked, stops)
        for entry in ranked:
            if (stop := stops[entry.arm.spec.name]) and entry.arm.spec.name not in built_on:
                if kept := self._measured_before(entry.arm):
                    self._measure(entry.arm, kept)
                self._stop_arm(entry.arm, Reason(text=stop), len(kept))
        open_arms = [
            entry.arm for entry in ranked
            if not stops[entry.arm.spec.name] or entry.arm.spec.name in built_on
        ]  # fmt: skip
        names = [arm.spec.name for arm in open_arms]
        counts = dict(zip(names, self._folds_each(open_arms), strict=True))
        for arm in [arm for arm in self.plan.arms if arm.spec.name in counts]:
            count = max(counts[arm.spec.name], len(self._measured_before(arm)))
            folds = arm.folds[arm.look_after :][:count]
            rest = len(arm.folds) - arm.look_after - len(folds)
            if not folds:
                self._stop_arm(arm, Reason(why=Why.NO_ROOM_FOR_FOLDS, about="still open, and "))
                continue
            decided = "neither shown better nor shown not to be worth it"
            if stops[arm.spec.name]:
                decided = f"{stops[arm.spec.name]}, but an open arm builds on it"
            self._record_decision(arm, "more folds" if rest else "all folds", decided)
            self._measure(arm, folds)
            if rest:
                self._add_note(arm, len(arm.folds) - rest, NO_ROOM_FOR_FOLDS)
            yield

    def _stop_reasons(self, ranked: Sequence[_LookedAt]) -> dict[str, str]:
        """Return {arm: why it needs no further folds, "" if it does} of the arms looked at.

        An arm stops if it lost, or if no further fold could let it be named beside the best one.
        `ranked` has the arms by score, the best first.
        """
        best = next((entry for entry in ranked if entry.standing != "lost"), None)
        stops = {}
        for entry in ranked:
            if entry.standing == "lost":
                stops[entry.arm.spec.name] = entry.why
            elif best and entry is not best:
                stops[entry.arm.spec.name] = self.rule.why_behind(entry.arm.spec, best.arm.spec)
        if best:
            done = best.standing == "won" and all(stops.values())
            stops[best.arm.spec.name] = best.why if done else ""
        return stops

    def _prompts_of_open_arms(
        self, ranked: Sequence[_LookedAt], stops: Mapping[str, str]
    ) -> set[str]:
        """Return names of prompt arms that open arms build on; they run on the same folds."""
        own = [entry.arm.spec for entry in ranked if not stops[entry.arm.spec.name]]
        builders = [spec for spec in own if builds_on_prompt(spec)]
        return {name for spec in builders for name in self._prompts_of(spec, ranked)}

    def _prompts_of(self, spec: Spec, ranked: Sequence[_LookedAt]) -> list[str]:
        """Return names of the prompt arms whose prompt an arm took; all if that is unknown."""
        names = [entry.arm.spec.name for entry in ranked if entry.arm.spec.tool == "prompt"]
        taken = [(run.fold, run.recipe) for run in self.runs if run.spec == spec and run.recipe]
        own = [run.spec.name for run in self.runs if (run.fold, run.recipe) in taken]
        return [name for name in names if name in own] or names

    def _folds_each(self, arms: Sequence[PlannedArm]) -> list[int]:
        """Return how many more folds each arm gets in the minutes left: alike, or only the first.

        Only if another arm ran on them too: else there would be nothing to compare.
        """
        costs = [
            self._pace.corrected(arm.minutes - arm.first_minutes, arm.pace)
            / (len(arm.folds) - arm.look_after)
            for arm in arms
        ]
        if not costs:
            return []
        if (together := _times_it_fits(self.left, sum(costs))) >= 1:
            return [together] * len(arms)
        name, fold = arms[0].spec.name, arms[0].folds[arms[0].look_after]
        others = {run.fold for run in self.runs if run.spec.name != name and run.scores}
        alone = _times_it_fits(self.left, costs[0]) if fold in others else 0
        return [alone, *[0] * (len(arms) - 1)]

    def _stop_arm(self, arm: PlannedArm, why: Reason, further: int = 0) -> None:
        self._record_decision(arm, "stop", why)
        if (folds := arm.look_after + further) < len(arm.folds):
            self._add_note(arm, folds, why)

    def _measured_before(self, arm: PlannedArm) -> tuple[int, ...]:
        """Return the folds after the look that an earlier run, with fewer minutes, measured."""
        folds = arm.folds[arm.look_after :]
        return folds[: self._minutes_ledger.folds_done(arm.spec.name, folds)]

    def _add_note(self, arm: PlannedArm, folds: int, why: Reason) -> None:
        note = f"scored on {folds} of {len(arm.folds)} folds: {why}"
        last = max(at for at, run in enumerate(self.runs) if run.spec.name == arm.spec.name)
        told = {"notes": (*self.runs[last].notes, note), "because": Reason(why=why.why, text=note)}
        self.runs[last] = self.runs[last].model_copy(update=told)

    def _why_not_worth_it(self, arm: PlannedArm, wrong: Sequence[Wrong]) -> str | Reason:
        """Return why a follow-up arm is not run, or "" if it is."""
        spec = arm.spec
        if why := self.rule.why_beyond_reach(spec):
            return why
        if why := why_not_taught(self.inputs, self.runs, spec):
            return why
        trained = [arm_column for arm_column in self.rule.columns if trains(arm_column.spec)]
        first = trains(spec) and not trained
        named = spec.name in self.runner.task.success.finalists.values()
        if trains(spec) and trained and self.runner.task.arms == "auto" and not named:
            other = trained[0].spec.name
            all_won = all(e.standing == "won" for e in self.looked if trains(e.arm.spec))
            # The diagnosis may err, so a rival is left out only where no arm is open.
            if all_won and advised_against(spec, wrong):
                return f"{other} was trained, and what was wrong speaks against this one"
            if not self.rule.may_be_named(spec):
                return f"{other} was trained, and its tool is shown to be behind"
        if not trains(spec) and not self.rule.may_be_named(spec):
            return "its tool is shown to be behind by more than the margin"
        room = self.left + (_OVERRUN_SHARE * self.minutes if first else 0.0)
        return NO_ROOM if self._pace.corrected(arm.first_minutes, arm.pace) > room else ""

    def _measure(self, arm: PlannedArm, folds: tuple[int, ...]) -> list[Run]:
        part = arm.model_copy(update={"folds": folds, "requests": _requests_in(arm, folds)})
        self.tell("arm", part)
        runnable = [planned.spec for planned in self.plan.arms if not planned.because]
        dev = needs_dev_scores(self.runner.task, arm.spec, runnable)
        with self._minutes_ledger.count_folds(arm.spec.name, folds) as took:
            new = measure(self.runner, part, self.recipes, dev)
        self.spent += took[0]
        planned = arm.minutes * len(folds) / max(len(arm.folds), 1)
        self._pace.add(arm.pace, planned, took[0])
        self.runs += new
        folds_in_all = range(len(self.recipes))
        # Later arms build on the best prompt on dev in their own fold.
        self.recipes[:] = [best_prompt(self.runs, f, self.runner.task.seed) for f in folds_in_all]
        return new

    def _run_probes(self, trained: bool) -> None:
        """Run the placebos and pilots that the diagnosis needs and that fit into the minutes."""
        if self.plan.read != 0:
            self._run_each(self._needed_probes(trained))

    def _run_each(self, needed: Sequence[Probe]) -> None:
        for probe in needed:
            self.tell("arm", probe.planned)
            with self._minutes_ledger.count(f"probe {probe.planned.spec.name}") as took:
                self.runs += probe.run(self.runner, self.recipes, self.runs)
            self.spent += took[0]

    def _needed_probes(self, trained: bool) -> list[Probe]:
        measured = columns_of(self.runs)
        dear = [arm for arm in self.plan.across if arm.spec.role == "candidate"]
        arms = [*self.plan.arms, *dear]
        if trained:
            arms = [arm for arm in arms if trains(arm.spec) and arm.spec.name in measured]
            arms = [arm for arm in arms if self.rule.may_be_named(arm.spec)]
        else:
            arms = [arm for arm in arms if not trains(arm.spec) and not arm.follow_up]
        paid, runs = is_paid(self.runner.task.model), self.runs
        if not trained and any(arm.look_after and not trains(arm.spec) for arm in self.plan.arms):
            arms = [arm.model_copy(update={"folds": arm.folds[:FOLDS_BEFORE_LOOK]}) for arm in arms]
            runs = [run for run in runs if run.fold is None or run.fold < FOLDS_BEFORE_LOOK]
        result = probes(self.runner, arms, runs, paid, self.plan.read)
        planned = {arm.spec.name: (arm.minutes, arm.pace) for arm in self.plan.across}
        known = [planned.get(probe.planned.spec.name, probe.most_minutes) for probe in result]
        costs = [self._pace.corrected(*minutes_and_pace) for minutes_and_pace in known]
        if trained:
            return [] if sum(costs) > self.left + _PLACEBO_SHARE * self.minutes else result
        return self._beside_training(result, costs)

    def _beside_training(self, probes: Sequence[Probe], costs: Sequence[float]) -> list[Probe]:
        """Return the probes that fit beside the first folds of the dearest training arm.

        Failures that only the dropped probes could explain count as not tried.
        """
        planned = [arm for arm in self.plan.arms if trains(arm.spec) and not arm.because]
        first = [self._pace.corrected(arm.first_minutes, arm.pace) for arm in planned]
        kept = max(first, default=0.0)
        room, result = self.left - kept, []
        for probe, cost in zip(probes, costs, strict=True):
            if planned and cost > max(room, 0.0):
                if probe.planned.spec.role == "candidate":  # else nobody knows that it was not run
                    self._leave_out(probe.planned, NO_ROOM)
                continue
            room -= cost
            result.append(probe)
        return result

    def _leave_out(self, arm: PlannedArm, why: Reason) -> None:
        self._record_decision(arm, "leave out", why)
        left_out = arm.model_copy(update={"because": why})
        self.tell("arm", left_out)
        self.runs += measure(self.runner, left_out, self.recipes, False)

    def _record_decision(self, arm: PlannedArm, do: str, why: str | Reason) -> None:
        step = {"arm": arm.spec.name, "do": do, "why": str(why), "minutes": round(self.spent, 2)}
        self.steps.append(StageDecision.model_validate(step))


def _requests_in(arm: PlannedArm, folds: Sequence[int]) -> int:
    """Return how many of an arm's planned requests fall on these folds."""
    return round(arm.requests * len(folds) / max(len(arm.folds), 1))


def _times_it_fits(room: float, cost: float) -> int:
    """Return how many times `cost` fits into `room`, despite rounding errors of floats."""
    return int(max(room, 0.0) / cost + 1e-9) if cost > 0 else 1_000
