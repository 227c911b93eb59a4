"""Plant one cause: draw cases until enough of them fail, then run a study's interventions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from random import Random

from tuneworthy.core import plugins
from tuneworthy.core.causes import BaseOutcomes, Intervention
from tuneworthy.planted._columns import Judges, PlantCases, correctness_check, interventions
from tuneworthy.planted._likeness import label_conflicts
from tuneworthy.planted._shape import CAUSES, VARIANTS, PlantVariant
from tuneworthy.planted._system import system_answer
from tuneworthy.planted._world import (
    Item,
    PromptIngredients,
    World,
    case_of,
    made_world,
    plain_pose,
)

CONTROL, NUDGED = "hard", "nudge"
RARE = 20
"""Passed cases per failed one in most controls: failures below a margin."""
ALONE = {"label", "knowledge", "retrieval", "reading"}
"""Causes that are never minor: they need a task of their own (documents, similar cases)."""


@dataclass(frozen=True)
class Planted:
    """A deployed system with its diagnosis input, and the cause of its failures.

    `second`: the cause of half the failures, if two were planted. `why` holds the arguments of
    `plant`, so a miss can be reproduced. `lacks` maps each failed case to what it lacks, "" if it
    failed by chance.
    """

    cause: str
    base: BaseOutcomes
    interventions: tuple[Intervention, ...]
    why: tuple[str | int | None, ...]
    lacks: Mapping[str, str]
    second: str | None = None


def plant(
    cause: str, seed: int, failures: int, variant: int = 0, second: str | None = None
) -> Planted:
    """Return a system with exactly `failures` failures, most of them of this cause.

    `cause`: one of CAUSES, or `hard` or `nudge` for a control; with `second`, half of the failures
    have that cause. Same arguments, same plant. Raises TaskError for an unknown cause, ValueError
    if no answer type fits both causes.
    """
    module = plugins.load("planted", cause)
    also = plugins.load("planted", second) if second else module
    kinds = [kind for kind in module.KINDS if kind in also.KINDS]
    if not kinds:
        raise ValueError(f"no answer type fits both {cause} and {second}")
    shape = _fitted(VARIANTS[variant % len(VARIANTS)], cause, variant)
    own = f"{cause} {seed} {failures} {variant} {second}"
    style = module.STYLE if module.STYLE != "plain" else also.STYLE
    world = made_world(own, kinds[variant % len(kinds)], shape, style)
    drawn = _drawn(world, _lacks(world, cause, second, failures), failures)
    field = PlantCases(world, drawn.fails, drawn.passes, drawn.documents, correctness_check(world))
    return Planted(
        cause, drawn.base(world), tuple(interventions(field)),
        (cause, seed, failures, variant, second),
        {item.case.id: item.lack for item in drawn.fails}, second,
    )  # fmt: skip


def _fitted(shape: PlantVariant, cause: str, variant: int) -> PlantVariant:
    """Return the variant with the limits of this cause.

    A control is rare in seven variants of ten, and its base does not slip unless it is sampled: a
    slip that does not recur is repaired by sampling, which would be a cause. Labels are at fault
    only if nothing acts, and reading only if the passages hold the answers, so these two get no
    minor cause; of five similar labels at most one is wrong.
    """
    if cause == NUDGED:
        return replace(shape, minor=0.0, hard=0.0, slip=0.0)
    if cause == CONTROL:
        ratio = RARE if variant % 10 < 7 else shape.ratio
        slip = shape.slip if shape.sampled else 0.0
        return replace(shape, minor=0.0, hard=1.0, ratio=ratio, slip=slip)
    if cause in ("label", "reading"):
        return replace(shape, minor=0.0, ratio=max(shape.ratio, 4.0 if cause == "label" else 1.0))
    return shape


def _lacks(world: World, cause: str, second: str | None, failures: int) -> dict[str, int]:
    """Return {cause: number of failures}; the minor cause is drawn from those that fit the task."""
    shape = world.shape
    if cause in (CONTROL, NUDGED):
        return {cause: failures}
    hard = int(shape.hard * failures)
    rest = failures - hard
    if second is not None:
        return {cause: rest - rest // 2, second: rest // 2, CONTROL: hard}
    fits = [
        other
        for other in CAUSES
        if other not in {cause, *ALONE} and world.kind in plugins.load("planted", other).KINDS
    ]
    less = int(shape.minor * failures)
    return {cause: rest - less, Random(f"minor {world.seed}").choice(fits): less, CONTROL: hard}


@dataclass
class _Drawn:
    """Drawn cases by the result of today's system; `rerun`: the result of one more sample."""

    fails: list[Item] = field(default_factory=list)
    passes: list[Item] = field(default_factory=list)
    rerun: dict[str, bool] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)

    @property
    def documents(self) -> list[str]:
        """Return the documents of the task, if it has any."""
        posed = [item.posed for item in (*self.fails, *self.passes)]
        return [text for one in posed if one.passage for text in (one.passage, *one.decoys)]

    def base(self, world: World) -> BaseOutcomes:
        """Return the base arm's results as input of the diagnosis."""
        failed = [item.case for item in self.fails]
        cases = [*failed, *(item.case for item in self.passes)]
        given = [item for item in self.fails if item.case.context]
        literal = tuple(i.case.id for i in given if i.truth in (i.case.context or ""))
        return BaseOutcomes(
            arm="present",
            fails=tuple(case.id for case in failed),
            passes=tuple(item.case.id for item in self.passes),
            rerun=self.rerun,
            groups=self.groups,
            conflicts=label_conflicts(cases, failed),
            literal=literal if given else None,
            margin=world.shape.margin,
        )


