"""The schedule: which step of which arm can still change the verdict most, a minute. Pure.

A step scores an arm on some more cases. It is worth what the score of the arm that would be named
now may gain by it (the knowledge gradient), and that a pair of arms may be decided by it. An arm
ends where the bounds of the verdict say so, never by a guess: guesses only order the steps. The
rule is fixed before the first arm is scored, so its choices may depend on the scored rows: the
error is split over every arm that may run (`possible_arms`), and over all steps after which an arm
may end (`ComparisonInputs.error_multiple`). Knows no arm by name. Reasons: decision 052;
`bench/stages.py` simulates it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf, sqrt
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from tuneworthy.matrix.columns import Column, ladder_place, ladder_position
from tuneworthy.matrix.inputs import ComparisonInputs
from tuneworthy.matrix.ladder import climb
from tuneworthy.matrix.matrix import Matrix
from tuneworthy.records.evidence import Pair
from tuneworthy.records.plan import PlannedArm
from tuneworthy.records.run import Run, Spec
from tuneworthy.records.specs import builds_on_prompt, needs_of_arm, searches, trains
from tuneworthy.records.task import TRAINED_TOOLS, HardLimits

# The share of the simplest prompt's failures that an arm of a tool repairs, on the public sets that
# were measured in full (bench/results/real_sets.json): mean and standard deviation. They order the
# steps; no arm is left out by them.
_REPAIRED = {
    "classifier": (0.5, 0.3), "prompt": (0.25, 0.25), "schema": (0.3, 0.3),
    "context": (0.25, 0.3), "tune": (0.45, 0.25), "distil": (0.45, 0.25),
}  # fmt: skip
_UNKNOWN_REPAIRED = (0.4, 0.3)
_BASE_SCORE = 0.3  # the simplest prompt's score where it was not measured yet
_ROW_VARIANCE = 0.2  # of the difference of two arms on a row, before any was scored
_ROWS_OF_VARIANCE = 8  # rows that this guess is worth
_NORMAL = NormalDist()
_DECIDED = 0.1  # what a decided pair is worth, in margins


class Step(NamedTuple):
    """A step of an arm: its number, what it may gain (in the unit of scores), and its minutes."""

    arm: PlannedArm
    number: int
    gain: float
    minutes: float


@dataclass(frozen=True)
class Schedule:
    """The rule applied to the runs so far of the arms of a plan.

    `inputs` has the task, folds and confidence levels; `done` the number of steps done by arm;
    `minutes` returns those of planned minutes at a pace, corrected by what was measured.
    """

    inputs: ComparisonInputs
    runs: Sequence[Run]
    arms: Sequence[PlannedArm]
    done: Mapping[str, int]
    minutes: Callable[[float, str], float]

    @cached_property
    def matrix(self) -> Matrix:
        """Return the matrix of the arms that were measured so far."""
        return Matrix.of(self.inputs, self.runs)

    @cached_property
    def columns(self) -> dict[str, Column]:
        """Return a column for each candidate that was measured so far."""
        return self.matrix.with_role("candidate")

    @property
    def by_score(self) -> bool:
        """Return whether scores alone decide which arm is named, so that they may end an arm.

        False if costs, hard limits or human grades of a judge count: the arm with the best score
        may then not be the one to name.
        """
        task, success = self.inputs.task, self.inputs.task.success
        limited = success.limits != HardLimits() or success.floor is not None
        plain = success.motive == "quality" and self.inputs.grades is None
        return plain and not task.economics.weighs_costs and not limited

    @cached_property
    def leader(self) -> Column | None:
        """Return the arm that the ladder names by the means so far, None before the first one."""
        best = [rivals[0] for rivals in self.matrix.places.values()]
        rungs = sorted(best, key=lambda one: ladder_position(one.spec))
        if not rungs:
            return None
        gains = {(b.spec.name, s.spec.name): (self._lead(b, s),) * 3
                 for s in rungs for b in rungs if b is not s}  # fmt: skip
        named = climb([one.spec.name for one in rungs], gains, self._margin).name
        return self.columns[named]

    @property
    def _margin(self) -> float:
        return self.inputs.task.success.margin

    def _lead(self, one: Column, other: Column) -> float:
        """Return how far an arm's mean is above another's, on shared cases if there are any."""
        shared = sorted(one.cells.keys() & other.cells.keys())
        if not shared:
            return one.mean - other.mean
        return float((one.values(shared) - other.values(shared)).mean())

    def why_ended(self, arm: PlannedArm) -> str:
        """Return why no further step of an arm could change the verdict, or "" if one could."""
        spec = arm.spec
        if not self.by_score or spec.name in self.inputs.task.success.finalists.values():
            return ""
        if spec.name not in self.columns:
            return self._why_beyond_reach(spec) or self._why_tool_behind(spec)
        if self.leader is None or self.leader.spec.name == spec.name or not self._may_end(arm):
            return ""
        return self._why_behind(spec, self.leader.spec)

    def _why_beyond_reach(self, spec: Spec) -> str:
        """Return why no score of an arm could make it worthwhile, or "" if one could.

        The reason is another measured arm, of the same or a simpler tool, whose lower bound is
        within the margin of a perfect score. Every arm that may be named in its place must be so
        near, too: the verdict may name a simpler arm that is not shown to be beaten.
        """
        columns = list(self.columns.values())
        for other in sorted(columns, key=lambda c: ladder_position(c.spec)):
            if ladder_position(other.spec) > ladder_position(spec):
                continue
            if (gap := self._left_to_gain(other)) > self._margin:
                continue
            rivals = [one for one in columns if self._may_replace(one, other)]
            if all(self._left_to_gain(one) <= self._margin for one in rivals):
                return (
                    f"even a perfect score would gain at most {100 * gap:.1f} points over"
                    f" {other.spec.name}'s low end, not more than your margin"
                )
        return ""

    def _left_to_gain(self, one: Column) -> float:
        """Return how far the lower bound of an arm's score is below a perfect score."""
        if (gap := 1 - one.mean) > self._margin:  # its bound is costly, and lower still
            return gap
        return 1 - self.matrix.mean(one.spec.name, 2 * self._level(one)).low

    def _may_replace(self, one: Column, other: Column) -> bool:
        """Return whether the verdict may name `one`, if no more complex, instead of `other`.

        Not if it is shown to be beaten (by the margin, from another place on the ladder), or has a
        lower score in the same place without being simpler.
        """
        if one is other or ladder_position(one.spec) > ladder_position(other.spec):
            return False
        alike = ladder_place(one.spec) == ladder_place(other.spec)
        if alike and one.spec.simplicity >= other.spec.simplicity:
            return one.mean >= other.mean
        gain = self._pair(other.spec, one.spec)
        return gain is None or gain.low <= 0 or not (alike or gain.mean >= self._margin)

    def _why_tool_behind(self, spec: Spec) -> str:
        """Return why a variant of an arm, or a search, is not worth a first step, or "" if it is.

        The reason is that the arm which it varies, or the best prompt that it begins at, is shown
        to be worse than the leader by the margin or more. A search runs where a trained arm leads:
        only then can training be firm (decision 053).
        """
        own, leader = self._kin(spec), self.leader
        if not own or leader is None or (searches(spec) and leader.spec.tool in TRAINED_TOOLS):
            return ""
        best = max(own, key=lambda one: one.mean)
        pair = self._pair(best.spec, leader.spec) if best is not leader else None
        if pair is None or pair.high > -self._margin:
            return ""
        return f"{best.spec.name} is shown to be behind by more than the margin"

    def _kin(self, spec: Spec) -> list[Column]:
        """Return the measured arms that an arm varies: those of its module, a search any prompt."""
        return [
            one for one in self.columns.values()
            if one.spec.arm == spec.arm or (searches(spec) and one.spec.tool == spec.tool)
        ]  # fmt: skip

    def _why_behind(self, spec: Spec, leader: Spec) -> str:
        """Return why an arm needs no further step given the leader, or "" if it does.

        An arm of the leader's or a dearer tool is shown to be at most the margin better; an arm of
        a simpler tool is shown to be beaten by the margin or more.
        """
        if (pair := self._pair(spec, leader)) is None:
            return ""
        points = f"{100 * self._margin:g} points"
        if ladder_position(spec) >= ladder_position(leader):
            lost = pair.high <= self._margin
            return f"shown to be at most {points} better than {leader.name}" if lost else ""
        beaten = pair.high < 0 and -pair.mean >= self._margin
        return f"shown to be beaten by {leader.name}, by {points} or more" if beaten else ""

    def _pair(self, one: Spec, other: Spec) -> Pair | None:
        """Return the difference of two arms as the verdict will bound it; None without a case."""
        if not self.matrix.share_cases(one.name, other.name):
            return None
        level = min(self._level(self.columns[name]) for name in (one.name, other.name))
        return self.matrix.difference(one.name, other.name, level)

    def _level(self, column: Column) -> float:
        """Return the error that the verdict may spend on a bound of an arm that ends here."""
        return self.inputs.error_multiple(column) * self.inputs.tail_among(
            self.inputs.possible_arms
        )

    def next_step(self, room: float) -> Step | None:
        """Return the step that is worth most a minute among those that fit into `room` minutes.

        None if no step fits, or none could change the verdict.
        """
        steps = [step for step in self._steps(room) if step.minutes <= room]
        return max(steps, key=lambda step: step.gain / max(step.minutes, 1e-3), default=None)

    def _steps(self, room: float) -> Iterator[Step]:
        """Yield the next step of each pair of leader and open rival, else the leader's own."""
        planned = {arm.spec.name: arm for arm in self.arms}
        leader = planned.get(self.leader.spec.name) if self.leader and self.by_score else None
        rivals = [arm for arm in self.arms if arm is not leader and arm.spec.role == "candidate"
                  and (arm.spec.name in self.columns or _has_step(arm, self.done))
                  and not self.why_ended(arm)]  # fmt: skip
        steps = [step for arm in rivals for step in self._pair_step(arm, leader, room)]
        if waited := [step for step in steps if self._is_plain_prompt(step.arm)]:
            steps = [*waited, *(s for s in steps if not builds_on_prompt(s.arm.spec))]
        yield from steps
        if not rivals and leader is not None and _has_step(leader, self.done):
            yield from self._own_step(leader)

    def _may_end(self, arm: PlannedArm) -> bool:
        return arm.may_end_after(self.done.get(arm.spec.name, 0))

    def _is_plain_prompt(self, arm: PlannedArm) -> bool:
        """Return whether an arm is a prompt not yet measured, which others may build on."""
        plain = arm.spec.tool == "prompt" and "(" not in arm.spec.name
        return plain and not builds_on_prompt(arm.spec) and arm.spec.name not in self.columns

    def _own_step(self, leader: PlannedArm) -> Iterator[Step]:
        """Yield a step of the arm that is named where its own score is asked for, not a rival's."""
        candidates = [arm for arm in self.arms if arm.spec.role == "candidate" and not arm.because]
        asked = len(candidates) == 1 or self.inputs.task.success.target is not None
        if asked or not self._may_end(leader):
            yield self._step(leader, self.done.get(leader.spec.name, 0))._replace(gain=_DECIDED)

    def _pair_step(
        self, rival: PlannedArm, leader: PlannedArm | None, room: float
    ) -> Iterator[Step]:
        """Yield the first step towards knowing a rival better beside the leader, if there is one.

        Its gain a minute is that of the best number of steps from here that fit: one step alone
        often shows nothing (the knowledge gradient of the best horizon).
        """
        ahead = self._ahead(rival, leader)
        rates, minutes = list[float](), 0.0
        for cases, added in ahead:
            minutes += sum(step.minutes for step in added)
            if minutes > room:
                break
            rates.append(self._gain(rival.spec, cases) / max(minutes, 1e-3))
        if rates:
            first = ahead[0][1][0]
            yield first._replace(gain=max(rates) * max(first.minutes, 1e-3))

    def _ahead(self, rival: PlannedArm, leader: PlannedArm | None) -> list[tuple[int, list[Step]]]:
        """Return [(cases that both will have, the steps that this takes beyond the one before)].

        The leader steps first where both have the same cases: its step counts for every rival.
        """
        arms = [arm for arm in (leader, rival) if arm is not None]
        done = {arm.spec.name: self.done.get(arm.spec.name, 0) for arm in arms}
        out = list[tuple[int, list[Step]]]()
        while True:
            at = {arm.spec.name: _cases_after(arm, done[arm.spec.name]) for arm in arms}
            behind = min(at.values())
            added = [self._step(arm, done[arm.spec.name]) for arm in arms
                     if at[arm.spec.name] == behind and _has_step(arm, done)]  # fmt: skip
            if not added:
                return out
            for step in added:
                done[step.arm.spec.name] += 1
            cases = min(_cases_after(arm, done[arm.spec.name]) for arm in arms)
            if cases <= behind:
                return out
            out.append((int(min(cases, 10**9)), added))

    def _step(self, arm: PlannedArm, number: int) -> Step:
        minutes = self.minutes(arm.unit_minutes[number], arm.pace)
        return Step(arm, number, 0.0, minutes)

    def _gain(self, spec: Spec, cases: int) -> float:
        """Return what scoring an arm and the leader on so many shared cases may gain.

        That is how much better the arm that is then named is expected to be, plus _DECIDED margins
        times the chance that the pair is then decided. Normal approximation: Frazier, Powell and
        Dayanik, "The knowledge-gradient policy for correlated normal beliefs", 2009, equation 5.
        """
        gap, spread, variance = self._belief(spec)
        after = 1 / (1 / spread**2 + max(cases - self._shared(spec), 0) / variance)
        moved = sqrt(max(spread**2 - after, 0.0))
        if moved < 1e-9:
            return 0.0
        at = -abs(gap) / moved
        gain = moved * (_NORMAL.pdf(at) + at * _NORMAL.cdf(at))
        level = self.inputs.tail_among(self.inputs.possible_arms)
        bound = _NORMAL.inv_cdf(1 - level) * sqrt(after)
        decided = _NORMAL.cdf((gap - bound) / moved) + _NORMAL.cdf((-gap - bound) / moved)
        return gain + _DECIDED * self._margin * decided

    def _shared(self, spec: Spec) -> int:
        """Return on how many cases an arm and the leader were both scored."""
        own = self.columns.get(spec.name)
        if own is None or self.leader is None:
            return 0
        return len(own.cells.keys() & self.leader.cells.keys())

    def _belief(self, spec: Spec) -> tuple[float, float, float]:
        """Return (mean, standard deviation, variance of a row) of what naming an arm would gain.

        The gain is counted from the leader and from the margin: above 0 the arm would be named.
        """
        leader, own = self.leader, self.columns.get(spec.name)
        step = 0.0
        if leader is not None:
            step = self._margin * float(np.sign(
                ladder_position(spec) - ladder_position(leader.spec)))  # fmt: skip
        if own is None or leader is None:
            mean, spread = self._guess(spec)
            return mean - (leader.mean if leader else 0.0) - step, spread, _ROW_VARIANCE
        shared = sorted(own.cells.keys() & leader.cells.keys())
        if not shared:
            return own.mean - leader.mean - step, sqrt(_ROW_VARIANCE), _ROW_VARIANCE
        differences = own.values(shared) - leader.values(shared)
        n, guess = len(shared), _ROWS_OF_VARIANCE
        variance = (n * float(differences.var()) + guess * _ROW_VARIANCE) / (n + guess)
        return float(differences.mean()) - step, sqrt(variance / n), variance

    def _guess(self, spec: Spec) -> tuple[float, float]:
        """Return (mean, standard deviation) of the score expected of an arm not yet measured.

        A variant of a measured arm is expected to score as that one, a twentieth of its failures
        more or less (.03 to .07 on two public sets); a search as the best prompt.
        """
        if kin := self._kin(spec):
            best = max(one.mean for one in kin)
            return best, max(0.05 * (1 - best), 0.01)
        prompts = [one for one in self.columns.values() if one.spec.tool == "prompt"]
        base = min(prompts, key=lambda one: one.spec.simplicity).mean if prompts else _BASE_SCORE
        mean, spread = _REPAIRED.get(spec.tool or "", _UNKNOWN_REPAIRED)
        uses = 0.1 * ("docs" in needs_of_arm(spec) and trains(spec))  # it reads what others do not
        return base + (mean + uses) * (1 - base), max(spread * (1 - base), 0.01)


def _has_step(arm: PlannedArm, done: Mapping[str, int]) -> bool:
    return arm.scheduled and done.get(arm.spec.name, 0) < len(arm.units)


def _cases_after(arm: PlannedArm, steps: int) -> float:
    """Return how many cases an arm was scored on after so many steps; without end if at once."""
    if not arm.scheduled:
        return inf
    size = dict[int, int]()
    for fold, cases in arm.units[:steps]:
        size[fold] = cases
    return sum(size.values())
