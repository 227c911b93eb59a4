"""Fit a logistic regression on sentence vectors of the frozen MiniLM encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tuneworthy.arms._classified import classifier_input, classify, single_blas_thread
from tuneworthy.core.arm import Fitted
from tuneworthy.core.artefact import Pack
from tuneworthy.core.case import Case
from tuneworthy.core.errors import DoesNotApply
from tuneworthy.models.encoder import vectors as _vectors
from tuneworthy.models.encoder.minilm import missing


def fitted_vector_head(rows: Sequence[Case], strength: float, seed: int) -> Fitted:
    """Return the logistic regression fitted on the sentence vectors of these rows.

    Raises DoesNotApply without MiniLM, or if the rows have a single label.
    """
    if why := missing():
        raise DoesNotApply(why)
    if len({case.output for case in rows}) < 2:
        raise DoesNotApply("the training rows have a single label: there is nothing to classify")
    inputs = [classifier_input(case) for case in rows]
    head = vector_head(strength, seed)
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


def vector_head(strength: float, seed: int) -> Any:
    """Return the unfitted scikit-learn head for unit vectors of shape [rows, 384]."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=strength, max_iter=2000, random_state=seed)


def _notes(inputs: Sequence[str]) -> tuple[str, ...]:
    cut = _vectors.encoder().cut(inputs)
    most = _vectors.MOST_TOKENS
    return (f"{cut} training inputs are longer than the {most} tokens it reads",) if cut else ()