def _drawn(world: World, lacks: Mapping[str, int], failures: int) -> _Drawn:
    """Draw cases, a group at a time, until enough fail and `ratio` times as many pass.

    A case that lacks nothing and fails by a slip replaces one that nothing repairs.
    """
    rng, right = Random(f"plant {world.seed}"), correctness_check(world)
    wanted = round(failures * world.shape.ratio)
    drawn, left = _Drawn(), dict(lacks)
    number, lack = 0, ""
    while len(drawn.fails) < failures or len(drawn.passes) < wanted:
        if number % world.shape.group == 0:
            missing = failures - len(drawn.fails), wanted - len(drawn.passes)
            lacking = rng.random() < missing[0] / sum(missing)
            lack = rng.choices(list(left), list(left.values()))[0] if lacking else ""
        item = _item(world, number, lack, rng)
        passed, again = _today(world, item, right)
        place = lack or CONTROL
        room = wanted - len(drawn.passes) if passed else left.get(place, 0)
        if room > 0:
            (drawn.passes if passed else drawn.fails).append(item)
            if not passed:
                left[place] -= 1
            if world.shape.group > 1:
                drawn.groups[item.case.id] = f"g{number // world.shape.group}"
            if again is not None:
                drawn.rerun[item.case.id] = again
        number += 1
    return drawn


def _item(world: World, number: int, lack: str, rng: Random) -> Item:
    truth = rng.choice(world.pool)
    module = plugins.load("planted", lack) if lack else None
    posed = getattr(module, "pose", plain_pose)(world, truth, rng)
    return Item(case_of(world, number, truth, posed), truth, lack, posed)


def _today(world: World, item: Item, right: Judges) -> tuple[bool, bool | None]:
    """Return whether today's system passes, and if it is sampled, whether one more sample does.

    A sampled system answers three times and fails if two of these fail.
    """
    if not world.shape.sampled:
        return right(item, system_answer(world, item, PromptIngredients())), None
    *three, again = (
        right(item, system_answer(world, item, PromptIngredients(sample=n))) for n in range(4)
    )
    return sum(three) >= 2, again
