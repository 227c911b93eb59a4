"""How often the rule errs: simulated studies of known truth, judged by the bounds that ship.

usage: rates.py [studies a cell]   2,000 unless said.
       rates.py promises [cell ...]     what docs/why promises, before and after 2026-11-30, into
                                        bench/results/promises.json: all cells, or those that
                                        begin so (the others are kept).

 Every cell is stored when it is done, so that
a run that was stopped goes on; another rule, world or number of studies starts anew. A bound that
breaks, or an arm named that is needlessly complex, may happen in 83 of 2,000 (224 of 5,000): then
5 % is shown, one-sided.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "unit" / "stats"))

import numpy as np
import stats_coverage as coverage
import stats_folded as folded
import stats_graded as graded
import stats_groups as groups
import stats_looks as tweaks
import stats_lossy as lossy
import stats_many as several
import stats_promises as promises
import stats_worlds as worlds
from _bench import RESULTS, write
from threadpoolctl import threadpool_limits

from tuneworthy.matrix import ladder
from tuneworthy.records.record import digest
from tuneworthy.stats import betting, bounds, clusters, many, unseen
from tuneworthy.stats import graded as discordant
from tuneworthy.stats import graded as scores_between

WORLDS = Path(worlds.__file__).parent
RULE = (betting, bounds, clusters, discordant, ladder, many, scores_between, unseen)
STUDIES, ALLOWED = 2000, 0.05
ROWS = (75, 150, 250, 450, 1500)
SPREADS = {"near": worlds.NEAR, "far": worlds.FAR}
Job = tuple[Callable[..., Any], dict[str, Any]]
FIVE_FOLDS = 1.5


def plus(arms: int, gain: float, floor: float = 0.8) -> tuple[float, ...]:
    """Return arms at `floor`, the last `gain` above them."""
    return (floor,) * (arms - 1) + (floor + gain,)


TRUTHS: dict[str, Any] = {
    **{f"equal, {arms} arms": (0.8,) * arms for arms in range(2, 9)},
    "equal at .95, 3 arms": (0.95,) * 3,
    "equal at .5, 3 arms": (0.5,) * 3,
    **{f"last just inside the margin, {arms} arms": plus(arms, 0.049) for arms in (2, 5)},
    **{f"tuning +5, {arms} arms": plus(arms, 0.05, 0.7) for arms in (2, 3, 5)},
    "tuning +15, 2 arms": plus(2, 0.15, 0.7),
    "tuning +15, 5 arms": plus(5, 0.15, 0.7),
    "near the ceiling": (0.96, 0.97, 0.97, 0.98, 0.985),
    "simplest just more than the margin below": (0.70, 0.751, 0.751, 0.751),
    "rising by 2 points": (0.70, 0.72, 0.74, 0.76, 0.78, 0.80),
    "random": worlds.TRUTHS["random"],
}
UNEQUAL = {"equal, 5 arms, unlike": (0.8,) * 5, "tuning +5, 5 arms, unlike": plus(5, 0.05, 0.7)}
UNLIKE = (0.95, 0.9, 0.6, 0.3, 0.0)  # how much of each arm's luck is the case's
MARGINS = (0.0, 0.02, 0.05, 0.10, 0.20)
GRADED: dict[str, tuple[float, ...]] = {
    "equal, 2 arms": (0.8,) * 2,
    "equal, 5 arms": (0.8,) * 5,
    "last just inside the margin, 3 arms": plus(3, 0.049),
    "tuning +15, 5 arms": plus(5, 0.15, 0.7),
}
RETRAINED: dict[str, tuple[float, ...]] = {
    "equal, 2 arms": (0.8,) * 2,
    "equal, 5 arms": (0.8,) * 5,
    "last just inside the margin, 3 arms": plus(3, 0.049),
    "tuning +15, 5 arms": plus(5, 0.15, 0.7),
}


def table_13(studies: int, truth: str, rho: float, n: int) -> Iterator[tuple[str, Any]]:
    """Return a column of the published table: at its level, as shipped, and with five folds."""
    own, folds = bounds.level(0.05), worlds.last_fitted(5, FIVE_FOLDS)
    rules = {
        f"margin {margin:.2f}, {name}": (margin, *how)
        for margin in (0.05, 0.10)
        for name, how in (
            ("level .05/4", (0.05 / 4, 1.0, False)), ("shipped", (own, 1.0)),
            ("shipped, f 1.5", (own, folds)),
        )
    }  # fmt: skip
    yield from worlds.ladder_cells(
        seeded("13", truth, rho, n), studies, n, worlds.TRUTHS[truth], rho, rules
    ).items()


def honest(studies: int, truth: str, rho: Any, n: int) -> Iterator[tuple[str, Any]]:
    """Return a world at every margin of the strip, as shipped."""
    q = {**TRUTHS, **UNEQUAL}[truth]
    rules = {f"margin {margin:.2f}": (margin, bounds.level(0.05), 1.0) for margin in MARGINS}
    rng = seeded("honest", truth, rho, n)
    yield from worlds.ladder_cells(rng, studies, n, q, rho, rules).items()


def graded_scores(
    studies: int, family: str, truth: str, rho: float, n: int
) -> Iterator[tuple[str, Any]]:
    """Return a world of scores between 0 and 1, as shipped."""
    q = GRADED[truth]
    rules = {f"margin {m:.2f}": (m, bounds.level(0.05)) for m in (0.0, 0.05)}
    rng = seeded("graded", family, truth, rho, n)
    yield from graded.cells(rng, studies, n, q, rho, family, rules).items()


def retrained(studies: int, truth: str, k: int, sd: float, n: int) -> Iterator[tuple[str, Any]]:
    """Return a world whose last arm scatters from one training to the next; two seeds."""
    for name, rho in SPREADS.items():
        rng = seeded("retrained", truth, k, sd, n, rho)
        yield name, folded.cell(rng, studies, n, RETRAINED[truth], rho, k=k, sd=sd)


def looks(studies: int, rho: float, n: int) -> Iterator[tuple[str, Any]]:
    """Return ten studies on the same cases."""
    yield "", worlds.ten_looks(seeded("looks", rho, n), studies, n, rho)


def tweaked(studies: int, rho: float, n: int) -> Iterator[tuple[str, Any]]:
    """Return ten and twenty looks of changed arms, a share of the rows locked, and a true gain."""
    yield from tweaks.cells(seeded("tweaks", rho, n), studies, n, rho)


def grouped(studies: int, world: str) -> Iterator[tuple[str, Any]]:
    """Return two arms on rows that come in groups."""
    yield "", groups.cell(seeded("groups", world), studies, world)


def own_grouped(studies: int, world: str) -> Iterator[tuple[str, Any]]:
    """Return an arm's own interval on rows that come in groups."""
    yield "", groups.own(seeded("own groups", world), studies, world)


