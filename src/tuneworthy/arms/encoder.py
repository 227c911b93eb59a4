"""A small text encoder, tuned in full with a classification head. Minutes on a CPU."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tuneworthy.arms._tuned_encoder import (
    NEEDS_OF_MINILM,
    EncoderOptions,
    encoder_needs,
    encoder_origin,
    encoder_work,
    fitted_encoder,
    versions_of,
)
from tuneworthy.records.arm import Fitted, Setup, Sizes, Work

TOOL, ROLE, SIMPLICITY = "classifier", "candidate", 30
CHOOSES = False
NEEDS = NEEDS_OF_MINILM
BY_NAME = True
needs = encoder_needs


class Options(EncoderOptions):
    """Options of tuning an encoder (see EncoderOptions); `epochs`: how often the rows are read."""

    epochs: Annotated[int, Field(ge=1, le=1000)] = 4


def placebo(options: Options) -> Options:
    """Return the placebo's options: shuffled labels teach nothing about the input."""
    return options.model_copy(update={"shuffled": True})


def here(options: Options) -> dict[str, str]:  # noqa: ARG001
    """Return the versions of the packages that train."""
    return versions_of("torch", "transformers")


def fit(setup: Setup, options: Options, seed: int) -> Fitted:
    """Tune all weights and a head on the training rows and return the arm."""

    def tune(encoder, rows):  # type: ignore[no-untyped-def]
        from tuneworthy.models.train.encoder_tuning import tune_with_head
        from tuneworthy.models.train.loop import TrainingSchedule

        pace = TrainingSchedule(epochs=options.epochs, batch=options.batch, rate=options.rate)
        return tune_with_head(encoder, rows, pace, seed, encoder_origin(options), setup.say)

    return fitted_encoder(setup, options, seed, tune)


def estimate(sizes: Sizes, options: Options) -> Work:
    """Return the cost of reading the rows in every epoch, and of encoding each row once."""
    return encoder_work(sizes, options.epochs * sizes.train, sizes.train + sizes.cases)
