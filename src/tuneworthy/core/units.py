"""How a number is said in a sentence: points of a score, shares, counts."""

from __future__ import annotations


def points(share: float) -> str:
    """Return a difference in words: `7.2 points`, `1 point`."""
    number = f"{100 * share:.1f}".removesuffix(".0")
    return f"{number} point" if number == "1" else f"{number} points"


def percent(share: float) -> str:
    """Return a share as a percentage: `4.2 %`, `60 %`."""
    return f"{100 * share:.1f}".removesuffix(".0") + " %"


def counted(n: float, noun: str) -> str:
    """Return a count with its noun in the plural where it is not 1: `1 row`, `1,250 rows`."""
    return f"{n:,.0f} {noun}" + ("" if round(n) == 1 else "s")