def rare_losses(studies: int, world: str) -> Iterator[tuple[str, Any]]:
    """Return two arms of which one fails totally in few rows."""
    yield "", lossy.cell(seeded("losses", world), studies, world)


def own_rare(studies: int, n: int, fails: float) -> Iterator[tuple[str, Any]]:
    """Return the own interval of an arm that fails totally in few rows."""
    yield "", lossy.own(seeded("own losses", n, fails), studies, n, fails)


def one_tool(studies: int, truth: str, rho: float, n: int) -> Iterator[tuple[str, Any]]:
    """Return what runs today and several recorded arms of one tool, all of them compared."""
    rng = seeded("one tool", truth, rho, n)
    yield "", several.cell(rng, studies, n, several.ONE[truth], rho)


def one_tool_graded(studies: int, family: str, arms: int, n: int) -> Iterator[tuple[str, Any]]:
    """Return several recorded arms of one tool with scores between 0 and 1."""
    rng, truth = seeded("one tool graded", family, arms, n), several.one_tool(arms)
    yield "", several.graded_cell(rng, studies, n, truth, worlds.FAR, family)


def one_tool_grouped(studies: int, world: str) -> Iterator[tuple[str, Any]]:
    """Return several recorded arms of one tool on rows that come in groups."""
    rng = seeded("one tool grouped", world)
    yield "", several.grouped_cell(rng, studies, *several.GROUPED[world])


