"""Measure an arm block by block and stop it early if it can no longer win.

Enabled before the run (`budget.stop_early`). Every bound of such a study is a betting bound, which
is valid at any number of looks. Only dearer arms are stopped, never a simpler one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tuneworthy.compare.comparison import compare_with_simpler
from tuneworthy.core.arm import Recipe
from tuneworthy.core.plan import PlannedArm
from tuneworthy.core.plugins import load
from tuneworthy.core.run import Run
from tuneworthy.core.split import Part, Split
from tuneworthy.core.task import Task
from tuneworthy.matrix.columns import race_order
from tuneworthy.matrix.inputs import ComparisonInputs, bets_allow_for_groups
from tuneworthy.measure.units import Runner, measure
from tuneworthy.metrics import JUDGE, scores_by_set

BLOCK_CASES = 64  # cases between two looks with a single split; with folds a block is a fold


@dataclass(frozen=True)
class RaceState:
    """The comparison's inputs, the runs so far, and how many arms the plan has (`arms`)."""

    inputs: ComparisonInputs
    runs: Sequence[Run]
    arms: int


def why_not_raced(task: Task, split: Split) -> str:
    """Return why arms run on all their cases, or "" if they may be stopped early."""
    if not task.budget.stop_early:
        return "budget.stop_early is not set"
    if not bets_allow_for_groups(task, split):
        return "rows come in groups: bets on single rows would not allow for unseen groups"
    if split.by_time:
        return "rows stand in the order of time: the first ones don't stand for all"
    if task.economics.weighs_costs:
        return "the economics compare the arms' means, and a mean stopped early is off"
    if task.success.metric == JUDGE:
        return "a bound that human grades correct holds at one look, not at every look"
    if len(split.parts) == 1 and scores_by_set(task):
        return "the metric scores all answers of an arm together: in blocks they score differently"
    return ""


def measure_raced(
    runner: Runner, planned: PlannedArm, recipes: Sequence[Recipe], dev: bool, race: RaceState
) -> list[Run]:
    """Return the runs of an arm measured block by block, until it can no longer win.

    An early stop adds a last run without answers (state `stopped_early`) that says after how many
    cases and against which arm. Each block is stored as its own unit, so a killed race resumes.
    """
    task, arm = runner.task, load("arms", planned.spec.arm)
    exempt = planned.because or arm.ROLE != "candidate"
    if exempt or why_not_raced(task, runner.split):
        return measure(runner, planned, recipes, dev)
    done: list[Run] = []
    blocks = list(_race_blocks(runner, planned, "training" in arm.NEEDS))
    for number, (block, part) in enumerate(blocks, 1):
        new = measure(block, part, recipes, dev)
        if any(run.state != "measured" for run in new):
            return new
        done = _runs_with_joined_blocks([*done, *new])
        if number < len(blocks) and (other := _find_unbeatable_arm(race, planned, done, task)):
            answered = len({answer.case for run in done for answer in run.answers})
            return [*done, _stopped_run(planned, done, _stop_reason(task, other, answered, runner))]
    return done


def _race_blocks(
    runner: Runner, planned: PlannedArm, by_fold: bool
) -> Iterator[tuple[Runner, PlannedArm]]:
    """Yield the runner and plan of each block: a fold, or 64 cases of a single split."""
    parts = runner.split.parts
    for fold in planned.folds:
        cases = race_order(parts[fold].test, {}, runner.task.seed)
        size = len(cases) if by_fold or len(parts) > 1 else BLOCK_CASES
        for start in range(0, len(cases), size):
            block = frozenset(cases[start : start + size])
            chosen = tuple(_part_with_cases(part, block if at == fold else frozenset())
                           for at, part in enumerate(parts))  # fmt: skip
            split = runner.split.model_copy(update={"parts": chosen})
            first = fold == planned.folds[0] and start == 0
            yield (
                replace(runner, split=split, timed=runner.timed and first),
                planned.model_copy(update={"folds": (fold,)}),
            )


def _part_with_cases(part: Part, block: frozenset[str]) -> Part:
    """Return the part with only the block's cases as test cases, in the part's order."""
    return part.model_copy(update={"test": tuple(case for case in part.test if case in block)})


def _runs_with_joined_blocks(runs: Sequence[Run]) -> list[Run]:
    """Return one run per fold and seed, with the answers of its blocks joined."""
    merged: dict[tuple[int | None, int], Run] = {}
    for run in runs:
        key = (run.fold, run.seed)
        if (before := merged.get(key)) is None:
            merged[key] = run
            continue
        merged[key] = before.model_copy(update={
            "answers": (*before.answers, *run.answers), "scores": (*before.scores, *run.scores),
        })  # fmt: skip
    return list(merged.values())


def _find_unbeatable_arm(
    race: RaceState, planned: PlannedArm, done: Sequence[Run], task: Task
) -> str:
    """Return the name of a simpler arm that this one can no longer beat by the margin, or ""."""
    own = planned.spec.name
    strict = race.inputs.tail_among(race.arms)
    pairs = compare_with_simpler(race.inputs, race.runs, done, strict)
    highs = {(own, pair.versus): pair.high for pair in pairs}
    out = (eliminated([pair.versus, own], highs, task.success.margin) for pair in pairs)
    return next((beaten[own] for beaten in out if own in beaten), "")


def eliminated(
    order: Sequence[str], highs: Mapping[tuple[str, str], float], margin: float
) -> dict[str, str]:
    """Return {arm that cannot win any more: the arm that excludes it}.

    `order`: simplest first; `highs[b, s]` is an upper bound of b - s that holds at every look. An
    arm is out if it is shown to be at most `margin` better than a simpler arm that is in: no climb
    to it would pay. A simpler arm is out if it is shown to be worse by `margin`: it is beaten. So
    each arm that is out is at most `margin` better than some arm that is in. A pair without a bound
    excludes nobody.
    """
    out: dict[str, str] = {}
    kept: list[str] = []
    for arm in order:
        blockers = [other for other in kept if highs.get((arm, other), 1.0) <= margin]
        if blockers:
            out[arm] = blockers[0]
            continue
        beaten = [other for other in kept if highs.get((other, arm), 1.0) <= -margin]
        out |= dict.fromkeys(beaten, arm)
        kept = [other for other in kept if other not in beaten] + [arm]
    return out


def _stop_reason(task: Task, other: str, answered: int, runner: Runner) -> str:
    return (
        f"stopped after {answered:,} of {len(runner.split.scored):,} cases: shown to be at most "
        f"{100 * task.success.margin:g} points better than {other}, so no climb to it would pay; "
        "its mean is of those cases only and, stopped early, is off"
    )


def _stopped_run(planned: PlannedArm, done: Sequence[Run], because: str) -> Run:
    return Run(
        spec=planned.spec, seed=done[-1].seed, fold=None, state="stopped_early", because=because
    )
