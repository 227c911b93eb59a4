"""The instruction and k fixed examples, the same for every input."""

from __future__ import annotations

from pydantic import Field

from tuneworthy.arms._prompted import best_on_dev, prompting_arm, work_of_sets
from tuneworthy.arms.prompt.shots import example_sets
from tuneworthy.records.arm import Fitted, Recipe, Setup, Sizes, Work
from tuneworthy.records.errors import DoesNotApply
from tuneworthy.records.record import Record

TOOL, ROLE, SIMPLICITY = "prompt", "candidate", 20
NEEDS = frozenset({"model"})
REMEDY, PLACEBO = "convention", "the same examples with their answers shuffled"
CONTEXT = True


class Options(Record):
    """`k` examples; of `draws` sets, the best one on (at most 16) dev rows, the first one varied.

    `shuffled` gives each example another one's answer (the placebo).
    """

    k: int = Field(default=8, ge=1, le=256)
    draws: int = Field(default=3, ge=1, le=64)
    shuffled: bool = False


def fit(setup: Setup, options: Options, seed: int) -> Fitted:
    """Return the arm with k training cases as examples, the same for every input.

    The placebo uses the same examples as the arm if `setup.recipe` holds them.
    """
    if options.shuffled and setup.recipe.kind == "few" and setup.recipe.k == options.k:
        return prompting_arm(setup, setup.recipe.model_copy(update={"shuffled": True}))
    if len(setup.train) < options.k:
        raise DoesNotApply(f"{len(setup.train)} training rows are fewer than {options.k} examples")
    sets = example_sets(setup.train, options.k, options.draws, seed)
    arms = [prompting_arm(setup, Recipe(kind="few", k=options.k, shots=shots)) for shots in sets]
    best = best_on_dev(setup, arms)
    if options.shuffled and best.recipe:
        return prompting_arm(setup, best.recipe.model_copy(update={"shuffled": True}))
    return best


def placebo(options: Options) -> Options:
    """Return the placebo's options: the same examples with their answers shuffled."""
    return options.model_copy(update={"shuffled": True})


def estimate(sizes: Sizes, options: Options) -> Work:
    """Return the work: the cases, and each set of examples on the folds' dev rows."""
    return work_of_sets(sizes, options.k, options.draws)
