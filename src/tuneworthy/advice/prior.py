"""Forecast the winning tool from cheap facts of a task, cross-validated by type of task.

The forecast (prior) is printed only if it is shown, by a bound, to be better on types of task that
it has not learnt from than the winners' frequencies are; and never as a measurement.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tuneworthy.advice.advice_input import TOOL_CHOICES
from tuneworthy.advice.features import COUNTS
from tuneworthy.core.counting import count_noun
from tuneworthy.core.interval import Interval
from tuneworthy.core.measured_task import MeasuredTask
from tuneworthy.core.record import Record
from tuneworthy.matrix.design import Design

LEAST_KINDS = 3
FORECAST_WEIGHT = 0.9  # weight of the fitted forecast; the rest are the winners' frequencies
Array = np.ndarray[Any, Any]


class Prior(Record):
    """A forecast of the winning tool. Brier scores lie between 0 (best) and 2.

    `n` firm tasks of `kinds` types; `facts` are the features it uses. `brier` is that of forecasts
    of types left out, `frequency_brier` that of the winners' frequencies in the other types; `gain`
    is the mean difference with its 95 % interval. `better`: its lower bound lies above 0.
    """

    n: int
    kinds: int
    facts: tuple[str, ...]
    brier: float
    frequency_brier: float
    gain: Interval
    better: bool
    probabilities: dict[str, float]


def prior_of(tasks: Sequence[MeasuredTask], facts: Mapping[str, float]) -> Prior | None:
    """Return the forecast for a task with these facts; None if too little is known.

    It uses the facts that every firm task has too. Too little: fewer than three types of task, one
    winner alone, or no common fact.
    """
    known = [task for task in tasks if task.status == "firm" and task.use in TOOL_CHOICES]
    names = tuple(sorted(n for n in facts if known and all(n in task.features for task in known)))
    kinds = np.array(names_by_rows(known, lambda task: task.kind))
    uses = np.array([task.use for task in known])
    if len(set(kinds)) < LEAST_KINDS or len(set(uses)) < 2 or not names:
        return None
    tools = [name for name in TOOL_CHOICES if name in uses]
    table = np.array([_fact_values(task.features, names) for task in known])
    won = np.array([[use == tool for tool in tools] for use in uses], float)
    fitted, plain = np.zeros_like(won), np.zeros_like(won)
    for kind in sorted(set(kinds)):
        out = kinds == kind
        plain[out] = _win_frequencies(won[~out])
        fitted[out] = _forecast_shares(table[~out], won[~out], table[out])
    briers = [((each - won) ** 2).sum(1) for each in (fitted, plain)]
    halves = dict(enumerate(((briers[1] - briers[0]) / 2).tolist()))
    bound = Design(dict(enumerate(kinds.tolist()))).difference(halves)
    own = _forecast_shares(table, won, np.array([_fact_values(facts, names)]))[0]
    return Prior(
        n=len(known),
        kinds=len(set(kinds)),
        facts=names,
        brier=float(briers[0].mean()),
        frequency_brier=float(briers[1].mean()),
        gain=Interval(mean=2 * bound.mean, low=2 * bound.low, high=2 * bound.high),
        better=bound.low > 0,
        probabilities={tool: float(p) for tool, p in zip(tools, own, strict=True)},
    )


def names_by_rows(
    tasks: Sequence[MeasuredTask], name_of: Callable[[MeasuredTask], str]
) -> list[str]:
    """Return each task's name by `name_of`; tasks on the same scored rows get one name.

    A study of a cell's rows may join the atlas under another kind; it is no independent task.
    """
    first: dict[str, str] = {}
    return [first.setdefault(task.rows_hash or task.key, name_of(task)) for task in tasks]


def prior_line(prior: Prior | None) -> str:
    """Return the forecast as `check` prints it; "" unless it is shown to beat frequencies."""
    if prior is None or not prior.better:
        return ""
    tasks = f"{count_noun(prior.n, 'measured task')} of {prior.kinds} types"
    ranked = sorted(prior.probabilities.items(), key=lambda pair: -pair[1])
    said = ", ".join(f"{tool} {100 * share:.0f} %" for tool, share in ranked if share >= 0.05)
    return (
        f"Prior, not a measurement of your rows: on {tasks}, rows like yours: {said} (Brier"
        f" {prior.brier:.2f} on types left out; frequencies alone {prior.frequency_brier:.2f})."
    )


def predictor_line(tasks: Sequence[MeasuredTask]) -> str:
    """Return the sentence on whether facts of the rows forecast the winner of types left out."""
    firm = [task for task in tasks if task.status == "firm" and task.use in TOOL_CHOICES]
    prior = prior_of(tasks, firm[0].features) if firm else None
    question = "Does anything cheap predict the winner?"
    if prior is None:
        return (
            f"{question} Nothing is shown yet on {count_noun(len(tasks), 'measured task')},"
            f" {len(firm)} of them firm: a forecast needs firm winners of at least {LEAST_KINDS}"
            " types, and more than one tool among them."
        )
    scores = (
        f"On {count_noun(prior.n, 'firm task')} of {prior.kinds} types, facts of the rows forecast"
        f" the winner of types left out with a Brier score of {prior.brier:.2f}, the winners'"
        f" frequencies alone with {prior.frequency_brier:.2f}"
    )
    low, high = (f"{end:+.2f}".replace("-", "−") for end in (prior.gain.low, prior.gain.high))
    shown = "yes, `check` prints the forecast" if prior.better else "nothing is shown"
    return f"{question} {scores} (gain {low} to {high}): {shown}."


def _fact_values(facts: Mapping[str, float], names: Sequence[str]) -> list[float]:
    """Return a task's facts as numbers, counts on a logarithmic scale."""
    return [float(np.log1p(facts[n])) if n in COUNTS else facts[n] for n in names]


def _win_frequencies(won: Array) -> Array:
    """Return the share of wins of each tool, each counted with one more win."""
    shares: Array = (won.sum(0) + 1) / (len(won) + won.shape[1])
    return shares


def _forecast_shares(table: Array, won: Array, asked: Array) -> Array:
    """Return [tasks, tools] win probabilities of `asked`, by a logistic regression on `table`."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    plain = np.tile(_win_frequencies(won), (len(asked), 1))
    labels = won.argmax(1)
    if len(set(labels)) < 2:
        return plain
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(table, labels)
    shares = np.zeros_like(plain)
    shares[:, model.classes_] = model.predict_proba(asked)
    return np.asarray(FORECAST_WEIGHT * shares + (1 - FORECAST_WEIGHT) * plain)
