"""A plain classifier: TF-IDF of words and characters, logistic regression. Seconds on a CPU."""

from __future__ import annotations

from pydantic import Field

from tuneworthy.arms._classified import fitted_classifier
from tuneworthy.records.arm import Fitted, Setup
from tuneworthy.records.record import Record

TOOL, ROLE, SIMPLICITY = "classifier", "candidate", 10
CHOOSES = False
NEEDS = frozenset({"labels"})


class Options(Record):
    """`strength` is the inverse regularisation C of scikit-learn's LogisticRegression."""

    strength: float = Field(default=10.0, gt=0)


def fit(setup: Setup, options: Options, seed: int) -> Fitted:
    """Train on the training cases: the same labelled rows as every other arm gets."""
    return fitted_classifier(setup.train, options.strength, seed, setup.task.success.costs)
