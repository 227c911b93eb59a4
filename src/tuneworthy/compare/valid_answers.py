"""Compute the share of an arm's valid answers, and the state of the limit on it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tuneworthy.compare.hard_limits import state_at_least
from tuneworthy.core.answer import Score, Unscored
from tuneworthy.core.evidence import Interval, LimitState
from tuneworthy.matrix.columns import Column
from tuneworthy.matrix.inputs import ComparisonInputs


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
        """Return the limit's state if it is the same at both ends, else that it is not shown."""
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
    """Return the share of an arm's valid answers, its interval widened for groups of rows."""
    scores = {i: column.cells[i][1] for i in ids}
    known = {i: s.valid for i, s in scores.items() if isinstance(s, Score) and s.valid is not None}
    if not known:
        return ValidAnswers(None)
    share = _share(inputs, known)
    failed = [i for i, score in scores.items() if isinstance(score, Unscored)]
    if not failed:
        return ValidAnswers(share, (share,))
    ends = (_share(inputs, known | dict.fromkeys(failed, value)) for value in (False, True))
    return ValidAnswers(share, tuple(ends), len(failed), len(known) + len(failed))


def _share(inputs: ComparisonInputs, valid: Mapping[str, bool]) -> Interval:
    return inputs.design.mean({i: valid[i] for i in sorted(valid)}).interval
