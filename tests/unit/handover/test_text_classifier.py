"""The classifier as a matrix: ridge as scikit-learn fits it, near logistic regression."""

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score
from test_live_inputs import OTHER, texts

from tuneworthy.handover.live_inputs import RIDGE, nearest_similarity, similarities, smoothers
from tuneworthy.matrix.two_samples import folds_of, separation

MIXED = (*OTHER[:6], *(f"word{at}" for at in range(30)))


@pytest.fixture(scope="module")
def world():
    """Two samples of 120 short texts whose words differ a little."""
    found = texts(120, 0, MIXED) + texts(60, 1, MIXED) + texts(60, 2, OTHER)
    return found, np.arange(240) >= 120, folds_of(range(240), 5, 0)


def test_the_similarity_of_texts_is_half_words_half_characters(world):
    found, _, _ = world
    similar = similarities(found)
    assert np.diag(similar) == pytest.approx(np.ones(240), abs=1e-5)
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\b\w+\b")
    chars = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True)
    parts = [v.fit_transform(found) for v in (words, chars)]
    assert similar == pytest.approx(sum((p @ p.T).toarray() for p in parts) / 2, abs=1e-5)


def test_a_smoother_gives_the_scores_of_ridge_regression(world):
    """On features with this kernel, centred, scikit-learn's Ridge predicts the same."""
    found, second, folds = world
    similar = similarities(found)
    values, vectors = np.linalg.eigh(similar)
    features = vectors * np.sqrt(np.maximum(values, 0))
    features -= features.mean(0)
    for fold in smoothers(similar, folds):
        labels = second[fold.training_rows].astype(float)
        model = Ridge(alpha=RIDGE, fit_intercept=False)
        model.fit(features[fold.training_rows], labels - labels.mean())
        ours = fold.matrix @ (labels - labels.mean())
        assert ours == pytest.approx(model.predict(features[fold.rows]), abs=1e-4)


def test_it_ranks_about_as_well_as_logistic_regression(world):
    found, second, folds = world
    similar = similarities(found)
    values, vectors = np.linalg.eigh(similar)
    features = vectors * np.sqrt(np.maximum(values, 0))
    aucs = []
    for fold in range(5):
        model = LogisticRegression(C=1.0, max_iter=1000).fit(
            features[folds != fold], second[folds != fold]
        )
        scores = model.decision_function(features[folds == fold])
        aucs.append(roc_auc_score(second[folds == fold], scores))
    ours = separation(smoothers(similar, folds), second, range(240))
    assert ours.auc == pytest.approx(np.mean(aucs), abs=0.03)
    assert ours.auc > 0.6  # the two can be told apart, so to agree says something


def test_the_nearest_row_is_not_of_the_own_group():
    similar = np.array([[1.0, 0.9, 0.2], [0.9, 1.0, 0.3], [0.2, 0.3, 1.0]])
    rows = np.arange(3)
    assert nearest_similarity(similar, rows, rows, np.array([0, 1, 2])).tolist() == [0.9, 0.9, 0.3]
    assert nearest_similarity(similar, rows, rows, np.array([0, 0, 1])).tolist() == [0.2, 0.3, 0.3]
