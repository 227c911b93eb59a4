"""The report's charts: forest, paired differences, quality against cost, training, margins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from tuneworthy.core.evidence import ArmResult, Pair
from tuneworthy.core.results import Results
from tuneworthy.report import _svg as svg
from tuneworthy.report import _words as words
from tuneworthy.report._svg import Scale


def axis(scale: Scale, show: str = "score", wanted: int = 5) -> Markup:
    """Return the tick labels of an axis; `show` is score, points or amount."""
    forms = {"score": words.score, "points": words.signed, "amount": words.amount}
    marks = scale.ticks(wanted)
    return svg.drawing(
        18, "axis",
        *[svg.label(scale(m), "13", forms[show](m), anchor=_anchor(scale(m))) for m in marks],
        class_="row axis",
    )  # fmt: skip


def _anchor(at: float) -> str:
    return "start" if at < 2 else "end" if at > 98 else "middle"


def grid(scale: Scale, wanted: int = 5) -> list[Markup]:
    """Return faint lines at the ticks of an axis."""
    return [svg.line(scale(m), scale(m), 0, 100, "grid") for m in scale.ticks(wanted)]


def forest_scale(results: Results) -> Scale:
    """Return the axis that holds every arm's interval and the target."""
    scores = [arm.score for arm in results.evidence.arms if arm.score and arm.role != "placebo"]
    values = [x for s in scores for x in (s.low, s.high)]
    target = results.task.success.target
    return svg.around(values + ([target] if target is not None else []))


def forest_row(
    arm: ArmResult, scale: Scale, seeds: Sequence[float], target: float | None
) -> Markup:
    """Return one arm's interval with its mean, the mean of each seed, and the target."""
    assert arm.score is not None
    s = arm.score
    marks = [svg.line(scale(target), scale(target), 0, 100, "target")] if target is not None else []
    title = f"{arm.name}: {words.score(s.mean)} ({words.score(s.low)} to {words.score(s.high)})"
    return svg.drawing(
        26, title, *grid(scale), *marks,
        svg.line(scale(s.low), scale(s.high), 50, 50, "ci"),
        *[svg.dot(scale(v), 50, 2.5, "seed", f"seed {i}: {v:.3f}") for i, v in enumerate(seeds)],
        svg.dot(scale(s.mean), 50, 5, "mean", title),
    )  # fmt: skip


def pair_scale(pairs: Sequence[Pair], margin: float) -> Scale:
    """Return a symmetric axis that holds every bound and the margin."""
    most = max([abs(x) for pair in pairs for x in (pair.low, pair.high)] + [2 * margin])
    step = svg.nice(most / 3)
    return Scale(-step * 3, step * 3)


def pair_row(pair: Pair, scale: Scale, margin: float) -> Markup:
    """Return a paired difference with its bounds, no difference, and the margin shaded."""
    side = "ahead" if pair.low > 0 else "behind" if pair.high < 0 else "open"
    return svg.drawing(
        26, f"{pair.arm} − {pair.versus}: {words.span(pair)}",
        svg.block(scale(-margin), scale(margin), 0, 100, "band"),
        *grid(scale), svg.line(scale(0), scale(0), 0, 100, "zero"),
        svg.line(scale(pair.low), scale(pair.high), 50, 50, f"ci {side}"),
        svg.dot(scale(pair.mean), 50, 5, f"mean {side}", words.span(pair)),
    )  # fmt: skip


def pair_counts(pair: Pair) -> Markup:
    """Return wins, ties and losses as one stacked bar."""
    ties = pair.n - pair.wins - pair.losses
    text = f"won {pair.wins}, equal {ties}, lost {pair.losses}"
    parts = ((pair.wins, "win", f"won {pair.wins}"), (ties, "tie", f"equal {ties}"),
             (pair.losses, "loss", f"lost {pair.losses}"))  # fmt: skip
    return svg.shares(parts, text)


@dataclass(frozen=True)
class Spot:
    """One arm on a scatter: what it costs (x), how good it is (y)."""

    name: str
    x: float
    y: float
    kind: str
    title: str


