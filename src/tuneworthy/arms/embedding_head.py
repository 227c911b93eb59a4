"""A plain classifier on sentence vectors: MiniLM, then logistic regression. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from tuneworthy.arms._classified import classifier_input, classify, single_blas_thread
from tuneworthy.core.arm import Fitted, Setup, Sizes, Work
from tuneworthy.core.artefact import Pack
from tuneworthy.core.errors import DoesNotApply
from tuneworthy.core.record import Record
from tuneworthy.models.encoder import vectors as _vectors
from tuneworthy.models.encoder.minilm import missing

TOOL, ROLE, SIMPLICITY = "classifier", "candidate", 20
CHOOSES = False
NEEDS = frozenset({"labels", "vectors"})
_SHARE = 1 / 6  # MiniLM's work per token as a share of the base model's, by parameter counts


class Options(Record):
    """`strength` is the inverse regularisation C of scikit-learn's LogisticRegression."""

    strength: float = Field(default=10.0, gt=0)


def fit(setup: Setup, options: Options, seed: int) -> Fitted:
    """Train the head on the training cases; MiniLM stays frozen. Raises DoesNotApply."""
    rows = setup.train
    if why := missing():
        raise DoesNotApply(why)
    if len({case.output for case in rows}) < 2:
        raise DoesNotApply("the training rows have a single label: there is nothing to classify")
    inputs = [classifier_input(case) for case in rows]
    head = classifier(options.strength, seed)
    vectors = _vectors.encode(inputs, keep=True)  # cached: other folds share most of these rows
    with single_blas_thread():
        head.fit(vectors, [case.output for case in rows])
    return Fitted(
        answer=lambda queries: classify(queries, head, _vectors.encode),
        learned=True,
        notes=_notes(inputs),
        pack=Pack(role="", vectors=True),
        classifier=head,
    )


def classifier(strength: float, seed: int) -> Any:
    """Return the unfitted scikit-learn head for unit vectors of shape [rows, 384]."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=strength, max_iter=2000, random_state=seed)


def _notes(inputs: Sequence[str]) -> tuple[str, ...]:
    cut = _vectors.encoder().cut(inputs)
    most = _vectors.MOST
    return (f"{cut} training inputs are longer than the {most} tokens it reads",) if cut else ()


def estimate(sizes: Sizes, options: Options) -> Work:  # noqa: ARG001
    """Return the work of encoding every row once; the arm sends no request to a model."""
    return Work(read=_SHARE * sizes.own * (sizes.cases + sizes.train))
