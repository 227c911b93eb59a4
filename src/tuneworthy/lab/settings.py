"""Check a visitor's run: its case, its knobs within bounds, its length.

A run starts from the planted configuration; a visitor may change the case's knobs only.
"""

from __future__ import annotations

import math
from difflib import get_close_matches
from typing import Any

from tuneworthy.lab.cases import LabCase, all_cases
from tuneworthy.lab.problem import Problem
from tuneworthy.records.failure import Value

_KNOB_BOUNDS: dict[str, tuple[float, float]] = {
    "rows": (4, 400),
    "epochs": (1, 40),
    "batch": (1, 16),
    "rate": (1e-7, 1.0),
    "rank": (1, 128),
    "max_length": (8, 2048),
    "replay": (0.0, 1.0),
    "serve.temperature": (0.0, 2.0),
}
_KNOB_FACTOR = 10  # a knob without bounds may exceed a case's own options by this factor
_RUN_STEPS = 600
_MOST_SEED = 9999


def find_case(slug: str) -> LabCase:
    """Return a case by its slug. Raises Problem (404) with the nearest slug if there is none."""
    cases = all_cases()
    if slug in cases:
        return cases[slug]
    near = get_close_matches(slug, cases, n=1, cutoff=0.3)
    fix = f"nearest: {near[0]}" if near else "choose one on the first page"
    raise Problem(404, "no such case", where="the address", got=slug, fix=fix)


def run_setting(case: LabCase, given: dict[str, Value]) -> tuple[dict[str, Value], str]:
    """Return the whole configuration of a visitor's run, and its role: plant, twin or own.

    Raises Problem (422) for a setting that is no knob of the case, of another type, or out of
    bounds, and for a run that would take too long.
    """
    planted, clean = dict(case.config("plant")), dict(case.config("twin"))
    knobs = case.module.KNOBS
    config = dict(planted)
    for key, value in given.items():
        if key in knobs:
            config[key] = _checked_value(
                key, value, (*knobs[key], planted.get(key), clean.get(key))
            )
        elif any(key in known and _same_option(value, known[key]) for known in (planted, clean)):
            config[key] = value
        else:
            raise _unknown_knob_problem(key, value, planted, knobs)
    _check_length(config)
    if config == clean:
        return clean, "twin"
    return config, "plant" if config == planted else "own"


def check_seed(seed: int) -> int:
    """Return the seed of a run. Raises Problem (422) if it is out of bounds."""
    if not 0 <= seed <= _MOST_SEED:
        raise Problem(422, "the seed is out of bounds", where="seed", got=seed,
                      fix=f"a whole number from 0 to {_MOST_SEED}")  # fmt: skip
    return seed


def _checked_value(key: str, value: Value, options: tuple[Any, ...]) -> Value:
    """Return a checked knob value in its options' type, so that equal settings have one run id."""
    for option in options:
        if _same_option(value, option):
            return option  # type: ignore[no-any-return]
    numbers = [one for one in options if isinstance(one, int | float) and one is not True]
    numbers = [one for one in numbers if not isinstance(one, bool)]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not numbers or not is_number:
        shown = ", ".join(_yaml_text(one) for one in dict.fromkeys(options) if one is not None)
        raise Problem(422, "this knob has no such value", where=f"config.{key}",
                      got=_yaml_text(value), fix=f"one of: {shown}")  # fmt: skip
    assert isinstance(value, int | float)
    whole = all(isinstance(one, int) for one in numbers)
    low, high = _KNOB_BOUNDS.get(key) or (min(numbers) / _KNOB_FACTOR, max(numbers) * _KNOB_FACTOR)
    if not low <= value <= high or (whole and value != int(value)):
        kind = "a whole number" if whole else "a number"
        raise Problem(422, "this value is out of bounds", where=f"config.{key}", got=value,
                      fix=f"{kind} from {low:g} to {high:g}")  # fmt: skip
    return int(value) if whole else float(value)


def _same_option(value: Value, option: Value) -> bool:
    return value == option and isinstance(value, bool) == isinstance(option, bool)


def _yaml_text(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def _unknown_knob_problem(
    key: str, value: Value, planted: dict[str, Value], knobs: dict[str, Any]
) -> Problem:
    if key in planted:
        return Problem(422, "this setting is fixed in this case", where=f"config.{key}",
                       got=_yaml_text(value),
                       fix=f"leave it at {_yaml_text(planted[key])}")  # fmt: skip
    near = get_close_matches(key, knobs, n=1)
    fix = f"did you mean {near[0]}?" if near else f"the knobs are: {', '.join(knobs)}"
    return Problem(422, "this case has no such knob", where="config", got=key, fix=fix)


def _check_length(config: dict[str, Value]) -> None:
    sizes: dict[str, Any] = config
    rows, epochs, batch = (int(sizes.get(key) or 1) for key in ("rows", "epochs", "batch"))
    steps = epochs * math.ceil(rows / batch)
    if steps > _RUN_STEPS:
        raise Problem(
            422, "this run would take too long", where="config: rows, epochs, batch",
            got=f"{steps} steps", fix=f"at most {_RUN_STEPS} steps: fewer epochs or a larger batch",
        )  # fmt: skip
