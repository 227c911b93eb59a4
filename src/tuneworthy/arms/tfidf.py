"""A plain classifier: TF-IDF of words and characters, logistic regression. Seconds on a CPU."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tuneworthy.arms._classified import classifier_input, classify, single_blas_thread
from tuneworthy.core.arm import Fitted, Setup
from tuneworthy.core.artefact import Pack
from tuneworthy.core.errors import DoesNotApply
from tuneworthy.core.record import Record

TOOL, ROLE, SIMPLICITY = "classifier", "candidate", 10
CHOOSES = False
NEEDS = frozenset({"labels"})
MOST_ROWS = 2000


class Options(Record):
    """`strength` is the inverse regularisation C of scikit-learn's LogisticRegression."""

    strength: float = Field(default=10.0, gt=0)


def fit(setup: Setup, options: Options, seed: int) -> Fitted:
    """Train on the training cases: the same labelled rows as every other arm gets."""
    rows = setup.train
    if len({case.output for case in rows}) < 2:
        raise DoesNotApply("the training rows have a single label: there is nothing to classify")
    pipeline = classifier(options.strength, seed, len(rows))
    with single_blas_thread():
        pipeline.fit([classifier_input(case) for case in rows], [case.output for case in rows])
    return Fitted(
        answer=lambda queries: classify(queries, pipeline, None),
        learned=True,
        pack=Pack(role=""),
        classifier=pipeline,
    )


def classifier(strength: float, seed: int, rows: int) -> Any:
    """Return the unfitted scikit-learn pipeline for so many training rows.

    Under an L2 penalty the coefficients lie in the span of the rows. Up to MOST_ROWS rows, the
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
    span = [KernelPCA(kernel="linear", eigen_solver="dense")] if rows <= MOST_ROWS else []
    return make_pipeline(make_union(words, chars), *span, model)
