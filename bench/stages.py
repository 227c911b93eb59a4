"""How often the schedule errs: many simulated studies with the rule itself in the loop.

usage: stages.py [studies a cell] [processes]   1,000 and 2 unless said; every cell is stored when
it is done.
A study is drawn: scores of arms of known truth on the same rows, 0/1 or graded, alone or in groups;
five folds; fitted arms scatter from fold to fold. Then `measure/schedule_runner.py` takes its steps
by the shipped rule, and the shipped comparison and ladder name one. Beside it stands the fixed plan
at equal cost: every arm runs on as many folds as the same minutes pay for. In some cells the
minutes are short: a quarter of what all arms take.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Any

import _stage_worlds
import numpy as np
from _bench import RESULTS, write
from _stage_worlds import (
    ANSWERS,
    FOLDS,
    GRADED,
    GROUPED,
    HARD,
    PLAIN,
    RANDOM,
    SCORES,
    SPECS,
    SPLITS,
    WORLDS,
    Drawn,
    draw,
)  # fmt: skip
from threadpoolctl import threadpool_limits

from tuneworthy.matrix import pairs as matrix_pairs
from tuneworthy.matrix.columns import by_spec, column, group_by_place
from tuneworthy.matrix.inputs import ComparisonInputs
from tuneworthy.matrix.pairs import PairTable
from tuneworthy.measure import plan_cuts as cuts
from tuneworthy.measure import schedule_runner, step_choice
from tuneworthy.measure.plan_cuts import EXPLAIN_SHARE, MINUTES_SAFETY, looked_after, units_of
from tuneworthy.measure.schedule_runner import ScheduleRunner
from tuneworthy.records.arm import Recipe
from tuneworthy.records.evidence import Evidence, Policy
from tuneworthy.records.plan import Plan, PlannedArm
from tuneworthy.records.record import digest
from tuneworthy.records.run import Run, Spec
from tuneworthy.records.specs import trains
from tuneworthy.records.task import Task
from tuneworthy.verdict.rule import apply_rule, ladder_scenarios

MARGIN = 0.05
SHORT = 0.25  # share of the minutes of all arms that a study short of minutes has
COST = {"lora": 4.0, "rag_lora": 6.0}  # of an arm that only asks, on all folds


def main() -> None:
    """Run what is not stored yet; write bench/results/stages.json."""
    studies = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    processes = int(sys.argv[2]) if len(sys.argv) > 2 else 2
    path = RESULTS / "stages.json.part"
    told = stored(path, studies)
    rows = [(w, *one) for w in (*WORLDS, RANDOM) for one in ((150, 0.0, PLAIN), (400, 0.02, PLAIN))]
    rows += [(w, 400, 0.02, kind) for w in HARD for kind in (GROUPED, GRADED)]
    todo = [*rows, *((w, 400, 0.0, PLAIN) for w in HARD)]
    todo += [(w, 400, 0.02, kind, True) for w in (*WORLDS, RANDOM) for kind in (PLAIN, GRADED)]
    begun = time.time()
    with ProcessPoolExecutor(processes, initializer=alone) as pool:
        jobs = {
            pool.submit(cell, *one, studies=studies): one
            for one in todo
            if name(*one) not in told["cells"]
        }
        for job in as_completed(jobs):
            told["cells"][name(*jobs[job])] = job.result()
            keep(path, told)
            print(f"{time.time() - begun:7.0f} s  {name(*jobs[job])}", file=sys.stderr, flush=True)
    told["summary"] = summary(told["cells"])
    write("stages", told)
    for what, figure in told["summary"].items():
        print(f"{what}: {figure}")


def alone() -> None:
    """Keep one process to one thread."""
    threadpool_limits(1)


def name(world: str, n: int, sd: float, rows: str, short: bool = False) -> str:
    """Return the name of a cell; `short`: of minutes."""
    return f"{world} | n {n} | sd {sd} | {rows}" + " | short of minutes" * short


def cell(
    world: str, n: int, sd: float, rows: str, short: bool = False, *, studies: int
) -> dict[str, Any]:
    """Return shares over simulated studies of one world, scheduled and fixed."""
    rng = np.random.default_rng(int(digest([world, n, sd, rows], 12), 16))
    drawn = [draw(rng, world, n, sd, rows) for _ in range(studies)]
    staged = [follow(one, short) for one in drawn]
    cost = float(np.mean([one["minutes"] for one in staged]))
    folds = max(1, min(FOLDS, round(cost * FOLDS / WHOLE)))
    equal = [fixed(one, folds) for one in drawn]
    return {
        "studies": studies,
        "staged": shares(drawn, staged),
        "fixed, equal cost": {**shares(drawn, equal), "folds": folds},
        "whole cost": WHOLE,
    }


WHOLE = sum(COST.get(spec.arm, 1.0) for spec in SPECS.values())
TASK = Task(
    name="stages", data={"file": "rows.jsonl"}, success={"margin": MARGIN, "metric": "exact"}
)
POLICY = Policy(margin=MARGIN)


class Simulated(ScheduleRunner):
    """The shipped executor, with drawn scores in place of models."""

    drawn: Drawn
    _quick = None

    def _measure(self, runner: Any, part: PlannedArm, what: str, planned: float) -> list[Run]:
        del runner, what
        sizes = dict(part.units) or dict.fromkeys(part.folds)
        new = [run(self.drawn, part.spec, fold, most) for fold, most in sizes.items()]
        self._put(new)
        self.spent += planned
        return new

    def _explain(self) -> Iterator[str]:
        yield from ()  # a diagnosis names no arm

    def _run_probes(self) -> bool:
        return True

    def _leave_out(self, arm: PlannedArm, why: Any) -> None:
        del arm, why


def run(drawn: Drawn, spec: Spec, fold: int, most: int | None = None) -> Run:
    """Return one fold of an arm, or its first cases, as `measure` would."""
    at = np.flatnonzero(drawn.fold == fold)[:most]
    values = drawn.scores[at, drawn.names.index(spec.name)]
    learned = spec.arm not in ("zero_shot", "rag")
    return Run.model_construct(
        spec=spec, seed=0, fold=fold, state="measured", because=None, dev=None, learned=learned,
        answers=tuple(ANSWERS[i] for i in at), scores=tuple(SCORES[v] for v in values.tolist()),
        recipe=None, notes=(), fingerprint={}, longer=None, latency_ms=None, fit_seconds=0.0,
    )  # fmt: skip


def follow(drawn: Drawn, short: bool = False) -> dict[str, Any]:
    """Return what the scheduled study names, and what it took; `short` of minutes or not."""
    shape = shape_of(drawn)
    room = WHOLE * (SHORT if short else 1.0)
    arms = [planned_arm(spec, shape, room) for spec in SPECS.values()]
    plan = Plan.model_construct(arms=tuple(arms), across=(), read=60, staged=True, cuts=())
    folds, looked = plan.folds_by_arm, plan.looks_at
    shape = replace(shape, possible_arms=len(arms), folds=folds, looked=looked)
    runs: list[Run] = []
    done = Simulated(
        runner=BENCH, plan=plan, inputs=shape, runs=runs, recipes=[Recipe()] * FOLDS,
        minutes=room * MINUTES_SAFETY / (1 - EXPLAIN_SHARE), tell=lambda event, data: None,
    )  # fmt: skip
    done.drawn = drawn
    for _ in done.run():
        pass
    return {**named(shape, runs), **spent(runs), "minutes": done.spent}


def planned_arm(spec: Spec, shape: ComparisonInputs, room: float) -> PlannedArm:
    """Return an arm as the plan has it; an arm that only asks takes a minute on all folds."""
    cost, folds = COST.get(spec.arm, 1.0), FOLDS
    if trains(spec):
        folds = max(1, min(FOLDS, int((room - 0.2) / max(COST.values()) * FOLDS)))
        cost *= folds / FOLDS
    units = units_of(TASK, spec, folds, shape.split, cost)
    fit = (COST[spec.arm] - 1) / FOLDS if trains(spec) else 0.0
    return PlannedArm(spec=spec, folds=tuple(range(folds)), seeds=(0,), minutes=cost, units=units,
                      looked=looked_after(units, cost / WHOLE), fit_minutes=fit)  # fmt: skip


class _Bench:
    """What the executor reads of a bench."""

    task, study = TASK, "stages"

    class ledger:  # noqa: N801
        """Keeps nothing."""

        @staticmethod
        def freeze(study: str, kind: str, value: Any) -> Any:
            """Return the value."""
            del study, kind
            return value

        @staticmethod
        def frozen(study: str, kind: str) -> None:
            """Return nothing: nothing ran before."""
            del study, kind


BENCH: Any = _Bench()


def fixed(drawn: Drawn, folds: int) -> dict[str, Any]:
    """Return what a study names that runs every arm on so many folds."""
    runs = [run(drawn, spec, fold) for spec in SPECS.values() for fold in range(folds)]
    return {**named(shape_of(drawn), runs), **spent(runs), "minutes": WHOLE * folds / FOLDS}


def shape_of(drawn: Drawn) -> ComparisonInputs:
    """Return the task, split and folds that the comparison of a simulated study needs."""
    return ComparisonInputs(TASK, "stages", SPLITS[len(drawn.fold), drawn.rows])


def spent(runs: Sequence[Run]) -> dict[str, Any]:
    """Return what training cost, and which arms ran."""
    cost = sum(COST[r.spec.arm] / FOLDS for r in runs if trains(r.spec))
    return {"training": cost, "ran": {r.spec.name for r in runs}}


def named(shape: ComparisonInputs, runs: Sequence[Run]) -> dict[str, Any]:
    """Return the named arm, whether firmly, and the most that each measured arm may be better."""
    columns = [one for rs in by_spec(runs).values() if (one := column(rs))]
    seats = group_by_place(columns, shape.task)
    final = [rivals[0].spec.name for rivals in seats.values()]
    arms = {one.spec.name: one for one in columns}
    found = PairTable(shape, arms, {}).pairs(final)
    evidence = Evidence.model_construct(
        arms=tuple(result(arms[a], a in final) for a in arms), pairs=tuple(found), blocks=(),
        limited=False, trends=(), settled=(), diagnosis=None, n=len(shape.split.scored),
    )  # fmt: skip
    ruling = apply_rule(ladder_scenarios(evidence, POLICY), POLICY)
    arm = ruling.arm.name if ruling.arm else None
    highs = {pair.arm: pair.high for pair in found if pair.versus == arm}
    return {"arm": arm, "firm": ruling.status == "firm", "highs": highs}


def result(one: Any, final: bool) -> Any:
    """Return an arm as the ladder reads it."""
    from tuneworthy.records.evidence import ArmResult, Interval

    mean = float(one.values(sorted(one.cells)).mean())
    spec = one.spec
    return ArmResult(
        name=spec.name, tool=spec.tool, role="candidate", simplicity=spec.simplicity, options={},
        state="measured", score=Interval(mean=mean, low=0, high=1), finalist=final, compared=True,
        n=len(one.cells), learned=one.learned,
    )  # fmt: skip


PARTS = (
    "left broken", "a pair broken", "firm", "firm and wrong", "never run", "missed", "regret",
    "training", "minutes",
)  # fmt: skip


def shares(drawn: Sequence[Drawn], found: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return how often each promise failed, and the means of regret and training."""
    counts: dict[str, float] = dict.fromkeys(PARTS, 0.0)
    for one, said in zip(drawn, found, strict=True):
        truth = dict(zip(one.names, one.truth.tolist(), strict=True))
        own, best = truth.get(said["arm"] or "", 0.0), max(truth.values())
        left = max([0.0, *said["highs"].values()])  # what the verdict says is left on the table
        counts["left broken"] += best - own > left + 1e-9
        counts["a pair broken"] += any(truth[b] - own > high for b, high in said["highs"].items())
        counts["firm"] += said["firm"]
        counts["firm and wrong"] += said["firm"] and best - own > MARGIN + 1e-9
        ran = max(truth[a] for a in said["ran"])
        counts["never run"] += ran < best - 1e-9
        counts["missed"] += ran < best - MARGIN - 1e-9
        counts["regret"] += 100 * (best - own)
        counts["training"] += said["training"]
        counts["minutes"] += said["minutes"]
    return {what: round(total / len(drawn), 4) for what, total in counts.items()}


