"""Whole verdicts in worlds whose rows depend on each other: how often a bound breaks, how firm.

usage: worlds.py [studies a cell] [--cells START ...] [--missing]
       1,000 unless said; `--cells` runs those whose names begin so, `--missing` those that have
       fewer studies in bench/results/worlds.json; the others of that file are kept.

A study is drawn look by look, from scores to `compare` and the decision; it ends with a firm
verdict or the last look. A promise is broken in a study if it is broken at any of its looks:

    left       the best arm is better than the named one by more than `left on the table`
    high, low  the true difference of some arm and the named one lies above, below its bound: each
               alone is promised, not all of them together
    wrong      firm, and the named arm is behind the best by more than the margin
    needless   the named arm is no better than a simpler one, and it is firm or all arms are equal
    between    it is no better than a simpler one, provisional, and not all are equal: not promised
    own        the share of arms whose true score lies outside their own 95 % interval
    claims     the verdict names a bound at all (it doesn't where rows depend on neighbours)

The worlds were drawn by someone who did not write the statistics. In `equal` all arms are equal; in
`gap` the last is better by a hair more than the margin, so that calling the others enough is wrong.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

import numpy as np
from _bench import RESULTS, write
from scipy.stats import norm

from tuneworthy.explain.comparison import compare
from tuneworthy.explain.trends import with_fits_and_trends
from tuneworthy.matrix.inputs import ComparisonInputs
from tuneworthy.records.answer import Answer, Score
from tuneworthy.records.case import Case, Message
from tuneworthy.records.evidence import Evidence, Policy
from tuneworthy.records.record import digest
from tuneworthy.records.results import GridPoint
from tuneworthy.records.run import Run, Spec
from tuneworthy.records.split import Part, Split
from tuneworthy.records.task import Data, Task
from tuneworthy.verdict.decide import decide, grid

Array = np.ndarray[Any, Any]
Rng = np.random.Generator
MARGIN, STUDIES, FOLDS, CHECKED = 0.05, 1000, 5, 3
TRUTHS = {"gap": np.array([0.75, 0.75, 0.801]), "equal": np.array([0.8, 0.8, 0.8])}
LIMITS = {"left": 0.05, "needless": 0.05, "wrong": 0.025}
BROKEN = (*LIMITS, "high", "low", "between", "needless, no bound")
POLICY = Policy(margin=MARGIN)
TASK = Task(data=Data(file="rows.jsonl"), success={"metric": "exact", "margin": MARGIN})


@dataclass(frozen=True)
class Look:
    """What a study has measured at one look.

    `scores` (n, A), NaN where an arm was not asked; `truth` (A,). `groups` (n,) are the named ones.
    `fold` (n,), `learned` by arm; `spent` are arguments of `ComparisonInputs`. `answers` (n, A, k)
    are the scores of several answers to a case, whose means are its `scores`.
    """

    scores: Array
    truth: Array
    groups: Array | None = None
    fold: Array | None = None
    learned: tuple[bool, ...] = ()
    spent: Mapping[str, Any] = field(default_factory=dict)
    answers: Array | None = None


World = Callable[[Rng], Iterator[Look]]


# How rows depend on each other.


def right(rng: Rng, truth: Array, shares: Mapping[str, float], numbers: Array) -> Array:
    """Return 0/1 scores (n, A): each arm right with the chance in `truth` (A,) or (n, A).

    `shares` are parts of the luck: of the `case` for all arms, of the `cluster` for all arms, and
    of each `arm` in a cluster, by the cluster's number; the rest is the answer's own.
    """
    n, arms = numbers.size, truth.shape[-1]
    count = int(numbers.max()) + 1
    parts = {
        "case": rng.standard_normal((n, 1)),
        "cluster": rng.standard_normal((count, 1))[numbers],
        "arm": rng.standard_normal((count, arms))[numbers],
    }
    luck = np.sqrt(1 - sum(shares.values())) * rng.standard_normal((n, arms))
    for name, share in shares.items():
        luck = luck + np.sqrt(share) * parts[name]
    return np.asarray(luck < norm.ppf(truth), float)


ROWS_ALONE = {"case": 0.5}
TOGETHER = {"case": 0.2, "cluster": 0.1, "arm": 0.4}
SLIGHTLY = {"case": 0.4, "cluster": 0.05, "arm": 0.12}


def sizes_until(rng: Rng, rows: int, most: int) -> Array:
    """Return cluster numbers (rows,) of clusters with sizes 1 to `most`, log-uniformly drawn."""
    sizes: list[int] = []
    while sum(sizes) < rows:
        sizes.append(int(most ** rng.random()))
    return np.repeat(np.arange(len(sizes)), sizes)[:rows]


def independent(rng: Rng, truth: Array, n: int = 250) -> Iterator[Look]:
    """Rows that have nothing in common: what the others are held against."""
    yield Look(right(rng, truth, ROWS_ALONE, np.arange(n)), truth)


def hidden(
    rng: Rng, truth: Array, most: int = 0, turns: int = 1, shares: Mapping[str, float] = TOGETHER
) -> Iterator[Look]:
    """Clusters in time order without a key: of 10 rows, or of 1 to `most`; `turns` at a time.

    With several turns that many clusters alternate row by row, as conversations do in a log.
    """
    n = 200
    numbers = sizes_until(rng, n, most) if most else np.arange(n) // 10
    if turns > 1:
        block = np.arange(n) // (10 * turns)
        numbers = block * turns + np.arange(n) % turns
    yield Look(right(rng, truth, shares, numbers), truth)


def crossed(rng: Rng, truth: Array, n: int = 200, templates: int = 15) -> Iterator[Look]:
    """Rows name their customer, which is harmless; what they share is one of few templates."""
    customer, template = np.arange(n) // 3, rng.integers(0, templates, n)
    yield Look(right(rng, truth, TOGETHER, template), truth, groups=customer)


def crossed_in_order(rng: Rng, truth: Array, n: int = 200) -> Iterator[Look]:
    """Clusters of 10 in file order; the rows of a named customer are scattered over them."""
    rows = np.arange(n)
    yield Look(right(rng, truth, TOGETHER, rows // 10), truth, groups=rows % (n // 3))


def several_answers(
    rng: Rng, truth: Array, shares: Mapping[str, float], n: int = 150, k: int = 5
) -> Iterator[Look]:
    """Each case is answered k times; `shares` are the luck that its answers have in common."""
    drawn = right(rng, truth, shares, np.arange(n * k) // k).reshape(n, k, -1).swapaxes(1, 2)
    yield Look(drawn.mean(-1), truth, answers=drawn)


def named(rng: Rng, truth: Array, rows: int = 300, most: int = 60) -> Iterator[Look]:
    """Named groups with sizes 1 to 60."""
    numbers = sizes_until(rng, rows, most)
    yield Look(right(rng, truth, TOGETHER, numbers), truth, groups=numbers)


def size_tells(rng: Rng, groups: int = 40, most: int = 60) -> Iterator[Look]:
    """Named groups with sizes 1 to 60 of which only the large ones prefer the last arm."""
    possible = np.floor(most ** ((np.arange(200_000) + 0.5) / 200_000))
    large = possible >= 25
    more = (MARGIN + 0.001) * possible.sum() / possible[large].sum()
    sizes = np.floor(most ** rng.random(groups)).astype(int)
    numbers = np.repeat(np.arange(groups), sizes)
    chance = np.full((numbers.size, 3), 0.7)
    chance[:, 2] += more * (sizes[numbers] >= 25)
    truth = np.array([0.7, 0.7, 0.7 + MARGIN + 0.001])
    yield Look(right(rng, chance, TOGETHER, numbers), truth, groups=numbers)


def one_customer(rng: Rng, truth: Array, n: int = 240) -> Iterator[Look]:
    """A named group holds a quarter of the rows, every other row stands alone."""
    numbers = np.maximum(np.arange(n) - n // 4 + 1, 0)
    yield Look(right(rng, truth, TOGETHER, numbers), truth, groups=numbers)


def wrong_gold(rng: Rng, against: str, n: int = 250, share: float = 0.06) -> Iterator[Look]:
    """In some rows the gold label is wrong: two arms are marked down together, today's is not.

    The truth is `against` the given gold, or the true labels.
    """
    clean = np.array([0.75, 0.75, 0.801])
    scores = right(rng, clean, ROWS_ALONE, np.arange(n))
    bad = rng.random(n) < share
    scores[bad] = np.stack([rng.random(bad.sum()) < 0.5, *np.zeros((2, bad.sum()))], 1)
    marked = {"gold": np.array([0.5, 0.0, 0.0]), "labels": np.array([0.0, 1.0, 1.0])}[against]
    yield Look(scores, (1 - share) * clean + share * marked)


def total_losses(
    rng: Rng, n: int, losses: tuple[float, ...], height: float = 0.85, group: int = 1
) -> Iterator[Look]:
    """Graded scores with little scatter, and arms that fail totally in a few rows or groups."""
    numbers = np.arange(n) // group
    gone = rng.random((int(numbers.max()) + 1, len(losses)))[numbers] < np.array(losses)
    scores = np.clip(rng.normal(height, 0.03, (n, len(losses))), 0, 1)
    truth = height * (1 - np.array(losses))
    yield Look(np.where(gone, 0.0, scores), truth, groups=numbers if group > 1 else None)


# What several looks see.


def more(rng: Rng, truth: Array, learned: bool, n: int = 200, size: int = 1) -> Iterator[Look]:
    """`run --more` until firm: what runs today whole, another arm fold after fold."""
    truth = truth[[0, 2]]
    numbers = np.arange(n) // size
    fold = numbers % FOLDS
    chance = np.broadcast_to(truth, (FOLDS, 2)).copy()
    if learned:  # retrainings differ by two points
        chance[:, 1] += rng.normal(0, 0.02, FOLDS)
    alike = TOGETHER if size > 1 else ROWS_ALONE
    whole = right(rng, chance[fold], alike, numbers)
    for done in range(1, FOLDS + 1):
        scores = whole.copy()
        scores[fold >= done, 1:] = np.nan
        spent = {"folds": {"a1": FOLDS}, "looked": {"a1": tuple(range(1, done + 1))}}
        groups = numbers if size > 1 else None
        yield Look(scores, truth, groups, fold, (False, learned), spent=spent)


def rows_added(
    rng: Rng, truth: Array, kind: str = "", at: tuple[int, ...] = (80, 120, 160, 220, 300)
) -> Iterator[Look]:
    """Rows are added until firm: new ones, of the `same groups`, or of `hidden` clusters."""
    truth = truth[[0, 2]]
    n = at[-1]
    numbers = {"": np.arange(n), "same groups": np.arange(n) % 20, "hidden": np.arange(n) // 10}
    number = numbers[kind]
    whole = right(rng, truth, TOGETHER if kind else ROWS_ALONE, number)
    named = number if kind == "same groups" else None
    for look, rows in enumerate(at, 1):
        earlier = tuple((k + 1, _worth(number, at[k], rows, named)) for k in range(look - 1))
        spent = {"looks": look, "earlier": earlier}
        groups = None if named is None else named[:rows]
        yield Look(whole[:rows], truth, groups, spent=spent)


def _worth(number: Array, part: int, rows: int, named: Array | None) -> float:
    """Return how many rows an earlier look at a part counts as, as the ledger stores it."""
    share = part / rows
    if named is not None:
        squares = [sum(c**2 for c in Counter(number[:k].tolist()).values()) for k in (part, rows)]
        share = min(share, squares[0] / squares[1])
    return share * rows


def arms_added(rng: Rng, truth: Array, n: int = 250, most: int = 6) -> Iterator[Look]:
    """After each look that is not firm one more arm is measured on the same rows."""
    chances = np.r_[truth[:2], np.full(most - 1, truth[2])]
    whole = right(rng, chances, ROWS_ALONE, np.arange(n))
    for look in range(1, most + 1):
        arms = look + 1
        yield Look(whole[:, :arms], chances[:arms], spent={"looks": look})


def many_arms(rng: Rng, truth: Array, arms: int = 9) -> Iterator[Look]:
    """Eight prompts beside what runs today, in hidden clusters."""
    chances = np.r_[truth[0], np.full(arms - 2, truth[1]), truth[2]]
    yield Look(right(rng, chances, TOGETHER, np.arange(200) // 10), chances)


def cells() -> dict[str, World]:
    """Return the worlds by name."""
    found: dict[str, World] = {}
    for against in ("gold", "labels"):
        found[f"gold wrong for two arms | against the {against}"] = partial(
            wrong_gold, against=against
        )
    several = {
        "independent": independent,
        "rows added until firm": rows_added,
        "arms added until firm": arms_added,
        "more until firm, no training": partial(more, learned=False),
        "hidden clusters of 10": hidden,
        "hidden clusters of 10, slight": partial(hidden, shares=SLIGHTLY),
        "hidden clusters of 1 to 40": partial(hidden, most=40),
        "hidden clusters, ten at a time": partial(hidden, turns=10),
        "named groups of 1 to 60": named,
        "hidden templates across named groups": crossed,
        "hidden clusters of 10 across named groups": crossed_in_order,
        "five answers that agree": partial(several_answers, shares={"cluster": 0.5, "arm": 0.45}),
        "five answers that do not agree": partial(several_answers, shares={}),
        "rows added, hidden clusters": partial(rows_added, kind="hidden"),
        "rows added to the same groups": partial(rows_added, kind="same groups"),
        "more until firm, trained": partial(more, learned=True),
        "a named group of 60 among single rows": one_customer,
        "eight prompts, hidden clusters": many_arms,
        "more until firm, named groups of 5": partial(more, learned=False, size=5),
    }
    for truth, both in TRUTHS.items():
        found |= {f"{name} | {truth}": partial(make, truth=both) for name, make in several.items()}
    for truth, both in TRUTHS.items():
        found[f"independent, two arms, 60 rows | {truth}"] = partial(
            independent, truth=both[1:], n=60
        )
    found["named groups of 1 to 60, large ones differ | gap"] = size_tells
    losses = {"75 rows": (75, (0.061, 0.001), 1), "250 rows": (250, (0.071, 0.071, 0.01), 1),
              "250 rows in groups of 5": (250, (0.071, 0.071, 0.01), 5),
              "equal": (150, (0.02,) * 3, 1)}  # fmt: skip
    for name, (n, share, group) in losses.items():
        found[f"rare total losses | {name}"] = partial(total_losses, n=n, losses=share, group=group)
    return found


# From scores to a decision.


@lru_cache(maxsize=12)
def rows_of(n: int, named: bool) -> tuple[tuple[Case, ...], dict[bool, list[Answer]]]:
    """Return cases with lines of a file, and their answers by whether they are right."""
    words = np.random.default_rng(n).permutation(n * 3).reshape(n, 3)
    cases = tuple(
        Case(
            id=f"c{i:04}", where=f"rows.jsonl:{i + 1}", output="yes",
            messages=(Message(role="user", content="case " + " ".join(map(str, words[i]))),),
            group="named" if named else None,
        )
        for i in range(n)
    )  # fmt: skip
    texts = {True: "yes", False: "no"}
    answers = {key: [Answer(case=c.id, text=text) for c in cases] for key, text in texts.items()}
    return cases, answers


def split_of(look: Look, ids: list[str]) -> Split:
    """Return the folds and named groups of a look's rows."""
    folds = look.fold if look.fold is not None else np.zeros(len(ids), int)
    parts = tuple(
        Part(
            train=tuple(np.array(ids)[folds != at].tolist()) if any(look.learned) else (), dev=(),
            test=tuple(np.array(ids)[folds == at].tolist()),
        )
        for at in range(int(folds.max()) + 1)
    )  # fmt: skip
    groups: dict[str, str] = {}
    if look.groups is not None:
        first: dict[int, str] = {}
        members = Counter(look.groups.tolist())
        groups = {
            name: first.setdefault(group, name)
            for name, group in zip(ids, look.groups.tolist(), strict=True)
            if members[group] > 1
        }
    return Split(k=len(parts), parts=parts, groups=groups)


