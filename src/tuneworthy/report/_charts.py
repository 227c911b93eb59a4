"""The report's charts: forest, paired differences, quality versus cost, training, margins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from tuneworthy.records.counting import score_text, tenths
from tuneworthy.records.evidence import ArmResult, Pair
from tuneworthy.records.results import Results
from tuneworthy.report import _svg as svg
from tuneworthy.report._svg import Axis
from tuneworthy.verdict import phrases


def tick_labels(scale: Axis, show: str = "score", wanted: int = 5) -> Markup:
    """Return the tick labels of an axis; `show` is score, points or amount."""
    forms = {"score": score_text, "points": phrases.signed, "amount": phrases.amount}
    marks = scale.ticks(wanted)
    return svg.drawing(
        18, "axis",
        *[svg.label(scale(m), "13", forms[show](m), anchor=_text_anchor(scale(m))) for m in marks],
        class_="row axis",
    )  # fmt: skip


def _text_anchor(at: float) -> str:
    return "start" if at < 2 else "end" if at > 98 else "middle"


def margin_axis(margins: Sequence[float], own: float) -> Markup:
    """Return the axis of the margin strip: one cell per margin, a mark at the user's own margin."""
    n = len(margins)
    middle = [100 * (i + 0.5) / n for i in range(n)]
    names = [
        svg.label(middle[i], "12", tenths(m) if i < n - 1 else f"{tenths(m)} points",
                  anchor="middle" if i < n - 1 else "end")
        for i, m in enumerate(margins)
        if i % 5 == 0 and abs(m - own) > 1e-9
    ]  # fmt: skip
    near = min(range(n), key=lambda i: abs(margins[i] - own))
    mine = svg.label(middle[near], "12", f"▲ your margin, {tenths(own)}", "tick mine")
    return svg.drawing(16, "margins", *names, mine, class_="row axis")


def _grid_lines(scale: Axis, wanted: int = 5) -> list[Markup]:
    """Return faint vertical lines at the ticks of an axis."""
    return [svg.line(scale(m), scale(m), 0, 100, "grid") for m in scale.ticks(wanted)]


def forest_scale(results: Results) -> Axis:
    """Return a horizontal axis that covers every arm's interval and the target score."""
    scores = [arm.score for arm in results.evidence.arms if arm.score and arm.role != "placebo"]
    values = [x for s in scores for x in (s.low, s.high)]
    target = results.task.success.target
    return svg.score_axis(values + ([target] if target is not None else []))


def forest_row(arm: ArmResult, scale: Axis, seeds: Sequence[float], target: float | None) -> Markup:
    """Return a drawing of one arm's interval, its mean, each seed's mean, and the target."""
    assert arm.score is not None
    s = arm.score
    marks = [svg.line(scale(target), scale(target), 0, 100, "target")] if target is not None else []
    title = f"{arm.name}: {phrases.score_with_bounds(s)}"
    return svg.drawing(
        26, title, *_grid_lines(scale), *marks,
        svg.line(scale(s.low), scale(s.high), 50, 50, "ci"),
        *[svg.dot(scale(v), 50, 2.5, "seed", f"seed {i}: {v:.3f}") for i, v in enumerate(seeds)],
        svg.dot(scale(s.mean), 50, 5, "mean", title),
    )  # fmt: skip


def pair_scale(pairs: Sequence[Pair], margin: float) -> Axis:
    """Return a symmetric axis that covers every pair's bounds and the margin."""
    most = max([abs(x) for pair in pairs for x in (pair.low, pair.high)] + [2 * margin])
    step = svg.round_up(most / 3)
    return Axis(-step * 3, step * 3)


def pair_row(pair: Pair, scale: Axis, margin: float) -> Markup:
    """Return a drawing of a paired difference, its bounds, the zero line and the margin."""
    side = "ahead" if pair.low > 0 else "behind" if pair.high < 0 else "open"
    return svg.drawing(
        48, f"{pair.arm} − {pair.versus}: {phrases.span(pair)}",
        svg.block(scale(-margin), scale(margin), 0, 100, "band"),
        *_grid_lines(scale), svg.line(scale(0), scale(0), 0, 100, "zero"),
        svg.line(scale(pair.low), scale(pair.high), 50, 50, f"ci {side}"),
        svg.dot(scale(pair.mean), 50, 5, f"mean {side}", phrases.span(pair)),
    )  # fmt: skip


