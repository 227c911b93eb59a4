"""Corpus-level scores: they have no value per case to pair, so they are shown but decide nothing.

None means not measurable on these rows: never 0 or NaN.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def ece(confidence: Any, correct: Any, bins: int = 10) -> float | None:
    """Return the expected calibration error over equal-width bins: |confidence - accuracy|.

    `confidence` in [0, 1]; a bin includes its upper edge. Source: Guo et al., arXiv 1706.04599.
    """
    sure, right = np.asarray(confidence, float), np.asarray(correct, float)
    if sure.shape != right.shape:
        raise ValueError(f"{sure.size} confidences for {right.size} answers")
    if not sure.size:
        return None
    place = np.clip(np.ceil(sure * bins).astype(int) - 1, 0, bins - 1)
    return float(np.abs(np.bincount(place, weights=sure - right)).sum() / sure.size)


def auroc(scores: Any, positive: Any) -> float | None:
    """Return the chance that a positive outscores a negative, ties half; None for one class."""
    values, mark = np.asarray(scores, float), np.asarray(positive, bool)
    if values.shape != mark.shape:
        raise ValueError(f"{values.size} scores for {mark.size} marks")
    ups, downs = int(mark.sum()), int((~mark).sum())
    if not ups or not downs:
        return None
    _, place, times = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(times) - (times - 1) / 2)[place]  # equal values share the mean of theirs
    return float((ranks[mark].sum() - ups * (ups + 1) / 2) / (ups * downs))
