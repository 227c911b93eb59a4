"""Plant one cause of failure: draw cases until enough fail, then run a study's interventions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from random import Random

from tests.planted._columns import AnswerCheck, PlantCases, correctness_check, interventions
from tests.planted._likeness import label_conflicts
from tests.planted._shape import CAUSES, VARIANTS, PlantVariant
from tests.planted._system import system_answer
from tests.planted._world import (
    Item,
    PromptIngredients,
    World,
    load,
    make_case,
    make_world,
    plain_question,
)
from tuneworthy.records.causes import BaseOutcomes, Intervention

CONTROL, NUDGED = "hard", "nudge"
CONTROL_RATIO = 20
"""Passed cases per failed one in most controls: then all failures together stay below a margin."""
NEVER_MINOR = {"label", "knowledge", "retrieval", "reading"}
"""Causes that are never minor: they need a task of their own (documents, similar cases)."""


@dataclass(frozen=True)
class PlantedSystem:
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
) -> PlantedSystem:
    """Return a planted system with exactly `failures` failures, most of them of this cause.

    `cause`: one of CAUSES, or `hard` or `nudge` for a control; with `second`, half of the failures
    have that cause. Same arguments, same plant. Raises TaskError for an unknown cause, ValueError
    if no answer type fits both causes.
    """
    module = load(cause)
    also = load(second) if second else module
    kinds = [kind for kind in module.KINDS if kind in also.KINDS]
    if not kinds:
        raise ValueError(f"no answer type fits both {cause} and {second}")
    shape = _variant_for(VARIANTS[variant % len(VARIANTS)], cause, variant)
    own = f"{cause} {seed} {failures} {variant} {second}"
    style = module.STYLE if module.STYLE != "plain" else also.STYLE
    world = make_world(own, kinds[variant % len(kinds)], shape, style)
    drawn = _draw_cases(world, _failures_by_cause(world, cause, second, failures), failures)
    field = PlantCases(world, drawn.fails, drawn.passes, drawn.documents, correctness_check(world))
    return PlantedSystem(
        cause, drawn.base(world), tuple(interventions(field)),
        (cause, seed, failures, variant, second),
        {item.case.id: item.cause for item in drawn.fails}, second,
    )  # fmt: skip


def _variant_for(shape: PlantVariant, cause: str, variant: int) -> PlantVariant:
    """Return the variant adapted to a cause.

    In seven variants of ten, failures of a control are rare. Its base slips only if it is sampled:
    sampling would repair a slip that does not recur, so the control would have a cause. The
    diagnosis blames labels only if no remedy acts, and reading only if the passages hold the
    answers, so these two get no minor cause; of five similar labels at most one is wrong.
    """
    if cause == NUDGED:
        return replace(shape, minor=0.0, hard=0.0, slip=0.0)
    if cause == CONTROL:
        ratio = CONTROL_RATIO if variant % 10 < 7 else shape.ratio
        slip = shape.slip if shape.sampled else 0.0
        return replace(shape, minor=0.0, hard=1.0, ratio=ratio, slip=slip)
    if cause in ("label", "reading"):
        return replace(shape, minor=0.0, ratio=max(shape.ratio, 4.0 if cause == "label" else 1.0))
    return shape


def _failures_by_cause(
    world: World, cause: str, second: str | None, failures: int
) -> dict[str, int]:
    """Return {cause: number of failures}; a minor cause is drawn from those that fit the task."""
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
        if other not in {cause, *NEVER_MINOR} and world.kind in load(other).KINDS
    ]
    less = int(shape.minor * failures)
    return {cause: rest - less, Random(f"minor {world.seed}").choice(fits): less, CONTROL: hard}


@dataclass
class _DrawnCases:
    """Cases by the result of today's system; `rerun`: does one more sample pass, by case id."""

    fails: list[Item] = field(default_factory=list)
    passes: list[Item] = field(default_factory=list)
    rerun: dict[str, bool] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)

    @property
    def documents(self) -> list[str]:
        """Return the passages and decoys of all cases; empty if the task has none."""
        posed = [item.content for item in (*self.fails, *self.passes)]
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


def _draw_cases(world: World, lacks: Mapping[str, int], failures: int) -> _DrawnCases:
    """Return cases drawn group by group until enough fail and `ratio` times as many pass.

    A failed case without a cause (a slip) counts as one that no remedy repairs.
    """
    rng, right = Random(f"plant {world.seed}"), correctness_check(world)
    wanted = round(failures * world.shape.ratio)
    drawn, left = _DrawnCases(), dict(lacks)
    number, lack = 0, ""
    while len(drawn.fails) < failures or len(drawn.passes) < wanted:
        if number % world.shape.group == 0:
            missing = failures - len(drawn.fails), wanted - len(drawn.passes)
            lacking = rng.random() < missing[0] / sum(missing)
            lack = rng.choices(list(left), list(left.values()))[0] if lacking else ""
        item = _draw_item(world, number, lack, rng)
        passed, again = _run_today(world, item, right)
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


def _draw_item(world: World, number: int, lack: str, rng: Random) -> Item:
    truth = rng.choice(world.pool)
    module = load(lack) if lack else None
    posed = getattr(module, "pose", plain_question)(world, truth, rng)
    return Item(make_case(world, number, truth, posed), truth, lack, posed)


def _run_today(world: World, item: Item, right: AnswerCheck) -> tuple[bool, bool | None]:
    """Return whether today's system passes, and if it is sampled, whether one more sample does.

    A sampled system answers three times and passes if two answers pass.
    """
    if not world.shape.sampled:
        return right(item, system_answer(world, item, PromptIngredients())), None
    *three, again = (
        right(item, system_answer(world, item, PromptIngredients(sample=n))) for n in range(4)
    )
    return sum(three) >= 2, again