def summary(cells: dict[str, Any]) -> dict[str, float]:
    """Return the worst of each promise over all cells, and firmness beside the fixed plan."""

    def worst(what: str) -> float:
        return max(one["staged"][what] for one in cells.values())

    gains = [one["staged"]["firm"] - one["fixed, equal cost"]["firm"] for one in cells.values()]
    cost = [one["staged"]["minutes"] / one["whole cost"] for one in cells.values()]
    return {
        "more left on the table than said, worst cell (limit .05)": worst("left broken"),
        "a bound of some pair with the named arm broken, worst cell": worst("a pair broken"),
        "firm and wrong, worst cell (limit .05)": worst("firm and wrong"),
        "best arm, a margin better, never run, worst cell (limit .05)": worst("missed"),
        "firm, points beyond the fixed plan of equal cost, mean": round(100 * np.mean(gains), 1),
        "firm, points beyond the fixed plan of equal cost, least": round(100 * min(gains), 1),
        "minutes, share of those of all arms, mean": round(float(np.mean(cost)), 2),
    }


def stored(path: Path, studies: int) -> dict[str, Any]:
    """Return the cells that were done with this many studies of this rule."""
    import json

    told: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    fresh = {"studies": studies, "code": code(), "cells": {}}
    return told if all(told.get(key) == fresh[key] for key in ("studies", "code")) else fresh


def code() -> str:
    """Return a digest of the rule and the worlds: cells of another one don't count."""
    modules = (cuts, schedule_runner, matrix_pairs, step_choice, _stage_worlds)
    files = [Path(__file__), *(Path(str(module.__file__)) for module in modules)]
    return digest([path.read_text("utf-8") for path in files], 16)


def keep(path: Path, told: dict[str, Any]) -> None:
    """Store the cells so far."""
    import json

    part = path.with_suffix(".tmp")
    part.write_text(json.dumps(told, indent=1), "utf-8")
    part.replace(path)


if __name__ == "__main__":
    main()
