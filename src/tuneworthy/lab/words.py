"""The texts of the lab on measurements, charts, causes and keys, each in one place.

A measurement is a field of `RunFacts`, or a fact of one case (`RunFacts.other`). Knows no page.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tuneworthy.records.failure import RunFacts
from tuneworthy.records.plugins import catalogue
from tuneworthy.verdict.phrases import NOT_MEASURED

_FactValue = float | int | str | None
SAME_IN_BOTH = "The same without the fault: it proves nothing."
ALIKE_IN_BOTH = (
    "About the same without the fault: chance alone moves it as far, so it proves nothing."
)
_NEAR_SHARE = 0.1  # shares of 40 rows that differ by under 4 rows may differ by chance
_UNITS_IN_VALUE = ("", "share", "answers", "0 to 1")  # units that the value or title contains
_LEAST_LOSS = 0.005  # nats a token; a smaller loss is shown as "under .01"
_ROUND_UP_OFFSET = 1e-9  # so that a half is rounded up, as the scripts do
_NEAR_PART = 0.1  # sizes that differ by at most this part of the larger are near


@dataclass(frozen=True)
class Measure:
    """A measurement: title, unit, how its value is written, and whether two values are near."""

    title: str
    unit: str
    format: Callable[[_FactValue, RunFacts], str]
    are_near: Callable[[float, float], bool]

    def value(self, value: _FactValue, facts: RunFacts) -> str:
        """Return the value with its unit as text, or "not measured"."""
        if value is None:
            return NOT_MEASURED
        said = self.format(value, facts)
        return said if self.unit in _UNITS_IN_VALUE else f"{said} {self.unit}"

    def span(self, low: _FactValue, high: _FactValue, facts: RunFacts) -> str:
        """Return two values as a range with one unit: `0 to 8 %`."""
        first, last = self.value(low, facts), self.value(high, facts)
        if first == last:
            return first
        for unit in (f" {self.unit}", " %", " times", f" of {facts.answers}"):
            if first.endswith(unit) and last.endswith(unit):
                first = first.removesuffix(unit)
        return f"{first} to {last}"

    def why_proves_nothing(self, own: _FactValue, twin: _FactValue) -> str | None:
        """Return why the values of a run and its twin prove nothing; None if they differ."""
        if own is None or twin is None:
            return "Not measured in both runs: it proves nothing."
        if isinstance(own, str) or isinstance(twin, str):
            return SAME_IN_BOTH if own == twin else None
        if own == twin:
            return SAME_IN_BOTH
        return ALIKE_IN_BOTH if self.are_near(own, twin) else None


@dataclass(frozen=True)
class _Chart:
    """A curve of a run: its title, its unit, and the upper end of its axis."""

    title: str
    unit: str
    top: float | None = None
    """The upper end of the axis; None: that of the curves."""


def number_text(value: _FactValue, _: RunFacts | None = None) -> str:
    """Return a number as text: `.07`, `1.4`, `58`."""
    if not isinstance(value, (int, float)):
        return str(value)
    if value < 0:
        return f"−{number_text(-value)}"
    if value >= 10 or value == int(value):
        return f"{value:,.0f}"
    if value >= 1:
        return f"{value + _ROUND_UP_OFFSET:.1f}"
    text = f"{value + _ROUND_UP_OFFSET:.2f}" if value >= 0.01 else f"{value:.2g}"
    return text.replace("0.", ".", 1) if "e" not in text else text


def _percent_text(value: _FactValue, _: RunFacts) -> str:
    return f"{100 * float(value or 0) + _ROUND_UP_OFFSET:.0f} %"


def _nats_text(value: _FactValue, _: RunFacts) -> str:
    small = isinstance(value, int | float) and 0 < value < _LEAST_LOSS
    return "under .01" if small else number_text(value)


def _of_answers_text(value: _FactValue, facts: RunFacts) -> str:
    return f"{value} of {facts.answers}" if facts.answers else str(value)


def _times_text(value: _FactValue, _: RunFacts) -> str:
    return f"{float(value or 0) + _ROUND_UP_OFFSET:.1f} times".removeprefix("0")


def _is_near_share(one: float, two: float) -> bool:
    return abs(one - two) < _NEAR_SHARE


def _is_near_size(one: float, two: float) -> bool:
    return abs(one - two) <= _NEAR_PART * max(abs(one), abs(two))


def _is_near_count(one: float, two: float) -> bool:
    return abs(one - two) < 4


def _share_measure(title: str) -> Measure:
    return Measure(title, "share", _percent_text, _is_near_share)


def _size_measure(title: str, unit: str = "") -> Measure:
    return Measure(title, unit, number_text, _is_near_size)


def _loss_measure(title: str) -> Measure:
    return Measure(title, "nats a token", _nats_text, _is_near_share)


def _unit_measure(title: str) -> Measure:
    return Measure(f"{title} (0 to 1)", "0 to 1", number_text, _is_near_share)


MEASURE_GROUPS: dict[str, dict[str, Measure]] = {
    "Training": {
        "steps": _size_measure("Steps that training took", "steps"),
        "refused": Measure("Why the training loop stopped early", "", number_text, _is_near_size),
        "loss_first": _loss_measure("Training loss at the first step"),
        "loss_last": _loss_measure("Training loss, mean of the last eighth of the steps"),
        "loss_least": _loss_measure("Lowest training loss on the way"),
        "loss_peak": _loss_measure("Highest training loss on the way"),
        "clip_rate": _share_measure("Steps whose gradient was clipped"),
        "change": _size_measure("Size of the weight change", "of the weights"),
        "parameters": _size_measure("Trained parameters", "parameters"),
    },
    "Training rows and their tokens": {
        "answer_tokens": _size_measure("Tokens that carry loss, over all training rows", "tokens"),
        "end_trained": _share_measure("Training rows whose end of turn carries loss"),
        "answer_share": _share_measure("Part of the loss that lies on answers"),
        "cut_rows": _share_measure("Training rows cut by max_length"),
        "answer_seen": _share_measure("Training rows that can read their answer in the row before"),
        "leaked": _share_measure("New rows with a near copy among the training rows"),
        "conflicts": _share_measure("Training rows whose neighbours have another label"),
        "shapes": _share_measure("Training answers outside the commonest shape"),
        "prior": Measure(
            "The commonest answer: its share in training over its share in use",
            "",
            _times_text,
            _is_near_size,
        ),
        "outliers": _share_measure(
            "Training rows whose last loss is over three times the middle row's"
        ),
        "chosen_wrong": _share_measure("Training answers without the right value"),
    },
    "Loss on rows not trained on": {
        "new_loss_first": _loss_measure("Loss on new rows before training"),
        "new_loss_last": _loss_measure("Loss on new rows after training"),
        "new_loss_least": _loss_measure("Lowest loss on new rows on the way"),
        "general_loss_before": _loss_measure("Loss on general text before training"),
        "general_loss_rise": _loss_measure("Rise of the loss on general text"),
    },
    "Answers to new rows": {
        "answers": _size_measure("New rows that were answered", "rows"),
        "score": _unit_measure("Score on new rows"),
        "valid": _share_measure("Answers that parse"),
        "ended": Measure(
            "Answers that end by themselves", "answers", _of_answers_text, _is_near_count
        ),
        "length": _size_measure("Tokens an answer", "tokens"),
        "p_end": Measure(
            "P(end): chance of the end token where the answer is over (0 to 1)",
            "0 to 1",
            number_text,
            _is_near_share,
        ),
        "copied": _share_measure("Answers that repeat eight words of a training answer"),
        "same_as_base": _share_measure("Answers equal to those of the untrained model"),
        "same_prompt": _share_measure("Prompts with the same tokens in training and in serving"),
        "known_score": _unit_measure("Score on facts that were known before"),
        "old_values": _share_measure("Answers that state an older value"),
        "right": _share_measure("Answers that are right today"),
        "long_answers_whole": _share_measure("Long new answers that come out whole"),
        "mistakes_repeated": _share_measure(
            "Wrong answers that repeat an error of the training rows"
        ),
        "wrongly_refused": _share_measure("Questions refused that have an answer"),
    },
    "Without training": {
        "legal_first": _unit_measure("Own chance of a legal first token, without the grammar"),
        "legal_mean": _unit_measure("Own chance of a legal token, mean of all places"),
        "copied_other": _share_measure("Answers copied from another passage"),
        "in_no_passage": _share_measure("Wrong answers that stand in no passage"),
        "recall": _share_measure("Questions whose right passage was found"),
        "stale": _share_measure("Answers from a passage out of force"),
        "other_rule": _share_measure("Answers from another rule"),
        "score_kept": _share_measure("Right answers where the rule did not change"),
        "swap_agreement": _share_measure("Verdicts that hold when the answers swap places"),
        "says_a": _share_measure("Verdicts for the first place"),
        "lead": _size_measure("Lead of the verdict over the other", ""),
        "same_tokens": _share_measure("Tokens that the trained model would choose as well"),
        "same_answers": _share_measure("Answers equal to those of the trained model"),
        "first_valid": _share_measure("Answers that parse at the first look"),
        "first_score": _unit_measure("Score at the first look"),
    },
}
"""Measurements by what they are about."""

MEASURES = {key: said for group in MEASURE_GROUPS.values() for key, said in group.items()}
CASE_MEASURES = {key: MEASURES[key] for key in MEASURES if key not in RunFacts.model_fields}
"""Measurements of single cases, from `RunFacts.other`."""

CHARTS: dict[str, _Chart] = {
    "loss": _Chart("Training loss", "nats a token"),
    "held": _Chart("Loss on new rows", "nats a token"),
    "norm": _Chart("Gradient norm", ""),
    "rate": _Chart("Learning rate", ""),
    "p_end": _Chart("P(end) where the answer is over", "", 1.0),
    "ended": _Chart("Answers that end by themselves", "share", 1.0),
    "length": _Chart("Tokens an answer", "tokens"),
    "score": _Chart("Score", "0 to 1", 1.0),
    "valid": _Chart("Answers that parse", "share", 1.0),
    "legal_first": _Chart("Chance of a legal start", "", 1.0),
    "copied_other": _Chart("From another passage", "share", 1.0),
    "stale": _Chart("From an old passage", "share", 1.0),
    "swap_agreement": _Chart("Verdicts that hold", "share", 1.0),
    "same_tokens": _Chart("Same tokens as trained", "share", 1.0),
}

CLEAN_CAUSE = "none"
CLEAN_WORDS = "Nothing: this is a clean run."


def measure_of(key: str) -> Measure:
    """Return a measurement's title, unit and format; one not listed gets its key as the title."""
    name = key.removeprefix("other.")
    return MEASURES.get(name) or _size_measure(as_title(name))


