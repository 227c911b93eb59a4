"""The parts of a page's section as plain values: texts, tables, drawings, lists, facts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from markupsafe import Markup

from tuneworthy.records.counting import score_text
from tuneworthy.records.interval import Interval
from tuneworthy.verdict.phrases import bounds_text


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


class Part:
    """A part of a section; the template lays it out by its form."""

    @property
    def form(self) -> str:
        """Return the part's form, its class name in small letters: "text", "table"."""
        return type(self).__name__.lower()


@dataclass(frozen=True)
class Text(Part):
    """A paragraph; a string is a sentence, in which back-ticks mark code."""

    shown: Shown
    css: str = ""


@dataclass(frozen=True)
class Heading(Part):
    """A heading within a section."""

    text: str


@dataclass(frozen=True)
class Table(Part):
    """A table: columns, with # before those of numbers; the first cell of a row is its heading.

    `small` are the numbers of rows of few cases, which are shown faint.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Shown]]
    css: str = "plain stack"
    small: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Figure(Part):
    """A drawing with its caption, a legend as (colour, name), and parts that stand below it."""

    title: str
    drawn: Markup | None
    legend: Sequence[tuple[str, str]] = ()
    empty: str = ""
    parts: Sequence[Any] = ()


@dataclass(frozen=True)
class Columns(Part):
    """Columns of parts, side by side on a wide screen; a column of one figure is that figure."""

    of: Sequence[Any]


@dataclass(frozen=True)
class Items(Part):
    """A list of observations, each (class, what it shows)."""

    of: Sequence[tuple[str, Shown]]


@dataclass(frozen=True)
class Facts(Part):
    """Names with their values."""

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
class Plot(Part):
    """Rows drawn on one axis, whose figures have this unit."""

    css: str
    rows: Sequence[PlotRow]
    axis: Markup | None = None
    unit: str = ""


@dataclass(frozen=True)
class Preformatted(Part):
    """Lines of text as they are."""

    lines: Sequence[str]


@dataclass(frozen=True)
class Details(Part):
    """Parts that are shown on demand."""

    title: str
    parts: Sequence[Any]


@dataclass(frozen=True)
class Section:
    """A section of a page."""

    key: str
    title: str
    parts: Sequence[Any] = field(default_factory=tuple)


def strong(text: str) -> Span:
    """Return a text in bold."""
    return Span(text, "strong")


def soft(text: str, said: bool = False) -> Span:
    """Return a text in soft type."""
    return Span(text, "soft", said=said)


def figure_with(mean: str, rest: str) -> Shown:
    """Return a figure in bold with its bounds in soft type behind it."""
    return strong(mean), " ", soft(rest)


def score_figure(found: Interval, more: str = "") -> Shown:
    """Return a score in bold with its bounds in soft type behind it, then `more`."""
    return figure_with(score_text(found.mean), f"{bounds_text(found)}{more}")


def case_link(case: str) -> Span:
    """Return a link to a case of the page."""
    return Span(case, "code", href=fragment("case", case))


def fragment(key: str, value: str) -> str:
    """Return a link within the page, encoded as the script's URLSearchParams reads it."""
    return f"#{urlencode({key: value}, errors='replace')}"
