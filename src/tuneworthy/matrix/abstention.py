"""Answer only what an arm is sure of: thresholds, coverage, and how far probabilities hold. Pure.

An arm without probabilities is equally sure of every answer: it answers all rows or none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import ceil, log
from statistics import fmean
from typing import NamedTuple

import numpy as np

from tuneworthy.matrix.columns import Column
from tuneworthy.matrix.design import Mean
from tuneworthy.matrix.inputs import ComparisonInputs
from tuneworthy.records.answer import Answer, Score, Unscored
from tuneworthy.records.confidence import (
    CalibrationBin,
    Coverage,
    CurvePoint,
    PicturedConfidence,
)
from tuneworthy.records.interval import ALPHA, Interval
from tuneworthy.stats import selective
from tuneworthy.stats.look_cost import look_cost

LIMITS = (0.01, 0.02, 0.05, 0.1)  # shares of wrong answers that are asked about without a limit
_STEPS = 20  # thresholds that are tried: at every twentieth of the rows


def _sureness(column: Column) -> dict[str, float]:
    """Return {case id: the probability of its answer}; 1 each where no answer states one.

    An answer that states none beside others that do is the least sure. One that failed is left out:
    it can only be handed over.
    """
    stated = {i: answer.probability for i, (answer, _) in column.cells.items() if not answer.error}
    if all(p is None for p in stated.values()):
        return dict.fromkeys(stated, 1.0)
    return {i: p or 0.0 for i, p in stated.items()}


def _surest_parts(sure: Mapping[str, float]) -> list[tuple[float, list[str]]]:
    """Return (threshold, ids of the cases from it on) for up to 20 thresholds, the highest first.

    Cases of one probability are never parted.
    """
    order = sorted(sure, key=lambda i: (-sure[i], i))
    ends = {ceil(len(order) * step / _STEPS) for step in range(1, _STEPS + 1)}
    thresholds = sorted({sure[order[end - 1]] for end in ends}, reverse=True)
    return [(least, [i for i in order if sure[i] >= least]) for least in thresholds]


def _wrong(inputs: ComparisonInputs, column: Column, ids: Sequence[str], tail: float) -> Mean:
    """Return the share of wrong answers among these cases, with bounds at `tail` on each side."""
    lost = dict(zip(ids, (1 - column.values(ids)).tolist(), strict=True))
    return inputs.design.mean(lost, 2 * tail, column.fit(inputs.split))


def coverage(
    inputs: ComparisonInputs, column: Column, limit: float, arms: int = 1
) -> Coverage | None:
    """Return the largest share of rows that an arm is shown to answer with few enough wrong.

    The bound holds for the chosen threshold, and for all of `arms` compared arms together. None if
    no threshold is shown to keep the limit.
    """
    parts = _surest_parts(_sureness(column))
    error = ALPHA / look_cost(inputs.looks) / arms  # exact bounds: no reserve
    tail = selective.scan_tail(tuple(len(ids) for _, ids in parts), limit, error)
    for threshold, ids in reversed(parts):
        wrong = _wrong(inputs, column, ids, tail)
        if wrong.high <= limit:
            given = set(ids)
            share = inputs.design.mean({i: i in given for i in sorted(column.cells)}, ALPHA)
            return Coverage(limit=limit, threshold=round(threshold, 9), answered=len(ids),
                            n=len(column.cells), coverage=share.interval,
                            wrong=wrong.interval)  # fmt: skip
    return None


def least_rows(limit: float, error: float = ALPHA) -> int:
    """Return how many sure rows without a single error are needed to show a limit at all."""
    return ceil(log(error) / log(1 - limit))


class SureAnswers(NamedTuple):
    """What an arm may answer: what is shown (None: nothing), and what it may be in more rows.

    `possible` is the largest share of rows among whose answers few enough were wrong so far.
    """

    shown: Coverage | None
    possible: float


def answering_only_sure(
    inputs: ComparisonInputs, columns: Mapping[str, Column], limit: float
) -> tuple[dict[str, Column], dict[str, SureAnswers]]:
    """Return (columns whose score is 1 for a row that is answered and 0 for one handed over, why).

    Every arm answers as much as is shown to have at most `limit` wrong.
    """
    arms = max(1, sum(column.spec.role == "candidate" for column in columns.values()))
    found = {
        name: SureAnswers(coverage(inputs, column, limit, arms), _possible(column, limit))
        for name, column in columns.items()
    }
    scored = {name: _scored_by_coverage(columns[name], found[name].shown) for name in columns}
    return scored, found


def _possible(column: Column, limit: float) -> float:
    shares = [
        len(ids) / len(column.cells)
        for _, ids in _surest_parts(_sureness(column))
        if float((1 - column.values(ids)).mean()) <= limit
    ]
    return max(shares, default=0.0)


def _scored_by_coverage(column: Column, at: Coverage | None) -> Column:
    sure = _sureness(column)
    cells: dict[str, tuple[Answer, Score | Unscored]] = {
        i: (answer, Score(value=float(at is not None and sure.get(i, -1.0) >= at.threshold)))
        for i, (answer, _) in column.cells.items()
    }
    return replace(column, cells=cells)


def confidence(
    inputs: ComparisonInputs, column: Column, gold: Mapping[str, str], limits: Sequence[float]
) -> PicturedConfidence | None:
    """Return how far an arm's probabilities hold; None if no answer states one.

    `gold` has the right label of each case, for the temperature.
    """
    stated = {i: p for i, (a, _) in column.cells.items() if (p := a.probability) is not None}
    if not stated:
        return None
    ids = sorted(stated)
    bins = _bins(inputs, column, ids, stated)
    squares = {i: (stated[i] - value) ** 2 for i, value in column.part(ids).scores.items()}
    scaled = _scaled(column, gold)
    return PicturedConfidence(
        n=len(ids),
        brier=inputs.design.mean(squares, ALPHA, column.fit(inputs.split)).interval,
        error=_calibration_error(bins),
        temperature=scaled and round(scaled[0], 4),
        error_scaled=scaled and round(scaled[1], 6),
        bins=bins,
        curve=tuple(_curve(inputs, column)),
        at=tuple(at for one in limits if (at := coverage(inputs, column, one))),
    )


def _bins(
    inputs: ComparisonInputs, column: Column, ids: Sequence[str], stated: Mapping[str, float]
) -> tuple[CalibrationBin, ...]:
    """Return bins by stated probability; the bounds of all hold together at 95 %.

    They speak of the fits that were measured: how far another fit would differ is left out.
    """
    of, out = selective.bin_numbers([stated[i] for i in ids]), []
    for number in range(of.max() + 1):
        own = [i for i, at in zip(ids, of.tolist(), strict=True) if at == number]
        scores = column.part(own).scores
        share = inputs.design.mean(scores, ALPHA / (of.max() + 1))
        p = fmean(stated[i] for i in own)
        out.append(CalibrationBin(stated=round(p, 9), right=round(share.mean, 9),
                                  low=round(share.low, 6), high=round(share.high, 6),
                                  n=len(own)))  # fmt: skip
    return tuple(out)


def _calibration_error(bins: Sequence[CalibrationBin]) -> Interval:
    """Return the mean over answers of |stated - right| of their bin, with bounds.

    Few answers push the plain mean upwards, as chance alone parts the two. The bounds hold where
    those of all bins do.
    """
    n = sum(one.n for one in bins)
    plain = sum(one.n * abs(one.stated - one.right) for one in bins) / n
    least = sum(one.n * max(0.0, one.low - one.stated, one.stated - one.high) for one in bins) / n
    most = sum(one.n * max(one.high - one.stated, one.stated - one.low) for one in bins) / n
    return Interval.of((plain, least, most))


def _curve(inputs: ComparisonInputs, column: Column) -> list[CurvePoint]:
    parts = _surest_parts(_sureness(column))
    tail, out = ALPHA / 2 / len(parts), []
    for threshold, ids in parts:
        wrong = _wrong(inputs, column, ids, tail)
        out.append(CurvePoint(threshold=round(threshold, 9),
                              coverage=round(len(ids) / len(column.cells), 6),
                              wrong=round(wrong.mean, 6), low=round(wrong.low, 6),
                              high=round(wrong.high, 6)))  # fmt: skip
    return out


def _scaled(column: Column, gold: Mapping[str, str]) -> tuple[float, float] | None:
    """Return (temperature, calibration error at it); None without tables or with one fold.

    Each fold's cases get the temperature that the other folds' cases ask for, so that no case
    judges itself; the temperature that is returned is that of all cases. A case whose right label
    is in no table asks for none.
    """
    tables = {i: answer.labels for i, (answer, _) in column.cells.items() if answer.labels}
    folds = {column.fold[i] for i in tables}
    if len(tables) < len(column.cells) or len(folds) < 2:
        return None
    known = [i for i in sorted(tables) if gold.get(i) in tables[i]]
    stated = dict[str, float]()
    for fold in sorted(folds):
        others = [i for i in known if column.fold[i] != fold]
        if not others:
            return None
        t = _temperature(tables, gold, others)
        for i in (i for i in tables if column.fold[i] == fold):
            row = selective.tempered(list(tables[i].values()), t)
            stated[i] = float(row.max())
    ids = sorted(stated)
    of = selective.bin_numbers([stated[i] for i in ids])
    right = np.array([max(tables[i], key=tables[i].__getitem__) == gold.get(i) for i in ids])
    off = np.bincount(of, np.array([stated[i] for i in ids]) - right)
    return _temperature(tables, gold, known), float(np.abs(off).sum() / len(ids))


def _temperature(
    tables: Mapping[str, Mapping[str, float]], gold: Mapping[str, str], ids: Sequence[str]
) -> float:
    rows = [list(tables[i].values()) for i in ids]
    return selective.temperature(rows, [list(tables[i]).index(gold[i]) for i in ids])