def scatter(spots: Sequence[Spot], unit: str) -> Markup:
    """Return quality against cost (logarithmic), with the line of those that nothing dominates."""
    xs, ys = svg.log_around([s.x for s in spots]), svg.around([s.y for s in spots])
    best: list[tuple[float, float]] = []
    for spot in sorted(spots, key=lambda s: (s.x, -s.y)):
        if spot.kind != "reference" and (not best or 100 - ys(spot.y) < best[-1][1]):
            step = [(xs(spot.x), best[-1][1])] if best else []
            best += [*step, (xs(spot.x), 100 - ys(spot.y))]
    places = _labels([(xs(s.x), 100 - ys(s.y)) for s in spots])
    texts = [
        svg.tag("text", s.name, x=svg.percent(xs(s.x)), y=svg.percent(y), dx=9 * side, dy=4,
                text_anchor="start" if side > 0 else "end", class_=f"spot-name {s.kind}")
        for s, (y, side) in zip(spots, places, strict=True)
    ]  # fmt: skip
    dots = [svg.dot(xs(s.x), 100 - ys(s.y), 5.5, f"spot {s.kind}", s.title) for s in spots]
    return svg.drawing(
        240, f"score against {unit}", *_frame(xs, ys, unit, "score"),
        svg.polyline(best, "frontier"), *texts, *dots, class_="plot",
    )  # fmt: skip


def _labels(places: Sequence[tuple[float, float]]) -> list[tuple[float, int]]:
    """Return (y in per cent, side) of each label, moved apart where names would overlap."""
    taken: list[tuple[float, int]] = []
    out: dict[int, tuple[float, int]] = {}
    for at in sorted(range(len(places)), key=lambda i: places[i][1]):
        x, y = places[at]
        side = 1 if x < 55 else -1
        while any(abs(y - other) < 6.5 and where == side for other, where in taken):
            y += 1
        taken.append((y, side))
        out[at] = (y, side)
    return [out[i] for i in range(len(places))]


def _frame(xs: Scale, ys: Scale, x_name: str, y_show: str) -> list[Markup]:
    lines = [svg.line(0, 100, 100 - ys(m), 100 - ys(m), "grid") for m in ys.ticks()]
    form = words.score if y_show == "score" else words.amount
    lines += [
        svg.tag("text", form(m), x=-8, y=svg.percent(100 - ys(m)), dy=4, text_anchor="end",
                class_="tick")
        for m in ys.ticks()
    ]  # fmt: skip
    lines += [
        svg.tag("text", words.amount(m), x=svg.percent(xs(m)), y="100%", dy=17,
                text_anchor="middle", class_="tick")
        for m in xs.ticks()
    ]  # fmt: skip
    name = svg.tag("text", x_name, x="100%", y="100%", dy=34, text_anchor="end", class_="tick")
    return [*lines, svg.line(0, 100, 100, 100, "base"), name]


def curve(
    lines: Sequence[Sequence[tuple[float, float]]],
    chosen: Sequence[tuple[float, float]],
    names: tuple[str, str],
    dots: bool = False,
) -> Markup:
    """Return lines over training steps with the chosen checkpoints marked; y starts at its own."""
    flat = [point for one in lines for point in one]
    y_values = [y for _, y in flat]
    ys = svg.around(y_values) if names[1] == "score" else Scale(0.0, max(y_values) * 1.05 or 1.0)
    xs = Scale(0.0, max((x for x, _ in flat), default=1.0))
    drawn = [svg.polyline([(xs(x), 100 - ys(y)) for x, y in one], "curve") for one in lines]
    small = [svg.dot(xs(x), 100 - ys(y), 2.5, "seed") for x, y in flat] if dots else []
    marks = [
        svg.dot(xs(x), 100 - ys(y), 5, "mean", f"chosen: step {x:.0f}, {y:.3f}") for x, y in chosen
    ]
    frame = _frame(xs, ys, names[0], names[1])
    return svg.drawing(180, f"{names[1]} by {names[0]}", *frame, *drawn, *small, *marks,
                       class_="plot")  # fmt: skip


def training(trace: dict[str, Any]) -> dict[str, Any]:
    """Return the points of one training run: loss a step, dev score and loss an epoch, chosen.

    `steps` hold loss and epoch; `evaluations` hold epoch, dev_score and dev_loss; an epoch is
    drawn at its last step.
    """
    steps = [s for s in trace.get("steps") or [] if isinstance(s.get("loss"), int | float)]
    loss = [(float(i + 1), float(s["loss"])) for i, s in enumerate(steps)]
    end = {s.get("epoch"): float(i + 1) for i, s in enumerate(steps)}
    out: dict[str, Any] = {"loss": loss, "dev": [], "dev_loss": [], "chosen": None}
    for seen in trace.get("evaluations") or []:
        at = end.get(seen.get("epoch"))
        if at is None:
            continue
        for key, kind in (("dev_score", "dev"), ("dev_loss", "dev_loss")):
            if isinstance(seen.get(key), int | float):
                out[kind].append((at, float(seen[key])))
                if kind == "dev" and seen.get("epoch") == trace.get("chosen"):
                    out["chosen"] = (at, float(seen[key]))
    return out
