"""Measure what an arm's answers show: figures, the share that is valid, what a token limit cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tuneworthy.explain.hard_limits import state_at_least
from tuneworthy.matrix.abstention import LIMITS, confidence
from tuneworthy.matrix.class_scores import class_scores
from tuneworthy.matrix.columns import Column
from tuneworthy.matrix.design import Design
from tuneworthy.matrix.inputs import ComparisonInputs
from tuneworthy.matrix.matrix import Matrix
from tuneworthy.records.answer import Answer, Score, Unscored, value_or_zero
from tuneworthy.records.case import Case
from tuneworthy.records.evidence import ArmResult, Figure, Interval, LimitState, TruncatedAnswers
from tuneworthy.records.interval import ALPHA
from tuneworthy.records.plugins import catalogue, load
from tuneworthy.records.run import Run


def with_figures(
    matrix: Matrix, cases: Sequence[Case], arms: Sequence[ArmResult]
) -> tuple[ArmResult, ...]:
    """Return the arms with `figures`: {plug-in: share of answers}, where it applies to any."""
    by_id = {case.id: case for case in cases}
    return tuple(
        arm.model_copy(update={"figures": _figures_of(matrix, by_id, arm.name)})
        if arm.name in matrix.columns
        else arm
        for arm in arms
    )


def _figures_of(matrix: Matrix, cases: Mapping[str, Case], arm: str) -> dict[str, Figure]:
    cells, found = matrix.columns[arm].cells, dict[str, Figure]()
    for name in catalogue("figures"):
        plugin = load("figures", name)
        told = {i: plugin.holds(matrix.inputs.task, cases[i], cells[i][0]) for i in sorted(cells)}
        if flags := {i: flag for i, flag in told.items() if flag is not None}:
            share = matrix.share(arm, flags).interval
            found[name] = Figure(says=plugin.SAYS, n=len(flags), **share.plain())
    return found


def with_label_figures(
    matrix: Matrix, cases: Sequence[Case], arms: Sequence[ArmResult]
) -> tuple[ArmResult, ...]:
    """Return the arms with `confidence`, and with `by_label` where answers are labels."""
    gold = {case.id: case.output for case in cases}
    task, inputs = matrix.inputs.task, matrix.inputs
    limit = task.success.wrong_at_most
    limits = sorted({*LIMITS, *(() if limit is None else (limit,))})
    labelled = task.output.type == "label"
    alike = class_scores(inputs, matrix.with_role("candidate"), gold) if labelled else {}
    return tuple(
        arm.model_copy(update={
            "confidence": confidence(inputs, matrix.columns[arm.name], gold, limits),
            "by_label": alike.get(arm.name),
        })
        if arm.name in matrix.columns
        else arm
        for arm in arms
    )  # fmt: skip


@dataclass(frozen=True)
class ValidAnswers:
    """The share of valid answers among those whose validity is known; None if no answer's is.

    `failed` of `n` answers did not come back or have no score. `ends` are the shares of all `n`
    with these counted as invalid and as valid; they decide the limit, as answering them again may
    change it.
    """

    share: Interval | None
    ends: tuple[Interval, ...] = ()
    failed: int = 0
    n: int = 0

    def state(self, limit: float) -> LimitState:
        """Return the state of the `valid` limit; "not shown" if failed answers could change it."""
        if self.share is None:
            return "not measured"
        states = {state_at_least(end, limit) for end in self.ends}
        return states.pop() if len(states) == 1 else "not shown"

    def why_open(self, limit: float) -> str:
        """Return why failed answers leave the limit open; "" if they do not."""
        if self.share is None or not self.failed or self.state(limit) != "not shown":
            return ""
        return (
            f"{self.failed:,} of {self.n:,} answers failed: {self.ends[0].mean:.2f} are valid if"
            f" none of these is, {self.ends[1].mean:.2f} if all are"
        )


def valid_answers(inputs: ComparisonInputs, column: Column, ids: Sequence[str]) -> ValidAnswers:
    """Return the share of an arm's valid answers to these cases, and how failed ones move it."""
    scores = {i: column.cells[i][1] for i in ids}
    known = {i: s.valid for i, s in scores.items() if isinstance(s, Score) and s.valid is not None}
    if not known:
        return ValidAnswers(None)
    share = _valid_share(inputs, known)
    failed = [i for i, score in scores.items() if isinstance(score, Unscored)]
    if not failed:
        return ValidAnswers(share, (share,))
    ends = (_valid_share(inputs, known | dict.fromkeys(failed, value)) for value in (False, True))
    return ValidAnswers(share, tuple(ends), len(failed), len(known) + len(failed))


def _valid_share(inputs: ComparisonInputs, valid: Mapping[str, bool]) -> Interval:
    return inputs.design.mean({i: valid[i] for i in sorted(valid)}).interval


def cut_summary(
    runs: Sequence[Run],
    cells: Mapping[str, tuple[Answer, Score | Unscored]],
    design: Design,
) -> TruncatedAnswers | None:
    """Return counts of an arm's cut answers and a bound on what that cost it; None if none is cut.

    The token limit cuts answers. `Run.longer` has the scores of cut answers that were
    generated again with more tokens; their mean gain bounds that of the others (a full gain is
    assumed if none was generated again). A recorded system's own limit costs nothing: its answers
    are cut in production too.
    """
    shortfall = {
        case: score_shortfall(*cell) for case, cell in cells.items() if cell[0].finish == "length"
    }
    if not shortfall:
        return None
    wrong = {case: lack for case, lack in shortfall.items() if lack > 0}
    ours = any(run.longer is not None for run in runs)
    rescored = {c: v for run in runs for c, v in (run.longer or {}).items() if c in wrong}
    gains = {case: max(0.0, value - 1 + wrong[case]) for case, value in rescored.items()}
    rest = sum(lack for case, lack in wrong.items() if case not in rescored)
    share = 1.0 if ours else 0.0
    if gains:
        share = design.mean({i: gain / wrong[i] for i, gain in gains.items()}, 2 * ALPHA).high
    return TruncatedAnswers(
        n=len(shortfall),
        wrong=len(wrong),
        asked=len(rescored),
        gained=sum(gain > 0 for gain in gains.values()),
        gain=round((sum(gains.values()) + share * rest) / len(cells), 6),
    )


def score_shortfall(answer: Answer, score: Score | Unscored) -> float:
    """Return 1 - score for an answer cut by the token limit; 0 for one that ended by itself."""
    return 1 - value_or_zero(score) if answer.finish == "length" else 0.0
