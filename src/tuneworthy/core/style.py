"""How well an arm's answers can be told from the right ones by their characters."""

from __future__ import annotations

from tuneworthy.core.interval import Interval
from tuneworthy.core.record import Record


class Style(Record):
    """One arm's answers against the right ones to the same inputs, read across folds.

    `auc` is that of a cross-fitted classifier: .5 cannot be told apart, 1 always. `score` is the
    mean of min(1, 2 (1 - P)), `n` the answers. `control` is the same AUC of right answers against
    right answers (a random half of the rows each; mean, least and most of five draws): what lies
    inside it is chance. None with `because` where too few answers are there.
    """

    arm: str
    n: int
    auc: float | None = None
    score: float | None = None
    control: Interval | None = None
    because: str = ""
