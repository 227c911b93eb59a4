"""The words of the lab: measurements, charts and causes, each said in one place.

A measurement is a field of `RunFacts`, or a fact of one case (`RunFacts.other`). Knows no page.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tuneworthy.core.failure import RunFacts
from tuneworthy.core.plugins import catalogue

Number = float | int | str | None
SAME_IN_BOTH = "The same in both runs: it proves nothing."
ALIKE_IN_BOTH = "About the same in both runs: chance alone moves it as far, so it proves nothing."
NOT_MEASURED = "not measured"
NEAR_SHARE = 0.1  # 4 of 40 rows: what chance alone moves
SAID_WITH_VALUE = ("", "share", "answers", "0 to 1")  # units that stand in the value or the title
LEAST_LOSS = 0.005  # nats a token that round to .01; less is said to be under it
ROUNDING = 1e-9  # so that a half is rounded up, as the scripts do
NEAR_PART = 0.1  # a tenth, for sizes without an upper end


@dataclass(frozen=True)
class Measure:
    """A measurement: its title, its unit, how its value is said and when two are the same."""

    title: str
    unit: str
    say: Callable[[Number, RunFacts], str]
    same: Callable[[float, float], bool]

    def value(self, value: Number, facts: RunFacts) -> str:
        """Return the value with its unit, or that it was not measured."""
        if value is None:
            return NOT_MEASURED
        said = self.say(value, facts)
        return said if self.unit in SAID_WITH_VALUE else f"{said} {self.unit}"

    def span(self, low: Number, high: Number, facts: RunFacts) -> str:
        """Return two values as a range, their unit said once: `0 to 8 %`."""
        first, last = self.value(low, facts), self.value(high, facts)
        if first == last:
            return first
        for unit in (f" {self.unit}", " %", " times", f" of {facts.answers}"):
            if first.endswith(unit) and last.endswith(unit):
                first = first.removesuffix(unit)
        return f"{first} to {last}"

    def proves_nothing(self, own: Number, twin: Number) -> str | None:
        """Return why these two values can prove nothing, or None if they differ."""
        if own is None or twin is None:
            return "Not measured in both runs: it proves nothing."
        if isinstance(own, str) or isinstance(twin, str):
            return SAME_IN_BOTH if own == twin else None
        if own == twin:
            return SAME_IN_BOTH
        return ALIKE_IN_BOTH if self.same(own, twin) else None


@dataclass(frozen=True)
class Chart:
    """A curve of a run: its title, its unit, and how many decimals its value has."""

    title: str
    unit: str
    top: float | None = None
    """The upper end of the axis where the figure has one; else the curves set it."""


def decimals(value: Number, _: RunFacts | None = None) -> str:
    """Return a figure as people write it: `.07`, `1.4`, `58`."""
    if not isinstance(value, (int, float)):
        return str(value)
    if value < 0:
        return f"−{decimals(-value)}"
    if value >= 10 or value == int(value):
        return f"{value:,.0f}"
    if value >= 1:
        return f"{value + ROUNDING:.1f}"
    text = f"{value + ROUNDING:.2f}" if value >= 0.01 else f"{value:.2g}"
    return text.replace("0.", ".", 1) if "e" not in text else text


def _percent(value: Number, _: RunFacts) -> str:
    return f"{100 * float(value or 0) + ROUNDING:.0f} %"


def _nats(value: Number, _: RunFacts) -> str:
    small = isinstance(value, int | float) and 0 < value < LEAST_LOSS
    return "under .01" if small else decimals(value)


def _of_answers(value: Number, facts: RunFacts) -> str:
    return f"{value} of {facts.answers}" if facts.answers else str(value)


def _times(value: Number, _: RunFacts) -> str:
    return f"{float(value or 0) + ROUNDING:.1f} times".removeprefix("0")


def _near_share(one: float, two: float) -> bool:
    return abs(one - two) < NEAR_SHARE


def _near_size(one: float, two: float) -> bool:
    return abs(one - two) <= NEAR_PART * max(abs(one), abs(two))


def _near_loss(one: float, two: float) -> bool:
    return _near_share(one, two)


def _near_rows(one: float, two: float) -> bool:
    return abs(one - two) < 4


def _share(title: str) -> Measure:
    return Measure(title, "share", _percent, _near_share)


def _size(title: str, unit: str = "") -> Measure:
    return Measure(title, unit, decimals, _near_size)


def _loss(title: str) -> Measure:
    return Measure(title, "nats a token", _nats, _near_loss)


def _unit(title: str) -> Measure:
    return Measure(f"{title} (0 to 1)", "0 to 1", decimals, _near_share)


MEASURES: dict[str, Measure] = {
    "steps": _size("Steps that training took", "steps"),
    "refused": Measure("Why the training loop stopped early", "", decimals, _near_size),
    "loss_first": _loss("Training loss at the first step"),
    "loss_last": _loss("Training loss, mean of the last eighth of the steps"),
    "loss_least": _loss("Lowest training loss on the way"),
    "new_loss_first": _loss("Loss on new rows before training"),
    "new_loss_last": _loss("Loss on new rows after training"),
    "new_loss_least": _loss("Lowest loss on new rows on the way"),
    "clip_rate": _share("Steps whose gradient was clipped"),
    "change": _size("Size of the weight change", "of the weights"),
    "parameters": _size("Trained parameters", "parameters"),
    "answer_tokens": _size("Tokens that carry loss, over all training rows", "tokens"),
    "end_trained": _share("Training rows whose end of turn carries loss"),
    "cut_rows": _share("Training rows cut by max_length"),
    "answer_share": _share("Part of the loss that lies on answers"),
    "same_prompt": _share("Prompts with the same tokens in training and in serving"),
    "leaked": _share("New rows with a near copy among the training rows"),
    "copied": _share("Answers that repeat eight words of a training answer"),
    "shapes": _share("Training answers outside the commonest shape"),
    "outliers": _share("Training rows still over three times the median loss"),
    "prior": Measure(
        "How much commoner the commonest answer is in training", "", _times, _near_size
    ),
    "p_end": Measure(
        "P(end): chance of the end token where the answer is over (0 to 1)",
        "0 to 1",
        decimals,
        _near_share,
    ),
    "answers": _size("New rows that were answered", "rows"),
    "ended": Measure("Answers that end by themselves", "answers", _of_answers, _near_rows),
    "score": _unit("Score on new rows"),
    "valid": _share("Answers that parse"),
    "length": _size("Tokens an answer", "tokens"),
    "same_as_base": _share("Answers equal to those of the untrained model"),
}

OTHER: dict[str, Measure] = {
    # of training runs
    "conflicts": _share("Training rows whose neighbours have another label"),
    "answer_seen": _share("Training rows that can read their answer in the row before"),
    "known_score": _unit("Score on facts that were known before"),
    "general_loss_rise": _loss("Rise of the loss on general text"),
    "old_values": _share("Answers that were right before the change"),
    "right": _share("Answers that are right today"),
    "long_answers_whole": _share("Long answers that are whole"),
    "mistakes_repeated": _share("Wrong answers that repeat an error of the training rows"),
    "wrongly_refused": _share("Questions refused that have an answer"),
    # of cards, which train nothing
    "legal_first": _unit("Own chance of a legal first token, without the grammar"),
    "legal_mean": _unit("Own chance of a legal token, mean of all places"),
    "copied_other": _share("Answers copied from another passage"),
    "in_no_passage": _share("Wrong answers that stand in no passage"),
    "recall": _share("Questions whose right passage was found"),
    "stale": _share("Answers from a passage out of force"),
    "other_rule": _share("Answers from another rule"),
    "score_kept": _share("Right answers where the rule did not change"),
    "swap_agreement": _share("Verdicts that hold when the answers swap places"),
    "says_a": _share("Verdicts for the first place"),
    "lead": _size("Lead of the verdict over the other", ""),
    "same_tokens": _share("Tokens that the trained model would choose as well"),
    "same_answers": _share("Answers equal to those of the trained model"),
    "first_valid": _share("Answers that parse at the first look"),
    "first_score": _unit("Score at the first look"),
}
"""Facts of one case: `RunFacts.other`."""

CHARTS: dict[str, Chart] = {
    "loss": Chart("Training loss", "nats a token"),
    "held": Chart("Loss on new rows", "nats a token"),
    "norm": Chart("Gradient norm", ""),
    "rate": Chart("Learning rate", ""),
    "p_end": Chart("P(end) where the answer is over", "", 1.0),
    "ended": Chart("Answers that end by themselves", "share", 1.0),
    "length": Chart("Tokens an answer", "tokens"),
    "score": Chart("Score", "0 to 1", 1.0),
    "valid": Chart("Answers that parse", "share", 1.0),
    "legal_first": Chart("Chance of a legal start", "", 1.0),
    "copied_other": Chart("From another passage", "share", 1.0),
    "stale": Chart("From an old passage", "share", 1.0),
    "swap_agreement": Chart("Verdicts that hold", "share", 1.0),
    "same_tokens": Chart("Same tokens as trained", "share", 1.0),
}

CLEAN_CAUSE = "none"
CLEAN_WORDS = "Nothing: this is a clean run."


def measure(key: str) -> Measure:
    """Return a measurement's words; a fact of one case that has none is named by its key."""
    name = key.removeprefix("other.")
    return MEASURES.get(name) or OTHER.get(name) or _size(_spaced(name))


def value_of(facts: RunFacts, key: str) -> Number:
    """Return a measurement of a run: a field of its facts, or a fact of its case."""
    name = key.removeprefix("other.")
    if name in RunFacts.model_fields:
        return getattr(facts, name)  # type: ignore[no-any-return]
    return facts.other.get(name)


def chart(key: str) -> Chart:
    """Return a chart's words; a figure of one case is named by its key."""
    name = key.removeprefix("other.")
    return CHARTS.get(name) or Chart(OTHER[name].title if name in OTHER else _spaced(name), "")


def cause(name: str) -> str:
    """Return a cause in words: the first docstring line of its file."""
    if name == CLEAN_CAUSE:
        return CLEAN_WORDS
    return catalogue("failures").get(name) or f"{_spaced(name)}."


def _spaced(key: str) -> str:
    text = key.replace("_", " ").replace(".", " ")
    return text[:1].upper() + text[1:]
