"""Pass@k from m samples per case: the chance that one of k samples is right. Knows no model.

Chen et al. 2021 (arXiv 2107.03374), equation 1: unbiased, unlike 1 - (1 - h/m)^k.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb

TOO_EASY = 0.95  # above it chance alone passes nearly all cases: no effect can show


def pass_at_k(m: int, h: int, k: int) -> float:
    """Return the chance that k of m samples, of which h are right, include a right one.

    1 - C(m - h, k) / C(m, k). Raises ValueError unless 0 <= h <= m and 1 <= k <= m.
    """
    if not (0 <= h <= m and 1 <= k <= m):
        raise ValueError(f"pass@{k} of {m} samples with {h} right is not defined")
    return 1.0 - comb(m - h, k) / comb(m, k)


def pass_curve(right: Sequence[int], m: int) -> dict[int, float]:
    """Return {k: mean pass@k over the cases} for k = 1, 2, 4, … and m; empty without a case.

    `right` holds the number of right samples of each case, of m.
    """
    ks = sorted({m, *(2**power for power in range(m.bit_length()) if 2**power <= m)})
    return {k: sum(pass_at_k(m, h, k) for h in right) / len(right) for k in ks} if right else {}


def corrected(rate: float, chance: float) -> float | None:
    """Return the rate beyond chance, (rate - chance) / (1 - chance); None above TOO_EASY.

    `chance` is the same rate with the samples scored against another case's gold: with two labels
    16 guesses always hold the right one. The result may be negative.
    """
    return None if chance > TOO_EASY else (rate - chance) / (1.0 - chance)