@lru_cache(maxsize=4096)
def score_of(value: float, repeats: tuple[float, ...] = ()) -> Score:
    """Return the record of a score."""
    return Score(value=value, valid=True, repeats=repeats)


def evidence_of(look: Look) -> Evidence:
    """Return the evidence of a look's recorded scores, as a study computes it."""
    n, arms = look.scores.shape
    cases, answers = rows_of(n, look.groups is not None)
    split = split_of(look, [case.id for case in cases])
    learned = look.learned or (False,) * arms
    runs = []
    for at in range(arms):
        plugin = "present" if at == 0 else "lora" if learned[at] else "answers"
        spec = Spec(name=f"a{at}", arm=plugin, simplicity=at,
                    tool="keep" if at == 0 else "tune" if at == arms - 1 else "prompt")  # fmt: skip
        for number, part in enumerate(split.parts):
            places = [int(name[1:]) for name in part.test]
            own = look.scores[places, at]
            if np.isnan(own).any():
                continue
            said = tuple(answers[bool(v > 0.5)][p] for v, p in zip(own, places, strict=True))
            drawn = [] if look.answers is None else look.answers[places, at].tolist()
            scores = tuple(map(score_of, own.round(6).tolist(), map(tuple, drawn or [()] * n)))
            runs.append(Run.model_construct(
                spec=spec, seed=0, fold=number, state="measured", because=None, answers=said,
                scores=scores, dev=None, learned=learned[at], recipe=None, fingerprint={},
                trace=None, fit_seconds=0.0, latency_ms=None, latency_concurrency=None, notes=(),
                artefact=None, longer=None,
            ))  # fmt: skip
    spent = {"possible_arms": arms, **look.spent}
    inputs = ComparisonInputs(TASK, "study", split, **spent)
    return with_fits_and_trends(inputs, cases, runs, compare(inputs, cases, runs))


