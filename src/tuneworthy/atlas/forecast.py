"""Forecast the winning tool from facts of the rows that need no model.

`bench/atlas` fits the forecast, and ships it only if it is shown, by a bound, to be better on types
of task that it has not learnt from than the winners' frequencies are. It is never a measurement.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import exp, log1p, log2
from statistics import fmean

from tuneworthy.core.counting import count_noun
from tuneworthy.core.record import Record
from tuneworthy.core.task import OutputType

COUNTS = frozenset({"rows", "answer_words"})  # facts that are never negative
TYPES: tuple[OutputType, ...] = ("label", "json", "text", "number")
FORECAST_WEIGHT = 0.9  # weight of the fitted forecast; the rest are the winners' frequencies


class Forecast(Record):
    """A multinomial logistic regression on scaled facts, mixed with the winners' frequencies.

    Fitted on `n` firm tasks of `kinds` types. By position: `facts` have `means` and `scales`,
    `tools` have `frequencies`, `offsets` and rows of `weights` (one weight a fact). `answers` is
    the number of answers from which the facts of a task are taken: the entropy of the same labels
    falls with it. Brier scores lie between 0 (best) and 2: `brier` of forecasts of types left out,
    `frequency_brier` of the frequencies alone.
    """

    n: int
    kinds: int
    answers: int
    facts: tuple[str, ...]
    means: tuple[float, ...]
    scales: tuple[float, ...]
    tools: tuple[str, ...]
    frequencies: tuple[float, ...]
    offsets: tuple[float, ...]
    weights: tuple[tuple[float, ...], ...]
    brier: float
    frequency_brier: float

    def probabilities(self, facts: Mapping[str, float]) -> dict[str, float]:
        """Return the probability of each tool to win. Raises KeyError if a fact is missing."""
        plain = [log1p(facts[name]) if name in COUNTS else facts[name] for name in self.facts]
        scaled = [
            (value - mean) / scale
            for value, mean, scale in zip(plain, self.means, self.scales, strict=True)
        ]
        levels = [
            offset + sum(weight * value for weight, value in zip(row, scaled, strict=True))
            for offset, row in zip(self.offsets, self.weights, strict=True)
        ]
        shares = [exp(level - max(levels)) for level in levels]
        return {
            tool: FORECAST_WEIGHT * share / sum(shares) + (1 - FORECAST_WEIGHT) * frequency
            for tool, share, frequency in zip(self.tools, shares, self.frequencies, strict=True)
        }

    def line(self, facts: Mapping[str, float]) -> str:
        """Return the forecast as `check` prints it."""
        ranked = sorted(self.probabilities(facts).items(), key=lambda pair: -pair[1])
        said = ", ".join(f"{tool} {100 * share:.0f} %" for tool, share in ranked if share >= 0.05)
        return (
            f"Prior, not a measurement of your rows: on {count_noun(self.n, 'measured task')} of"
            f" {self.kinds} types, rows like yours: {said} (Brier {self.brier:.2f} on types left"
            f" out; frequencies alone {self.frequency_brier:.2f})."
        )


def row_features(outputs: Sequence[str], rows: int, type_: OutputType | None) -> dict[str, float]:
    """Return, by name, facts of the right answers that need no model; {} without answers.

    `rows`, the number of rows to learn from; `label_entropy` of the answers, as a share of the most
    that so many answers can have (0: all alike, 1: all different); `answer_words`, their mean
    number of words; `type_…`, 1 for the type of the answers and 0 for the others.
    """
    if not outputs:
        return {}
    counts = Counter(output.strip() for output in outputs).values()
    bits = -sum(n / len(outputs) * log2(n / len(outputs)) for n in counts)
    forms = {f"type_{name}": float(name == type_) for name in TYPES} if type_ else {}
    return {
        "rows": float(rows),
        "label_entropy": bits / log2(len(outputs)) if len(outputs) > 1 else 0.0,
        "answer_words": fmean(len(output.split()) for output in outputs),
        **forms,
    }
