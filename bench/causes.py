"""Failures of a known cause, made by scripted systems: what the matrix read across calls them.

usage: causes.py [first seed]   ten causes in ten variants at 8, 20, 40 and 60 failures and 100
controls, on seeds from 2,000 on; rules and thresholds were looked at on other seeds only. Then the
same plants judged without placebos, without the gain over today's system and without asking today's
system again, pairs of causes, and training that is tried on one fold alone.

Of the controls 50 have nothing that helps, 30 are repaired by any other wording of the prompt (what
placebos are for) and 20 have a base that slips by chance (what asking it again is for).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from _bench import write

from tuneworthy.explain.cause_shares import CAUSES as NAMES
from tuneworthy.explain.cause_shares import attribute_causes
from tuneworthy.explain.effects import effect
from tuneworthy.records.causes import BaseOutcomes, Effect, Intervention
from tuneworthy.report.wrong_section import RATES_FILE

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.planted import (
    CAUSES,
    VARIANTS,
    PlantedSystem,
    PlantOutcome,
    confusion_summary,
    outcome,
    plant,
    table,
)

FAILURES, REPORTED = (8, 20, 40, 60), 2000
PLAIN, NUDGED, NOISY = 50, 30, (6, 7)

Rule = Callable[[BaseOutcomes, Sequence[Intervention]], list[Effect]]


FAILURE_COUNTS = (8, 20, 40, 60)
_HIT_KEYS = ("first", "likely")


def published_rates(results: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures for the report from the results of `bench/causes.py`.

    `sizes`: by failures per task, the share of planted tasks whose cause leads (`first`) or is
    among the two likeliest (`likely`), and of controls with a false cause (`false`), each with n
    and 95 % ends. `named`: at the most failures, the named cause for each planted cause.
    """
    by_size = {size: results[f"{size} failures, as it is"] for size in FAILURE_COUNTS}
    sizes = [
        {"failures": size, **{key: own["all"][key] for key in _HIT_KEYS}, "false": own["false"]}
        for size, own in by_size.items()
    ]
    causes = by_size[FAILURE_COUNTS[-1]]["causes"]
    return {"sizes": sizes, "named": {cause: own["named"] for cause, own in causes.items()}}


def as_it_is(base: BaseOutcomes, columns: Sequence[Intervention]) -> list[Effect]:
    """Return the effects by the rule that stands."""
    return [effect(base, one) for one in columns]


def without_placebos(base: BaseOutcomes, columns: Sequence[Intervention]) -> list[Effect]:
    """Return them as if no placebo had been run."""
    return as_it_is(base, [one.model_copy(update={"placebo_passed": None}) for one in columns])


def without_gain(base: BaseOutcomes, columns: Sequence[Intervention]) -> list[Effect]:
    """Return them as if it were enough to do better than the placebo."""
    found = as_it_is(base, columns)
    return [
        one.model_copy(update={"acts": one.net.low > 0 and one.contrast.low > 0})
        if one.net and one.contrast
        else one
        for one in found
    ]


def without_rerun(base: BaseOutcomes, columns: Sequence[Intervention]) -> list[Effect]:
    """Return them as if today's system had not been asked again."""
    return as_it_is(base.model_copy(update={"rerun": {}}), columns)


RULES: dict[str, Rule] = {
    "as it is": as_it_is,
    "without placebos": without_placebos,
    "without gain": without_gain,
    "without rerun": without_rerun,
}


def judged(one: PlantedSystem, rule: Rule = as_it_is) -> PlantOutcome:
    """Return what a plant is called under a rule."""
    columns = one.interventions
    return outcome(one, attribute_causes(one.base, columns, rule(one.base, columns)))


def planted(first: int, failures: int) -> list[PlantedSystem]:
    """Return ten causes in ten variants."""
    return [
        plant(cause, first + variant, failures, variant)
        for cause in CAUSES
        for variant in range(len(VARIANTS))
    ]


def controls(first: int, failures: int) -> list[PlantedSystem]:
    """Return a hundred systems whose failures have no cause that a remedy could repair."""
    plain = [plant("hard", first + n, failures, n) for n in range(PLAIN)]
    nudged = [plant("nudge", first + n, failures, n) for n in range(NUDGED)]
    noisy = [plant("hard", first + 500 + n, failures, NOISY[n % 2]) for n in range(20)]
    return [*plain, *nudged, *noisy]


def piloted(first: int, failures: int) -> list[PlantedSystem]:
    """Return plants of what training repairs, each tried on one fold of five alone."""
    return [plant("learnable", first + n, failures, 8) for n in range(30)]


def pairs(first: int, failures: int) -> list[PlantedSystem]:
    """Return one plant of every two causes that can share a task, half of the failures each."""
    found = []
    for number, (one, other) in enumerate(combinations(CAUSES, 2)):
        alone = {"label", "reading"} & {one, other}
        documents = {one, other} <= {"knowledge", "retrieval"}
        if not alone and not documents:
            found.append(plant(one, first + number, failures, number, other))
    return found


def main() -> None:
    """Print the matrices and write bench/results/causes.json."""
    first = int(sys.argv[1]) if len(sys.argv) > 1 else REPORTED
    told: dict[str, object] = {"first seed": first}
    summary: dict[str, str] = {}
    for failures in FAILURES:
        plants = planted(first, failures) + controls(first, failures)
        rules = RULES if failures == FAILURES[-1] else {"as it is": as_it_is}
        for name, rule in rules.items():
            found = confusion_summary(judged(one, rule) for one in plants)
            told[f"{failures} failures, {name}"] = found
            print(f"\n{failures} failures, {name}\n{table(found, NAMES)}", flush=True)
            for what, key in (("right", "right"), ("first", "first"), ("in two", "likely")):
                rate = found["all"][key]
                summary[f"{failures} failures, {name}: {what}"] = _said(rate)
            summary[f"{failures} failures, {name}: false on controls"] = _said(found["false"])
            summary[f"{failures} failures, {name}: any acts on controls"] = _said(found["any acts"])
            if rate := found.get("cases given another's remedy"):
                summary[f"{failures} failures, {name}: cases given another's remedy"] = _said(rate)
    pilots = confusion_summary(judged(one) for one in piloted(first, FAILURES[-1]))
    told["training on one fold"] = pilots
    summary["training on one fold: right"] = _said(pilots["all"]["right"])
    both = confusion_summary(judged(one) for one in pairs(first, FAILURES[-1]))
    told["two causes"] = both
    print(f"\ntwo causes, {FAILURES[-1]} failures\n{table(both, NAMES)}")
    summary["two causes: one of them leads"] = _said(both["all"]["right"])
    for what, figure in summary.items():
        print(f"{what:<56} {figure}")
    write("causes", {**told, "summary": summary})
    rates = json.dumps(published_rates(told), indent=1)
    RATES_FILE.write_text(rates + "\n", "utf-8")


def _said(rate: dict[str, float]) -> str:
    return f"{rate['share']:.3f} ({rate['low']:.3f}-{rate['high']:.3f}, n {rate['n']})"


if __name__ == "__main__":
    main()
