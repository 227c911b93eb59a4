"""Report section on robustness: by temperature, in other words, on slices of the cases.

Text and drawings only; the numbers come from the measurements.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tuneworthy.core.counting import score_text
from tuneworthy.core.harm import RobustnessResult
from tuneworthy.core.interval import Interval
from tuneworthy.core.results import Results
from tuneworthy.core.slices import Slices
from tuneworthy.extras.rewording import PROMPT_WRAPPERS
from tuneworthy.report import _charts as charts
from tuneworthy.report._charts import ChartLine
from tuneworthy.report.fact_lines import trend_lines
from tuneworthy.verdict import phrases

LINE_COLOURS = ("c1", "c4", "c8", "c3", "c6")
TEMPERATURE = "temperature"


def robustness_section(results: Results) -> dict[str, Any] | None:
    """Return the template values of the robustness section; None if nothing was measured."""
    evidence = results.evidence
    trends = trend_lines(results)
    if not evidence.shakes and not evidence.slices and not trends:
        return None
    return {
        "curves": temperature_charts(evidence.shakes),
        "flat": steady_lines(evidence.shakes),
        "others": other_variations(evidence.shakes),
        "wrappers": [wrapper.replace("{}", "…") for wrapper in PROMPT_WRAPPERS],
        "trends": trends,
        "slices": [slices_table(one) for one in evidence.slices],
        "missing": {
            name: why for name, why in evidence.missing.items() if name in ("shakes", "slices")
        },
    }


def temperature_charts(shakes: Sequence[RobustnessResult]) -> list[dict[str, Any]]:
    """Return charts of validity and score by temperature; empty below two temperatures."""
    warm = [one for one in shakes if one.how == TEMPERATURE and one.temperature is not None]
    if len({one.temperature for one in warm}) < 2:
        return []
    out = []
    for title, name, value in (
        ("Valid answers", "share", _valid_share),
        ("Score", "score", _mean_score),
    ):
        lines = [
            ChartLine(
                arm,
                LINE_COLOURS[at % len(LINE_COLOURS)],
                tuple((one.temperature or 0.0, value(one)) for one in warm if one.arm == arm),
            )
            for at, arm in enumerate(_arm_names(warm))
        ]
        drawn = charts.named_lines_chart(lines, ("temperature", name))
        out.append({"title": title, "drawn": drawn, "legend": charts.legend(lines)})
    return out


def steady_lines(shakes: Sequence[RobustnessResult]) -> list[str]:
    """Return a sentence per arm on its validity at the lowest and the highest temperature."""
    out = []
    for arm in _arm_names(shakes):
        own = [s for s in shakes if s.arm == arm and s.how == TEMPERATURE]
        own.sort(key=lambda one: one.temperature or 0.0)
        if len(own) < 2:
            continue
        first, last = own[0], own[-1]
        out.append(
            f"{arm}: {_valid_count_text(first)} valid at temperature {first.temperature:g},"
            f" {_valid_count_text(last)} at {last.temperature:g} ({_valid_bounds_text(last)})"
        )
    return out


def other_variations(shakes: Sequence[RobustnessResult]) -> list[dict[str, Any]]:
    """Return table rows on variations other than temperature, after each arm's plain answers."""
    rows = []
    for arm in _arm_names(shakes):
        own = [s for s in shakes if s.arm == arm]
        plain = [s for s in own if s.how == TEMPERATURE and s.temperature == 0]
        other = [s for s in own if s.how != TEMPERATURE]
        for one in [*plain, *other] if other else []:
            how = "as it is" if one.how == TEMPERATURE else one.how
            rows.append({"arm": arm, "how": how, "n": one.n, "valid": _valid_count_text(one),
                         "score": _score_texts(one.score)})  # fmt: skip
    return rows


def slices_table(found: Slices) -> dict[str, Any]:
    """Return the template values of one table of slices; small slices are marked."""
    rows = [
        {
            "kind": one.kind,
            "name": one.name,
            "n": one.n,
            "small": one.small,
            "score": _score_texts(one.score),
            "rival": one.rival and _score_texts(one.rival),
            "delta": one.delta and phrases.span(one.delta),
        }
        for one in found.slices
    ]
    return {"arm": found.arm, "rival": found.rival, "n": found.n, "rows": rows,
            "said": found.said, "missing": sorted(found.missing.items())}  # fmt: skip


def _arm_names(shakes: Sequence[RobustnessResult]) -> list[str]:
    return list(dict.fromkeys(one.arm for one in shakes))


def _valid_share(one: RobustnessResult) -> float:
    return one.valid.share


def _mean_score(one: RobustnessResult) -> float:
    return one.score.mean


def _valid_count_text(one: RobustnessResult) -> str:
    return f"{one.valid.k:,} of {one.valid.n:,}"


def _valid_bounds_text(one: RobustnessResult) -> str:
    return f"95 %: {100 * one.valid.low:.0f} to {100 * one.valid.high:.0f} %"


def _score_texts(one: Interval) -> dict[str, str]:
    return {"mean": score_text(one.mean), "low": score_text(one.low),
            "high": score_text(one.high)}  # fmt: skip