def pair_counts_bar(pair: Pair) -> Markup:
    """Return wins, ties and losses as one stacked bar."""
    ties = pair.n - pair.wins - pair.losses
    text = f"won {pair.wins}, equal {ties}, lost {pair.losses}"
    parts = ((pair.wins, "win", f"won {pair.wins}"), (ties, "tie", f"equal {ties}"),
             (pair.losses, "loss", f"lost {pair.losses}"))  # fmt: skip
    return svg.shares_bar(parts, text)


@dataclass(frozen=True)
class ScatterPoint:
    """One arm on a scatter plot: its cost (x) and its score (y)."""

    name: str
    x: float
    y: float
    kind: str
    title: str


def scatter_plot(spots: Sequence[ScatterPoint], unit: str) -> Markup:
    """Return a plot of score against cost (logarithmic axis) with the Pareto frontier."""
    xs, ys = svg.log_axis([s.x for s in spots]), svg.score_axis([s.y for s in spots])
    best: list[tuple[float, float]] = []
    for spot in sorted(spots, key=lambda s: (s.x, -s.y)):
        x, y = xs(spot.x), 100 - ys(spot.y)
        if spot.kind != "reference" and (not best or y < best[-1][1]):
            best += [(x, best[-1][1] if best else 100.0), (x, y)]
    best += [(100.0, best[-1][1])] if best else []
    at = [(xs(s.x), 100 - ys(s.y)) for s in spots]
    names = place_labels(at, [s.name for s in spots])
    texts = [
        svg.tag("text", s.name, x=svg.percent(x), y=svg.percent(y + down), dx=10 * side, dy=4,
                text_anchor="start" if side > 0 else "end", class_=f"spot-name {s.kind}")
        for s, (x, y), (side, down) in zip(spots, at, names, strict=True)
    ]  # fmt: skip
    leads = [
        svg.line(x, x + 1.4 * side, y, y + down, "lead")
        for (x, y), (side, down) in zip(at, names, strict=True)
        if down
    ]
    dots = [svg.dot(xs(s.x), 100 - ys(s.y), 5.5, f"spot {s.kind}", s.title) for s in spots]
    return svg.drawing(
        240, f"score against {unit}", *_axes_frame(xs, ys, unit, "score"),
        svg.polyline(best, "frontier"), *leads, *texts, *dots, class_="plot",
    )  # fmt: skip


def place_labels(
    places: Sequence[tuple[float, float]], names: Sequence[str]
) -> list[tuple[int, float]]:
    """Return (side: 1 right, -1 left; shift down in %) of each dot's label, so that none overlap.

    A label takes the first free position: next to its dot, else above or below. A letter counts as
    2.5 % of the width, so labels stay apart on a phone.
    """
    taken = [(x - 1.5, x + 1.5, y - 3.5, y + 3.5) for x, y in places]
    out: dict[int, tuple[int, float]] = {}
    for i in sorted(range(len(places)), key=lambda i: places[i][1]):
        x, y = places[i]
        wide = 2.5 * len(names[i])
        for side, down in _label_positions(x, wide):
            ends = (x + 2, x + 2 + wide) if side > 0 else (x - 2 - wide, x - 2)
            box = (*ends, y + down - 3, y + down + 3)
            if not any(_boxes_overlap(box, other) for j, other in enumerate(taken) if j != i):
                break
        taken.append(box)
        out[i] = (side, down)
    return [out[i] for i in range(len(places))]


def _label_positions(x: float, wide: float) -> list[tuple[int, float]]:
    sides = [side for side in (1, -1) if (x + 2 + wide <= 103 if side > 0 else x - 2 - wide >= -4)]
    downs = [0.0, *(sign * step for step in (6.5, 13.0, 19.5, 26.0, 32.5) for sign in (1, -1))]
    return [(side, down) for down in downs for side in sides or [-1]]


def _boxes_overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[1] and other[0] < one[1] and one[2] < other[3] and other[2] < one[3]


def _axes_frame(xs: Axis, ys: Axis, x_name: str, y_show: str, y_name: str = "") -> list[Markup]:
    """Return grid, ticks and names of both axes; `y_show` (score, else amount) formats y ticks."""
    lines = [svg.line(0, 100, 100 - ys(m), 100 - ys(m), "grid") for m in ys.ticks()]
    form = score_text if y_show == "score" else _tick_text
    lines += [
        svg.tag("text", form(m), x=-8, y=svg.percent(100 - ys(m)), dy=4, text_anchor="end",
                class_="tick")
        for m in ys.ticks()
    ]  # fmt: skip
    lines += [
        svg.tag("text", _tick_text(m), x=svg.percent(xs(m)), y="100%", dy=17,
                text_anchor="middle", class_="tick")
        for m in xs.ticks()
    ]  # fmt: skip
    name = svg.tag("text", x_name, x="100%", y="100%", dy=34, text_anchor="end", class_="tick")
    up = svg.tag("text", y_name or y_show, x=-8, y="0%", dy=-9, text_anchor="start", class_="tick")
    return [*lines, svg.line(0, 100, 100, 100, "base"), name, up]


