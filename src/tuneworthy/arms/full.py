"""The task's open model with every weight trained on the training rows (full fine-tuning)."""

from __future__ import annotations

from tuneworthy.arms._trained import (
    TrainingOptions,
    pilot_options,
    prompting_with,
    recipe_of,
    train_model,
    training_work,
)
from tuneworthy.records.arm import Fitted, Setup, Sizes, Work

TOOL, ROLE, SIMPLICITY = "tune", "candidate", 30
NEEDS = frozenset({"training"})
REMEDY, PLACEBO = "learnable", "the same training on shuffled answers"
# Several times the memory and the disk of an adapter, which learns as much from the rows that most
# tasks have (LoRA Without Regret, 2025).
BY_NAME = True


class Options(TrainingOptions):
    """Options of training, all shared with the other trained arms (see TrainingOptions)."""


pilot = pilot_options


def placebo(options: Options) -> Options:
    """Return the placebo's options: shuffled answers teach the form, not the task."""
    return options.model_copy(update={"shuffled": True})


def fit(setup: Setup, options: Options, seed: int) -> Fitted:
    """Train on the training rows (or load a former run's weights) and answer with the tuned model.

    Raises DoesNotApply if there is no row, or the model to tune cannot be trained here.
    """
    return train_model(setup, options, seed, prompting_with(setup, recipe_of(options)))


def estimate(sizes: Sizes, options: Options) -> Work:
    """Return the work of a training run: training, dev answers after epochs, scored answers.

    The shared prompt is read once a step, so its cost is negligible.
    """
    return training_work(sizes, options)