def judged(look: Look, check: bool) -> dict[str, float]:
    """Return what is promised at a look and broken; `check`: as the whole verdict says it."""
    evidence = evidence_of(look)
    found = next(p for p in grid(evidence, (), POLICY) if abs(p.margin - MARGIN) < 1e-9)
    if check:
        _compare_with_verdict(evidence, found)
    truth = {f"a{at}": float(q) for at, q in enumerate(look.truth)}
    own = {arm.name: arm.score for arm in evidence.arms if arm.score}
    measured = {name: truth[name] for name in own}
    missed = [not s.low - 1e-9 <= truth[a] <= s.high + 1e-9 for a, s in own.items()]
    claims = found.arm is not None and found.left is not None
    told: dict[str, float] = {"firm": found.status == "firm", "claims": claims}
    told["own"] = float(np.mean(missed)) if claims else 0.0
    if found.arm is None:
        return {**dict.fromkeys(BROKEN, 0.0), **told}
    behind = max(measured.values()) - truth[found.arm]
    pairs = [pair for pair in evidence.pairs if pair.versus == found.arm] if claims else []
    ahead = {pair.arm: truth[pair.arm] - truth[found.arm] for pair in pairs}
    simpler = [q for a, q in measured.items() if a < found.arm and q >= truth[found.arm]]
    equal = min(measured.values()) == max(measured.values())
    needless = bool(simpler) and (equal or found.status == "firm")
    return {
        **told,
        "left": claims and behind > (found.left or 0.0) + 1e-9,
        "high": any(ahead[pair.arm] > pair.high + 1e-6 for pair in pairs),
        "low": any(ahead[pair.arm] < pair.low - 1e-6 for pair in pairs),
        "wrong": found.status == "firm" and behind > MARGIN,
        "needless": claims and needless,
        "needless, no bound": needless and not claims,
        "between": bool(simpler) and not needless,
    }


