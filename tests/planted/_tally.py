"""Compare planted with diagnosed causes: rates with exact intervals, and every miss."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.planted._plant import CONTROL, NUDGED, PlantedSystem
from tuneworthy.matrix.design import Design
from tuneworthy.records.causes import NO_CAUSES, REMEDIES, Diagnosis

NO_CAUSE_NAMES = {"hard", "few"}
PLANTED = Design.independent("each system is planted by itself")


@dataclass(frozen=True)
class PlantOutcome:
    """The diagnosis of one planted system. `named` is the leading cause, or `few`.

    `first` and `likely` are the most likely cause and the two most likely ones, even if the
    failures were few. `acting` are the remedies found to act. `cases` is (failed cases diagnosed
    with a wrong cause, failed cases diagnosed with any cause).
    """

    plant: PlantedSystem
    named: str
    first: str
    likely: tuple[str, ...]
    acting: tuple[str, ...]
    cases: tuple[int, int]

    @property
    def wanted(self) -> set[str]:
        """Return the right values of `named`: the planted causes; for a control `hard`, `few`."""
        if self.plant.cause in (CONTROL, NUDGED):
            return NO_CAUSE_NAMES
        return {self.plant.cause, self.plant.second or self.plant.cause}


def outcome(plant: PlantedSystem, diagnosis: Diagnosis) -> PlantOutcome:
    """Return the outcome of diagnosing a planted system."""
    causes = tuple(row.cause for row in diagnosis.wrong if row.cause not in NO_CAUSES)
    causes = causes or ("untried",)
    acting = tuple(sorted({one.remedy for one in diagnosis.effects if one.acts}))
    named = "few" if diagnosis.few else causes[0]
    given = {case: cause for case, cause in diagnosis.cause.items() if cause in REMEDIES}
    wrong = sum(plant.lacks[case] != cause for case, cause in given.items())
    return PlantOutcome(plant, named, causes[0], causes[:2], acting, (wrong, len(given)))


def confusion_summary(outcomes: Iterable[PlantOutcome]) -> dict[str, Any]:
    """Count which cause was named for each planted one; add rates (95 % intervals) and misses.

    `right`: named as planted. `first`, `likely`: the planted cause is the most likely one, or one
    of the two most likely, even if the failures were few. A miss is an outcome whose most likely
    cause is wrong; it lists the arguments of `plant`, then `named` and `first`.
    """
    by: dict[str, list[PlantOutcome]] = {}
    for one in outcomes:
        by.setdefault(one.plant.cause, []).append(one)
    causes = {cause: _rate_summary(own) for cause, own in by.items()}
    planted = [one for cause, own in by.items() if cause not in (CONTROL, NUDGED) for one in own]
    whole: dict[str, Any] = {"causes": causes}
    if planted:
        whole["all"] = {
            key: value for key, value in _rate_summary(planted).items() if key != "named"
        }
        wrong, given = (sum(one.cases[at] for one in planted) for at in (0, 1))
        if given:
            whole["cases given another's remedy"] = _rate_with_bounds(wrong, given)
    if controls := [one for cause in (CONTROL, NUDGED) for one in by.get(cause, ())]:
        whole["false"] = _rate_with_bounds(
            sum(one.named not in NO_CAUSE_NAMES for one in controls), len(controls)
        )
        whole["any acts"] = _rate_with_bounds(
            sum(bool(one.acting) for one in controls), len(controls)
        )
    return whole


def _rate_summary(outcomes: Sequence[PlantOutcome]) -> dict[str, Any]:
    n = len(outcomes)
    return {
        "named": dict(Counter(one.named for one in outcomes).most_common()),
        "right": _rate_with_bounds(sum(one.named in one.wanted for one in outcomes), n),
        "first": _rate_with_bounds(sum(one.first in one.wanted for one in outcomes), n),
        "likely": _rate_with_bounds(sum(bool(one.wanted & set(one.likely)) for one in outcomes), n),
        "misses": [
            [*one.plant.why, one.named, one.first]
            for one in outcomes
            if one.first not in one.wanted
        ],
    }


def _rate_with_bounds(k: int, n: int) -> dict[str, float]:
    found = PLANTED.rate(k, n)
    ends = {name: round(getattr(found, name), 4) for name in ("share", "low", "high")}
    return {"k": k, "n": n, **ends}


def table(summary: Mapping[str, Any], columns: Sequence[str]) -> str:
    """Return the confusion matrix as text: a row per planted cause, a column per named cause."""
    names = [c for c in columns if any(c in own["named"] for own in summary["causes"].values())]
    lines = [f"{'planted':<11}" + "".join(f"{name[:9]:>10}" for name in names) + "   right (95 %)"]
    for cause, own in summary["causes"].items():
        counts = "".join(f"{own['named'].get(name, '.')!s:>10}" for name in names)
        r = own["right"]
        lines.append(f"{cause:<11}{counts}   {r['share']:.2f} ({r['low']:.2f}-{r['high']:.2f})")
    return "\n".join(lines)
