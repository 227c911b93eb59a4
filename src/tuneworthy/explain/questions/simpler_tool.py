"""Does a simpler tool (classifier, prompt, schema, context) do as well as tuning?"""

from __future__ import annotations

from functools import partial

from tuneworthy.explain.questions._findings import (
    NO_TUNED,
    SIMPLER_TOOLS,
    finalists,
    finding,
    listed,
    pair_of,
    ticked,
)
from tuneworthy.matrix.sizing import level_at_next_look, superiority_assurance
from tuneworthy.records.counting import chance_text, points_with_bounds
from tuneworthy.records.evidence import Evidence, Pair, best_first
from tuneworthy.records.task import TRAINED_TOOLS, Task
from tuneworthy.records.verdict import Finding

QUESTION = "Does a simpler tool do as well?"
AGAINST = "yes"  # speaks against tuning
PRIOR = None
UNIT = "points"
_finding = partial(finding, "simpler_tool", PRIOR)


def ask(evidence: Evidence, task: Task) -> Finding:
    """Answer yes if tuning can't beat some simpler arm by more than the margin.

    `value` is the best tuned arm minus the simpler arm that comes closest to it.
    """
    tuned, simple = finalists(evidence, TRAINED_TOOLS), finalists(evidence, SIMPLER_TOOLS)
    if not tuned:
        return _finding("not_measured", NO_TUNED, "let a training arm run")
    best = best_first(evidence, tuned)[0]
    pairs = [p for arm in simple if (p := pair_of(evidence, best.name, arm.name)) is not None]
    if not pairs:
        why = "not measured (no classifier, prompt, schema or context arm was compared with tuning)"
        return _finding("not_measured", why, "let the cheap arms run")
    closest, margin = min(pairs, key=lambda pair: pair.high), task.success.margin
    within = points_with_bounds(closest, f"n = {closest.n:,}")
    said = f"{ticked(best.name)} minus {ticked(closest.versus)} is {within}"
    if closest.high <= margin:
        adds = "too little" if closest.high > 0 else "nothing"
        return _finding("yes", said, f"use {ticked(closest.versus)}: tuning adds {adds}", closest)
    if all(pair.low > 0 and pair.mean >= margin for pair in pairs):
        others = [pair.versus for pair in pairs if pair is not closest]
        beaten = f", and {listed(others)} is beaten too" if others else ""
        return _finding("no", f"{said}{beaten}", "", closest)
    step = f"settle between {ticked(best.name)} and {ticked(closest.versus)}"
    return _finding(
        "not_measured", f"{_rows_to_decide(evidence, closest, margin)}; {said}", step, closest
    )


def _rows_to_decide(evidence: Evidence, pair: Pair, margin: float) -> str:
    outlook = superiority_assurance(pair, margin, level_at_next_look(pair.level, evidence.looks))
    size = outlook.size()
    rows = size.more(pair.n) if size else outlook.most_rows - pair.n
    chance = size.chance if size else outlook.chance(outlook.most_rows)
    odds = f"chance to settle it {chance_text(chance)}"
    if size is None:
        return f"near the margin: {rows:,} more scored rows have little {odds}"
    return f"too small: needs about {rows:,} more scored rows ({odds})"