def _tick_text(value: float) -> str:
    return f"{value:,g}" if value >= 1 or value == 0 else f"{value:g}".removeprefix("0")


def unnamed_lines_chart(
    lines: Sequence[Sequence[tuple[float, float]]],
    chosen: Sequence[tuple[float, float]],
    names: tuple[str, str],
    dots: bool = False,
) -> Markup:
    """Return a chart of unnamed lines, with the `chosen` points (checkpoints) marked.

    `names` are the names of the axes; a score axis is cut to its values, any other starts at 0.
    """
    flat = [point for one in lines for point in one]
    y_values = [y for _, y in flat]
    ys = svg.score_axis(y_values) if names[1] == "score" else Axis(0.0, max(y_values) * 1.05 or 1.0)
    xs = Axis(0.0, max((x for x, _ in flat), default=1.0))
    drawn = [svg.polyline([(xs(x), 100 - ys(y)) for x, y in one], "curve") for one in lines]
    small = [svg.dot(xs(x), 100 - ys(y), 2.5, "seed") for x, y in flat] if dots else []
    marks = [
        svg.dot(xs(x), 100 - ys(y), 5, "mean", f"chosen: step {x:.0f}, {y:.3f}") for x, y in chosen
    ]
    frame = _axes_frame(xs, ys, names[0], names[1])
    return svg.drawing(180, f"{names[1]} by {names[0]}", *frame, *drawn, *small, *marks,
                       class_="plot")  # fmt: skip


@dataclass(frozen=True)
class ChartLine:
    """A named line of a chart, in the colour of a class of the style sheet (c0 to c10)."""

    name: str
    colour: str
    points: tuple[tuple[float, float], ...]


def named_lines_chart(
    drawn: Sequence[ChartLine], names: tuple[str, str], height: int = 180
) -> Markup:
    """Return a chart of named lines, with each point's value on hover.

    `names` are the names of the axes; a y axis named score or share is cut to its values, any
    other starts at 0. `legend` returns the names of the colours.
    """
    flat = [point for one in drawn for point in one.points]
    shares = names[1] in ("score", "share")
    most = max((y for _, y in flat), default=1.0)
    ys = svg.score_axis([y for _, y in flat]) if shares else Axis(0.0, most * 1.05 or 1.0)
    xs = Axis(min((x for x, _ in flat), default=0.0), max((x for x, _ in flat), default=1.0))
    marks = []
    for one in drawn:
        at = [(xs(x), 100 - ys(y)) for x, y in one.points]
        marks.append(svg.polyline(at, f"curve {one.colour}"))
        marks += [
            svg.dot(*place, 3, f"point {one.colour}", f"{one.name}, {x:g}: {y:.3g}")
            for place, (x, y) in zip(at, one.points, strict=True)
        ]
    frame = _axes_frame(xs, ys, names[0], "score" if shares else "amount", names[1])
    label = f"{names[1]} by {names[0]}: {', '.join(one.name for one in drawn)}"
    return svg.drawing(height, label, *frame, *marks, class_="plot lines")


def legend(drawn: Sequence[ChartLine]) -> list[tuple[str, str]]:
    """Return (colour, name) of each line, for a legend beside the drawing."""
    return [(one.colour, one.name) for one in drawn]


def training_points(trace: dict[str, Any]) -> dict[str, Any]:
    """Return {"loss", "dev", "dev_loss", "chosen"} of a training run as (step, value) points.

    `steps` hold loss and epoch; `evaluations` hold epoch, dev_score and dev_loss; an epoch is
    drawn at its last step.
    """
    steps = [s for s in trace.get("steps") or [] if isinstance(s.get("loss"), int | float)]
    loss = [(float(i + 1), float(s["loss"])) for i, s in enumerate(steps)]
    end = {s.get("epoch"): float(i + 1) for i, s in enumerate(steps)}
    out: dict[str, Any] = {"loss": loss, "dev": [], "dev_loss": [], "chosen": None}
    for evaluation in trace.get("evaluations") or []:
        at = end.get(evaluation.get("epoch"))
        if at is None:
            continue
        for key, kind in (("dev_score", "dev"), ("dev_loss", "dev_loss")):
            if isinstance(evaluation.get(key), int | float):
                out[kind].append((at, float(evaluation[key])))
                if kind == "dev" and evaluation.get("epoch") == trace.get("chosen"):
                    out["chosen"] = (at, float(evaluation[key]))
    return out