def value_of(facts: RunFacts, key: str) -> _FactValue:
    """Return a measurement's value: a field of the facts, or one of `facts.other`; or None."""
    name = key.removeprefix("other.")
    if name in RunFacts.model_fields:
        return getattr(facts, name)  # type: ignore[no-any-return]
    return facts.other.get(name)


def chart_of(key: str) -> _Chart:
    """Return a chart's title, unit and scale; one not listed has its measurement's title or key."""
    name = key.removeprefix("other.")
    return CHARTS.get(name) or _Chart(
        CASE_MEASURES[name].title if name in CASE_MEASURES else as_title(name), ""
    )


def cause_text(name: str) -> str:
    """Return a cause in words: the first line of its module's docstring."""
    if name == CLEAN_CAUSE:
        return CLEAN_WORDS
    return catalogue("failures").get(name) or f"{as_title(name)}."


def as_title(key: str) -> str:
    """Return a key as a title: `rate_too_high` as `Rate too high`."""
    text = key.replace("_", " ").replace(".", " ")
    return text[:1].upper() + text[1:]


KEY_GROUPS: dict[str, dict[str, str]] = {
    "Training rows": {
        "split": "how test rows were set apart from training rows",
        "labels": "who has to agree on a label",
        "exports": "the exports that the answers come from",
        "order": "the order of the rows, or of the passages in the prompt",
        "refusals": "part of the training rows whose answer is a refusal",
        "rows_of": "the year of the rules that the rows were written from",
        "best_by": "what decides which of three answers is trained on",
        "verify": "the check that a written answer passes before it is used",
    },
    "Tokens and loss": {
        "loss": "the tokens that training learns from",
        "pad_token": "the token that fills up short rows; the loss ignores it",
        "max_length": "tokens of a row at most; what is longer is cut",
        "packing": "whether several rows share one sequence",
    },
    "Model and training settings": {
        "rows": "how many training rows are used",
        "epochs": "how often training reads every row",
        "batch": "rows that one step reads",
        "rate": "learning rate: how far one step moves the weights",
        "method": "lora trains a small adapter, full all weights",
        "rank": "size of the adapter: more numbers to learn with",
        "layers": "layers of the base model: 30 is all of it",
        "targets": "the matrices of the model that get an adapter",
        "replay": "rows of general text, or of known facts, as a share of the training rows",
    },
    "Serving": {
        "shots": "solved examples in the prompt",
        "passages": "whether the prompt holds the passage that the question is about",
        "k": "how many passages the search returns",
        "index": "the versions of the rules that are searched",
        "newest_first": "whether the newest version of a found rule is read",
        "judge": "how the judge is shown the two answers",
        "verdicts": "the question that the judge answers",
        "serve.adapter": "whether the server loads the trained adapter",
        "serve.merge": "how the adapter is joined with the weights",
        "serve.template": "how the server writes the chat around a message",
        "serve.schema": "whether a grammar keeps the answer in its form",
        "serve.temperature": "0 takes the likeliest token; more draws at random",
        "serve.top_p": "tokens to draw from: the likeliest that reach this share",
    },
}
"""Explanations of the keys of a case's configuration, by what they set; they reveal no cause."""

KEY_TEXTS = {key: text for group in KEY_GROUPS.values() for key, text in group.items()}
