"""Records of one answer to a case and of its score."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal

from pydantic import Field

from tuneworthy.records.case import Message
from tuneworthy.records.record import Record, Text, told_before

Finish = Literal["stop", "length", "error"]
Lost = Literal["for now", "not recorded", "null"]
"""Why there is no answer, where code asks. `for now`: the server was down, too slow or broke off;
such an answer is not stored, so that the next run asks for it again."""
LOST_WORDS: dict[Lost, str] = {
    "for now": "temporary failure: ",
    "not recorded": "no recorded answer",
    "null": "the recorded answer is null",
}


_MOST_SUM, _SUM_ERROR = 1.001, 0.01  # of some labels; of all of them, from 1
_ROUNDING = 0.005  # of one probability that is written with two places


def label_table_fault(table: Mapping[str, Any], labels: Collection[str] | None) -> str:
    """Return what is wrong with probabilities of labels, "" if nothing is.

    Those of all labels sum to 1, up to rounding, those of some labels to at most 1. `labels` None:
    they are not known, so any may stand here.
    """
    for name, share in table.items():
        label = f"`{name[:60]}`"
        if labels is not None and name not in labels:
            return f"{label} is no label of the task"
        if isinstance(share, bool) or not isinstance(share, int | float):
            return f"the probability of {label} is no number"
        if not 0 <= share <= 1:  # NaN too
            return f"the probability of {label} is {share}, not from 0 to 1"
    total = sum(table.values())
    if labels is None or len(table) < len(labels):
        return f"the probabilities sum to {total:.4g}, above 1" if total > _MOST_SUM else ""
    wrong = abs(total - 1) > max(_SUM_ERROR, _ROUNDING * len(table)) + 1e-9
    return f"the probabilities sum to {total:.4g}, not to 1" if wrong else ""


class Lossy(Record):
    """Base of what may have failed: `error` is the text, `lost` its kind for code (or None)."""

    error: Text | None = None
    lost: Lost | None = None

    _older = told_before(
        lost=lambda told: next((kind for kind, words in LOST_WORDS.items()
                                if (told.get("error") or "").startswith(words)), None)
    )  # fmt: skip


class Answer(Lossy):
    """One answer: text, tokens, seconds, cost. A value that was not measured is None, never 0.

    `finish` is `stop` if the answer ended by itself, `length` if the token limit cut it, None if a
    recorded answer does not say. `prompt` holds the messages that were sent. `labels` maps label ->
    probability where a closed label set was scored; a recorded answer may bring the probabilities
    of some labels alone, so they need not sum to 1. `passages` are the ids of the documents cited
    in the prompt, in prompt order. `tokens_thought` counts the reasoning before the answer; it is
    part of `tokens_out`. `samples` are all sampled texts where the answer was chosen among several;
    tokens, seconds and cost are then sums over the samples. `served` and `system_fingerprint` name
    the model that an endpoint reports, `concurrency` is the number of requests in flight there.
    `repeats` are further answers of the same arm to the same case.
    """

    case: str
    text: Text
    tokens_in: int | None = None
    tokens_cached: int | None = None
    tokens_out: int | None = None
    tokens_thought: int | None = None
    seconds: float | None = None
    usd: float | None = None
    finish: Finish | None = None
    prompt: tuple[Message, ...] = ()
    labels: dict[str, float] | None = None
    passages: tuple[str, ...] = ()
    samples: tuple[Text, ...] = ()
    served: Text | None = None
    system_fingerprint: Text | None = None
    concurrency: int | None = None
    repeats: tuple[Answer, ...] = Field(default=(), exclude_if=lambda value: not value)

    @property
    def probability(self) -> float | None:
        """Return the probability that the system gives its answer; None if it states none.

        Of several samples it is the share that say the same.
        """
        if self.labels is not None:
            return self.labels.get(self.text)
        if len(self.samples) < 2:
            return None
        return sum(one.strip() == self.text.strip() for one in self.samples) / len(self.samples)

    @classmethod
    def missing(cls, case: str, lost: Lost) -> Answer:
        """Return an empty Answer with the error why a log has no answer to the case."""
        return cls(case=case, text="", finish="error", error=LOST_WORDS[lost], lost=lost)


class Score(Record):
    """The score of one answer in [0, 1], with its reason, the extracted answer and its validity.

    `valid`: the answer ended by itself and parses (json: matches the schema; label: equals a label
    after trimming space and case; number: one number; text: not empty). `repeats` has the value of
    each answer where the case was answered several times; `value` is then their mean.
    """

    value: float = Field(ge=0, le=1)
    why: Text = ""
    extracted: Text | None = None
    valid: bool | None = None
    repeats: tuple[float, ...] = Field(default=(), exclude_if=lambda value: not value)


HALF_OF_REPEATS = 0.5  # of several right or wrong answers to a case: from here on it passes


class Unscored(Record):
    """Why an answer has no score; the mean is then bounded by "all wrong" and "all right".

    `raised`: the user's own metric failed on the answer, with an exception or in time.
    """

    reason: Text
    lost: Lost | None = None
    raised: bool = Field(default=False, exclude_if=lambda value: not value)

    _older = told_before(
        lost=lambda told: "for now" if LOST_WORDS["for now"] in told.get("reason", "") else None
    )


def lacks_score(answer: Answer, score: Score | Unscored) -> bool:
    """Return whether an answer came back, but the metric could not score it.

    It is neither right nor wrong. A failed answer is wrong: its system gave none.
    """
    return answer.error is None and isinstance(score, Unscored)


def value_or_zero(score: Score | Unscored) -> float:
    """Return the value of a score, or 0 for an answer without one."""
    return score.value if isinstance(score, Score) else 0.0
