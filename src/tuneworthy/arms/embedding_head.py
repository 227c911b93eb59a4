"""A plain classifier on sentence vectors: MiniLM, then logistic regression. Needs no torch."""

from __future__ import annotations

from pydantic import Field

from tuneworthy.arms._classified import ENCODER_WORK_SHARE, fitted_vector_head
from tuneworthy.records.arm import Fitted, Setup, Sizes, Work
from tuneworthy.records.record import Record

TOOL, ROLE, SIMPLICITY = "classifier", "candidate", 20
CHOOSES = False
NEEDS = frozenset({"labels", "vectors"})


class Options(Record):
    """`strength` is the inverse regularisation C of scikit-learn's LogisticRegression."""

    strength: float = Field(default=10.0, gt=0)


def fit(setup: Setup, options: Options, seed: int) -> Fitted:
    """Train the head on the training cases and return the arm; MiniLM is not trained."""
    return fitted_vector_head(setup.train, options.strength, seed, setup.task.success.costs)


def estimate(sizes: Sizes, options: Options) -> Work:  # noqa: ARG001
    """Return the cost of encoding every row once; the arm sends no request to a model."""
    return Work(encoded=ENCODER_WORK_SHARE * sizes.own * (sizes.cases + sizes.train))