def _compare_with_verdict(evidence: Evidence, found: GridPoint) -> None:
    verdict = decide(evidence, (), POLICY)
    left = verdict.left_on_table and verdict.left_on_table.points
    said = (verdict.arm, verdict.status, left)
    if said != (found.arm, found.status, found.left):
        raise SystemExit(f"the grid says {found}, the verdict {said}")


def study(world: World, rng: Rng, check: bool) -> dict[str, float]:
    """Return what broke at any look of a study; `firm`, `own` and `claims` are of its last one."""
    broken = dict.fromkeys(BROKEN, 0.0)
    told, looks = dict[str, float](), 0
    for look in world(rng):
        told, looks = judged(look, check), looks + 1
        broken = {key: max(value, float(told[key])) for key, value in broken.items()}
        if told["firm"]:
            break
    return {**told, **broken, "looks": looks}


def cell(name: str, world: World, studies: int) -> dict[str, Any]:
    """Return the shares of a world's studies, each with its standard error."""
    start, rng = time.process_time(), np.random.default_rng(int(digest(name, 12), 16))
    drawn = [study(world, rng, number < CHECKED) for number in range(studies)]
    shares = {key: float(np.mean([one[key] for one in drawn])) for key in drawn[0]}
    errors = {key: float(np.std([one[key] for one in drawn]) / studies**0.5) for key in drawn[0]}
    return {
        "studies": studies,
        **{key: [round(shares[key], 4), round(errors[key], 4)] for key in shares},
        "seconds": round(time.process_time() - start, 1),
    }


