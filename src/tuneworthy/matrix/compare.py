"""Read the matrix down: each arm's score, the finalists, their paired differences. Pure.

One finalist a tool, chosen fold by fold on dev cases inside the training fold, never on the scored
ones. Where folds choose different arms, the tool is compared as it was chosen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tuneworthy.core.answer import Answer, Score, Unscored
from tuneworthy.core.case import Case
from tuneworthy.core.evidence import ArmResult, Evidence, Interval, Latency, Pair, Tokens
from tuneworthy.core.record import digest
from tuneworthy.core.run import Run, Spec
from tuneworthy.core.task import Task
from tuneworthy.data.folds import Split
from tuneworthy.matrix.costs import TUNED, request_cost, with_costs
from tuneworthy.matrix.graded import graded_pair, graded_score, width
from tuneworthy.matrix.limits import limit_states
from tuneworthy.matrix.turns import in_turn, rung
from tuneworthy.stats import bounds
from tuneworthy.stats.clusters import RETRAINED, Folds
from tuneworthy.stats.race import sequential

ALPHA = 0.05
TAIL = 20  # the 95th percentile of fewer times is little more than the slowest of them
PRESENT = "present"  # the one arm the task itself names: what runs today


@dataclass(frozen=True)
class Shape:
    """What the comparison needs besides the runs: the task, its folds, groups and looks.

    `grades` are those of humans where the metric is a judge (see matrix/graded.py), else None.
    """

    task: Task
    study: str
    split: Split
    groups: Mapping[str, str]
    looks: int = 1
    blocks: tuple[str, ...] = ()
    pool: int = 0
    limited: bool = False
    grades: Mapping[tuple[str, str], float] | None = None


@dataclass(frozen=True)
class _Column:
    """One arm down the matrix: per case its answer and score (of the seed chosen in its fold)."""

    spec: Spec
    cells: dict[str, tuple[Answer, Score | Unscored]]
    fold: dict[str, int]
    learned: bool
    runs: tuple[Run, ...]

    @property
    def retrained(self) -> float:
        """Return the sd from one training to the next that is taken for granted at least."""
        return RETRAINED if self.spec.tool in TUNED else 0.0

    def values(self, ids: Sequence[str], wrong: float = 0.0) -> np.ndarray[Any, Any]:
        """Return scores in [0, 1]; a case without a score counts `wrong`."""
        scores = [self.cells[i][1] for i in ids]
        return np.array([s.value if isinstance(s, Score) else wrong for s in scores])


def compare(shape: Shape, cases: Sequence[Case], runs: Sequence[Run]) -> Evidence:
    """Return the evidence of all runs so far on the scored cases."""
    columns = {name: _column(rs) for name, rs in _by_spec(runs).items()}
    measured = {name: column for name, column in columns.items() if column is not None}
    finalists = _finalists(shape, measured)
    chosen = {name: column for name, (column, _) in finalists.items()}
    arms = [
        _result(shape, rs, measured.get(name), finalists.get(name))
        for name, rs in _by_spec(runs).items()
    ]
    references = {n: c for n, c in measured.items() if c.spec.role == "reference"}
    pairs = _pairs(shape, chosen, references)
    differ = [pair.differ / pair.n for pair in pairs if pair.n and pair.versus in chosen]
    found = Evidence(
        task=shape.task.name,
        hash=_hash(shape, cases, runs),
        n=len(cases),
        looks=shape.looks,
        alpha=ALPHA,
        arms=tuple(arms),
        pairs=tuple(pairs),
        blocks=shape.blocks,
        d=round(float(np.mean(differ)), 6) if differ else None,
        pool=shape.pool,
        limited=shape.limited,
        task_hash=shape.study,
        seconds=_seconds(runs),
        train=max((len(part.train) + len(part.dev) for part in shape.split.parts), default=0),
    )
    return with_costs(found, shape.task, runs)


def against(shape: Shape, runs: Sequence[Run], new: Sequence[Run], level: float) -> list[Pair]:
    """Return a new arm's runs so far against each finalist of a simpler tool."""
    columns = {name: _column(rs) for name, rs in _by_spec(runs).items()}
    final = _finalists(shape, {name: column for name, column in columns.items() if column})
    own = _column(new)
    assert own is not None  # only what was measured is compared
    simpler = [c for c, _ in final.values() if rung(c.spec) < rung(own.spec)]
    return [_pair(shape, own, column, level) for column in simpler]


