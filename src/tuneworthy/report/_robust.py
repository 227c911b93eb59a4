"""Report section on robustness: by temperature, in other words, on slices of the cases.

Text and drawings only; the numbers come from the measurements.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tuneworthy.core.harm import RobustnessResult
from tuneworthy.core.interval import Interval
from tuneworthy.core.results import Results
from tuneworthy.core.slices import Slices
from tuneworthy.extras.rewording import WRAPPERS
from tuneworthy.report import _charts as charts
from tuneworthy.report import _words as words
from tuneworthy.report._charts import Line
from tuneworthy.report._time import trend_lines

COLOURS = ("c1", "c4", "c8", "c3", "c6")
TEMPERATURE = "temperature"


def robustness_section(results: Results) -> dict[str, Any] | None:
    """Return the section's content; None if nothing of it was measured."""
    evidence = results.evidence
    trends = trend_lines(results)
    if not evidence.shakes and not evidence.slices and not trends:
        return None
    return {
        "curves": curves(evidence.shakes),
        "flat": steady_lines(evidence.shakes),
        "others": other_ways(evidence.shakes),
        "wrappers": [wrapper.replace("{}", "…") for wrapper in WRAPPERS],
        "trends": trends,
        "slices": [table(one) for one in evidence.slices],
        "missing": {
            name: why for name, why in evidence.missing.items() if name in ("shakes", "slices")
        },
    }


def curves(shakes: Sequence[RobustnessResult]) -> list[dict[str, Any]]:
    """Return validity and score by temperature, one line per arm; empty below 2 temperatures."""
    warm = [one for one in shakes if one.how == TEMPERATURE and one.temperature is not None]
    if len({one.temperature for one in warm}) < 2:
        return []
    out = []
    for title, name, value in (
        ("Valid answers", "share", _valid),
        ("Score", "score", _mean),
    ):
        lines = [
            Line(
                arm,
                COLOURS[at % len(COLOURS)],
                tuple((one.temperature or 0.0, value(one)) for one in warm if one.arm == arm),
            )
            for at, arm in enumerate(_arms(warm))
        ]
        drawn = charts.lines(lines, ("temperature", name))
        out.append({"title": title, "drawn": drawn, "legend": charts.legend(lines)})
    return out


def steady_lines(shakes: Sequence[RobustnessResult]) -> list[str]:
    """Return a sentence per arm on its validity at the lowest and the highest temperature."""
    out = []
    for arm in _arms(shakes):
        own = [s for s in shakes if s.arm == arm and s.how == TEMPERATURE]
        own.sort(key=lambda one: one.temperature or 0.0)
        if len(own) < 2:
            continue
        first, last = own[0], own[-1]
        out.append(
            f"{arm}: {_count(first)} valid at temperature {first.temperature:g}, {_count(last)} at "
            f"{last.temperature:g} ({_share(last)})"
        )
    return out


def other_ways(shakes: Sequence[RobustnessResult]) -> list[dict[str, Any]]:
    """Return the table of the other variations: an arm's plain answers, then each variation."""
    rows = []
    for arm in _arms(shakes):
        own = [s for s in shakes if s.arm == arm]
        plain = [s for s in own if s.how == TEMPERATURE and s.temperature == 0]
        other = [s for s in own if s.how != TEMPERATURE]
        for one in [*plain, *other] if other else []:
            how = "as it is" if one.how == TEMPERATURE else one.how
            rows.append({"arm": arm, "how": how, "n": one.n, "valid": _count(one),
                         "score": _three(one.score)})  # fmt: skip
    return rows


def table(found: Slices) -> dict[str, Any]:
    """Return one table of slices: rows grouped by kind, small ones marked."""
    rows = [
        {
            "kind": one.kind,
            "name": one.name,
            "n": one.n,
            "small": one.small,
            "score": _three(one.score),
            "rival": one.rival and _three(one.rival),
            "delta": one.delta and words.span(one.delta),
        }
        for one in found.slices
    ]
    return {"arm": found.arm, "rival": found.rival, "n": found.n, "rows": rows,
            "said": found.said, "missing": sorted(found.missing.items())}  # fmt: skip


def _arms(shakes: Sequence[RobustnessResult]) -> list[str]:
    return list(dict.fromkeys(one.arm for one in shakes))


def _valid(one: RobustnessResult) -> float:
    return one.valid.share


def _mean(one: RobustnessResult) -> float:
    return one.score.mean


def _count(one: RobustnessResult) -> str:
    return f"{one.valid.k:,} of {one.valid.n:,}"


def _share(one: RobustnessResult) -> str:
    return f"95 %: {100 * one.valid.low:.0f} to {100 * one.valid.high:.0f} %"


def _three(one: Interval) -> dict[str, str]:
    return {"mean": words.score(one.mean), "low": words.score(one.low),
            "high": words.score(one.high)}  # fmt: skip
