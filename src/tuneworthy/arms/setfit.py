"""Contrastive tuning of a sentence encoder for few rows, then logistic regression (SetFit).

Tunstall et al. 2022, arXiv 2209.11055: pairs of rows with one label come closer, others part.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tuneworthy.arms._classified import vector_head
from tuneworthy.arms._tuned_encoder import (
    NEEDS_OF_MINILM,
    EncoderOptions,
    encoder_needs,
    encoder_origin,
    encoder_work,
    fitted_encoder,
    versions_of,
)
from tuneworthy.models._roles import missing_packages
from tuneworthy.records.arm import Fitted, Setup, Sizes, Work
from tuneworthy.records.errors import DoesNotApply

TOOL, ROLE, SIMPLICITY = "classifier", "candidate", 40
CHOOSES = False
BY_NAME = True  # an extra of its own; every step reads two rows for each pair
NEEDS = NEEDS_OF_MINILM | {"setfit"}


class Options(EncoderOptions):
    """Options of tuning an encoder (see EncoderOptions); a step reads `batch` pairs of rows.

    `steps`: at most so many; few rows have fewer pairs. `strength` is the inverse regularisation C
    of the logistic regression.
    """

    rate: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 2e-5
    steps: Annotated[int, Field(ge=1, le=100_000)] = 100
    strength: Annotated[float, Field(gt=0)] = 10.0


def needs(options: Options) -> frozenset[str]:
    """Return what the arm needs: the library, and MiniLM where it names no other encoder."""
    return encoder_needs(options) | {"setfit"}


def placebo(options: Options) -> Options:
    """Return the placebo's options: shuffled labels teach nothing about the input."""
    return options.model_copy(update={"shuffled": True})


def here(options: Options) -> dict[str, str]:  # noqa: ARG001
    """Return the versions of the packages that train."""
    return versions_of("torch", "transformers", "sentence-transformers", "setfit")


def fit(setup: Setup, options: Options, seed: int) -> Fitted:
    """Tune the encoder on pairs of training rows, fit the head and return the arm.

    Raises DoesNotApply, with the command that installs it, without the library.
    """

    if why := missing_packages("setfit"):
        raise DoesNotApply(why)

    def tune(encoder, rows):  # type: ignore[no-untyped-def]
        from tuneworthy.models.train.encoder_tuning import tune_on_pairs
        from tuneworthy.models.train.loop import TrainingSchedule

        pace = TrainingSchedule(epochs=1, batch=options.batch, rate=options.rate)
        head = vector_head(options.strength, seed)
        return tune_on_pairs(
            encoder, rows, pace, options.steps, seed, head, encoder_origin(options)
        )

    return fitted_encoder(setup, options, seed, tune)


def estimate(sizes: Sizes, options: Options) -> Work:
    """Return the cost of both rows of every pair, and of encoding each row once."""
    return encoder_work(sizes, 2 * options.steps * options.batch, sizes.train + sizes.cases)
