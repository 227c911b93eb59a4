"""Whether a change is safe to merge: better, no worse, worse or cannot say, B against A. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tuneworthy.explain.two_logs import LogComparison
from tuneworthy.matrix.sizing import POWER, Assurance, SampleSize
from tuneworthy.records.counting import chance_text, count_noun, points, tenths
from tuneworthy.records.errors import TaskError
from tuneworthy.records.evidence import Pair
from tuneworthy.records.interval import ALPHA
from tuneworthy.verdict import phrases

Outcome = Literal["better", "no worse", "worse", "cannot say"]
PASSES: tuple[Outcome, ...] = ("better", "no worse")
GATE_CODES: dict[Outcome, int] = {"better": 0, "no worse": 0, "worse": 3, "cannot say": 4}
_MOST_REPEATS = 100  # answers to each row; more are never proposed


@dataclass(frozen=True)
class GatePolicy:
    """What a gate asks for: `margin`, the largest loss that does not matter, and the error `level`.

    `level` is two-sided, so that each bound of a first look errs in at most half of it.
    `pass_unsure`: whether *cannot say* passes. Raises TaskError for a margin outside 0 to 1, and
    for a level that is not between 0 and .5.
    """

    margin: float
    level: float = ALPHA
    pass_unsure: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.margin <= 1:
            raise TaskError(
                "a margin is a share between 0 and 1", where="margin", got=str(self.margin),
                fix="write 0.02 for 2 points", kept="your files",
            )  # fmt: skip
        if not 0 < self.level < 0.5:
            raise TaskError(
                "a level lies between 0 and 0.5", where="level", got=str(self.level),
                fix="write 0.05", kept="your files",
            )  # fmt: skip

    def exit_code(self, outcome: Outcome) -> int:
        """Return the exit code of an outcome: 0 for one that passes."""
        unsure = outcome == "cannot say"
        return 0 if unsure and self.pass_unsure else GATE_CODES[outcome]


@dataclass(frozen=True)
class GateVerdict:
    """An outcome on a paired difference B - A, and what kept it from a better one.

    `doubts` are clauses on faults of the rows or answers: with any, neither *better* nor *no worse*
    is said. Where nothing is settled, `rows` is the number of rows that settle it, `repeats` the
    number of answers to each row that do (each with a chance of .8); None if none is likely to.
    `holds`: the interval is valid; it is not where rows depend on their neighbours.
    """

    outcome: Outcome
    pair: Pair
    margin: float
    doubts: tuple[str, ...] = ()
    rows: SampleSize | None = None
    repeats: int | None = None
    holds: bool = True

    @property
    def sentence(self) -> str:
        """Return the outcome as a sentence, with difference, interval, rows and margin."""
        pair, margin = self.pair, points(self.margin)
        seen = f"{phrases.signed(pair.mean)} point{'s' * (tenths(abs(pair.mean)) != '1')}"
        if self.holds:
            seen += f" ({phrases.signed(pair.low)} to {phrases.signed(pair.high)})"
        seen = f"B − A is {seen} on {count_noun(pair.n, 'row')}"
        if self.outcome == "better":
            return f"{seen}, so B is shown to be better."
        if self.outcome == "worse":
            return f"{seen}, so B is shown to be worse; it may lose more than the margin, {margin}."
        if self.outcome == "no worse":
            loss = "B is shown to lose, but" if pair.high < 0 else "B may lose, but"
            lead = "B leads, which is not shown; " if pair.mean > 0 else ""
            return f"{seen}: {lead}{loss} less than the margin, {margin}."
        if self.doubts:
            return f"{seen}, but {'; '.join(self.doubts)}."
        lead = ""
        if pair.mean > 0:
            lead = "B leads, which is not shown, and "
        elif pair.mean < 0:
            lead = "A leads, which is not shown, and "
        return f"{seen}: {lead}B may lose more than the margin, {margin}."

    @property
    def next_step(self) -> str:
        """Return what would settle an open outcome; "" if it is settled or the rows have faults."""
        if self.outcome != "cannot say" or self.doubts:
            return ""
        ways, far = list[str](), ""
        passes = (
            f"This interval lies within margins above {points(-self.pair.low)}, but a margin that"
            " is chosen after looking promises nothing. "
        )
        if (rows := self.rows) is not None:
            more = f"{count_noun(rows.more(self.pair.n), 'more row')} like these"
            ways += [more] if rows.is_likely else []
            far = f"Even {more} would settle it only with a chance of {chance_text(rows.chance)}."
        if self.repeats is not None and self.pair.repeats is not None:
            now = self.pair.repeats.k
            ways.append(f"{self.repeats} answers to each row in place of {now}")
        if ways:
            return f"{passes}About {' or '.join(ways)} would settle it in 8 of 10 cases."
        most = Assurance(self.pair, self.pair.level, 0.0, 0.0, 0.0).most_rows
        return passes + (far or f"Even {most:,} rows are unlikely to settle it.")


@dataclass(frozen=True)
class GateLook:
    """A look: its number within its change, and the looks that it continues.

    `earlier` has (look, part of this look's information) of each, oldest first. `counted`: the same
    answers were seen before, so that this is no new look.
    """

    number: int
    earlier: tuple[tuple[int, float], ...] = ()
    counted: bool = False


@dataclass(frozen=True)
class Gate:
    """A gate that was run: its verdict under a policy, the comparison that it rests on, its look.

    `change` is what looks are counted within, `looks` the file that counts them, `rows` the name of
    the file of right answers.
    """

    verdict: GateVerdict
    policy: GatePolicy
    compared: LogComparison
    look: GateLook
    change: str
    rows: str
    looks: str

    @property
    def exit_code(self) -> int:
        """Return the exit code of the outcome under the policy; 0: the change may be merged."""
        return self.policy.exit_code(self.verdict.outcome)


def outcome_of(low: float, high: float, margin: float) -> Outcome:
    """Return what an interval of B - A says at a margin.

    A loss that is shown, and shown to be less than the margin, is *no worse*: the margin is what
    the user said does not matter. Else more answers would make every gate stricter, and one that
    compares a system with itself would fail at its error level however many answers it sees.
    """
    if low > 0:
        return "better"
    if low > -margin:
        return "no worse"
    return "worse" if high < 0 else "cannot say"


def judge_change(
    pair: Pair,
    policy: GatePolicy,
    next_level: float,
    doubts: Sequence[str] = (),
    holds: bool = True,
) -> GateVerdict:
    """Return the verdict on a difference B - A whose bounds have the level of this look.

    `next_level` is the error that a bound may add at the next look. Where `holds` is False no
    interval is valid, so nothing is said.
    """
    outcome = outcome_of(pair.low, pair.high, policy.margin)
    if not holds or (doubts and outcome in PASSES):
        outcome = "cannot say"
    if outcome != "cannot say" or doubts:
        return GateVerdict(outcome, pair, policy.margin, tuple(doubts), holds=holds)
    outlook = Assurance(pair, next_level, 0.0, -policy.margin, -policy.margin, kept=True)
    rows, repeats = outlook.size(), _repeats_to_settle(outlook, pair)
    return GateVerdict(outcome, pair, policy.margin, (), rows, repeats)


def _repeats_to_settle(outlook: Assurance, pair: Pair) -> int | None:
    """Return how many answers to each row settle a pair with a chance of .8; None if none do.

    More answers remove the part of the variance that answering causes, so they are worth as much as
    a number of rows. None too where rows have one answer each: that part is then unknown.
    """
    if (now := pair.repeats) is None:
        return None
    for k in range(now.k + 1, _MOST_REPEATS + 1):
        worth = round(pair.n / (1 - now.share + now.share * now.k / k))
        if outlook.chance_of_answers(worth) >= POWER:
            return k
    return None
