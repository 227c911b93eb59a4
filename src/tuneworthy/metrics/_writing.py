"""Normalise an answer: case, space, punctuation, numbers, dates, JSON types.

Knows no case and no metric. Deliberately cautious, so that answers of different meaning stay
different: ambiguous texts (03/05/2024, 1.000,5) stay as they are, accents and word order count, and
formulas and code keep their signs.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Any

from tuneworthy.metrics._leaves import parse

_MOST_CHARACTERS = 200_000

_SAME_CHARACTERS = str.maketrans(
    {
        **dict.fromkeys("‘’‚‛ʼ", "'"),
        **dict.fromkeys("“”„‟«»", '"'),
        **dict.fromkeys("‐‑‒–—―−", "-"),
        **dict.fromkeys("\u200b\u2060\ufeff\u00ad\u200e\u200f", ""),
        "。": ".",
        "、": ",",
    }
)

_KEPT_FORMS = ("<super>", "<sub>", "<fraction>", "<circle>")  # 10² is not 102

_SPACE = re.compile(r"\s+")
# In formulas, code, feet and inches and a negative amount in brackets every sign counts.
_FORMULA = re.compile(r"""[=<>+*^|\\{}\[\]~`]|\S\(|\)[\w/*-]|\d!|!\w|\d['"]|^\(\s*[-\d.,]+\s*\)$""")

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

_MONTH = (
    r"(?P<month>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
)

_DAY, _YEAR = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?", r"(?P<year>\d{4})"

_DATE_START, _DATE_END = r"(?<![\w/-])(?<!\d\.)", r"(?![\w/-])(?!\.\d)"

_DATES = tuple(
    re.compile(_DATE_START + form + _DATE_END)
    for form in (
        rf"{_DAY}(?:\s+of)?[\s-]+{_MONTH}(?:,?\s+|-){_YEAR}",
        rf"{_MONTH}\s+{_DAY}(?:,\s*|\s+){_YEAR}",
        rf"{_YEAR}(?P<sep>[-/.])(?P<month>\d{{1,2}})(?P=sep){_DAY}",
        rf"(?P<one>\d{{1,2}})(?P<sep>[-/.])(?P<two>\d{{1,2}})(?P=sep){_YEAR}",
    )
)

_EXACT_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d*[1-9])?")


def _mark_remover(mark: str) -> Callable[[re.Match[str]], str]:
    return lambda match: match[0].replace(mark, "")


_REPLACEMENTS: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = tuple(
    (re.compile(form), new)
    for form, new in (
        (r"(?<![\w.,/])[1-9]\d{0,2}(?:,\d{3})+(?!,?\d)", _mark_remover(",")),  # 1,000 is 1000
        (r"(?<![\w.])\.(?=\d)", "0."),  # .5 is 0.5
        (r"(?<![\d.])(?<!\d,)(\d+)\.0+(?![.,]?\d)", r"\1"),  # 5.0 is 5; 3.10 may be a version
        (r"(?<=\d)\s*(?:%|per ?cent\b)", "%"),
        (r"(?<=[$€£¥])\s+(?=\d)", ""),
        (r"^an?\s+(?=[^\W\d_]{3})|(?<![\w'-])the\s+(?=\w)", ""),  # Plan A keeps its A
        (r"(?<=\d)(?=[^\W\d_]|°)", " "),  # 5km is 5 km
        (r"°\s+", "°"),
        (r"(?<![\w.])(?:[^\W\d_]\.){2,}(?!\w)", _mark_remover(".")),  # U.S. is US
        (r"""(?<!\w)[.,;:!?"'()¿¡]+|[.,;:!?"'()¿¡]+(?!\w)""", " "),
        (r"(?<=[^\W\d])[,;](?=\w)|(?<=\w)[,;](?=[^\W\d])", " "),
        (r"-(?![\d$€£¥])|(?<=[^\W\d])-(?=\d)|_", " "),  # a minus and a range keep their sign
        (r"\s+", " "),
        (r" ?/ ?", "/"),  # after the runs of space are gone: else it rescans them from every space
    )
)


def normal_form(text: str) -> str:
    """Return a text's normal form, equal for texts that differ only in case, marks, date form …

    English articles and month names only. A text of nothing but punctuation stays as it is.
    """
    text = _without_quotes(_SPACE.sub(" ", normalise_characters(text[:_MOST_CHARACTERS])).strip())
    if _FORMULA.search(text):
        return text.removesuffix(".").rstrip()
    lower = text.lower()
    normal = lower
    for form in _DATES:
        normal = form.sub(_iso_date, normal)
    for form, new in _REPLACEMENTS:
        normal = form.sub(new, normal)
    return normal.strip() or lower


def normal_json(text: str) -> str | None:
    """Return a JSON text with normalised leaves and sorted keys; None if it is not JSON.

    Numbers, true and false become texts, so 5 equals "5" and "5.0"; null stays null, "" stays "".
    Field names and the order of lists are left as they are.
    """
    try:
        return json.dumps(_normal_leaves(parse(text)), sort_keys=True, ensure_ascii=False)
    except ValueError:
        return None


def normal_number(text: str) -> str:
    """Return a text's normal form, without trailing zeros if it is a number: 2.50 is 2.5."""
    normal = normal_form(text)
    return normal.rstrip("0").rstrip(".") if re.fullmatch(r"-?\d+\.\d+", normal) else normal


def normalise_characters(text: str) -> str:
    """Return a text in Unicode NFC with one kind of quotation marks and dashes."""
    text = unicodedata.normalize("NFC", text).translate(_SAME_CHARACTERS)
    return (
        text
        if text.isascii()
        else unicodedata.normalize("NFC", "".join(map(_compatibility_form, text)))
    )


def _compatibility_form(character: str) -> str:
    if unicodedata.decomposition(character).startswith(_KEPT_FORMS):
        return character
    return unicodedata.normalize("NFKC", character)


def _without_quotes(text: str) -> str:
    """Return a text without the quotation marks that enclose all of it."""
    for mark in "\"'":
        inner = text.removesuffix(".")[1:-1]
        if text.startswith(mark) and text.removesuffix(".").endswith(mark) and mark not in inner:
            return inner.strip() or text
    return text


def _iso_date(match: re.Match[str]) -> str:
    """Return the matched date as ISO text, 2024-03-05; unchanged if invalid or ambiguous."""
    parts = match.groupdict()
    if "one" in parts:
        one, two = int(parts["one"]), int(parts["two"])
        if one != two and max(one, two) <= 12:
            return f"{one}{parts['sep']}{two}{parts['sep']}{parts['year']}"
        day, month = (one, two) if one > 12 else (two, one)
    else:
        name = parts["month"]
        month = int(name) if name.isdigit() else _MONTHS.index(name[:3]) + 1
        day = int(parts["day"])
    try:
        return date(int(parts["year"]), month, day).isoformat()
    except ValueError:
        return match[0]


def _normal_leaves(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _normal_leaves(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_normal_leaves(inner) for inner in value]
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return _plain_decimal(value)
    if isinstance(value, str):
        normal = normal_form(value)
        return _plain_decimal(Decimal(normal)) if _EXACT_NUMBER.fullmatch(normal) else normal
    return value


def _plain_decimal(value: Decimal) -> str:
    """Return a number's exact digits without needless zeros; Decimal.normalize would round."""
    sign, figures, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    digits = "".join(map(str, figures)).lstrip("0")
    short = digits.rstrip("0")
    if not short:
        return "0"
    exponent += len(digits) - len(short)
    if 0 <= exponent <= 30:
        short += "0" * exponent
    elif -30 <= exponent < 0:
        short = short.rjust(1 - exponent, "0")
        short = f"{short[:exponent]}.{short[exponent:]}"
    else:
        short = f"{short}e{exponent}"
    return f"-{short}" if sign else short


@lru_cache(maxsize=65536)  # a task has few labels, and each is folded once per answer
def fold(text: str) -> str:
    """Return a text in Unicode NFC and lower case (case-folded), without surrounding space."""
    return unicodedata.normalize("NFC", spelling(text).casefold())


def spelling(text: str) -> str:
    """Return a text in Unicode NFC without surrounding space, its case kept.

    Files from macOS often hold NFD ("e" and an accent), models write NFC (one character).
    """
    return unicodedata.normalize("NFC", text).strip()


def match_label(text: str, labels: Sequence[str]) -> str | None:
    """Return the label that equals the whole answer apart from space, case and Unicode form.

    None if no label does. A label in the answer's exact spelling goes before others.
    """
    said = spelling(text)
    wanted = fold(said)
    near = [label for label in labels if fold(label) == wanted]
    exact = [label for label in near if spelling(label) == said]
    return next(iter(exact or near), None)
