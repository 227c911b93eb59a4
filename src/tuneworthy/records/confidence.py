"""Records of stated probabilities: how well they are calibrated, what may be left unanswered."""

from __future__ import annotations

from pydantic import Field

from tuneworthy.records.counting import percent
from tuneworthy.records.interval import Interval
from tuneworthy.records.record import Record


class Coverage(Record):
    """The share of rows that an arm answers if it answers only those it is sure of.

    An answer counts from the probability `threshold` on. It was chosen on these rows: `wrong` holds
    for the chosen one, as its bound pays for the choice.
    """

    limit: float = Field(description="At most this share of the answers may be wrong.")
    threshold: float = Field(description="Answers with at least this probability are given.")
    answered: int = Field(description="Rows that are answered.")
    n: int = Field(description="All scored rows.")
    coverage: Interval = Field(description="The share of rows that is answered.")
    wrong: Interval = Field(description="The share of the given answers that is wrong.")

    @property
    def text(self) -> str:
        """Return a clause: `answers 78 % of the rows (71 to 84 %) with at most 2 % wrong`."""
        low, high = percent(self.coverage.low), percent(self.coverage.high)
        return (
            f"answers {percent(self.coverage.mean)} of the rows ({low} to {high}) with at most"
            f" {percent(self.limit)} wrong"
        )


class CurvePoint(Record):
    """The surest rows from `threshold` on: their share and the share of wrong answers, bounded."""

    threshold: float
    coverage: float
    wrong: float
    low: float
    high: float


class CalibrationBin(Record):
    """Answers of about one stated probability: its mean, and the share of right ones, bounded."""

    stated: float
    right: float
    low: float
    high: float
    n: int


class Confidence(Record):
    """How far an arm's stated probabilities can be believed, on its `n` scored answers.

    `brier` is the mean of (probability of the answer - its score)^2. `error` is the expected
    calibration error. `temperature` is that of the probabilities of all labels (None: not every
    answer has them), fitted on the other folds, `error_scaled` the calibration error at it. `at`
    has the coverage at some limits that is shown.
    """

    n: int = Field(description="Answers with a stated probability.")
    brier: Interval = Field(description="Mean squared distance of probability and score.")
    error: Interval = Field(description="Expected calibration error, ten bins.")
    temperature: float | None = Field(
        default=None,
        exclude_if=lambda value: value is None,
        description="Above 1: it states too much. Fitted on other rows.",
    )
    error_scaled: float | None = Field(
        default=None,
        exclude_if=lambda value: value is None,
        description="Expected calibration error at that temperature.",
    )
    at: tuple[Coverage, ...] = Field(
        default=(), description="What may be answered at a limit of wrong answers."
    )


class PicturedConfidence(Confidence):
    """The same with the bins of the reliability picture and the curve of wrong answers.

    The bounds of all bins hold together at 95 %, and so do those of the curve.
    """

    bins: tuple[CalibrationBin, ...] = ()
    curve: tuple[CurvePoint, ...] = ()


class ClassScores(Record):
    """Scores of one arm that weigh every label alike, however many rows it has.

    `behind` is its macro F1 minus that of the arm `best`, paired; None for that arm itself.
    """

    balanced_accuracy: Interval = Field(description="Mean share of right answers over the labels.")
    macro_f1: Interval = Field(description="Mean F1 over the labels.")
    behind: Interval | None = Field(
        default=None,
        exclude_if=lambda value: value is None,
        description="Its macro F1 minus that of `best`, paired.",
    )
    best: str = Field(description="The arm with the highest macro F1.")
