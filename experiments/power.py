"""Which estimator of a paired difference is firm more often, at the same error: real systems.

usage: power.py OUT FOLDER   FOLDER has banking77's train.jsonl and test.jsonl

Eight scikit-learn classifiers learn on 700 rows; 300 rows are dev rows, the other 1,500 are the
population: a study is n of them drawn with replacement, the truth is their mean. Every ordered pair
of two arms is judged by the rule: firm where the upper bound is at most 5 points or the rival is
beaten. An error is an upper bound below the truth, or a rival that beats and is not better. All
bounds are the product's, narrowed or widened by the estimator's standard error over the plain one.
Adjusting needs unlabelled inputs: here the whole population, the best case. Resumable by n.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
from _bank_systems import Population
from _estimators import LEVEL, MARGIN, adjusted, judged, stratified
from scipy.stats import norm

Array = np.ndarray[Any, Any]
STUDIES, SIZES = 500, (150, 250, 400)
LOOKS = {"OBF": (3.77, 2.67, 2.18, 1.89), "Pocock": (2.23,) * 4, "split": (2.38,) * 4}
"""Normal quantiles at a quarter to all of the rows; simulated: some look errs in 3.5 % of studies;
`split` is alpha over four looks."""


def estimators(people: Population, b: int, s: int, draw: Array) -> dict[str, Any]:
    """Return (firm, errs) of each estimator on studies that are rows `draw` (R, n)."""
    every, every_x = people.pair(b, s)
    diff, x = every[people.rows], every_x[people.rows]
    values, truth = diff[draw], float(diff.mean())
    near = np.digitize(people.sure[s][people.rows], np.quantile(people.sure[s], [1 / 3, 2 / 3]))
    by_sure = (3 * x[:, 0] + near).astype(int)
    _, by_label = np.unique(people.gold[people.rows], return_inverse=True)
    dev, dev_x = every[people.dev], np.c_[np.ones(300), every_x[people.dev]]
    told = np.c_[np.ones(len(x)), x] @ np.linalg.solve(
        dev_x.T @ dev_x + np.eye(dev_x.shape[1]), dev_x.T @ dev)  # fmt: skip
    strata = {"strata: agreement x base's confidence": by_sure, "strata: label": by_label % 8}
    out = {"plain": judged(values, truth)}
    for name, kind in strata.items():
        share = np.bincount(kind) / len(kind)
        out[name] = judged(values, truth, stratified(values, kind[draw], share))
    for name, column in (("5 covariates", x), ("forecast by dev rows", told[:, None])):
        for kind in ("", ", HC3"):
            found = adjusted(values, column[draw], column.mean(0), bool(kind))
            out[f"regression: {name}{kind}"] = judged(values, truth, found)
    return out


def drawn_for_clicks(people: Population, b: int, s: int, rng: Any, clicks: int) -> dict[str, Any]:
    """Return (firm, errs) by `clicks` labels of rows where arms differ, even or by forecast.

    Weights keep the mean unbiased; half of the draws by forecast are even ones, so none is rare.
    """
    diff, x = (one[people.rows] for one in people.pair(b, s))
    apart, truth = np.flatnonzero(x[:, 0]), float(diff.mean())
    dev_d, dev_x = (one[people.dev] for one in people.pair(b, s))
    some = dev_x[:, 0] > 0
    basis = np.c_[np.ones(some.sum()), dev_x[some, 1:4]]
    slope = np.linalg.solve(basis.T @ basis + np.eye(4), basis.T @ dev_d[some] ** 2)
    size = np.sqrt(np.clip(np.c_[np.ones(len(apart)), x[apart, 1:4]] @ slope, 0.05, 1))
    out, z = {}, norm.ppf(1 - LEVEL)
    even = np.full(len(apart), 1 / len(apart))
    for name, chance in (
        ("clicks: evenly", even),
        ("clicks: by forecast", (even + size / size.sum()) / 2),
    ):
        at = rng.choice(len(apart), (STUDIES, clicks), p=chance)
        values = diff[apart[at]] / chance[at] / len(diff)
        mean, error = values.mean(1), values.std(1, ddof=1) / np.sqrt(clicks)
        low, high = mean - z * error, mean + z * error
        beats = (low > 0) & (mean >= MARGIN)
        out[name] = beats | (high <= MARGIN), np.where(beats, truth <= 0, high < truth)
    return out


def looked_at(people: Population, b: int, s: int, draw: Array) -> dict[str, Any]:
    """Return (firm, errs, rows used) of looks at a quarter, half, three quarters and all rows."""
    diff = people.pair(b, s)[0][people.rows]
    values, truth, n = diff[draw], float(diff.mean()), draw.shape[1]
    out = {}
    for name, quantiles in LOOKS.items():
        firm, errs = np.zeros((2, len(draw)), bool)
        used = np.full(len(draw), n)
        for at, z in enumerate(quantiles, 1):
            rows = n * at // 4
            now, wrong = judged(values[:, :rows], truth, tail=float(norm.sf(z)))
            errs |= wrong & ~firm
            used = np.where(now & ~firm, rows, used)
            firm |= now
        out[f"looks: {name}"] = firm, errs, used
    return out


def main() -> None:
    """Measure what OUT lacks and print the table."""
    out, folder = Path(sys.argv[1]), Path(sys.argv[2])
    if not (folder / "train.jsonl").is_file():
        sys.exit(f"skipped: {folder} has no train.jsonl (the banking77 rows are needed)")
    out.mkdir(parents=True, exist_ok=True)
    kept = out / "power.json"
    told = json.loads(kept.read_text()) if kept.is_file() else {}
    people = None
    for n in SIZES:
        if str(n) not in told:
            people = people or Population(folder)
            told[str(n)] = measured(people, n)
            kept.write_text(json.dumps(told, indent=1))
    for rows, cell in told.items():
        print(rows, json.dumps(cell, indent=1))


def measured(people: Population, n: int) -> dict[str, Any]:
    """Return by way the share of firm studies and of errors, over all ordered pairs."""
    rng, found = np.random.default_rng([17, n]), defaultdict(list)
    for b, s in permutations(range(len(people.right)), 2):
        draw = rng.integers(0, len(people.right[b][people.rows]), (STUDIES, n))
        ways = estimators(people, b, s, draw) | looked_at(people, b, s, draw)
        ways |= drawn_for_clicks(people, b, s, rng, n // 3)
        truth = float(people.pair(b, s)[0][people.rows].mean())
        for name, (firm, errs, *used) in ways.items():
            rows = float(np.mean(used[0])) if used else float(n)
            found[name].append((truth, float(firm.mean()), float(errs.mean()), rows))
    return {name: _line(np.array(each)) for name, each in found.items()}


def _percent(share: Any) -> float:
    return round(100 * float(share), 1)


def _line(each: Array) -> dict[str, float]:
    near = np.abs(each[:, 0]) <= 0.08
    return {
        "firm %": _percent(each[:, 1].mean()),
        "firm % within 8 points": _percent(each[near, 1].mean()),
        "errors %": _percent(each[:, 2].mean()),
        "worst pair %": _percent(each[:, 2].max()),
        "rows": round(float(each[:, 3].mean())),
    }


if __name__ == "__main__":
    main()
