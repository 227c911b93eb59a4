"""The parts of a page's section as plain values: texts, tables, drawings, lists, facts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import urlencode

from markupsafe import Markup


@dataclass(frozen=True)
class Span:
    """A piece of text. `look` is strong, soft, code or ""; in a `said` one back-ticks mark code."""

    text: str
    look: str = ""
    href: str = ""
    said: bool = False


Shown = Any
"""What a part shows: a text as it is, a Span, a drawing, None for "not measured", or a tuple."""


@dataclass(frozen=True)
class Cell:
    """A cell of a table with a class of its own."""

    shown: Shown
    css: str


@dataclass(frozen=True)
class Text:
    """A paragraph; a string is a sentence, in which back-ticks mark code."""

    form: ClassVar[str] = "text"
    shown: Shown
    css: str = ""


@dataclass(frozen=True)
class Heading:
    """A heading within a section."""

    form: ClassVar[str] = "heading"
    text: str


@dataclass(frozen=True)
class Table:
    """A table: columns, with # before those of numbers; the first cell of a row is its heading.

    `small` are the numbers of rows of few cases, which are shown faint.
    """

    form: ClassVar[str] = "table"
    columns: Sequence[str]
    rows: Sequence[Sequence[Shown]]
    css: str = "plain stack"
    small: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Figure:
    """A drawing with its caption, a legend as (colour, name), and parts that stand below it."""

    form: ClassVar[str] = "figure"
    title: str
    drawn: Markup | None
    legend: Sequence[tuple[str, str]] = ()
    empty: str = ""
    parts: Sequence[Any] = ()


@dataclass(frozen=True)
class Columns:
    """Columns of parts, side by side on a wide screen; a column of one figure is that figure."""

    form: ClassVar[str] = "columns"
    of: Sequence[Any]


@dataclass(frozen=True)
class Items:
    """A list of observations, each (class, what it shows)."""

    form: ClassVar[str] = "items"
    of: Sequence[tuple[str, Shown]]


@dataclass(frozen=True)
class Facts:
    """Names with their values."""

    form: ClassVar[str] = "facts"
    of: Sequence[tuple[str, Shown]]
    css: str = "record"


@dataclass(frozen=True)
class PlotRow:
    """A row of a plot: its name, its drawing, its figures, and its classes."""

    name: Shown
    drawn: Markup
    figures: Shown
    css: str = ""


@dataclass(frozen=True)
class Plot:
    """Rows drawn on one axis, whose figures have this unit."""

    form: ClassVar[str] = "plot"
    css: str
    rows: Sequence[PlotRow]
    axis: Markup | None = None
    unit: str = ""


@dataclass(frozen=True)
class Preformatted:
    """Lines of text as they are."""

    form: ClassVar[str] = "preformatted"
    lines: Sequence[str]


@dataclass(frozen=True)
class Details:
    """Parts that are shown on demand."""

    form: ClassVar[str] = "details"
    title: str
    parts: Sequence[Any]


@dataclass(frozen=True)
class Section:
    """A section of a page."""

    key: str
    title: str
    parts: Sequence[Any] = field(default_factory=tuple)


def strong(text: str) -> Span:
    """Return a text that stands out."""
    return Span(text, "strong")


def soft(text: str, said: bool = False) -> Span:
    """Return a text that stands back."""
    return Span(text, "soft", said=said)


def figure_with(mean: str, rest: str) -> Shown:
    """Return a figure that stands out, with its bounds behind it."""
    return strong(mean), " ", soft(rest)


def case_link(case: str) -> Span:
    """Return a link to a case of the page."""
    return Span(case, "code", href=fragment("case", case))


def fragment(key: str, value: str) -> str:
    """Return a link within the page, encoded as the script's URLSearchParams reads it."""
    return f"#{urlencode({key: value}, errors='replace')}"