def main() -> None:
    """Run the worlds, print a line each, write bench/results/worlds.json after each."""
    words = argparse.ArgumentParser()
    words.add_argument("studies", type=int, nargs="?", default=STUDIES)
    words.add_argument("--cells", nargs="*", default=())
    words.add_argument("--missing", action="store_true")
    chosen = words.parse_args()
    path = RESULTS / "worlds.json"
    told = json.loads(path.read_text("utf-8"))["cells"] if path.exists() else {}
    worlds = cells()
    found = {name: value for name, value in told.items() if name in worlds}
    for name, world in worlds.items():
        if chosen.cells and not name.startswith(tuple(chosen.cells)):
            continue
        if chosen.missing and told.get(name, {"studies": 0})["studies"] >= chosen.studies:
            continue
        found[name] = own = cell(name, world, chosen.studies)
        shown = (*LIMITS, "high", "low", "between", "firm", "claims")
        line = " ".join(f"{key} {100 * own[key][0]:.1f}" for key in shown)
        print(f"{name:<52} {line} looks {own['looks'][0]:.1f} {own['seconds']:.0f} s", flush=True)
        over = {
            f"{name}: {key}": own[key][0]
            for name, own in found.items()
            for key, most in LIMITS.items()
            if own[key][0] - 2 * own[key][1] > most
        }
        write("worlds", {"limits": LIMITS, "cells": found, "summary": over})


if __name__ == "__main__":
    sys.exit(main())
