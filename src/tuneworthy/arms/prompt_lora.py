"""LoRA trained and answering with the best prompt, examples included, before every input."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tuneworthy.arms._prompted import check_fit
from tuneworthy.arms._trained import (
    TuningOptions,
    model_to_tune,
    pilot_options,
    prompting_with,
    train_model,
    training_work,
)
from tuneworthy.records.arm import Fitted, Recipe, Setup, Sizes, Work

TOOL, ROLE, SIMPLICITY = "tune", "candidate", 20
NEEDS = frozenset({"training"})
BUILDS_ON_PROMPT = True
REMEDY, PLACEBO = "learnable", "the same training on shuffled answers"
BY_NAME = True  # every step reads the whole prompt; the gains of the two need not add up


class Options(TuningOptions):
    """As `lora` (except `prompt`), with the best prompt of the fold in place of the instruction.

    `k` is the most examples that are kept: each is read with every row.
    """

    k: Annotated[int, Field(ge=0, le=256)] = 4


pilot = pilot_options


def placebo(options: Options) -> Options:
    """Return the placebo's options: the same training, with its prompt, on shuffled answers."""
    return options.model_copy(update={"shuffled": True})


def fit(setup: Setup, options: Options, seed: int) -> Fitted:
    """Train on rows under the best prompt (no row's own answer in it) and return the arm.

    Raises DoesNotApply if there is no row, if the prompt leaves no room for an answer, or if the
    model to tune cannot be trained here.
    """
    model_to_tune(setup)
    recipe = limit_examples(setup.recipe, options.k)
    check_fit(setup, recipe, setup.models["tune"])
    return train_model(setup, options, seed, prompting_with(setup, recipe, setup.train))


def limit_examples(recipe: Recipe, k: int) -> Recipe:
    """Return a recipe with at most k of its examples: the first if fixed, else the nearest."""
    if recipe.k <= k and len(recipe.shots) <= k:
        return recipe
    change = {"k": k, "shots": recipe.shots[:k]}
    return recipe.model_copy(update=change if k else change | {"kind": "zero"})


def estimate(sizes: Sizes, options: Options) -> Work:
    """Return the work of a training run; every row is read with the prompt's examples."""
    return training_work(sizes, options, options.k * sizes.shot)
