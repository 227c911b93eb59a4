"""How often the drift of inputs is a false alarm, and how often a planted shift is found, by n.

usage: drift.py [repetitions a cell]   100 unless said, three times as many without a shift. The
study's rows and the log's are drawn anew for each repetition from public sets (../shared/data); in
a share of the log the rows come from a part that the study did not see: other intents, another set,
or cut inputs. Every cell is stored when it is done, so that a run that was stopped goes on. An
alarm is a p-value of at most .05, and of at most the level that `check --live` uses.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from _bench import RESULTS, write
from threadpoolctl import threadpool_limits

from tuneworthy.handover import conclusion, live_inputs
from tuneworthy.handover import live_inputs as text_classifier
from tuneworthy.handover.live_inputs import GroupedInputs, compare_inputs
from tuneworthy.matrix import two_samples
from tuneworthy.records.record import digest

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
STUDY, SIZES = 300, (50, 100, 200, 400)
SHARES = (0.5, 0.25, 0.1, 0.0)
RULE = (two_samples, live_inputs, text_classifier)
Draw = Callable[[np.random.Generator, int, int, float], tuple[GroupedInputs, GroupedInputs]]


def rows(name: str) -> list[dict[str, Any]]:
    """Return the rows of a public set, train and test together."""
    found = []
    for part in ("train", "test"):
        text = (SHARED / name / f"{part}.jsonl").read_text("utf-8")
        found += [json.loads(line) for line in text.splitlines()]
    return found


def mixed(usual: list[str], other: list[str]) -> Draw:
    """Return a draw of a study from `usual`, and of a log in which a share comes from `other`."""

    def draw(
        rng: np.random.Generator, n: int, m: int, share: float
    ) -> tuple[GroupedInputs, GroupedInputs]:
        strange = rng.binomial(m, share)
        picked = rng.choice(len(usual), n + m - strange, replace=False)
        more = rng.choice(len(other), strange, replace=False)
        texts = [usual[at] for at in picked]
        log = texts[n:] + [other[at] for at in more]
        return GroupedInputs(texts[:n], [None] * n), GroupedInputs(log, [None] * m, range(1, m + 1))

    return draw


def conversations(usual: list[str], size: int = 5) -> Draw:
    """Return a draw of rows in groups of five near-copies, on both sides."""

    def group(rng: np.random.Generator, text: str) -> list[str]:
        words = text.split()
        return [" ".join(w for w in words if rng.random() > 0.2) or text for _ in range(size)]

    def draw(
        rng: np.random.Generator, n: int, m: int, share: float
    ) -> tuple[GroupedInputs, GroupedInputs]:
        del share
        picked = rng.choice(len(usual), (n + m) // size, replace=False)
        texts = [text for at in picked for text in group(rng, usual[at])]
        names = [f"g{at}" for at in picked for _ in range(size)]
        return (GroupedInputs(texts[:n], names[:n]),
                GroupedInputs(texts[n:], names[n:], range(1, m + 1)))  # fmt: skip

    return draw


def worlds() -> dict[str, Draw]:
    """Return the worlds by name."""
    bank, snips = rows("banking77"), rows("snips_json")
    intents = sorted({row["output"] for row in bank})
    seen, unseen = set(intents[::2]), set(intents[1::2])
    known = [row["input"] for row in bank if row["output"] in seen]
    return {
        "banking77: other intents": mixed(
            known, [row["input"] for row in bank if row["output"] in unseen]
        ),
        "banking77: only the first five words": mixed(
            known[:800], [" ".join(text.split()[:5]) for text in known[800:]]
        ),
        "banking77: snips requests": mixed(known, [row["input"] for row in snips]),
    }


def cell(draw: Draw, seed: list[int], repetitions: int, n: int, share: float) -> dict[str, Any]:
    """Return the shares of repetitions with an alarm, and means of what is shown beside it."""
    rng, found = np.random.default_rng(seed), []
    for _ in range(repetitions):
        study, log = draw(rng, STUDY, n, share)
        result = compare_inputs(study, log, conclusion.ERROR_SHARES["inputs"])
        assert result.drift is not None and result.unlike is not None  # noqa: PT018
        found.append((result.drift.p, result.drift.auc, result.drift.moved.mean,
                      result.unlike.share.share, result.unlike.expected))  # fmt: skip
    p, auc, moved, unlike, expected = np.array(found).T
    return {
        "n": repetitions,
        "alarms .05": int((p <= 0.05).sum()),
        "alarms as shipped": int((p <= conclusion.ERROR_SHARES["inputs"]).sum()),
        "auc": round(float(auc.mean()), 3),
        "moved": round(float(moved.mean()), 3),
        "unlike": round(float(unlike.mean()), 4),
        "unlike expected": round(float(expected.mean()), 4),
    }


def jobs(made: dict[str, Draw]) -> Iterator[tuple[str, Draw, list[int], int, float]]:
    """Yield every cell: its name, draw, seed, requests and share of strange ones."""
    for at, (name, draw) in enumerate(made.items()):
        for share in SHARES:
            for n in SIZES:
                yield f"{name}, n {n}, share {share}", draw, [at, n, int(100 * share)], n, share


def main() -> None:
    """Measure the cells that are not stored yet, and write the table."""
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    made = worlds()
    bank = [row["input"] for row in rows("banking77")]
    path = RESULTS / "drift.json"
    rule = digest([Path(str(module.__file__)).read_text("utf-8") for module in RULE], 12)
    told = json.loads(path.read_text("utf-8")) if path.exists() else {}
    same = told.get("rule") == rule and told.get("repetitions") == repetitions
    cells: dict[str, Any] = told.get("cells", {}) if same else {}
    every = [*jobs(made)]
    every += [(f"groups of 5, n {n}, share 0.0", conversations(bank), [9, n], n, 0.0)
              for n in (200, 400)]  # fmt: skip
    with threadpool_limits(limits=1):
        for name, draw, seed, n, share in every:
            if name in cells:
                continue
            start = time.perf_counter()
            cells[name] = cell(draw, seed, repetitions * (1 if share else 3), n, share)
            took = time.perf_counter() - start
            print(f"{name}: {cells[name]} ({took:.0f} s)", file=sys.stderr, flush=True)
            write("drift", {"rule": rule, "repetitions": repetitions, "study": STUDY,
                            "cells": cells, "summary": summary(cells, repetitions)})  # fmt: skip


def summary(cells: dict[str, Any], repetitions: int) -> dict[str, Any]:
    """Return the false-alarm rate over all cells, and the power of each shift at 200 requests."""
    none = [one["alarms .05"] for name, one in cells.items() if name.endswith("share 0.0")]
    found = {
        f"found: {name}": one["alarms as shipped"] / repetitions
        for name, one in cells.items()
        if "n 200" in name and "share 0.0" not in name
    }
    runs = 3 * repetitions * max(1, len(none))
    return {"false alarms at .05, all cells": round(sum(none) / runs, 4), **found}


if __name__ == "__main__":
    main()
