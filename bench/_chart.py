"""Write a chart of measured points with their intervals as an SVG for light and dark pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from math import ceil, floor, log10
from typing import Any

Point = tuple[tuple[float, float, float], tuple[float, float, float], str]
"""(mean, low, high) across and up, and the label beside the mark."""

_COLOURS = ("#0b6e99", "#c2410c", "#5b7c1f", "#7e3f98", "#9a6700", "#b02a5b")
_STYLE = """
text{font:13px system-ui,sans-serif;fill:#1f2328}.axis{stroke:#8c959f}.grid{stroke:#d0d7de}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.grid{stroke:#30363d}
.paper{fill:#0d1117}}
@media(prefers-color-scheme:light){.paper{fill:#fff}}
"""
_WIDE, _HIGH, _LEFT, _TOP, _GAP = 330, 260, 70, 56, 90


def panels(title: str, across: str, charts: Mapping[str, Mapping[str, Sequence[Point]]]) -> str:
    """Return an SVG with one panel a chart: its title up the axis, its points by series."""
    names = list(dict.fromkeys(name for chart in charts.values() for name in chart))
    colour = dict(zip(names, _COLOURS, strict=False))
    wide = _LEFT + len(charts) * (_WIDE + _GAP)
    high = _TOP + _HIGH + 52 + 20 * len(names)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" role="img" '
        f'aria-label="{escape(title)}"><style>{_STYLE}</style>'
        f'<rect class="paper" width="{wide}" height="{high}"/>'
        f'<text x="{_LEFT}" y="22" font-weight="600">{escape(title)}</text>'
    ]
    for place, (up, chart) in enumerate(charts.items()):
        parts += _panel(_LEFT + place * (_WIDE + _GAP), (across, up), chart, colour)
    for line, name in enumerate(names):
        y = _TOP + _HIGH + 62 + 20 * line
        parts.append(f'<circle cx="{_LEFT + 6}" cy="{y - 4}" r="5" fill="{colour[name]}"/>'
                     f'<text x="{_LEFT + 18}" y="{y}">{escape(name)}</text>')  # fmt: skip
    return "".join([*parts, "</svg>\n"])


def _panel(
    x: float, titles: tuple[str, str], chart: Mapping[str, Sequence[Point]],
    colour: Mapping[str, str],
) -> list[str]:  # fmt: skip
    every = [point for points in chart.values() for point in points]
    scales = [_scale([value for point in every for value in point[side]]) for side in (0, 1)]

    def at(side: int, value: float) -> float:
        low, high = scales[side]
        share = (value - low) / (high - low)
        return x + share * _WIDE if side == 0 else _TOP + _HIGH * (1 - share)

    out: list[str] = []
    for up in _ticks(*scales[1]):
        y = at(1, up)
        place = f'x="{x - 8}" y="{y + 4:.1f}" text-anchor="end"'
        out.append(f'<path class="grid" d="M{x} {y:.1f}h{_WIDE}"/><text {place}>{up:g}</text>')
    for across in _ticks(*scales[0]):
        out.append(f'<text x="{at(0, across):.1f}" y="{_TOP + _HIGH + 18}" '
                   f'text-anchor="middle">{across:g}</text>')  # fmt: skip
    out.append(f'<text x="{x}" y="{_TOP - 6}">{escape(titles[1])}</text>'
               f'<text x="{x + _WIDE}" y="{_TOP + _HIGH + 38}" text-anchor="end">'
               f'{escape(titles[0])}</text>')  # fmt: skip
    for name, points in chart.items():
        out += [_mark(at, point, colour[name]) for point in points]
    return out


def _mark(at: Any, point: Point, colour: str) -> str:
    """Return a mark with the interval of both figures."""
    (mean, low, high), (value, least, most), label = point
    x, y = at(0, mean), at(1, value)
    return (
        f'<g stroke="{colour}"><path stroke-opacity=".45" d="M{at(0, low):.1f} {y:.1f}'
        f'H{at(0, high):.1f}M{x:.1f} {at(1, least):.1f}V{at(1, most):.1f}"/>'
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{colour}"/></g>'
        f'<text x="{x + 8:.1f}" y="{y - 6:.1f}">{escape(label)}</text>'
    )


def _ticks(low: float, high: float) -> list[float]:
    """Return the values to label on an axis: three to seven round numbers."""
    size = 10.0 ** floor(log10((high - low) / 3))
    step = max(size * k for k in (1, 2, 2.5, 5) if size * k <= (high - low) / 3)
    first = ceil(low / step)
    return [round(step * k, 10) for k in range(first, floor(high / step) + 1)]


def _scale(values: Sequence[float]) -> tuple[float, float]:
    """Return the ends of an axis: the values with some room, never of no width."""
    low, high = min(values), max(values)
    room = (high - low) * 0.06 or 0.5
    return low - room, high + room
