"""Judge a change by the answers of two systems, for `tuneworthy gate A B`; count its look.

Where answers can't be compared, the error leaves before a look is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tuneworthy.explain.two_logs import LogComparison
from tuneworthy.flows.gate_looks import GateHistory, ShownPair
from tuneworthy.matrix.sizing import tail_at_look
from tuneworthy.records.counting import count_noun, with_verb
from tuneworthy.verdict.gate_flips import FlipReport, flip_report
from tuneworthy.verdict.gate_rule import Gate, GatePolicy, judge_change


@dataclass(frozen=True)
class GateRequest:
    """What a gate judges, and how: the comparison of both sides, the right answers, policy, looks.

    `compare` returns the comparison: the one place where sides become answers. Each may lack a
    share `may_lack` of the rows that the other answers. `looks` is the file of looks (None:
    `_default_looks`), `change` what they are counted within.
    """

    compare: Callable[[], LogComparison]
    gold: Path
    policy: GatePolicy
    may_lack: float = 0.0
    looks: Path | None = None
    change: str = ""


def run_gate(request: GateRequest) -> Gate:
    """Return the verdict on a change, and count its look in the file of looks.

    Raises the errors of the comparison, and StoreError for a damaged file of looks.
    """
    path = request.looks or _default_looks(request.gold)
    history = GateHistory.read(path)
    compared = request.compare()
    result, shown = compared.result, ShownPair.of(compared.result)
    look = history.look_at(shown, request.change)
    tail = request.policy.level / 2
    pair = result.tested(tail_at_look(tail, look.number, look.earlier))
    verdict = judge_change(
        pair, request.policy, tail_at_look(tail, look.number + 1), [*_doubts(compared, request)],
        holds=result.dependent is None,
    )  # fmt: skip
    if not look.counted:
        history.add(shown, request.change, look, verdict.outcome)
        history.write(path)
    names = request.change, request.gold.stem, str(path)
    return Gate(verdict, request.policy, compared, look, *names)


def _default_looks(gold: Path) -> Path:
    """Return the usual file of looks: beside the right answers."""
    return gold.parent / ".tuneworthy-gate.json"


def _doubts(compared: LogComparison, request: GateRequest) -> Iterator[str]:
    """Yield clauses on why neither *better* nor *no worse* can be said of these answers."""
    if compared.result.dependent:
        yield "rows depend on their neighbours in the file, so no interval holds"
    if lost := compared.unscored:
        yield f"{with_verb(lost, 'row', 'have')} an answer that the metric gave no score"
    # Rows that a side chose are no fair sample: a log of A's failures makes any B look better.
    for left, name, other in zip(compared.unanswered, "AB", "BA", strict=True):
        if left > request.may_lack * (compared.result.pair.n + left):
            yield f"{name} leaves out {count_noun(left, 'row')} that {other} answers"


def measure_flips(request: GateRequest) -> tuple[LogComparison, FlipReport]:
    """Return a system compared with itself, and how often the gate's outcome would change.

    The comparison of `request` is that of A with A. No look is counted: nothing is learnt about a
    change.
    """
    compared = request.compare()
    matrix = compared.result.matrix
    column = matrix.columns["A"]
    draws = column.draws or {case: (value,) for case, value in column.scores.items()}
    alike = max(compared.alike, 1)
    return compared, flip_report(matrix.inputs.design, draws, request.policy, alike)