def _by_spec(runs: Sequence[Run]) -> dict[str, list[Run]]:
    table: dict[str, list[Run]] = {}
    for run in runs:
        table.setdefault(run.spec.name, []).append(run)
    return table


def _column(runs: Sequence[Run]) -> _Column | None:
    done = [run for run in runs if run.state == "measured"]
    if not done or any(run.state in {"failed", "skipped"} for run in runs):
        return None
    cells: dict[str, tuple[Answer, Score | Unscored]] = {}
    fold: dict[str, int] = {}
    for number in sorted({run.fold or 0 for run in done}):
        best = _best_seed([run for run in done if (run.fold or 0) == number])
        for answer, score in zip(best.answers, best.scores, strict=True):
            cells[answer.case], fold[answer.case] = (answer, score), number
    learned = any(run.learned for run in done)
    return _Column(done[0].spec, cells, fold, learned, tuple(done))


def _best_seed(runs: Sequence[Run]) -> Run:
    """Return the run that would be built: best on dev; ties go to the smaller seed."""
    return min(runs, key=lambda run: (-(run.dev if run.dev is not None else 0.0), run.seed))


def seat(spec: Spec) -> tuple[str | None, bool]:
    """Return what an arm competes for a place in the comparison with: its tool.

    What runs today has a place of its own: it is there, whatever else its tool could do.
    """
    return spec.tool, spec.arm == PRESENT


def _finalists(shape: Shape, columns: Mapping[str, _Column]) -> dict[str, tuple[_Column, str]]:
    """Return {arm name: (its seat's column as chosen, how it was chosen)}, one a seat."""
    tools: dict[tuple[str | None, bool], list[_Column]] = {}
    for column in columns.values():
        if column.spec.role == "candidate" and column.spec.tool:
            tools.setdefault(seat(column.spec), []).append(column)
    found = {}
    for rivals in tools.values():
        rivals.sort(key=lambda c: (c.spec.simplicity, c.spec.name))
        if len(rivals) == 1:
            found[rivals[0].spec.name] = (rivals[0], "the only arm of its tool")
            continue
        folds = range(len(shape.split.parts))
        choice = {f: _chosen(rivals, f) for f in folds if any(f in c.fold.values() for c in rivals)}
        counts = Counter(column.spec.name for column in choice.values())
        name = max(counts, key=lambda n: (counts[n], -_place(rivals, n)))
        whole = _composed(columns[name], choice)
        text = f"best on dev in {counts[name]} of {len(choice)} folds"
        found[name] = (whole, text if len(choice) > 1 else "best on dev")
    return found


def _place(rivals: Sequence[_Column], name: str) -> int:
    return [column.spec.name for column in rivals].index(name)


def _chosen(rivals: Sequence[_Column], fold: int) -> _Column:
    """Return the arm with the best dev score in a fold; ties go to the simpler one."""

    def dev(column: _Column) -> float:
        devs = [run.dev for run in column.runs if (run.fold or 0) == fold and run.dev is not None]
        return max(devs, default=-1.0)

    there = [column for column in rivals if fold in column.fold.values()] or list(rivals)
    return min(there, key=lambda column: (-dev(column), _place(rivals, column.spec.name)))


def _composed(named: _Column, choice: Mapping[int, _Column]) -> _Column:
    cells, fold = {}, {}
    for number, column in choice.items():
        for case, own in column.fold.items():
            if own == number:
                cells[case], fold[case] = column.cells[case], number
    learned = any(column.learned for column in choice.values()) or len(choice) > 1
    return _Column(named.spec, cells, fold, learned, named.runs)


