"""How often a gate's outcome changes when nothing did: one system against itself. Pure.

An outcome can change between two runs of a gate because the system draws its answers anew. Each
pair of runs is imitated by two sets of answers of one system to the same cases, judged by the same
rule as a change, with the bounds of a first look.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tuneworthy.matrix.design import Design
from tuneworthy.verdict.gate_rule import PASSES, GatePolicy, Outcome, outcome_of

Array = np.ndarray[Any, Any]
FLIP_GOAL = 0.02
_TRIED = (1, 2, 3, 5, 8, 12, 15, 20, 30, 50)  # answers to each row, on each side
_MOSTLY = 0.5
_PAIRS = 150  # drawn pairs; each counts in both directions
_NOISE_SHARES = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class FlipRate:
    """How often a gate with `k` answers to each row says what of a system against itself.

    `shares` maps an outcome to its share. `recorded`: both sides were recorded answers, else drawn
    from them.
    """

    k: int
    shares: Mapping[Outcome, float]
    recorded: bool = False

    @property
    def passes(self) -> float:
        """Return the share of runs that pass."""
        return sum(self.shares.get(one, 0.0) for one in PASSES)

    @property
    def flips(self) -> float:
        """Return the chance that two runs tell CI different things: pass, worse or cannot say."""
        told = (self.passes, self.shares.get("worse", 0.0), self.shares.get("cannot say", 0.0))
        return max(0.0, 1 - sum(share**2 for share in told))


@dataclass(frozen=True)
class FlipReport:
    """The flip rates of one system's log by answers to each row; `k` is what the log has.

    `alike`: how often each row was answered, always with one text; 1 where answers differ or none
    is repeated. Where each row has one answer, nobody can say how far answers vary: `most` is then
    the rate if they vary as badly for the gate as they can, and `rates` is empty.
    """

    k: int
    rates: tuple[FlipRate, ...] = ()
    alike: int = 1
    most: FlipRate | None = None

    @property
    def needed(self) -> int | None:
        """Return the least number of answers tried from which on flips stay under 2 %.

        None if none does, or only because too few rows never let the gate pass.
        """
        found = None
        for rate in reversed(self.rates):
            if rate.flips > FLIP_GOAL or rate.passes < _MOSTLY:
                break
            found = rate.k
        return found

    @property
    def now(self) -> FlipRate | None:
        """Return the rate of a gate with as many answers to each row as the log has."""
        return next((rate for rate in self.rates if rate.k == self.k), None)


def flip_report(
    design: Design,
    draws: Mapping[str, Sequence[float]],
    policy: GatePolicy,
    alike: int = 1,
    seed: int = 0,
) -> FlipReport:
    """Return how often a gate's outcome changes, from the scores of all answers to each case.

    Cases with more answers than the one with fewest count with the first of them.
    """
    k, rng = min(len(values) for values in draws.values()), np.random.default_rng(seed)
    pool = np.array([values[:k] for values in draws.values()], float)
    ids = [*draws]
    if alike > 1:
        rate = _rate(design, ids, [np.zeros(len(ids))], policy, alike)
        return FlipReport(alike, (rate,), alike)
    if k == 1:
        worst = [
            _rate(design, ids, _one_answer_noise(rng, pool[:, 0], share), policy, 1)
            for share in _NOISE_SHARES
        ]
        return FlipReport(1, most=max(worst, key=lambda rate: rate.flips))
    rates: list[FlipRate] = []
    for one in sorted({*_TRIED, k}):
        seen = [*_differences(rng, pool, one)]
        rates.append(_rate(design, ids, seen, policy, one, 2 * one <= k))
        done = [rate.flips <= FLIP_GOAL and rate.passes > _MOSTLY for rate in rates[-2:]]
        if one >= k and len(done) == 2 and all(done):
            break
    return FlipReport(k, tuple(rates))


def _differences(rng: np.random.Generator, pool: Array, k: int) -> Iterator[Array]:
    """Yield differences (cases,) between two sets of k answers of a pool (cases, answers).

    The sets are two parts of the recorded answers where those are enough. Else both are drawn from
    the answers to a case, with deviations enlarged so that their variance is that of the answers.
    """
    n, size = pool.shape
    off = (pool - pool.mean(1, keepdims=True)) * np.sqrt(size / (size - 1))
    for _ in range(_PAIRS):
        if 2 * k <= size:
            order = rng.permuted(np.tile(np.arange(size), (n, 1)), axis=1)
            mixed = np.take_along_axis(pool, order, 1)
            yield mixed[:, :k].mean(1) - mixed[:, k : 2 * k].mean(1)
        else:
            drawn = np.take_along_axis(off, rng.integers(0, size, (n, 2 * k)), 1)
            yield np.clip(drawn[:, :k].mean(1) - drawn[:, k:].mean(1), -1, 1)


def _one_answer_noise(rng: np.random.Generator, scores: Array, share: float) -> list[Array]:
    """Return differences if so large a share of cases were answered by chance, the rest alike."""
    found = []
    for _ in range(_PAIRS):
        sides = rng.choice(scores, (2, scores.size))
        noisy = rng.random(scores.size) < share
        found.append(np.where(noisy, sides[0] - sides[1], 0.0))
    return found


def _rate(
    design: Design, ids: Sequence[str], differences: Sequence[Array], policy: GatePolicy, k: int,
    recorded: bool = False,
) -> FlipRate:  # fmt: skip
    """Return the shares of outcomes over drawn differences, each seen from both of its sides."""
    counts: dict[Outcome, float] = {}
    for values in differences:
        told = dict(zip(ids, values.round(9).tolist(), strict=True))
        _, low, high, *_ = design.tested(told, policy.level / 2)
        for one in (outcome_of(low, high, policy.margin), outcome_of(-high, -low, policy.margin)):
            counts[one] = counts.get(one, 0.0) + 1 / (2 * len(differences))
    return FlipRate(k, counts, recorded)
