"""Make the first look of a finished study: arms without training on at most 75 scored cases."""

from __future__ import annotations

from tuneworthy.matrix.columns import Column, columns_of, shared_cases
from tuneworthy.matrix.design import Design
from tuneworthy.records.measured_task import MeasuredArm
from tuneworthy.records.record import digest
from tuneworthy.records.results import Results

LOOK_CASES = 75
CHEAP_TOOLS = frozenset({"keep", "classifier", "prompt", "schema"})


def first_look_of(results: Results) -> tuple[MeasuredArm, ...]:
    """Return the scores of the arms without training on a fixed sample of cases; () without any.

    The sample orders cases by the digest of their id, so it is the same on every machine. Scores
    have two-sided 95 % intervals; `behind` is paired with the best of these arms. A classifier
    learnt from all the rows that the study gave it.
    """
    cheap = columns_of([run for run in results.runs if run.spec.tool in CHEAP_TOOLS])
    columns = [one for one in cheap.values() if one.spec.role == "candidate" and not one.stopped]
    ids = sorted(shared_cases(columns), key=digest)[:LOOK_CASES] if columns else []
    if not ids:
        return ()
    design = Design.of(results.task, results.split)
    best = max(columns, key=lambda one: float(one.values(ids).mean()))
    return tuple(_measured_arm(one, best, ids, design) for one in columns)


def _measured_arm(one: Column, best: Column, ids: list[str], design: Design) -> MeasuredArm:
    own, tops = one.scores, best.scores
    behind = None
    if one is not best:
        behind = design.difference({i: tops[i] - own[i] for i in ids}).interval
    return MeasuredArm(
        name=one.spec.name,
        tool=one.spec.tool,
        seeds=len({run.seed for run in one.runs}),
        score=design.mean({i: own[i] for i in ids}).interval,
        behind=behind,
        n=len(ids),
    )
