"""Helpers of the arms that choose among labels: fit a classifier, return the likeliest label."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from tuneworthy.models.encoder import vectors as _vectors
from tuneworthy.models.encoder.encoder import missing
from tuneworthy.records.answer import Answer
from tuneworthy.records.arm import Fitted
from tuneworthy.records.artefact import Pack
from tuneworthy.records.case import Case, Query
from tuneworthy.records.errors import DoesNotApply
from tuneworthy.records.mistake_costs import Costs, cheapest_label

# MiniLM's work per token as a share of the base model's, by parameter counts
ENCODER_WORK_SHARE = 1 / 6
_MOST_SPANNED_ROWS = 2000  # rows from which the features are no longer projected onto their span


def classifier_input(row: Case | Query) -> str:
    """Return the classifier's input: the content of all messages, one a line."""
    return "\n".join(message.content for message in row.messages)


def most_probable_label(
    query: Query, names: Sequence[str], row: Sequence[float], costs: Costs | None, **more: Any
) -> Answer:
    """Return the most probable label (in a tie the first) as an answer with all probabilities.

    Where mistakes have `costs`, it is the label with the least expected cost.
    """
    table = {name: float(p) for name, p in zip(names, row, strict=True)}
    best = cheapest_label(costs, table) if costs else max(table, key=table.__getitem__)
    return Answer(case=query.id, text=best, labels=table, finish="stop", **more)


def classify(
    queries: Sequence[Query],
    classifier: Any,
    encode: Callable[[Sequence[str]], Any] | None,
    costs: Costs | None = None,
) -> list[Answer]:
    """Return the likeliest label of each query by a fitted scikit-learn classifier.

    `encode` turns texts into vectors; None for a pipeline that reads texts. Each answer's seconds
    are its share of the batch.
    """
    if not queries:
        return []
    start = time.perf_counter()
    given: Any = [classifier_input(query) for query in queries]
    given = encode(given) if encode else given
    with single_blas_thread():
        table = classifier.predict_proba(given)
    each = (time.perf_counter() - start) / len(queries)
    names = [str(name) for name in classifier.classes_]
    return [
        most_probable_label(query, names, row, costs, seconds=each)
        for query, row in zip(queries, table.tolist(), strict=True)
    ]


def softmax(row: Sequence[float]) -> list[float]:
    """Return the probabilities of a row of log-probabilities, rescaled to sum to 1."""
    top = max(row)
    weights = [math.exp(value - top) for value in row]
    total = sum(weights)
    return [weight / total for weight in weights]


def single_blas_thread() -> Any:
    """Return a context manager that limits BLAS to one thread inside its block.

    On these small matrices, waiting threads made fitting 50 times slower on a busy 2-core machine
    (measured).
    """
    from threadpoolctl import threadpool_limits

    return threadpool_limits(limits=1)


def fitted_classifier(
    rows: Sequence[Case], strength: float, seed: int, costs: Costs | None = None
) -> Fitted:
    """Return a TF-IDF classifier fitted on these rows, ready to answer.

    Raises DoesNotApply if they have a single label.
    """
    if len({case.output for case in rows}) < 2:
        raise DoesNotApply("the training rows have a single label: there is nothing to classify")
    pipeline = tfidf_pipeline(strength, seed, len(rows))
    _fit(pipeline, [classifier_input(case) for case in rows], rows)
    return Fitted(
        answer=lambda queries: classify(queries, pipeline, None, costs),
        learned=True,
        pack=Pack(role=""),
        classifier=pipeline,
    )


def _fit(classifier: Any, inputs: Any, rows: Sequence[Case]) -> None:
    """Fit on the rows' labels; scikit-learn's guess that many labels are numbers is not shown."""
    with single_blas_thread(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
        classifier.fit(inputs, [case.output for case in rows])


def tfidf_pipeline(strength: float, seed: int, rows: int) -> Any:
    """Return the unfitted scikit-learn pipeline for so many training rows.

    Under an L2 penalty the coefficients lie in the span of the rows. Up to _MOST_SPANNED_ROWS, the
    features are first projected onto that span: the same classifier with far fewer numbers.
    """
    from sklearn.decomposition import KernelPCA
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline, make_union

    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    chars = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True)
    model = LogisticRegression(C=strength, max_iter=2000, random_state=seed)
    # Centring moves the origin, which the (unpenalised) intercept absorbs exactly.
    span = [KernelPCA(kernel="linear", eigen_solver="dense")] if rows <= _MOST_SPANNED_ROWS else []
    return make_pipeline(make_union(words, chars), *span, model)


def fitted_vector_head(
    rows: Sequence[Case], strength: float, seed: int, costs: Costs | None = None
) -> Fitted:
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
    _fit(head, vectors, rows)
    return Fitted(
        answer=lambda queries: classify(queries, head, _vectors.encode, costs),
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