def _result(
    shape: Shape, runs: Sequence[Run], column: _Column | None, final: tuple[_Column, str] | None
) -> ArmResult:
    spec = runs[0].spec
    plain: dict[str, Any] = {
        "name": spec.name, "tool": spec.tool, "role": spec.role,
        "simplicity": spec.simplicity, "options": spec.options,
    }  # fmt: skip
    if column is None:
        bad = next((r for r in runs if r.state in {"failed", "skipped"}), runs[0])
        return ArmResult(**plain, state=bad.state, because=bad.because)
    ids = sorted(column.cells)
    seeds = sorted({run.seed for run in column.runs})
    best = Counter(_best_seed([r for r in column.runs if r.fold == f]).seed
                   for f in {r.fold for r in column.runs})  # fmt: skip
    fields, missing = _measures(shape, column, ids)
    sd = _seed_sd(column.runs)
    if sd is None:
        missing["seed_sd"] = "one seed: how much a retraining differs was not measured"
    devs = [run.dev for run in column.runs if run.dev is not None]
    stopped = next((r.because for r in runs if r.state == "stopped_early"), "")
    return ArmResult(
        **plain,
        **fields,
        state="stopped_early" if stopped else "measured",
        because=stopped or "; ".join(sorted({n for run in column.runs for n in run.notes})),
        seed=best.most_common(1)[0][0],
        seeds=len(seeds),
        n=len(ids),
        learned=column.learned,
        finalist=final is not None,
        chosen=final[1] if final else "",
        dev=round(float(np.mean(devs)), 6) if devs else None,
        seed_sd=sd,
        fit_seconds=round(sum(run.fit_seconds or 0.0 for run in column.runs), 3),
        limits=limit_states(shape.task, fields, column.runs),
        missing=missing,
        present=spec.arm == PRESENT,
    )


def _seconds(runs: Sequence[Run]) -> float:
    """Return the seconds that the units took, each measured once and stored."""
    fit = sum(run.fit_seconds or 0.0 for run in runs)
    return round(fit + sum(a.seconds or 0.0 for run in runs for a in run.answers), 3)


def _apart(one: _Column, two: _Column, ids: Sequence[str]) -> int:
    """Return on how many cases the answers differ, spaces at the ends aside."""
    return sum(one.cells[i][0].text.strip() != two.cells[i][0].text.strip() for i in ids)


