"""The task's open model with a low-rank adapter (LoRA) trained on the training rows."""

from __future__ import annotations

from tuneworthy.arms._trained import (
    TuningOptions,
    pilot_options,
    prompting_with,
    recipe_of,
    train_model,
    training_work,
)
from tuneworthy.records.arm import Fitted, Setup, Sizes, Work

TOOL, ROLE, SIMPLICITY = "tune", "candidate", 10
NEEDS = frozenset({"training"})
REMEDY, PLACEBO = "learnable", "the same training on shuffled answers"


class Options(TuningOptions):
    """Options of training, all shared with the other trained arms (see TuningOptions)."""


pilot = pilot_options


def placebo(options: Options) -> Options:
    """Return the placebo's options: shuffled answers teach the form, not the task."""
    return options.model_copy(update={"shuffled": True})


def fit(setup: Setup, options: Options, seed: int) -> Fitted:
    """Train on the training rows (or load a former run's adapter) and answer with the adapter.

    Raises DoesNotApply if there is no row, or the model to tune cannot be trained here.
    """
    return train_model(setup, options, seed, prompting_with(setup, recipe_of(options)))


def estimate(sizes: Sizes, options: Options) -> Work:
    """Return the work of a training run: training, dev answers after epochs, scored answers.

    The shared prompt is read once a step, so its cost is negligible.
    """
    return training_work(sizes, options)
