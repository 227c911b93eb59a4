"""Find numbers in text, as exact fractions. Knows no case and no answer.

Recognised: sign, currency before, percent after, thousands separators (1,234.5 · 1.234,5 ·
1,00,000 · 1'234 · 1 234 · 1 234,5), a decimal comma (3,5 · 0,125), exponents up to three digits,
fractions of whole numbers (3/4). The sign may be a minus or an en dash. A digit inside a word (A4)
is no number. One to three digits and groups of exactly three behind single spaces are one number
(1 234 567), as ISO 80000-1 writes it; 2024 100 and 0 100 are two. A text that is ambiguous
otherwise (1,2,3 or a date) is read as several numbers, never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

MARK = "####"
_MOST_DIGITS, _MOST_EXPONENT = 400, len("e-999")
_SPACES = "'’_\u00a0\u202f\u2009"
_SPACED = (  # not behind another number, and the whole of it: 2024 100 200 are three numbers
    r"(?<![0-9] )[1-9][0-9]{0,2}(?: [0-9]{3})+(?:[.,][0-9]+)?"
    rf"(?![0-9/]|[.,{_SPACES}][0-9]| [0-9]{{3}}(?![0-9]))"
)
_NUMBER_TOKEN = re.compile(
    r"(?P<sign>(?<![A-Za-z0-9_.)\]%])[-−–])?[+$€£¥]?(?P<minus>(?<=[$€£¥])[-−–])?"
    r"(?<![A-Za-z0-9_])"
    rf"(?P<run>{_SPACED}|(?:(?<!\.)\.)?[0-9](?:[0-9.,{_SPACES}]*[0-9])?(?:/[0-9]+)*)"
    r"(?P<exponent>[eE][-+]?[0-9]+)?"
    r"(?P<percent>\s?(?:%|per ?cent\b))?"
)
# (form, thousands separator): the first form that matches the whole run decides
_FORMS = (
    (re.compile(r"[0-9]*\.?[0-9]+"), ""),
    (
        re.compile(rf"[1-9][0-9]{{0,2}}(?:([,{_SPACES}])[0-9]{{3}})(?:\1[0-9]{{3}})*(?:\.[0-9]+)?"),
        ",",
    ),
    (
        re.compile(
            rf"[1-9][0-9]{{0,2}}(?:([ {_SPACES}])[0-9]{{3}})(?:\1[0-9]{{3}})*(?:[.,][0-9]+)?"
        ),
        " ",
    ),
    (re.compile(r"[1-9][0-9]?(?:,[0-9]{2})+,[0-9]{3}(?:\.[0-9]+)?"), ","),
    (re.compile(r"[1-9][0-9]{0,2}(?:\.[0-9]{3})+,[0-9]+"), "."),
    (re.compile(r"[1-9][0-9]{0,2}(?:\.[0-9]{3}){2,}"), "."),
    (re.compile(r"[0-9]+,[0-9]{1,2}|0,[0-9]+|[0-9]{4,},[0-9]+"), "."),
)


class Number(NamedTuple):
    """A number in a text: its exact value, whether a percent sign follows, and its spelling."""

    value: Fraction
    percent: bool
    text: str


def numbers(text: str) -> list[Number]:
    """Return every number in a text, in order; only those after the last `####` if it has one."""
    tail = text.rpartition(MARK)[2]
    return [number for match in _NUMBER_TOKEN.finditer(tail) for number in _numbers_in_match(match)]


def equal(one: Number, other: Number) -> bool:
    """Return whether two numbers are exactly equal.

    If only one has a percent sign, the question may have named the unit: 50% equals 50 and 0.5.
    """
    if one.value == other.value:
        return True
    if one.percent == other.percent:
        return False
    return (one.value / 100 if one.percent else one.value) == (
        other.value / 100 if other.percent else other.value
    )


def _numbers_in_match(match: re.Match[str]) -> Iterator[Number]:
    run, exponent = match["run"], match["exponent"] or ""
    if len(run) > _MOST_DIGITS or len(exponent) > _MOST_EXPONENT:
        return  # no real answer; exact arithmetic would take minutes
    sign = -1 if match["sign"] or match["minus"] else 1
    value = _fraction(run) if "/" in run else _decimal(run, exponent)
    if value is not None:
        yield Number(sign * value, bool(match["percent"]), match[0].strip())
    else:
        yield from (Number(Fraction(part), False, part) for part in re.findall(r"[0-9]+", run))


def _fraction(run: str) -> Fraction | None:
    above, _, below = run.partition("/")
    if not (above.isdigit() and below.isdigit()) or int(below) == 0:
        return None
    return Fraction(int(above), int(below))


def _decimal(run: str, exponent: str) -> Fraction | None:
    for form, thousands in _FORMS:
        if form.fullmatch(run):
            plain = run.replace(thousands, "") if thousands else run
            plain = re.sub(f"[{_SPACES}]", "", plain).replace(",", ".")
            return Fraction(plain + exponent)
    return None
