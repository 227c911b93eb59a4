"""Execute a plan by the stage rule: the cheap arms, the diagnosis, then the follow-up arms.

The arms that always run are measured first, and the base arm's failures are diagnosed. Then the
rule (`measure/stage_rule.py`) decides on the follow-up arms one by one. Knows no arm by name.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tuneworthy.compare.choice import best_prompt
from tuneworthy.compare.columns import by_spec, column
from tuneworthy.compare.pairs import ComparisonInputs
from tuneworthy.core.arm import Recipe
from tuneworthy.core.causes import Diagnosis, Wrong
from tuneworthy.core.plan import NO_ROOM, Plan, PlannedArm, StageDecision
from tuneworthy.core.run import Run
from tuneworthy.core.specs import needs_dev_scores, trains
from tuneworthy.diagnose.remedies import advised_against, repairable_share
from tuneworthy.measure.placebos import Probe, probes
from tuneworthy.measure.stage_rule import StageRule, always_runs, follow_up_order, mean
from tuneworthy.measure.teacher_gate import why_not_taught
from tuneworthy.measure.units import Runner, measure
from tuneworthy.models import is_paid

OVERRUN_SHARE = 0.5  # share of the minutes by which the first training arm may exceed them
PLACEBO_SHARE = 0.1  # share of the minutes by which placebos of training arms may exceed them
KNOWN_PACE = 0.5  # planned minutes to measure before the estimates are corrected
MOST_CORRECTION = 4.0  # the largest factor by which estimates are corrected, up or down


@dataclass
class StageRunner:
    """The execution of a plan: `runner.runs` and `recipes` (the best prompt by fold) are updated.

    `minutes` is the total time limit; `diagnose` returns the diagnosis of the runs so far; `looked`
    has the training arms that did not lose on their first folds, each with the reason if it won.
    """

    runner: Runner
    plan: Plan
    shape: ComparisonInputs
    runs: list[Run]
    recipes: list[Recipe]
    minutes: float
    diagnose: Callable[[], Diagnosis | None]
    tell: Callable[[str, Any], None]
    steps: list[StageDecision] = field(default_factory=list)
    spent: float = 0.0
    looked: list[tuple[PlannedArm, str]] = field(default_factory=list)
    _planned: float = 0.0

    @property
    def rule(self) -> StageRule:
        """Return the stage rule with the runs so far."""
        return StageRule(self.shape, self.runs)

    @property
    def left(self) -> float:
        """Return the minutes that are left."""
        return self.minutes - self.spent

    def run(self) -> Iterator[None]:
        """Measure the arms one by one; yield after each."""
        always = [arm for arm in self.plan.arms if not arm.follow_up]
        for arm in always:
            if why := self._beyond_reach(arm):
                self._leave_out(arm, why)
                continue
            self._measure(arm, arm.folds)
            yield
        self._probe(trained=False)
        diagnosis = self.diagnose() if self.plan.read != 0 else None
        wrong = diagnosis.wrong if diagnosis else ()
        shares = {arm.spec.name: repairable_share(arm.spec, wrong) for arm in self.plan.arms}
        follow_up = follow_up_order(self.plan.arms, shares)
        for number, arm in enumerate(follow_up):
            if why := self._not_worth_it(arm, wrong):
                self._leave_out(arm, why)
            else:
                self._follow_up(arm, shares)
                yield
            after = follow_up[number + 1 : number + 2]
            if trains(arm.spec) and not any(trains(next_arm.spec) for next_arm in after):
                yield from self._all_folds()  # this was the last training arm to be looked at
        self._probe(trained=True)
        kept = {"minutes": round(self.spent, 4)}
        self.runner.ledger.freeze(self.runner.study, spent_key(self.minutes), kept)

    def _beyond_reach(self, arm: PlannedArm) -> str:
        free = arm.because or always_runs(arm, self.plan.arms)
        return "" if free else self.rule.beyond_reach(arm.spec)

    def _follow_up(self, arm: PlannedArm, shares: Mapping[str, float]) -> None:
        """Measure an arm on its first folds and record its standing."""
        share = shares[arm.spec.name]
        reason = f"it may repair {share:.0%} of the failures" if share else "nothing rules it out"
        self._decide(arm, "run", reason)
        first = arm.folds[: arm.look_after] if arm.look_after else arm.folds
        new = self._measure(arm, first)
        if len(first) == len(arm.folds) or any(run.state != "measured" for run in new):
            return
        standing, why = self.rule.standing(new)
        if standing == "lost":
            self._stop(arm, why)
        else:
            self.looked.append((arm, why if standing == "won" else ""))

    def _all_folds(self) -> Iterator[None]:
        """Measure further folds of the training arms that did not lose, the best arm first.

        An arm that is shown to be at most a margin better than the best one stops. The best one
        stops if it has won and all others have stopped. Arms that stay open get the same number of
        folds, as far as the minutes go, since they are compared on the rows that they share.
        """
        columns = {entry.spec.name: entry for entry in self.rule.columns}
        ranked = sorted(self.looked, key=lambda entry: -mean(columns[entry[0].spec.name]))
        best = ranked[0][0].spec if ranked else None
        stops = [won for _, won in ranked[:1]]
        stops += [self.rule.behind(arm.spec, best) for arm, _ in ranked[1:] if best]
        if not all(stops):
            stops[0] = ""
        for (arm, _), stop in zip(ranked, stops, strict=True):
            if stop:
                self._stop(arm, stop)
        open_arms = [arm for (arm, _), stop in zip(ranked, stops, strict=True) if not stop]
        counts = self._folds_each(open_arms)
        for arm, count in zip(open_arms, counts, strict=True):
            folds = arm.folds[arm.look_after :][:count]
            rest = len(arm.folds) - arm.look_after - len(folds)
            if not folds:
                self._stop(arm, "still open, and the minutes have no room for its other folds")
                continue
            self._decide(
                arm,
                "more folds" if rest else "all folds",
                "neither shown better nor shown not to be worth it",
            )
            self._measure(arm, folds)
            if rest:
                self._note(arm, len(arm.folds) - rest, "the minutes have no room for the others")
            yield

    def _folds_each(self, arms: Sequence[PlannedArm]) -> list[int]:
        """Return how many further folds each arm gets: equally many, or the first one alone."""
        costs = [
            self._cost(arm.minutes - arm.first_minutes) / (len(arm.folds) - arm.look_after)
            for arm in arms
        ]
        if not costs:
            return []
        if (together := _fitting(self.left, sum(costs))) >= 1:
            return [together] * len(arms)
        return [_fitting(self.left, costs[0]), *[0] * (len(arms) - 1)]

    def _stop(self, arm: PlannedArm, why: str) -> None:
        self._decide(arm, "stop", why)
        self._note(arm, arm.look_after, why)

    def _note(self, arm: PlannedArm, folds: int, why: str) -> None:
        note = f"scored on {folds} of {len(arm.folds)} folds: {why}"
        last = max(at for at, run in enumerate(self.runs) if run.spec.name == arm.spec.name)
        run = self.runs[last]
        self.runs[last] = run.model_copy(update={"notes": (*run.notes, note)})

    def _not_worth_it(self, arm: PlannedArm, wrong: Sequence[Wrong]) -> str:
        """Return why a follow-up arm is not run, or ""."""
        spec = arm.spec
        if why := self.rule.beyond_reach(spec):
            return why
        if why := why_not_taught(self.shape, self.runs, spec):
            return why
        trained = [arm_column for arm_column in self.rule.columns if trains(arm_column.spec)]
        first = trains(spec) and not trained
        named = spec.name in self.runner.task.success.finalists.values()
        if trains(spec) and trained and self.runner.task.arms == "auto" and not named:
            other = trained[0].spec.name
            all_won = all(won for _, won in self.looked)
            if all_won and advised_against(
                spec, wrong
            ):  # the diagnosis may err, so an open arm needs a rival
                return f"{other} was trained, and what was wrong speaks against this one"
            if not self.rule.contends(spec):
                return f"{other} was trained, and its tool is shown to be behind"
        if not trains(spec) and not self.rule.contends(spec):
            return "its tool is shown to be behind by more than the margin"
        room = self.left + (OVERRUN_SHARE * self.minutes if first else 0.0)
        return NO_ROOM if self._cost(arm.first_minutes) > room else ""

    def _measure(self, arm: PlannedArm, folds: tuple[int, ...]) -> list[Run]:
        part = arm.model_copy(update={"folds": folds, "requests": _requests_in(arm, folds)})
        self.tell("arm", part)
        runnable = [planned.spec for planned in self.plan.arms if not planned.because]
        dev = needs_dev_scores(self.runner.task, arm.spec, runnable)
        with self._timed(f"{arm.spec.name} {folds}"):
            new = measure(self.runner, part, self.recipes, dev)
        self._planned += arm.minutes * len(folds) / max(len(arm.folds), 1)
        self.runs += new
        folds_in_all = range(len(self.recipes))
        # Later arms build on the best prompt on dev in their own fold.
        self.recipes[:] = [best_prompt(self.runs, f, self.runner.task.seed) for f in folds_in_all]
        return new

    def _probe(self, trained: bool) -> None:
        """Run the placebos, and the pilots of training arms, that the diagnosis needs."""
        if self.plan.read == 0:
            return
        for probe in self._probes(trained):
            self.tell("arm", probe.planned)
            with self._timed(f"probe {probe.planned.spec.name}"):
                self.runs += probe.run(self.runner, self.recipes, self.runs)

    def _probes(self, trained: bool) -> list[Probe]:
        measured = {name for name, runs in by_spec(self.runs).items() if column(runs)}
        dear = [arm for arm in self.plan.across if arm.spec.role == "candidate"]
        arms = [*self.plan.arms, *dear]
        if trained:
            arms = [arm for arm in arms if trains(arm.spec) and arm.spec.name in measured]
            arms = [arm for arm in arms if self.rule.contends(arm.spec)]
        else:
            arms = [arm for arm in arms if not trains(arm.spec) and not arm.follow_up]
        paid = is_paid(self.runner.task.model)
        result = probes(self.runner, arms, self.runs, paid, self.plan.read)
        minutes = {arm.spec.name: arm.minutes for arm in self.plan.across}
        cost = self._cost(sum(minutes.get(probe.planned.spec.name, 0.0) for probe in result))
        return [] if trained and cost > self.left + PLACEBO_SHARE * self.minutes else result

    def _leave_out(self, arm: PlannedArm, why: str) -> None:
        self._decide(arm, "leave out", why)
        left_out = arm.model_copy(update={"because": why})
        self.tell("arm", left_out)
        self.runs += measure(self.runner, left_out, self.recipes, False)

    def _decide(self, arm: PlannedArm, do: str, why: str) -> None:
        step = {"arm": arm.spec.name, "do": do, "why": why, "minutes": round(self.spent, 2)}
        self.steps.append(StageDecision.model_validate(step))

    def _cost(self, planned: float) -> float:
        """Return planned minutes corrected by the ratio of measured to planned time so far."""
        if self._planned < KNOWN_PACE:
            return planned
        return planned * min(MOST_CORRECTION, max(1 / MOST_CORRECTION, self.spent / self._planned))

    @contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        """Add the minutes of a step; the ledger keeps those of its first run.

        A resumed study therefore counts the same minutes and the rule makes the same decisions.
        """
        begun = time.perf_counter()
        yield
        took = {"minutes": round((time.perf_counter() - begun) / 60, 4)}
        kept = self.runner.ledger.freeze(self.runner.study, f"minutes of {what}", took)
        self.spent += float(kept["minutes"])


def _requests_in(arm: PlannedArm, folds: Sequence[int]) -> int:
    """Return the number of an arm's requests that belong to these folds, in proportion."""
    return round(arm.requests * len(folds) / max(len(arm.folds), 1))


def _fitting(room: float, cost: float) -> int:
    """Return how often a cost fits into a room; rounding takes nothing away."""
    return int(max(room, 0.0) / cost + 1e-9) if cost > 0 else 1_000


def spent_key(minutes: float) -> str:
    """Return the ledger key for the minutes that a study spent of its limit."""
    return f"spent of {minutes:g} minutes"


def fit_extras(plan: Plan, left: float, share: float) -> Plan:
    """Return the plan with only the optional measurements that fit the minutes left.

    Together they take at most `share` minutes; they are taken in the order of the plan.
    """
    room, extras = max(0.0, min(left, share)), []
    for extra in plan.beside:
        if not extra.because and extra.minutes > room:
            extra = extra.model_copy(update={"because": NO_ROOM})
        elif not extra.because:
            room -= extra.minutes
        extras.append(extra)
    return plan.model_copy(update={"beside": tuple(extras)})
