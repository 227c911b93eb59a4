"""How often a gate errs, flips and sees: over looks, against itself, beside the exact paired test.

usage: gate.py [STUDIES]   drawn answers of systems whose truth is known; 2,000 studies by default.
What is stored in bench/results/gate.json for the same number is not simulated again.

`looks`: both systems are equal (or B loses just the margin), and a gate looks 50 times. `flips`:
one system against itself, with as many answers to each row as `gate --aa` asks for. `power`: every
outcome is summed, nothing is drawn. `repeats`: what was forecast from few answers to each row.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from _bench import RESULTS, write
from ruamel.yaml import YAML

from tuneworthy.flows.study import RunOptions, run
from tuneworthy.matrix.columns import repeats_of
from tuneworthy.matrix.design import Design
from tuneworthy.matrix.sizing import tail_at_look
from tuneworthy.records.evidence import Pair
from tuneworthy.stats.betting import BettingTest
from tuneworthy.stats.distributions import binomial_chance, binomial_tail, normal_quantile
from tuneworthy.stats.graded import EXACT_BELOW, discordant_bounds
from tuneworthy.suite import write as write_task
from tuneworthy.verdict.gate_flips import flip_report
from tuneworthy.verdict.gate_rule import PASSES, GatePolicy, judge_change, outcome_of

LOOKS, TAIL, MARGIN = 50, 0.025, 0.05
MODEL_ROWS, SHOTS = 200, 120  # rows that the embedded model answers, and those it may see
ALONE = Design.independent("rows are drawn independently")
Array = Any


def main() -> None:
    """Simulate what is not stored; print and write the table and its summary."""
    studies = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    path = RESULTS / "gate.json"
    told: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    cells = told.get("cells", {}) if told.get("studies") == studies else {}
    for name, cell in all_cells(studies):
        if name not in cells:
            begun = time.perf_counter()
            cells[name] = cell()
            cells[name]["seconds"] = round(time.perf_counter() - begun, 1)
            write("gate", {"studies": studies, "cells": cells, "summary": summary(cells)})
        print(f"{name}: {cells[name]}", flush=True)
    for phrase, figure in summary(cells).items():
        print(f"{figure!s:>10}  {phrase}")


def all_cells(studies: int) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Yield (name, function that simulates it) of every cell."""
    for gain in (0.0, -MARGIN):
        for name, sizes in {"20 to 1,000": range(20, 1001, 20), "100 to 345": range(100, 346, 5),
                            "50, doubled": [50 * 2**at for at in range(6)]}.items():  # fmt: skip
            for differ in (0.1, 0.3):
                key = f"looks, rows {name}, differ {differ}, gain {gain:g}"
                yield key, lambda s=sizes, d=differ, g=gain: growing(studies, [*s], d, g)
        for alike in (0.0, 0.8):
            key = f"looks, 50 commits at 300 rows, {alike:g} of answers kept, gain {gain:g}"
            yield key, lambda a=alike, g=gain: commits(studies, 300, a, g)
        key = f"looks, 50 commits at 300 rows, a fifth anew, kept if higher, gain {gain:g}"
        yield key, lambda g=gain: commits(studies, 300, 0.8, g, climbs=True)
        key = f"looks, 1 to 20 answers to each of 150 rows, gain {gain:g}"
        yield key, lambda g=gain: more_answers(max(studies // 5, 1), 150, 20, g)
    yield "looks, 8, the next number of rows chosen to cross", lambda: chosen_rows(5 * studies, 8)
    for n in (60, 100, 200, 500, 1000):
        for differ in (0.05, 0.1, 0.2, 0.4):
            yield f"power, {n} rows, differ {differ}", lambda n=n, d=differ: power(n, d)
    for n, differ, gain in ((100, 0.2, 0.125), (200, 0.2, 0.09), (500, 0.2, 0.055)):
        key = f"sequence, {n} rows, differ {differ}, gain {gain:g}"
        yield key, lambda n=n, d=differ, g=gain: sequence(studies, n, d, g)
    for n, margin in ((150, 0.05), (300, 0.05), (600, 0.05), (600, 0.03)):
        for kind in ("sampled", "sampled, mostly sure", "judge"):
            key = f"flips, {kind}, {n} rows, margin {margin:g}"
            yield key, lambda n=n, k=kind, m=margin: flips(n, k, m)
    for margin in (0.05, 0.1):
        key = f"flips, embedded model at temperature 1, {MODEL_ROWS} rows, margin {margin:g}"
        yield key, lambda m=margin: flips(MODEL_ROWS, "embedded model", m)
    for gain in (-0.1, -0.075, -0.05, -0.025, 0.0, 0.025, 0.05):
        key = f"repeats, forecast from 3, seen at 15, 200 rows, gain {gain:g}"
        yield key, lambda g=gain: forecast(min(studies, 300), 200, 15, g)


def levels(sizes: Sequence[float]) -> list[float]:
    """Return the level of each look at growing data, as the gate has it."""
    return [
        tail_at_look(TAIL, at + 1, [(k + 1, sizes[k] / size) for k in range(at)])
        for at, size in enumerate(sizes)
    ]


def said(wins: Array, losses: Array, n: int, tail: float) -> tuple[Array, Array]:
    """Return (low, high) of 0/1 pairs with so many wins and losses (arrays), as the gate has it."""
    kinds, place = np.unique(wins * (n + 1) + losses, return_inverse=True)
    won, lost = kinds // (n + 1), kinds % (n + 1)
    low, high = map(np.asarray, discordant_bounds(won, lost, n, tail))
    few = won + lost < EXACT_BELOW  # as `Design.tested` does
    tails = [np.vectorize(binomial_tail)(k - 1, won + lost, 0.5) <= tail for k in (won, lost)]
    low = np.where(few & tails[0] & (low <= 0), 1e-6, low)
    high = np.where(few & tails[1] & (high >= 0), -1e-6, high)
    return low[place], high[place]


def growing(studies: int, sizes: list[int], differ: float, gain: float) -> dict[str, Any]:
    """Share of studies in which some look at growing rows says what is false."""
    rng = np.random.default_rng(1)
    ups, downs = (differ + gain) / 2, (differ - gain) / 2
    drawn = rng.random((studies, sizes[-1]))
    won, lost = (drawn < ups).cumsum(1), ((drawn >= ups) & (drawn < ups + downs)).cumsum(1)
    steps = zip(sizes, levels(sizes), strict=True)
    ends = [said(won[:, n - 1], lost[:, n - 1], n, level) for n, level in steps]
    return _errors(ends, gain)


def commits(
    studies: int, n: int, alike: float, gain: float, climbs: bool = False
) -> dict[str, Any]:
    """The same where each look is at a new system B; a share `alike` of its answers is kept.

    `climbs`: the next commit starts from this one only if it scored higher than the one before.
    """
    rng = np.random.default_rng(2)
    first = rng.random((studies, n)) < 0.7
    now, ends = rng.random((studies, n)) < 0.7 + gain, []
    for look in range(1, LOOKS + 1):
        fresh = rng.random((studies, n)) < 0.7 + gain
        tried = np.where(rng.random((studies, n)) < alike, now, fresh)
        better = (tried.mean(1) > now.mean(1))[:, None]
        now = np.where(better, tried, now) if climbs else tried
        wins, losses = (tried & ~first).sum(1), (first & ~tried).sum(1)
        ends.append(said(wins, losses, n, tail_at_look(TAIL, look)))
    return _errors(ends, gain)


def more_answers(studies: int, n: int, most: int, gain: float) -> dict[str, Any]:
    """The same where each look has one more answer of both systems to each row."""
    rng, found = np.random.default_rng(3), []
    parts = levels([*range(1, most + 1)])
    for _ in range(studies):
        chance = chances(rng, n, "sampled")
        other = np.clip(chance + shifts(chance, gain), 0, 1)
        diff = (rng.random((most, n)) < other).astype(float) - (rng.random((most, n)) < chance)
        means = diff.cumsum(0) / np.arange(1, most + 1)[:, None]
        found.append([bound(row, at) for row, at in zip(means, parts, strict=True)])
    table = np.array(found)
    return _errors([(table[:, at, 0], table[:, at, 1]) for at in range(most)], gain)


def chosen_rows(studies: int, looks: int) -> dict[str, Any]:
    """Share of studies of equal systems in which some look says better, for whoever picks rows.

    After each look as many rows are added, of six choices, as make the next one likeliest to cross
    its bound. The differences are normal, and known as sums: a mean of many rows.
    """
    rng, crossed, first = np.random.default_rng(6), 0, 0
    for _ in range(studies):
        rows, total = [1.0], rng.standard_normal()
        for look in range(1, looks + 1):
            seen = total / np.sqrt(rows[-1])
            if seen > normal_quantile(1 - _level_of(tuple(rows))):
                crossed, first = crossed + 1, first + (look == 1)
                break
            goal = normal_quantile(1 - tail_at_look(TAIL, look + 1))
            best = 2 * np.log(goal / max(seen, 0.3))
            factor = min((1.1, 1.25, 1.5, 2.0, 3.0, 5.0), key=lambda k, b=best: abs(np.log(k) - b))
            more = rows[-1] * (factor - 1)
            total += rng.standard_normal() * np.sqrt(more)
            rows.append(round(rows[-1] + more, 6))
    return {"some look says better": round(crossed / studies, 4),
            "the first look says better": round(first / studies, 4)}  # fmt: skip


@cache
def _level_of(rows: tuple[float, ...]) -> float:
    return tail_at_look(TAIL, len(rows), [(at + 1, n / rows[-1]) for at, n in enumerate(rows[:-1])])


def _errors(ends: Sequence[tuple[Array, Array]], gain: float) -> dict[str, Any]:
    low, high = (np.stack([pair[side] for pair in ends]) for side in (0, 1))
    told = {"some look says better": low > 0, "some look says worse": (high < 0) & (low <= -MARGIN)}
    if gain < 0:
        told = {"some look says no worse": low > -MARGIN}
    first = {name.replace("some", "the first"): seen[0] for name, seen in told.items()}
    return {name: round(float(seen.any(0).mean() if seen.ndim > 1 else seen.mean()), 4)
            for name, seen in (told | first).items()}  # fmt: skip


def chances(rng: np.random.Generator, n: int, kind: str) -> Array:
    """Return how likely each row is answered right: spread out, or mostly near 0 and 1."""
    if kind == "embedded model":
        return np.array(model_chances())
    return rng.beta(0.25, 0.12, n) if kind == "sampled, mostly sure" else rng.beta(2, 0.9, n)


@cache
def model_chances() -> tuple[float, ...]:
    """Return how likely the embedded model gives the right label at temperature 1, row by row.

    It is shown the nearest of some examples and answers with a label, so that the probabilities of
    all labels are known exactly.
    """
    with tempfile.TemporaryDirectory() as home:
        path = write_task("clause_type", Path(home))
        files = [path.parent / f"{name}.jsonl" for name in ("train", "test")]
        rows = [line for file in files for line in file.read_text("utf-8").splitlines()]
        parts = rows[:SHOTS], rows[SHOTS:][:MODEL_ROWS]
        for file, part in zip(files, parts, strict=True):
            file.write_text("\n".join(part) + "\n", "utf-8")
        task = YAML(typ="safe").load(path.read_text("utf-8"))
        task |= {"data": {"train": "train.jsonl", "test": "test.jsonl"}, "arms": ["nearest_shots"],
                 "budget": {"minutes": 100, "stages": False}}  # fmt: skip
        path.write_text(json.dumps(task), "utf-8")  # JSON is YAML
        results = run(path, RunOptions(brief=True)).results
        right = {case.id: case.output for case in results.cases}
        answers = next(r.answers for r in results.runs if r.answers and r.answers[0].labels)
        return tuple((answer.labels or {})[right[answer.case]] for answer in answers)


def shifts(chance: Array, gain: float) -> Array:
    """Return by how much each row's chance changes, so that all rows gain `gain` in the mean.

    It moves in proportion to its room: the mean of beta(2, 0.9) is .69.
    """
    room = (1 - chance) if gain > 0 else chance
    expected = 0.31 if gain > 0 else 0.69
    return np.sign(gain) * room * abs(gain) / expected


def answers(rng: np.random.Generator, chance: Array, k: int, kind: str) -> Array:
    """Return scores (rows, k): right or wrong, or a judge's fifths with noise of its own."""
    if kind != "judge":
        return (rng.random((chance.size, k)) < chance[:, None]).astype(float)
    return np.clip(np.round(5 * (chance[:, None] + rng.normal(0, 0.2, (chance.size, k)))) / 5, 0, 1)


def bound(diff: Array, tail: float = TAIL) -> tuple[float, float]:
    """Return (low, high) of differences of rows, as the gate has it."""
    found = ALONE.tested(dict(enumerate(diff.round(9).tolist())), tail)
    return found.low, found.high


@cache
def _exact_test_rejects(n: int) -> Array:
    """Return (wins, losses) -> whether the exact paired test (two-sided .05) says B is better."""
    shown = np.zeros((n + 1, n + 1), bool)
    for wins in range(n + 1):
        for losses in range(min(wins, n + 1 - wins)):
            shown[wins, losses] = binomial_tail(wins - 1, wins + losses, 0.5) <= TAIL
    return shown


def power(n: int, differ: float) -> dict[str, Any]:
    """Return the chance of *better* of the gate and of the exact paired test, summed exactly.

    At the gains where the exact test has a chance of about .2, .5, .8 and .95.
    """
    wins, losses = np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij")
    there = (wins + losses <= n) & (wins > losses)
    wins, losses = wins[there], losses[there]
    low, _ = said(wins, losses, n, TAIL)
    exact = _exact_test_rejects(n)[wins, losses]
    found, seen = {}, set[float]()
    for gain in np.arange(0.005, differ + 1e-9, 0.005):
        weight = binomial_chance(wins + losses, n, differ)
        weight = weight * binomial_chance(wins, wins + losses, (1 + gain / differ) / 2)
        other = float(weight[exact].sum())
        near = min((0.2, 0.5, 0.8, 0.95), key=lambda goal: abs(goal - other))
        if abs(near - other) < 0.06 and near not in seen:
            seen.add(near)
            ours = float(weight[low > 0].sum())
            found[f"gain {gain:.3f}"] = [round(ours, 4), round(other, 4)]
    return {"gate, exact test": found}


def sequence(studies: int, n: int, differ: float, gain: float) -> dict[str, Any]:
    """Return the chance that a confidence sequence, bet for n rows, says *better* at row n.

    Beside it that of the gate's first look, and that of a look after which it was continued once.
    """
    rng = np.random.default_rng(5)
    ups, downs = (differ + gain) / 2, (differ - gain) / 2
    drawn = rng.random((studies, n))
    values = np.where(drawn < ups, 1.0, np.where(drawn < ups + downs, -1.0, 0.0))
    bets = BettingTest(np.array([0.0]), 2 * TAIL, studies)
    for at in range(n):
        bets.see(values[:, at], n)
    alive = bets.living[:, 0]
    wins, losses = (values > 0).sum(1), (values < 0).sum(1)
    second = tail_at_look(TAIL, 2, [(1, 0.5)])
    return {"sequence": round(float((~alive & (values.mean(1) > 0)).mean()), 4),
            "first look": round(float((said(wins, losses, n, TAIL)[0] > 0).mean()), 4),
            "second look, half the rows seen before":
                round(float((said(wins, losses, n, second)[0] > 0).mean()), 4)}  # fmt: skip


def flips(n: int, kind: str, margin: float) -> dict[str, Any]:
    """Return how often two gates of one system differ, with one answer and with those asked for.

    Three systems a cell; a log of five answers to each row says how many are needed.
    """
    rng, policy = np.random.default_rng(n), GatePolicy(margin)
    asked, once, then, at_15, forecast, forecast_15 = [], [], [], [], [], []
    for _ in range(3):
        chance = chances(rng, n, kind)
        log = answers(rng, chance, 5, kind)
        report = flip_report(ALONE, dict(enumerate(log.tolist())), policy)
        asked.append(report.needed)
        once += _pairs_that_differ(rng, chance, 1, kind, margin)
        told = {rate.k: rate.flips for rate in report.rates}
        at_15 += _pairs_that_differ(rng, chance, 15, kind, margin)
        forecast_15.append(told.get(15, told[max(told)]))  # not tried: fewer were enough
        if report.needed is None:
            continue
        forecast.append(next(r.flips for r in report.rates if r.k == report.needed))
        then += _pairs_that_differ(rng, chance, report.needed, kind, margin)
    return {"answers asked for": asked, "pairs with one": len(once), "pairs": len(then),
            "flips with one": sum(once), "flips": sum(then), "flips with 15": sum(at_15),
            "forecast with 15": round(statistics.fmean(forecast_15), 4),
            "forecast": round(statistics.fmean(forecast), 4) if forecast else None}  # fmt: skip


def _pairs_that_differ(
    rng: np.random.Generator, chance: Array, k: int, kind: str, margin: float, pairs: int = 30
) -> list[bool]:
    found = []
    for _ in range(pairs):
        told = []
        for _ in range(2):
            sides = [answers(rng, chance, k, kind).mean(1) for _ in range(2)]
            outcome = outcome_of(*bound(sides[1] - sides[0]), margin)
            told.append("passes" if outcome in PASSES else outcome)
        found.append(told[0] != told[1])
    return found


def forecast(studies: int, n: int, k: int, gain: float) -> dict[str, Any]:
    """Return how often a gate with k answers is settled, and how often a pilot of 3 said it is.

    The standard error at k answers that three forecast is set beside the one that is seen.
    """
    rng, policy = np.random.default_rng(4), GatePolicy(MARGIN)
    told: dict[str, int] = {}
    forecast_se, seen, asked, came = [], [], 0, 0
    for _ in range(studies):
        chance = chances(rng, n, "sampled")
        other = np.clip(chance + shifts(chance, gain), 0, 1)
        draws = [answers(rng, one, max(k, 100), "sampled") for one in (chance, other)]
        pilot = _pair(draws, 3)
        assert pilot.repeats is not None
        share = pilot.repeats.share
        forecast_se.append(pilot.standard_error * (1 - share + share * 3 / k) ** 0.5)
        now = _pair(draws, k)
        seen.append(now.mean)
        outcome = outcome_of(now.low, now.high, MARGIN)
        told[outcome] = told.get(outcome, 0) + 1
        first = judge_change(pilot, policy, tail_at_look(TAIL, 2))
        if first.repeats is not None:
            asked += 1
            parts = [(1, 3 / first.repeats)]
            last = _pair(draws, first.repeats, tail_at_look(TAIL, 2, parts))
            came += outcome_of(last.low, last.high, MARGIN) != "cannot say"
    return {"outcomes": {name: round(count / studies, 4) for name, count in sorted(told.items())},
            "standard error, forecast": round(statistics.fmean(forecast_se), 5),
            "standard error, seen": round(statistics.stdev(seen), 5),
            "asked for more answers": asked, "settled by them": came}  # fmt: skip


def _pair(draws: Sequence[Array], k: int, tail: float = TAIL) -> Pair:
    sides = [dict(enumerate(side[:, :k].tolist())) for side in draws]
    values = (draws[1][:, :k].mean(1) - draws[0][:, :k].mean(1)).round(9)
    diffs = dict(enumerate(values.tolist()))
    found = ALONE.tested(diffs, tail)
    return Pair(arm="B", versus="A", n=found.n, mean=found.mean, low=found.low, high=found.high,
                level=tail, factor=1.0, wins=found.wins, losses=found.losses, differ=found.differ,
                repeats=repeats_of(ALONE, diffs, sides))  # fmt: skip


def summary(cells: dict[str, Any]) -> dict[str, Any]:
    """Return the worst figure of each kind, by a phrase with its goal."""
    found: dict[str, Any] = {}
    for word in ("better", "worse", "no worse"):
        key = f"some look says {word}"
        values = [cell[key] for cell in cells.values() if key in cell]
        if values:
            truth = "B loses just the margin" if word == "no worse" else "both are equal"
            found[f"{truth}, some of 50 looks says {word}, worst (goal .05)"] = max(values)
    loss = [exact - ours for cell in cells.values()
            for ours, exact in cell.get("gate, exact test", {}).values()]  # fmt: skip
    if loss:
        found["power lost beside the exact paired test, worst (goal .05)"] = round(max(loss), 4)
    pairs = [cell for cell in cells.values() if "flips" in cell]
    if pairs:
        n = sum(cell["pairs"] for cell in pairs)
        found["pairs of gates of one system with the answers asked for"] = n
        found["of them flip (goal .02)"] = round(sum(c["flips"] for c in pairs) / max(n, 1), 4)
        n = sum(cell["pairs with one"] for cell in pairs)
        for key, words in {"flips with one": "one answer", "flips with 15": "15 answers"}.items():
            found[f"flip with {words} to each row"] = round(sum(c[key] for c in pairs) / n, 4)
        forecast = statistics.fmean(cell["forecast with 15"] for cell in pairs)
        found["flip with 15 answers, as forecast from 5"] = round(forecast, 4)
    ratios = [cell["standard error, seen"] / cell["standard error, forecast"]
              for cell in cells.values() if "standard error, seen" in cell]  # fmt: skip
    if ratios:
        ends = f"{min(ratios):.2f} to {max(ratios):.2f}"
        found["standard error with more answers, seen over forecast"] = ends
        asked = sum(cell.get("asked for more answers", 0) for cell in cells.values())
        came = sum(cell.get("settled by them", 0) for cell in cells.values())
        found["settled by as many answers as asked for (forecast .8)"] = round(came / asked, 3)
    return found


if __name__ == "__main__":
    main()
