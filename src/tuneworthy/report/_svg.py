"""Small SVG drawings that use only CSS classes, so a strict content security policy holds.

Drawings with text or dots have no viewBox: x is in per cent of the width, so letters keep their
size on a phone. Colours come from the page's style sheet.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from tuneworthy.records.escape import for_html, visible

Attribute = str | float | int | None


def tag(name: str, *inside: str | Markup, **attributes: Attribute) -> Markup:
    """Return an SVG element; text and attribute values are escaped, `_` in names becomes `-`."""
    parts = [
        f' {key.rstrip("_").replace("_", "-")}="{_attribute_text(value)}"'
        for key, value in attributes.items()
        if value is not None
    ]
    body = "".join(x if isinstance(x, Markup) else for_html(visible(x)) for x in inside)
    return Markup(f"<{name}{''.join(parts)}>{body}</{name}>")


def _attribute_text(value: str | float | int) -> str:
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return for_html(visible(str(value)))


def percent(value: float) -> str:
    """Return a per cent value as an SVG length."""
    return f"{value:.2f}%"


@dataclass(frozen=True)
class Axis:
    """A linear or logarithmic axis from `low` to `high`; calling it gives 0 to 100."""

    low: float
    high: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Return the position of a value on the axis, clamped to 0 … 100."""
        low, high, at = self.low, self.high, value
        if self.log:
            low, high, at = (math.log10(max(x, 1e-12)) for x in (low, high, value))
        share = (at - low) / (high - low) if high > low else 0.5
        return 100 * min(max(share, 0.0), 1.0)

    def ticks(self, wanted: int = 5) -> list[float]:
        """Return round values inside the axis, about `wanted` of them on a linear axis."""
        if self.log:
            first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
            steps = (1.0, 2.0, 5.0) if last - first <= 3 else (1.0,)
            marks = [step * 10.0**power for power in range(first, last + 1) for step in steps]
        else:
            step = round_up((self.high - self.low) / max(wanted, 1))
            first = math.ceil(self.low / step - 1e-9)
            marks = [
                round(k * step, 12) for k in range(first, math.floor(self.high / step + 1e-9) + 1)
            ]
        return [mark for mark in marks if self.low - 1e-12 <= mark <= self.high + 1e-12]


def round_up(step: float) -> float:
    """Return the smallest round number (1, 2 or 5 times a power of ten) not below a step."""
    if step <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(step))
    return next(m * power for m in (1.0, 2.0, 5.0, 10.0) if m * power >= step * (1 - 1e-9))


def score_axis(values: Sequence[float], room: float = 0.05) -> Axis:
    """Return an axis within 0 to 1, narrowed to round ends around the values."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    step = round_up(max(high - low, 0.05) / 5)
    low, high = (
        math.floor((low - room / 5) / step) * step,
        math.ceil((high + room / 5) / step) * step,
    )
    return Axis(max(low, 0.0), min(high, 1.0))


def log_axis(values: Sequence[float]) -> Axis:
    """Return a logarithmic axis with a little room around positive values."""
    low, high = min(values), max(values)
    return Axis(low / 1.6, high * 1.6, log=True)


def drawing(height: int, label: str, *inside: Markup, class_: str = "row") -> Markup:
    """Return an SVG of full width and `height` pixels, with an accessible title."""
    return tag(
        "svg", tag("title", label), *inside, class_=class_, height=height, width="100%", role="img"
    )


def line(x1: float, x2: float, y1: float, y2: float, class_: str) -> Markup:
    """Return a line; all four coordinates in per cent."""
    return tag(
        "line", x1=percent(x1), x2=percent(x2), y1=percent(y1), y2=percent(y2), class_=class_
    )


def dot(x: float, y: float, r: float, class_: str, title: str = "") -> Markup:
    """Return a dot at x and y (per cent) with a radius in pixels and a hover title."""
    inside = (tag("title", title),) if title else ()
    return tag("circle", *inside, cx=percent(x), cy=percent(y), r=r, class_=class_)


def block(x1: float, x2: float, y1: float, y2: float, class_: str, title: str = "") -> Markup:
    """Return a rectangle; coordinates in per cent."""
    inside = (tag("title", title),) if title else ()
    width, height = percent(max(x2 - x1, 0.0)), percent(max(y2 - y1, 0.0))
    return tag("rect", *inside, x=percent(x1), y=percent(y1), width=width, height=height,
               class_=class_)  # fmt: skip


def label(x: float, y: str, text: str, class_: str = "tick", anchor: str = "middle") -> Markup:
    """Return text at x (per cent) and y (any unit)."""
    return tag("text", text, x=percent(x), y=y, text_anchor=anchor, class_=class_)


def bar(mean: float, low: float, high: float, title: str) -> Markup:
    """Return a score bar from 0 to 1 with its interval as a whisker."""
    return drawing(
        18, title,
        block(0, 100, 22, 78, "track"),
        block(0, 100 * mean, 22, 78, "bar"),
        line(100 * low, 100 * high, 50, 50, "whisker"),
    )  # fmt: skip


def strip(values: Sequence[float | None], title: str, height: int = 16) -> Markup:
    """Return one stripe per case: five shades from wrong to right, none if not measured."""
    parts, start = [], 0
    shades = [None if v is None else min(4, int(v * 4 + 0.5)) for v in values]
    for at in range(1, len(shades) + 1):
        if at == len(shades) or shades[at] != shades[start]:
            if shades[start] is not None:
                parts.append(
                    tag(
                        "rect", x=start, y=0, width=at - start, height=1, class_=f"s{shades[start]}"
                    )
                )
            start = at
    box = f"0 0 {max(len(values), 1)} 1"
    return tag(
        "svg", tag("title", title), *parts, viewBox=box, preserveAspectRatio="none",
        class_="strip", width="100%", height=height, role="img",
    )  # fmt: skip


def shares_bar(parts: Sequence[tuple[int, str, str]], title: str) -> Markup:
    """Return counts as a full-width stacked bar; parts are (count, class, hover title)."""
    total = sum(count for count, _, _ in parts) or 1
    out, at = [], 0.0
    for count, class_, words in parts:
        out.append(block(at, at + 100 * count / total, 0, 100, class_, words))
        at += 100 * count / total
    return drawing(10, title, *out, class_="row shares")


def polyline(points: Sequence[tuple[float, float]], class_: str) -> Markup:
    """Return a line through points given in per cent, in a nested frame that stretches."""
    path = " ".join(f"{x:.2f},{y:.2f}" for x, y in points)
    inner = tag("polyline", points=path, class_=class_, vector_effect="non-scaling-stroke")
    return tag(
        "svg", inner, viewBox="0 0 100 100", preserveAspectRatio="none", width="100%",
        height="100%", class_="frame",
    )  # fmt: skip