def _measures(
    shape: Shape, column: _Column, ids: Sequence[str]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return score, validity, latency, tokens and cost of a column, and why what is null is so."""
    answers = [column.cells[i][0] for i in ids]
    groups = np.array([shape.groups.get(i, i) for i in ids])
    folds = np.array([column.fold[i] for i in ids])
    factor = _factor(shape, folds) if column.learned else 1.0
    fitted: dict[str, Any] = {}
    if factor > 1:
        fitted = {"factor": factor, "folds": Folds(folds, column.retrained)}
    score = _interval(bounds.mean_interval(column.values(ids), bounds.NAMED, groups, **fitted))
    if shape.grades is not None:
        said = [column.cells[i][0] for i in ids]
        score = _interval(graded_score(column.values(ids), said, shape.grades, groups))
    valid = [s.valid for s in (column.cells[i][1] for i in ids) if isinstance(s, Score)]
    known = sum(v is not None for v in valid)
    right = sum(v is True for v in valid)
    errors = sum(isinstance(column.cells[i][1], Unscored) for i in ids)
    missing: dict[str, str] = {}
    fields: dict[str, Any] = {
        "score": score,
        "score_if_right": round(float(column.values(ids, wrong=1.0).mean()), 6),
        "valid": _interval((right / known, *bounds.rate(right, known))) if known else None,
        "errors": errors,
        "latency_ms": _latency(column.runs, answers, missing),
        "tokens": _tokens(answers, missing),
        **request_cost(shape.task, answers, column.runs, missing),
    }
    if not known:
        missing["valid"] = "no answer says whether it is valid"
    return fields, missing


def _interval(three: tuple[float, float, float]) -> Interval:
    mean, low, high = (round(float(value), 6) for value in three)
    return Interval(mean=mean, low=low, high=high)


def _latency(
    runs: Sequence[Run], answers: Sequence[Answer], missing: dict[str, str]
) -> Latency | None:
    times = [ms for run in runs for ms in run.latency_ms or ()]
    if not times and not any(run.fingerprint for run in runs):
        times = [a.seconds * 1000 for a in answers if a.seconds is not None]
    if not times:
        missing["latency_ms"] = (
            "not timed one at a time: it would take long; set success.limits.p95_ms to ask for it"
        )
        return None
    p50, p95 = (round(float(value), 3) for value in np.quantile(times, [0.5, 0.95]))
    if len(times) < TAIL:
        missing["latency_ms.p95"] = (
            f"{len(times)} prompts were timed one at a time; set success.limits.p95_ms for all 30"
        )
    return Latency(p50=p50, p95=p95 if len(times) >= TAIL else None)


def _tokens(answers: Sequence[Answer], missing: dict[str, str]) -> Tokens | None:
    read = [a.tokens_in for a in answers if a.tokens_in is not None]
    written = [a.tokens_out for a in answers if a.tokens_out is not None]
    if not read or not written:
        missing["tokens"] = "the arm counts no tokens"
        return None
    return Tokens.model_validate(
        {"in": round(float(np.mean(read)), 2), "out": round(float(np.mean(written)), 2)}
    )


def _seed_sd(runs: Sequence[Run]) -> float | None:
    means = []
    for seed in sorted({run.seed for run in runs}):
        scores = [s for run in runs if run.seed == seed for s in run.scores]
        means.append(np.mean([s.value if isinstance(s, Score) else 0.0 for s in scores]))
    return round(float(np.std(means, ddof=1)), 6) if len(means) > 1 else None


def _pairs(
    shape: Shape, finalists: Mapping[str, _Column], references: Mapping[str, _Column]
) -> list[Pair]:
    level = bounds.level(ALPHA, shape.looks, max(1, len(finalists)))
    wanted = [(a, b) for a in finalists for b in finalists if a != b]
    wanted += [(a, r) for a in finalists for r in references]
    columns = {**references, **finalists}
    return [_pair(shape, columns[a], columns[b], level) for a, b in wanted]


def _pair(shape: Shape, arm: _Column, versus: _Column, level: float) -> Pair:
    ids = in_turn(set(arm.cells) & set(versus.cells), arm.fold, shape.task.seed)
    diffs = arm.values(ids) - versus.values(ids)
    folds = np.array([arm.fold[i] for i in ids])
    factor = _factor(shape, folds) if arm.learned or versus.learned else 1.0
    ties: dict[str, Any] = {
        "factor": factor,
        "groups": np.array([shape.groups.get(i, i) for i in ids]),
        "folds": Folds(folds, max(arm.retrained, versus.retrained)) if factor > 1 else None,
    }
    if shape.task.budget.stop_early:  # declared before the run: bounds that hold at every look
        bound = sequential(diffs, level, len(shape.split.scored), **ties)
    else:
        bound = bounds.paired(diffs, level, **ties)
    if shape.grades is not None:
        both = [(arm.cells[i][0], versus.cells[i][0]) for i in ids]
        wide = width(diffs, level, **ties)
        bound = graded_pair(bound, diffs, both, shape.grades, level, wide)
    return Pair(
        arm=arm.spec.name,
        versus=versus.spec.name,
        n=len(ids),
        mean=round(bound.mean, 6),
        low=round(bound.low, 6),
        high=round(bound.high, 6),
        level=level,
        factor=round(factor, 6),
        wins=bound.wins,
        losses=bound.losses,
        differ=bound.differ,
        apart=_apart(arm, versus, ids),
    )


def _factor(shape: Shape, folds: np.ndarray[Any, Any]) -> float:
    """Return the width factor of the folds these cases came from; 1 for one split."""
    parts = [shape.split.parts[int(f)] for f in sorted(set(folds.tolist()))]
    if len(shape.split.parts) < 2 or not parts:
        return 1.0
    test = float(np.mean([len(part.test) for part in parts]))
    train = float(np.mean([len(part.train) + len(part.dev) for part in parts]))
    return bounds.width_factor(len(parts), test, train)


def _hash(shape: Shape, cases: Sequence[Case], runs: Sequence[Run]) -> str:
    """Return the evidence hash: task, rows, what was run, answers, scores; never a time."""
    return digest(
        {
            "task": shape.task.hash,
            "cases": sorted(digest(case.plain() | {"where": ""}) for case in cases),
            "looks": shape.looks,
            "blocks": shape.blocks,
            **({} if shape.grades is None else {"grades": sorted(map(str, shape.grades.items()))}),
            "runs": [
                {
                    "spec": run.spec.plain(), "seed": run.seed, "fold": run.fold,
                    "state": run.state, "dev": run.dev,
                    "answers": [[a.case, a.text, a.finish, a.error] for a in run.answers],
                    "scores": [score.plain() for score in run.scores],
                }
                for run in runs
            ],
        }
    )  # fmt: skip
