"""Select runs: the best seed on dev, the best prompt, the simplest prompts. Pure.

Each selection rule is defined once, here. The width factor of cross-fitting is
`matrix.design.split_factor`, because the audit of the rows needs it too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tuneworthy.core.arm import Recipe
from tuneworthy.core.run import Run

MOST_PROMPTS = 3  # the most prompts that an arm may choose among
NO_DEV = -1.0  # the rank of runs without a dev score: below every score


def best_on_dev(runs: Iterable[Run]) -> Run:
    """Return the best run on dev; ties go to the smaller fold, then the smaller seed.

    Raises ValueError if there is no run.
    """
    return max(runs, key=_dev_rank)


def sorted_by_dev(runs: Iterable[Run]) -> list[Run]:
    """Return the runs sorted from worst to best on dev, for dicts where the last entry wins."""
    return sorted(runs, key=_dev_rank)


def best_by_fold(runs: Iterable[Run]) -> list[Run]:
    """Return one measured run per fold, in fold order: the best seed of each."""
    folds: dict[int, list[Run]] = {}
    for run in runs:
        if run.state == "measured":
            folds.setdefault(run.fold or 0, []).append(run)
    return [best_on_dev(folds[fold]) for fold in sorted(folds)]


def best_runs(runs: Sequence[Run], arm: str) -> list[Run]:
    """Return an arm's measured runs, one per fold: that of the seed that is best on dev."""
    return best_by_fold([run for run in runs if run.spec.name == arm])


def best_artefact_run(runs: Sequence[Run], arm: str) -> Run | None:
    """Return the best run on dev among those of an arm that saved an artefact; None if none did.

    Ties go to the smaller fold and seed.
    """
    own = [run for run in best_runs(runs, arm) if run.artefact]
    return best_on_dev(own) if own else None


def best_prompt(runs: Sequence[Run], fold: int, seed: int) -> Recipe:
    """Return the recipe of the best prompt on dev in a fold, among the runs with this seed.

    Only candidate prompt arms count; ties go to the one that was measured first. A prompt without
    a dev score (a study with one prompt arm) is returned only if none has one, the plain
    instruction if there is no prompt at all.
    """
    prompts = _prompt_runs(runs, fold, seed)
    return max(prompts, key=lambda pair: _dev_or_lowest(pair[0]), default=(None, Recipe()))[1]


def simplest_prompts(runs: Sequence[Run], fold: int, seed: int) -> tuple[Recipe, ...]:
    """Return the recipes of at most 3 prompts measured in a fold with this seed, simplest first.

    The plain instruction comes first if it was measured; then the order is that of the ladder.
    Prompts with fixed examples, and those with nearest examples, are each represented by the one
    with the fewest examples. Recorded arms are left out: their prompt text is not known.
    """
    prompts = [(run, recipe) for run, recipe in _prompt_runs(runs, fold, seed)
             if not run.recorded]  # fmt: skip
    prompts.sort(key=lambda pair: (pair[1] != Recipe(), pair[0].spec.simplicity, pair[1].k))
    simplest: dict[object, Recipe] = {}
    for _, recipe in prompts:
        rewritten = recipe.specification is not None or recipe.reminder is not None
        simplest.setdefault(recipe if rewritten or not recipe.k else recipe.kind, recipe)
    return tuple(dict.fromkeys(simplest.values()))[:MOST_PROMPTS]


def own_prompts(runs: Sequence[Run], name: str | None, others: Sequence[Recipe]) -> list[Recipe]:
    """Return, for each fold, the recipe that an arm used; that in `others` if it did not run."""
    own = {run.fold: run.recipe for run in runs if run.spec.name == name and run.recipe}
    return [own.get(fold, recipe) for fold, recipe in enumerate(others)]


def _prompt_runs(runs: Sequence[Run], fold: int, seed: int) -> list[tuple[Run, Recipe]]:
    """Return the measured candidate prompt arms of a fold and seed, each with its recipe."""
    return [
        (run, run.recipe)
        for run in runs
        if run.state == "measured" and run.fold == fold and run.seed == seed
        if run.spec.tool == "prompt" and run.spec.role == "candidate" and run.recipe is not None
    ]


def _dev_or_lowest(run: Run) -> float:
    return NO_DEV if run.dev is None else run.dev


def _dev_rank(run: Run) -> tuple[float, int, int]:
    return _dev_or_lowest(run), -(run.fold or 0), -run.seed
