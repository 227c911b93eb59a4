"""How often the verdict is firm on real systems' answers, by the rule of 0.1.0 and by today's.

usage: firmness.py FOLDER [studies]   FOLDER holds banking77's train.jsonl and test.jsonl. Eight
classifiers are trained on 400 rows; a study draws n of the other rows and some of the systems. A
firm verdict that leaves more than the margin, and a bound that breaks, are counted against the mean
over all rows. One arm a tool: what runs today and others, each of a tool of its own. One tool: what
runs today, and prompts of which 0.1.0 chose one on 40 dev rows in each of five folds.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from _bank_systems import Population

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "unit" / "stats"))

import stats_many as several
import stats_worlds as worlds

from tuneworthy.matrix import ladder
from tuneworthy.stats import bounds

MARGIN, DEV, FOLDS = 0.05, 40, 5
OLD = {2: 0.7, 3: 0.8, 4: 0.9, 5: 0.9}  # shares of alpha in 0.1.0
Array = np.ndarray[Any, Any]


def one_each(right: Array, now: bool) -> tuple[int, bool, float]:
    """Return rung, firm and points left of arms (n, A) of different tools."""
    arms = right.shape[1]
    level = bounds.level(0.05) if now else OLD.get(arms, 1.0) * 0.05 / (arms - 1)
    rung, left, firm = ladder.climb_many(*worlds.pair_bounds(right[None], level, joint=now), MARGIN)
    return int(rung[0]), bool(firm[0]), float(left[0])


def one_tool(right: Array, dev: Array) -> tuple[int, bool, float]:
    """Return what 0.1.0 said of today's system and prompts: each fold's own choice, width 1.5."""
    folds = np.arange(len(right)) % FOLDS
    chosen = [1 + int(dev[f, :, 1:].mean(0).argmax()) for f in range(FOLDS)]
    whole = np.choose(folds, [right[:, arm] for arm in chosen])
    pair = np.stack([right[:, 0], whole], 1)[None]
    rung, left, firm = ladder.climb_many(*worlds.pair_bounds(pair, bounds.level(0.05), 1.5), MARGIN)
    named = max(set(chosen), key=chosen.count) if rung[0] else 0
    return named, bool(firm[0]), float(left[0])


def together(right: Array) -> tuple[int, bool, float]:
    """Return what is said today: the best prompt on all rows, against every other arm."""
    tools = np.array([0] + [1] * (right.shape[1] - 1))
    mean, _, high = worlds.pair_bounds(right[None], bounds.level(0.05))
    three, who = several.placed(mean, high, right[None].astype(float), tools)
    rung, left, firm = ladder.climb_many(*three, MARGIN)
    return int(who[0, rung[0]]), bool(firm[0]), float(left[0])


def main() -> None:
    """Print firm, broken, firm and wrong (percent) by kind of study, arms and rows."""
    people, studies = Population(Path(sys.argv[1])), int((*sys.argv, 400)[2])
    right = np.stack(people.right, 1)
    truth, rng = right.mean(0), np.random.default_rng(7)
    print(f"systems score {np.round(np.sort(truth), 3)}; {studies} studies a line")
    for kind, arms in (("one each", 2), ("one each", 3), ("one each", 5), ("one tool", 4),
                       ("one tool", 7)):  # fmt: skip
        for n in (150, 250, 400):
            found: dict[str, list[tuple[bool, bool, bool]]] = {"0.1.0": [], "today": []}
            for _ in range(studies):
                who = rng.permutation(right.shape[1])[:arms]
                rows = rng.choice(len(right), n + FOLDS * DEV, replace=False)
                scored, dev = right[rows[:n]][:, who], right[rows[n:]][:, who]
                dev = dev.reshape(FOLDS, DEV, arms)
                said = {
                    "0.1.0": one_each(scored, False) if kind == "one each" else (
                        one_tool(scored, dev)),
                    "today": one_each(scored, True) if kind == "one each" else together(scored),
                }  # fmt: skip
                for rule, (named, firm, left) in said.items():
                    gap = truth[who].max() - truth[who[named]]
                    found[rule].append((firm, gap > left + 1e-9, firm and gap > MARGIN))
            for rule, each in found.items():
                shares = np.round(100 * np.mean(each, 0), 1).tolist()
                print(f"{kind}, {arms} arms, n {n}, {rule}: firm, broken, firm and wrong {shares}")


if __name__ == "__main__":
    main()