def one_tool_fitted(studies: int, arms: int, sd: float, n: int) -> Iterator[tuple[str, Any]]:
    """Return several arms of one tool that are trained anew in each of five folds."""
    for name, gain in (("one +8", 0.08), ("all equal", 0.0)):
        rng = seeded("fitted", arms, sd, n, name)
        truth = several.one_tool(arms, gain=gain)
        yield name, several.fitted_cell(rng, studies, n, truth, worlds.FAR, sd=sd)


def covers(studies: int, kind: str, **cell: Any) -> Iterator[tuple[str, Any]]:
    """Return the coverage of an interval."""
    yield from coverage.KINDS[kind](seeded(kind, *cell.values()), studies, **cell)


def seeded(*name: Any) -> np.random.Generator:
    """Return the generator of a cell: its name is its seed."""
    return np.random.default_rng(int(digest([str(part) for part in name], 12), 16))


def jobs() -> dict[str, Job]:
    """Return all units of work by name."""
    found = few_and_many()
    for spread, rho in SPREADS.items():
        for truth in worlds.TRUTHS:
            for n in ROWS:
                found[f"13 | {truth} | {spread} | n {n}"] = table_13, {
                    "truth": truth, "rho": rho, "n": n}  # fmt: skip
        for n in (100, 250, 500):
            for truth in TRUTHS:
                found[f"honest | {truth} | {spread} | n {n}"] = honest, {
                    "truth": truth, "rho": rho, "n": n}  # fmt: skip
            found[f"looks | {spread} | n {n}"] = looks, {"rho": rho, "n": n}
        for family in graded.FAMILIES:
            for truth in GRADED:
                for n in (100, 250):
                    found[f"graded | {family} | {truth} | {spread} | n {n}"] = graded_scores, {
                        "family": family, "truth": truth, "rho": rho, "n": n}  # fmt: skip
    for n in (100, 250, 500):
        for truth in UNEQUAL:
            found[f"honest | {truth} | n {n}"] = honest, {"truth": truth, "rho": UNLIKE, "n": n}
    for truth in RETRAINED:
        for k in (1, 5):
            for sd in (0.0, 0.01, 0.02, 0.03):
                for n in (100, 250, 900):
                    found[f"retrained | {truth} | folds {k} | sd {sd} | n {n}"] = retrained, {
                        "truth": truth, "k": k, "sd": sd, "n": n}  # fmt: skip
    for kind, cell in coverage.cells():
        said = " | ".join(f"{key} {value}" for key, value in cell.items())
        found[f"coverage | {kind} | {said}"] = covers, {"kind": kind, **cell}
    return found


def few_and_many() -> dict[str, Job]:
    """Return the units on groups, rare total losses, tweaks and several arms of one tool."""
    found: dict[str, Job] = {}
    for world in groups.WORLDS:
        found[f"groups | {world}"] = grouped, {"world": world}
    for world in groups.OWN:
        found[f"own groups | {world}"] = own_grouped, {"world": world}
    for world in lossy.WORLDS:
        found[f"losses | {world}"] = rare_losses, {"world": world}
    for n in (30, 75, 150, 400):
        for fails in (0.01, 0.03, 0.07):
            found[f"own losses | fails {fails} | n {n}"] = own_rare, {"n": n, "fails": fails}
    for spread, rho in SPREADS.items():
        for n in (250, 400):
            found[f"tweaks | {spread} | n {n}"] = tweaked, {"rho": rho, "n": n}
        for truth in several.ONE:
            for n in (12, 75, 150, 250, 400):
                found[f"one tool | {truth} | {spread} | n {n}"] = one_tool, {
                    "truth": truth, "rho": rho, "n": n}  # fmt: skip
    for family in graded.FAMILIES:
        for arms, n in ((3, 75), (3, 150), (6, 150), (6, 400)):
            found[f"one tool, graded | {family} | {arms} prompts | n {n}"] = one_tool_graded, {
                "family": family, "arms": arms, "n": n}  # fmt: skip
    for world in several.GROUPED:
        found[f"one tool, groups | {world}"] = one_tool_grouped, {"world": world}
    for arms in (2, 3, 6, 12):
        for sd in (0.0, 0.02, 0.03):
            for n in (100, 400):
                found[f"one tool, five folds | {arms} fitted | sd {sd} | n {n}"] = (
                    one_tool_fitted, {"arms": arms, "sd": sd, "n": n})  # fmt: skip
    return found


