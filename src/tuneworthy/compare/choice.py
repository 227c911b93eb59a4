"""Which of several runs counts: the best seed on dev, the best and the simplest prompts. Pure.

Each rule stands here once. The third rule of this kind, the width factor of cross-fitting, is
`core.split.Split.width_factor`, since the audit of the rows needs it too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tuneworthy.core.arm import Recipe
from tuneworthy.core.run import RECORDED, Run

PROMPTS = 3  # prompts that an arm may choose among
NO_DEV = -1.0  # below every score: a run without a dev score comes after all that have one


def best_on_dev(runs: Iterable[Run]) -> Run:
    """Return the run that would be built: best on dev; ties go to the smaller fold and seed.

    Raises ValueError where there is no run.
    """
    return max(runs, key=_rank)


def best_last(runs: Iterable[Run]) -> list[Run]:
    """Return the runs from the worst on dev to the best, for tables where the last one stays."""
    return sorted(runs, key=_rank)


def best_by_fold(runs: Iterable[Run]) -> list[Run]:
    """Return one measured run a fold, in the order of the folds: the best seed of each."""
    folds: dict[int, list[Run]] = {}
    for run in runs:
        if run.state == "measured":
            folds.setdefault(run.fold or 0, []).append(run)
    return [best_on_dev(folds[fold]) for fold in sorted(folds)]


def best_prompt(runs: Sequence[Run], fold: int, seed: int) -> Recipe:
    """Return the prompt that is best on dev in a fold, of the runs with the study's first seed.

    Only prompt arms that may be named count; of equals the one that was measured first. A prompt
    without a dev score (a study with one prompt arm) counts where no other has one, and the plain
    instruction where there is no prompt at all.
    """
    asked = _prompts(runs, fold, seed)
    return max(asked, key=lambda one: _dev(one[0]), default=(None, Recipe()))[1]


def simplest_prompts(runs: Sequence[Run], fold: int, seed: int) -> tuple[Recipe, ...]:
    """Return the simplest few prompts (at most 3) measured in a fold with the study's first seed.

    The plain instruction comes first where it was measured, then the order is that of the ladder.
    Of prompts with fixed examples, and of those with the nearest ones, the one with the fewest
    examples stands for all. Recorded prompts are left out: no prompt of them is known.
    """
    asked = [(run, recipe) for run, recipe in _prompts(runs, fold, seed)
             if RECORDED not in run.notes]  # fmt: skip
    asked.sort(key=lambda one: (one[1] != Recipe(), one[0].spec.simplicity, one[1].k))
    found: dict[object, Recipe] = {}
    for _, recipe in asked:
        rewritten = recipe.specification is not None or recipe.reminder is not None
        found.setdefault(recipe if rewritten or not recipe.k else recipe.kind, recipe)
    return tuple(dict.fromkeys(found.values()))[:PROMPTS]


def own_prompts(runs: Sequence[Run], name: str | None, others: Sequence[Recipe]) -> list[Recipe]:
    """Return by fold the prompt that an arm stood on; that of `others` where it did not run."""
    own = {run.fold: run.recipe for run in runs if run.spec.name == name and run.recipe}
    return [own.get(fold, recipe) for fold, recipe in enumerate(others)]


def _prompts(runs: Sequence[Run], fold: int, seed: int) -> list[tuple[Run, Recipe]]:
    """Return the measured runs of prompt arms that may be named, each with its prompt."""
    return [
        (run, run.recipe)
        for run in runs
        if run.state == "measured" and run.fold == fold and run.seed == seed
        if run.spec.tool == "prompt" and run.spec.role == "candidate" and run.recipe is not None
    ]


def _dev(run: Run) -> float:
    return NO_DEV if run.dev is None else run.dev


def _rank(run: Run) -> tuple[float, int, int]:
    return _dev(run), -(run.fold or 0), -run.seed
