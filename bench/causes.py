"""Failures of a known cause, made by scripted systems: what the matrix read across calls them.

usage: causes.py [first seed]   ten causes in ten variants at 8, 20, 40 and 60 failures and 100
controls, on seeds from 1,000 on; thresholds were looked at on seeds below 1,000 only. Then pairs of
causes, and the same plants judged without placebos and without the gain over today's system.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations

from _bench import write

from tuneworthy.core.causes import Base, Effect, Intervention
from tuneworthy.matrix.causes import CAUSES as NAMES
from tuneworthy.matrix.causes import attribute
from tuneworthy.matrix.effects import effect
from tuneworthy.planted import CAUSES, VARIANTS, Outcome, Planted, outcome, plant, table, tally

FAILURES, CONTROLS, REPORTED = (8, 20, 40, 60), 100, 1000

Rule = Callable[[Base, Sequence[Intervention]], list[Effect]]


def as_it_is(base: Base, columns: Sequence[Intervention]) -> list[Effect]:
    """Return the effects by the rule that stands."""
    return [effect(base, one) for one in columns]


def without_placebos(base: Base, columns: Sequence[Intervention]) -> list[Effect]:
    """Return them as if no placebo had been run."""
    return as_it_is(base, [one.model_copy(update={"placebo_passed": None}) for one in columns])


def without_gain(base: Base, columns: Sequence[Intervention]) -> list[Effect]:
    """Return them as if it were enough to do better than the placebo."""
    found = as_it_is(base, columns)
    return [
        one.model_copy(update={"acts": one.net.low > 0 and one.contrast.low > 0})
        if one.net and one.contrast
        else one
        for one in found
    ]


RULES: dict[str, Rule] = {
    "as it is": as_it_is,
    "without placebos": without_placebos,
    "without gain": without_gain,
}


def judged(one: Planted, rule: Rule = as_it_is) -> Outcome:
    """Return what a plant is called under a rule."""
    columns = one.interventions
    return outcome(one, attribute(one.base, columns, rule(one.base, columns)))


def planted(first: int, failures: int) -> list[Planted]:
    """Return ten causes in ten variants."""
    return [
        plant(cause, first + variant, failures, variant)
        for cause in CAUSES
        for variant in range(len(VARIANTS))
    ]


def controls(first: int, failures: int) -> list[Planted]:
    """Return a hundred systems whose failures have no cause."""
    return [plant("hard", first + number, failures, number) for number in range(CONTROLS)]


def nudged(first: int, failures: int, vote: bool) -> list[Planted]:
    """Return thirty systems whose failures any other prompt repairs, with or without samples."""
    found = [plant("nudge", first + number, failures, number) for number in range(30)]
    if vote:
        return found
    return [
        replace(one, interventions=tuple(i for i in one.interventions if i.remedy != "latent"))
        for one in found
    ]


def pairs(first: int, failures: int) -> list[Planted]:
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
            found = tally(judged(one, rule) for one in plants)
            told[f"{failures} failures, {name}"] = found
            print(f"\n{failures} failures, {name}\n{table(found, NAMES)}", flush=True)
            for what, key in (("right", "right"), ("first", "first"), ("in two", "likely")):
                rate = found["all"][key]
                summary[f"{failures} failures, {name}: {what}"] = _said(rate)
            summary[f"{failures} failures, {name}: false on controls"] = _said(found["false"])
            summary[f"{failures} failures, {name}: any acts on controls"] = _said(found["any acts"])
            if rate := found.get("cases given another's remedy"):
                summary[f"{failures} failures, {name}: cases given another's remedy"] = _said(rate)
    for vote in (False, True):
        plants = nudged(first, FAILURES[-1], vote)
        for name, rule in RULES.items():
            found = tally(judged(one, rule) for one in plants)
            case = f"any prompt helps, {'with' if vote else 'without'} vote, {name}"
            told[case] = found
            print(f"\n{case}\n{table(found, NAMES)}", flush=True)
            summary[f"{case}: no remedy named"] = _said(found["causes"]["nudge"]["right"])
    both = tally(judged(one) for one in pairs(first, FAILURES[-1]))
    told["two causes"] = both
    print(f"\ntwo causes, {FAILURES[-1]} failures\n{table(both, NAMES)}")
    summary["two causes: one of them leads"] = _said(both["all"]["right"])
    for what, figure in summary.items():
        print(f"{what:<56} {figure}")
    write("causes", {**told, "summary": summary})


def _said(rate: dict[str, float]) -> str:
    return f"{rate['share']:.3f} ({rate['low']:.3f}-{rate['high']:.3f}, n {rate['n']})"


if __name__ == "__main__":
    main()