def code() -> str:
    """Return a digest of the rule and the worlds: cells of another one don't count."""
    files = [Path(str(module.__file__)) for module in RULE] + sorted(WORLDS.glob("stats_*.py"))
    return digest([path.read_text("utf-8") for path in files], 16)


def work(name: str, studies: int) -> tuple[str, dict[str, Any], float]:
    """Run one unit and return its cells with the seconds it took."""
    make, arguments = jobs()[name]
    start = time.perf_counter()
    cells = {
        f"{name} | {part}".removesuffix(" | "): {key: round(float(v), 5) for key, v in cell.items()}
        for part, cell in make(studies, **arguments)
    }
    return name, cells, round(time.perf_counter() - start, 2)


def promised(starts: Sequence[str]) -> None:
    """Run the cells of whole promises and write bench/results/promises.json."""
    path = RESULTS / "promises.json"
    for name, (studies, make, arguments) in promises.cells().items():
        if starts and not name.startswith(tuple(starts)):
            continue
        start, found = time.perf_counter(), make(*arguments) if not studies else None
        if found is None:
            found = dict(make(seeded("promise", name), studies, *arguments))
        figures = {key: round(float(value), 5) for key, value in found.items()}
        cell = {"studies": studies, **figures, "seconds": round(time.perf_counter() - start)}
        print(name, cell, flush=True)
        told = json.loads(path.read_text("utf-8")) if path.exists() else {"cells": {}}
        told["cells"] = dict(sorted((told["cells"] | {name: cell}).items()))
        path.write_text(json.dumps(told, indent=1) + "\n", "utf-8")
    cells = json.loads(path.read_text("utf-8"))["cells"]
    figures = {
        f"{name}: {key}": value for name, cell in cells.items() for key, value in cell.items()
    }
    after = {name: value for name, value in figures.items() if "after" in name}
    write("promises", {"cells": cells, "summary": after})


def main() -> None:
    """Run what is not stored yet, print what breaks, write bench/results/rates.json."""
    studies = int(sys.argv[1]) if len(sys.argv) > 1 else STUDIES
    told = stored(studies)
    start = time.time()
    todo = [name for name in jobs() if name not in told["units"]]
    alone = partial(threadpool_limits, 1)  # two processes share two cores
    with ProcessPoolExecutor(2, initializer=alone) as pool:
        futures = [pool.submit(work, name, studies) for name in todo]
        for at, future in enumerate(as_completed(futures), 1):
            name, cells, seconds = future.result()
            told["cells"].update(cells)
            told["units"][name] = seconds
            print(f"{at}/{len(todo)} {seconds:6.1f} s  {name}", file=sys.stderr, flush=True)
            keep(told)
    told["wall_seconds"] = round(told["wall_seconds"] + time.time() - start, 1)
    told["cells"] = dict(sorted(told["cells"].items()))
    told["summary"] = summary(told["cells"], studies)
    write("rates", told)
    for what, figure in told["summary"].items():
        print(f"{what:<76} {figure}")


def stored(studies: int) -> dict[str, Any]:
    """Return what an earlier run of the same code has, or an empty start."""
    path = RESULTS / "rates.json"
    start = {"studies": studies, "code": code(), "units": {}, "cells": {}, "wall_seconds": 0.0}
    if not path.exists():
        return start
    told: dict[str, Any] = json.loads(path.read_text("utf-8"))
    same = (told["studies"], told["code"]) == (studies, start["code"])
    return {key: told[key] for key in start} if same else start


