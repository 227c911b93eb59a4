"""The stage rule: which arms run after the cheap ones, and whether a teacher may teach. Pure.

The rule, not a list of arms, is fixed before the first arm runs, so its choices may depend on
scored rows: the error is split over every arm that it could have run (`possible_arms`),
and an arm that it may stop between two folds splits its error over both looks
(`ComparisonInputs.error_multiple`). Knows no arm by name. Reasons: decision 003; `bench/stages.py`
simulates it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tuneworthy.matrix.columns import PRESENT_ARM, Column, ladder_place, ladder_position
from tuneworthy.matrix.inputs import LOOK_SHARE, ComparisonInputs
from tuneworthy.matrix.matrix import Matrix
from tuneworthy.records.evidence import Pair
from tuneworthy.records.plan import PlannedArm
from tuneworthy.records.run import Run, Spec
from tuneworthy.records.specs import learns_from_teacher, needs_of_arm, trains
from tuneworthy.records.task import HardLimits

Standing = Literal["lost", "won", "open"]


@dataclass(frozen=True)
class StageRule:
    """The rule applied to the runs so far; `inputs` has the task, folds and confidence levels."""

    inputs: ComparisonInputs
    runs: Sequence[Run]

    @property
    def matrix(self) -> Matrix:
        """Return the matrix of the arms that were measured so far."""
        return Matrix.of(self.inputs, self.runs)

    @property
    def columns(self) -> list[Column]:
        """Return a column for each candidate that was measured so far."""
        return [*self.matrix.with_role("candidate").values()]

    @property
    def by_score(self) -> bool:
        """Return whether scores alone decide which arm is named, so that they may stop an arm.

        False if costs, hard limits or human grades of a judge count: the arm with the best score
        may then not be the one to name.
        """
        task, success = self.inputs.task, self.inputs.task.success
        limited = success.limits != HardLimits() or success.floor is not None
        plain = success.motive == "quality" and self.inputs.grades is None
        return plain and not task.economics.weighs_costs and not limited

    def why_beyond_reach(self, spec: Spec) -> str:
        """Return why no score of an arm could make it worthwhile, or "" if one could.

        The reason is another measured arm, of the same or a simpler tool, whose lower bound is
        within the margin of a perfect score. Every arm that may be named in its place must be so
        near, too: the verdict may name a simpler arm that is not shown to be beaten.
        """
        margin = self.inputs.task.success.margin
        if not self.by_score:
            return ""
        columns = [one for one in self.columns if one.spec.name != spec.name]
        for other in sorted(columns, key=lambda c: ladder_position(c.spec)):
            if ladder_position(other.spec) > ladder_position(spec):
                continue
            if (gap := self._left_to_gain(other)) > margin:
                continue
            rivals = [one for one in columns if self._may_replace(one, other)]
            if all(self._left_to_gain(one) <= margin for one in rivals):
                return (
                    f"even a perfect score would gain at most {100 * gap:.1f} points over"
                    f" {other.spec.name}'s low end, not more than your margin"
                )
        return ""

    def _left_to_gain(self, one: Column) -> float:
        """Return how far the lower bound of an arm's score is below a perfect score."""
        gap = 1 - one.mean
        # The bound is costly, and below the mean: its gap is larger still.
        far = gap > self.inputs.task.success.margin
        return gap if far else 1 - self.matrix.mean(one.spec.name, 2 * self.inputs.tail).low

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
        if not self.matrix.share_cases(one.spec.name, other.spec.name):
            return True
        gain = self.matrix.difference(other.spec.name, one.spec.name, self._error_level())
        return gain.low <= 0 or not (alike or gain.mean >= self.inputs.task.success.margin)

    def standing(self, new: Sequence[Run]) -> tuple[Standing, str]:
        """Return ("lost", "won" or "open", why): an arm's first folds against all simpler tools."""
        if not self.by_score:
            return "open", "more than its score decides"
        margin, pairs = self.inputs.task.success.margin, self._pairs_with_simpler(new)
        lost_to = [pair for pair in pairs if pair.high <= margin]
        points = f"{100 * margin:g} points"
        if lost_to:
            best = min(lost_to, key=lambda pair: pair.high)
            return "lost", f"shown to be at most {points} better than {best.versus}"
        if pairs and all(pair.low > margin for pair in pairs):
            return "won", f"shown to be more than {points} better than every arm of a simpler tool"
        return "open", "neither shown better nor shown not to be worth it"

    def _pairs_with_simpler(self, new: Sequence[Run]) -> list[Pair]:
        """Return an arm's differences from arms of simpler tools; [] if one shares no case."""
        spec = new[0].spec
        matrix = Matrix.of(self.inputs, [*(run for run in self.runs if run not in new), *new])
        simpler = [
            one.spec.name
            for rivals in matrix.places.values()
            for one in rivals
            if ladder_position(one.spec) < ladder_position(spec)
        ]
        if not all(matrix.share_cases(spec.name, name) for name in simpler):
            return []
        return [matrix.difference(spec.name, name, self._first_level()) for name in simpler]

    def why_behind(self, spec: Spec, leader: Spec) -> str:
        """Return why an arm needs no further folds given the leader, or "" if it does.

        At the level of a first look, an arm of the leader's or a dearer tool is shown to be at most
        the margin better; an arm of a simpler tool is shown to be beaten by the margin or more.
        """
        margin = self.inputs.task.success.margin
        if not self.by_score or not self.matrix.share_cases(spec.name, leader.name):
            return ""
        difference = self.matrix.difference(spec.name, leader.name, self._first_level())
        points = f"{100 * margin:g} points"
        if ladder_position(spec) >= ladder_position(leader):
            lost = difference.high <= margin
            return f"shown to be at most {points} better than {leader.name}" if lost else ""
        beaten = difference.high < 0 and -difference.mean >= margin
        return f"shown to be beaten by {leader.name}, by {points} or more" if beaten else ""

    def may_be_named(self, spec: Spec) -> bool:
        """Return whether an arm's tool may still be named by the verdict.

        False if the tool's best arm is shown to be worse than the leader by the margin or more.
        """
        columns = self.columns
        if not self.by_score or spec.name in self.inputs.task.success.finalists.values():
            return True
        own = [arm_column for arm_column in columns if arm_column.spec.tool == spec.tool]
        if not own or len(columns) < 2:
            return True
        best, leader = (max(group, key=lambda one: one.mean).spec.name for group in (own, columns))
        if best == leader or not self.matrix.share_cases(best, leader):
            return True
        difference = self.matrix.difference(best, leader, self._error_level())
        return difference.high > -self.inputs.task.success.margin

    def _first_level(self) -> float:
        """Return the level of the look after an arm's first fold: no more than its share."""
        return min(LOOK_SHARE, 1 / len(self.inputs.split.learning)) * self._error_level()

    def _error_level(self) -> float:
        return self.inputs.tail_among(self.inputs.possible_arms)