@dataclass(frozen=True)
class IntervalPoint:
    """A mean with its interval at a position on a logarithmic axis."""

    x: float
    mean: float
    low: float
    high: float
    title: str


def intervals_chart(
    points: Sequence[IntervalPoint], names: tuple[str, str], goal: float | None = None
) -> Markup:
    """Return a chart of means with intervals over a logarithmic x axis, and a goal line."""
    values = [v for p in points for v in (p.mean, p.low, p.high)]
    ys = svg.score_axis(values + ([goal] if goal is not None else []))
    xs = svg.log_axis([p.x for p in points])
    at = [(xs(p.x), 100 - ys(p.mean)) for p in points]
    lines = [
        svg.line(x, x, 100 - ys(p.low), 100 - ys(p.high), "ci")
        for (x, _), p in zip(at, points, strict=True)
    ]
    dots = [svg.dot(x, y, 5, "mean", p.title) for (x, y), p in zip(at, points, strict=True)]
    wanted = [svg.line(0, 100, 100 - ys(goal), 100 - ys(goal), "target")] if goal else []
    return svg.drawing(
        180, f"{names[1]} by {names[0]}", *_axes_frame(xs, ys, names[0], names[1]), *wanted,
        svg.polyline(at, "curve"), *lines, *dots, class_="plot",
    )  # fmt: skip


def shares_chart(
    points: Sequence[IntervalPoint],
    names: tuple[str, str],
    goal: float | None = None,
    diagonal: bool = False,
) -> Markup:
    """Return a chart of shares with intervals over an axis of 0 to 1, with a goal line.

    `diagonal` draws where both axes are equal.
    """
    highs = [p.high for p in points] + [goal or 0.0] + [1.0] * diagonal
    xs, ys = Axis(0.0, 1.0), Axis(0.0, min(1.0, max(highs) * 1.05))
    at = [(xs(p.x), 100 - ys(p.mean)) for p in points]
    lines = [
        svg.line(x, x, 100 - ys(p.low), 100 - ys(p.high), "ci")
        for (x, _), p in zip(at, points, strict=True)
    ]
    marks = [svg.dot(x, y, 4, "mean", p.title) for (x, y), p in zip(at, points, strict=True)]
    wanted = [svg.line(0, 100, 100 - ys(goal), 100 - ys(goal), "target")] if goal else []
    equal = [svg.polyline([(0.0, 100.0), (100.0, 100 - ys(1.0))], "frontier")] if diagonal else []
    return svg.drawing(
        220, f"{names[1]} by {names[0]}", *_axes_frame(xs, ys, names[0], "score", names[1]),
        *wanted, *equal, svg.polyline(at, "curve"), *lines, *marks, class_="plot",
    )  # fmt: skip


def costs_chart(
    lines: Sequence[tuple[str, str, Sequence[tuple[float, float]]]],
    marks: Sequence[tuple[float, str]],
    names: tuple[str, str],
) -> Markup:
    """Return a chart of total cost by volume, both logarithmic; a line is (name, class, points).

    `marks` are labelled volumes: the user's own, and the break-even point.
    """
    flat = [point for _, _, points in lines for point in points]
    xs = svg.Axis(min(x for x, _ in flat), max(x for x, _ in flat), log=True)
    lowest = max(min(y for _, y in flat), max(y for _, y in flat) / 1e5)
    ys = svg.Axis(lowest, max(y for _, y in flat) * 1.2, log=True)
    drawn = [
        svg.polyline([(xs(x), 100 - ys(y)) for x, y in points], f"curve {class_}")
        for _, class_, points in lines
    ]
    ends = [(xs(points[-1][0]), 100 - ys(points[-1][1])) for _, _, points in lines]
    places = place_labels(ends, [name for name, _, _ in lines])
    texts = [
        svg.tag("text", name, x=svg.percent(x), y=svg.percent(y + down), dx=-8, dy=-4,
                text_anchor="end", class_=f"spot-name {class_}")
        for (name, class_, _), (x, y), (_, down) in zip(lines, ends, places, strict=True)
    ]  # fmt: skip
    within = [(x, word) for x, word in marks if xs.low <= x <= xs.high]
    stands = [svg.line(xs(x), xs(x), 0, 100, "target") for x, _ in within]
    notes = [svg.label(xs(x), "10", word, anchor=_text_anchor(xs(x))) for x, word in within]
    return svg.drawing(
        240, f"{names[1]} by {names[0]}", *_axes_frame(xs, ys, *names), *stands, *drawn, *texts,
        *notes, class_="plot",
    )  # fmt: skip