def keep(told: Mapping[str, Any]) -> None:
    """Write what is done so far, replaced whole."""
    part = RESULTS / "rates.json.part"
    part.write_text(json.dumps(told), "utf-8")
    part.replace(RESULTS / "rates.json")


def summary(cells: Mapping[str, Mapping[str, float]], studies: int) -> dict[str, str]:
    """Return the worst cell of each promise, and how many cells fail it."""
    most = worlds.at_most(ALLOWED, studies) / studies
    own = {name: cell for name, cell in cells.items() if not name.endswith("level .05/4")}
    once = {name: cell for name, cell in own.items() if not name.startswith("retrained")}
    new = ("groups", "losses", "one tool |", "one tool, graded", "one tool, groups",
           "one tool, five folds")  # fmt: skip
    out = {
        "bound broken": worst(once, "broken", most),
        **{
            f"{kind.strip(' |')}: {key}": worst(
                {name: cell for name, cell in own.items() if name.startswith(kind)}, key, most
            )
            for kind in new
            for key in ("broken", "broken below", "firm and wrong")
        },
        "own interval, groups: missed": worst(
            missed({n: c for n, c in own.items() if n.startswith("own")}, "covers two-sided"),
            "missed",
            0.0565,
        ),
        "all arms equal: needlessly complex": worst(
            {name: cell for name, cell in once.items() if "equal" in name}, "needless", most
        ),
        "firm and wrong": worst(once, "firm and wrong", most),
        "looks: the best so far is named by luck, paid": worst(own, "k-th, paid", most),
        "looks: the best so far, nothing paid": worst(own, "k-th, free", most),
        "looks: any look errs, paid (published only)": worst(own, "any, paid", most),
        "looks: locked rows unlocked once": worst(own, "unlocked once", most),
        "looked at ten times with the fixed bound: broken": worst(own, "peeked broken", most),
        "interval of the named arm missed": worst(missed(own, "covers"), "missed", 0.0565),
    }
    for kind in coverage.KINDS:
        chosen = {name: cell for name, cell in own.items() if name.startswith(f"coverage | {kind}")}
        out[f"{kind}: missed"] = worst(missed(chosen, "covers two-sided"), "missed", 0.0565)
    for k, sd in ((k, sd) for k in (1, 5) for sd in (0.0, 0.01, 0.02, 0.03)):
        chosen = {name: c for name, c in own.items() if f"folds {k} | sd {sd} " in name}
        out[f"retrained, sd {sd}, folds {k}: bound broken"] = worst(chosen, "broken", most)
    for name, cell in own.items():
        if name.startswith("13 | +15") and "n 250 | margin 0.05" in name:
            out[f"firm and right: {name}"] = f"{cell['firm and best']:.4f}"
        if name.startswith("retrained | tuning +15") and "n 250" in name:
            out[f"firm: {name}"] = f"{cell['firm']:.4f}"
    return {what: figure for what, figure in out.items() if figure}


def missed(cells: Mapping[str, Mapping[str, float]], key: str) -> dict[str, dict[str, float]]:
    """Return the share of intervals that missed, by cell."""
    return {name: {"missed": 1 - cell[key]} for name, cell in cells.items() if key in cell}


def worst(cells: Mapping[str, Mapping[str, float]], key: str, most: float) -> str:
    """Return the cell with the largest figure, and how many lie above `most`; "" for none."""
    found = {name: cell[key] for name, cell in cells.items() if key in cell}
    if not found:
        return ""
    name = max(found, key=lambda n: found[n])
    over = sum(value > most for value in found.values())
    return f"{found[name]:.4f} at {name}; {over} of {len(found)} cells above {most:.4f}"


if __name__ == "__main__":
    if sys.argv[1:2] == ["promises"]:
        promised(sys.argv[2:])
    else:
        main()
