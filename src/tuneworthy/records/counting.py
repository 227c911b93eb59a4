"""Format numbers for sentences: score points, shares and counts, with their bounds."""

from __future__ import annotations

from typing import Protocol


class Bounded(Protocol):
    """A mean with its bounds: an interval, or a paired difference."""

    @property
    def mean(self) -> float:
        """Return the mean, between the bounds."""

    @property
    def low(self) -> float:
        """Return the lower bound."""

    @property
    def high(self) -> float:
        """Return the upper bound."""


def points(share: float) -> str:
    """Return a difference as score points: `7.2 points`, `1 point`."""
    number = tenths(share)
    return f"{number} point" if number == "1" else f"{number} points"


def score_text(value: float) -> str:
    """Return a score with two digits: `.88`, `1.00`."""
    return f"{value:.2f}".removeprefix("0")


def percent(share: float) -> str:
    """Return a share as a percentage: `4.2 %`, `60 %`."""
    return f"{tenths(share)} %"


def chance_text(chance: float) -> str:
    """Return a predicted probability rounded to 5 %: `about 60 %`, `less than 5 %`."""
    steps = round(20 * chance)
    if 0 < steps < 20:
        return f"about {5 * steps} %"
    return "more than 95 %" if steps else "less than 5 %"


def count_noun(n: float, noun: str) -> str:
    """Return a count with its noun, plural unless it is 1: `1 row`, `1,250 rows`."""
    return f"{n:,.0f} {noun}" + ("" if round(n) == 1 else "s")


def about_rows(fewest: int, most: int) -> str:
    """Return how many rows several fits learnt from: `about 80 rows`, `25 to 125 rows`."""
    if most <= 1.1 * fewest:
        return f"about {count_noun((fewest + most) / 2, 'row')}"
    return f"{fewest:,} to {count_noun(most, 'row')}"


def with_verb(n: int, noun: str, verb: str) -> str:
    """Return a count with its noun and verb in agreement: `1 row has`, `1,250 rows have`."""
    alone = {"have": "has", "are": "is"}.get(verb, f"{verb}s")
    return f"{count_noun(n, noun)} {alone if n == 1 else verb}"


def points_with_bounds(found: Bounded, more: str = "") -> str:
    """Return points with their bounds: `8 points (2 to 14)`; `more` follows in the bracket."""
    return f"{points(found.mean)} ({_bounds_text(found)}{_with_semicolon(more)})"


def percent_with_bounds(found: Bounded, more: str = "") -> str:
    """Return a share with its bounds: `42 % (30 to 55 %)`; `more` follows in the bracket."""
    return f"{percent(found.mean)} ({_bounds_text(found)} %{_with_semicolon(more)})"


def _bounds_text(value: Bounded) -> str:
    return f"{tenths(value.low)} to {tenths(value.high)}"


def _with_semicolon(more: str) -> str:
    return f"; {more}" if more else ""


def tenths(share: float) -> str:
    """Return a share in hundredths, with one decimal if it is not 0: `7.2`, `2`, `−2.5`."""
    text = f"{100 * share:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text.replace("-", "−")
