"""Fit the forecast of the winning tool on cheap facts of measured tasks, cross-validated by type.

The forecast (prior) ships only if it is shown, by a bound, to be better on types of task that it
has not learnt from than the winners' frequencies are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import log
from statistics import median
from typing import Any

import numpy as np
from bench.atlas.advice_input import TOOL_CHOICES

from tuneworthy.matrix.design import Design
from tuneworthy.records.counting import count_noun
from tuneworthy.records.interval import Interval
from tuneworthy.records.measured_task import MeasuredTask
from tuneworthy.records.record import Record
from tuneworthy.report.atlas_file import COUNT_FACTS, Forecast, row_features

LEAST_KINDS = 3
NEVER = -1e9  # the offset of a tool that won no task of those that a forecast is fitted on
ROW_FACTS = tuple(row_features(["a", "b"], 2, "label"))
Array = np.ndarray[Any, Any]


class Prior(Record):
    """A fitted forecast, and whether it is shown to beat the winners' frequencies.

    `gain` is the mean difference of the Brier scores on types left out, with its 95 % interval;
    `better`: its lower bound lies above 0.
    """

    forecast: Forecast
    gain: Interval
    better: bool


def prior_of(tasks: Sequence[MeasuredTask], facts: Iterable[str] = ROW_FACTS) -> Prior | None:
    """Return the forecast from those of the named facts that every firm task has.

    None if too little is known: fewer than three types of task, one winner alone, or no common
    fact.
    """
    known = [task for task in tasks if task.status == "firm" and task.use in TOOL_CHOICES]
    names = tuple(sorted(n for n in facts if known and all(n in task.features for task in known)))
    kinds = np.array(names_by_rows(known, lambda task: task.kind))
    uses = np.array([task.use for task in known])
    if len(set(kinds)) < LEAST_KINDS or len(set(uses)) < 2 or not names:
        return None
    tools = tuple(name for name in TOOL_CHOICES if name in uses)
    won = np.array([[use == tool for tool in tools] for use in uses], float)
    fitted, plain = np.zeros_like(won), np.zeros_like(won)
    for kind in sorted(set(kinds)):
        taught = [task for task, each in zip(known, kinds, strict=True) if each != kind]
        forecast = _fit(taught, names, tools)
        for at in np.flatnonzero(kinds == kind):
            plain[at] = forecast.frequencies
            fitted[at] = list(forecast.probabilities(known[at].features).values())
    briers = [((each - won) ** 2).sum(1) for each in (fitted, plain)]
    halves = dict(enumerate(((briers[1] - briers[0]) / 2).tolist()))
    bound = Design(dict(enumerate(kinds.tolist()))).difference(halves)
    forecast = _fit(known, names, tools).model_copy(update={
        "kinds": len(set(kinds)),
        "answers": int(median(task.n for task in tasks)),
        "brier": float(briers[0].mean()),
        "frequency_brier": float(briers[1].mean()),
    })  # fmt: skip
    gain = Interval(mean=2 * bound.mean, low=2 * bound.low, high=2 * bound.high)
    return Prior(forecast=forecast, gain=gain, better=bound.low > 0)


def forecast_of(tasks: Sequence[MeasuredTask]) -> Forecast | None:
    """Return the forecast to ship; None unless it is shown to beat the winners' frequencies."""
    prior = prior_of(tasks)
    return prior.forecast if prior and prior.better else None


def names_by_rows(
    tasks: Sequence[MeasuredTask], name_of: Callable[[MeasuredTask], str]
) -> list[str]:
    """Return each task's name by `name_of`; tasks on the same scored rows get one name.

    A study of a cell's rows may join the atlas under another kind; it is no independent task.
    """
    first: dict[str, str] = {}
    return [first.setdefault(task.rows_hash or task.key, name_of(task)) for task in tasks]


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
    shown = prior.forecast
    scores = (
        f"On {count_noun(shown.n, 'firm task')} of {shown.kinds} types, facts of the rows forecast"
        f" the winner of types left out with a Brier score of {shown.brier:.2f}, the winners'"
        f" frequencies alone with {shown.frequency_brier:.2f}"
    )
    low, high = (f"{end:+.2f}".replace("-", "−") for end in (prior.gain.low, prior.gain.high))
    answer = "yes, `check` prints the forecast" if prior.better else "nothing is shown"
    return f"{question} {scores} (gain {low} to {high}): {answer}."


def _fact_values(facts: dict[str, float], names: Sequence[str]) -> list[float]:
    """Return a task's facts as numbers, counts on a logarithmic scale."""
    return [float(np.log1p(facts[n])) if n in COUNT_FACTS else facts[n] for n in names]


def _fit(tasks: Sequence[MeasuredTask], facts: tuple[str, ...], tools: tuple[str, ...]) -> Forecast:
    """Return the forecast that a logistic regression learns from tasks; Brier scores follow.

    A tool's frequency is its share of wins, each counted with one more win. With one winner alone
    the forecast is the frequencies.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    labels = np.array([tools.index(task.use) for task in tasks])
    wins = np.bincount(labels, minlength=len(tools)) + 1
    table = np.array([_fact_values(task.features, facts) for task in tasks])
    scaler = StandardScaler().fit(table)
    frequencies = wins / wins.sum()
    weights, offsets = np.zeros((len(tools), len(facts))), np.array([log(f) for f in frequencies])
    if len(set(labels)) > 1:
        model = LogisticRegression(max_iter=1000).fit(scaler.transform(table), labels)
        offsets[:] = NEVER
        if len(model.classes_) == 2:  # one row of weights: those of the second class
            offsets[model.classes_] = 0.0, model.intercept_[0]
            weights[model.classes_[1]] = model.coef_[0]
        else:
            offsets[model.classes_], weights[model.classes_] = model.intercept_, model.coef_
    return Forecast(
        n=len(tasks), kinds=0, answers=0, facts=facts, tools=tools,
        means=tuple(scaler.mean_.tolist()), scales=tuple(scaler.scale_.tolist()),
        frequencies=tuple(frequencies.tolist()), offsets=tuple(offsets.tolist()),
        weights=tuple(tuple(row) for row in weights.tolist()), brier=0.0, frequency_brier=0.0,
    )  # fmt: skip
