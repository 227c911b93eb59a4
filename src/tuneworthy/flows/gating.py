"""Judge a change by the answers of two systems, for `tuneworthy gate A B`; count its look.

Where answers can't be compared, the error leaves before a look is counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tuneworthy.explain.two_logs import LogComparison
from tuneworthy.flows.comparing import CompareOptions, compare_files
from tuneworthy.flows.gate_looks import GateHistory, ShownPair
from tuneworthy.matrix.sizing import tail_at_look
from tuneworthy.records.counting import count_noun, with_verb
from tuneworthy.rows.table_columns import Choice
from tuneworthy.verdict.gate_flips import FlipReport, flip_report
from tuneworthy.verdict.gate_rule import Gate, GatePolicy, judge_change


@dataclass(frozen=True)
class GateRequest:
    """What a gate compares, and how: files of answers, right answers, policy, looks.

    `looks` is the file of looks (None: `default_looks`), `change` what they are counted within.
    """

    first: Path
    second: Path
    gold: Path
    policy: GatePolicy
    options: CompareOptions = CompareOptions()
    named: Choice = Choice()
    looks: Path | None = None
    change: str = ""


def compared_sides(request: GateRequest) -> LogComparison:
    """Return the comparison of both sides: the one place where sides become answers."""
    sides = request.first, request.second, request.gold
    return compare_files(*sides, request.options, request.named)


def run_gate(request: GateRequest) -> Gate:
    """Return the verdict on a change, and count its look in the file of looks.

    Raises the errors of `compare_files`, and StoreError for a damaged file of looks.
    """
    path = request.looks or default_looks(request.gold)
    history = GateHistory.read(path)
    compared = compared_sides(request)
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


def default_looks(gold: Path) -> Path:
    """Return the usual file of looks: beside the right answers."""
    return gold.parent / ".tuneworthy-gate.json"


def _doubts(compared: LogComparison, request: GateRequest) -> Iterator[str]:
    """Yield clauses on why neither *better* nor *no worse* can be said of these answers."""
    if compared.result.dependent:
        yield "rows depend on their neighbours in the file, so no interval holds"
    if lost := compared.unscored:
        yield f"{with_verb(lost, 'row', 'have')} an answer that the metric gave no score"
    lost = compared.unanswered[1]
    options, most = request.options, 0.0
    if options.bad_rows == "exclude":
        most = options.max_bad * (compared.result.pair.n + lost)
    if lost > most:
        yield f"B leaves out {count_noun(lost, 'row')} that A answers"


def measure_flips(request: GateRequest) -> tuple[LogComparison, FlipReport]:
    """Return a system compared with itself, and how often the gate's outcome would change.

    It reads `first` alone, and counts no look: nothing is learnt about a change.
    """
    compared = compared_sides(replace(request, second=request.first))
    matrix = compared.result.matrix
    column = matrix.columns["A"]
    draws = column.draws or {case: (value,) for case, value in column.scores.items()}
    alike = max(compared.alike, 1)
    return compared, flip_report(matrix.inputs.design, draws, request.policy, alike)