def follow_up_order(arms: Iterable[PlannedArm], wanted: Mapping[str, float]) -> list[PlannedArm]:
    """Return the follow-up arms of a plan, sorted in the order in which the rule runs them.

    Training arms come first, those that learn from a teacher after the others, which the teacher
    must beat; then by `wanted` (the share of failures that an arm may repair, by name), then the
    arms that use most of the task's inputs, then the simplest.
    """

    def key(arm: PlannedArm) -> tuple[bool, bool, float, int, int, str]:
        spec = arm.spec
        share = round(wanted.get(spec.name, 0.0), 6)
        uses = len(needs_of_arm(spec))
        taught = learns_from_teacher(spec)
        return not trains(spec), taught, -share, -uses, spec.simplicity, spec.name

    return sorted((arm for arm in arms if arm.follow_up and not arm.because), key=key)


def always_runs(arm: PlannedArm, arms: Sequence[PlannedArm]) -> bool:
    """Return whether an arm runs whatever its score could be: references, recorded, base prompt.

    References and recorded systems cost nothing; the simplest prompt is the base arm of the
    diagnosis.
    """
    spec = arm.spec
    if spec.role == "reference" or spec.arm in (PRESENT_ARM, "answers"):
        return True
    prompts = [
        one.spec for one in arms
        if not one.because and one.spec.tool == "prompt" and one.spec.role == "candidate"
    ]  # fmt: skip
    return bool(prompts) and spec == min(prompts, key=lambda s: (s.simplicity, s.name))


def why_not_taught(inputs: ComparisonInputs, runs: Sequence[Run], spec: Spec) -> str:
    """Return why an arm that learns from the teacher is not trained, or "".

    It is trained if the lower bound of teacher - rival is above 0, where the rival is the best
    candidate that needs no teacher, on the cases that both answered. An arm that the teacher's own
    model answers is no rival: it is the teacher. The rival is chosen by its mean on these very
    cases, which can only make it look better, so the bound needs no further correction.
    """
    if not learns_from_teacher(spec):
        return ""
    matrix = Matrix.of(inputs, runs)
    columns = [*matrix.columns.values()]
    own = _own_teacher({run.spec.name: run.spec for run in runs}.values(), spec)
    teacher = next((one for one in columns if own is not None and one.spec == own), None)
    if teacher is None:
        why = next((run.because for run in runs if run.spec == own and run.because), "")
        return "the teacher was not measured on these cases" + (f": {why}" if why else "")
    rivals = [one for one in columns if _is_rival(one, teacher)]
    if not rivals:
        return ""
    shared = {one.spec.name: sorted(set(one.cells) & set(teacher.cells)) for one in rivals}
    best = max(rivals, key=lambda one: float(one.values(shared[one.spec.name]).mean()))
    pair = matrix.difference(teacher.spec.name, best.spec.name, inputs.tail)
    if pair.low > 0:
        return ""
    return (
        f"the teacher is not shown to be better than {best.spec.name}, which needs no teacher: "
        f"{100 * pair.mean:+.1f} points (at least {100 * pair.low:+.1f}, n {pair.n})"
    )


def _own_teacher(measured: Iterable[Spec], student: Spec) -> Spec | None:
    """Return the measured teacher whose prompt is the one of this student.

    If there is none, the first teacher that was measured; None without one.
    """
    teachers = [spec for spec in measured if _is_teacher(spec)]
    prompt = student.options.get("teacher_prompt")
    own = (spec for spec in teachers if spec.options.get("teacher_prompt") == prompt)
    return next(own, teachers[0] if teachers else None)


def _is_teacher(spec: Spec) -> bool:
    needs = needs_of_arm(spec)
    return spec.role == "ceiling" and "teacher" in needs and "training" not in needs


def _is_rival(one: Column, teacher: Column) -> bool:
    own = [_model_identity(run) for run in teacher.runs]
    apart = not any(run.fingerprint and _model_identity(run) in own for run in one.runs)
    free = one.spec.role == "candidate" and not learns_from_teacher(one.spec)
    return apart and free and bool(set(one.cells) & set(teacher.cells))


def _model_identity(run: Run) -> Mapping[str, str]:
    """Return the fingerprint of a run's model, at an endpoint without its request options."""
    marks = run.fingerprint
    served: dict[str, str] = {key: marks[key] for key in ("endpoint", "model") if key in marks}
    return served if "endpoint" in marks else marks
