"""What a page says of a case: its card, what is open from the start, what a guess reveals.

All figures come from records of real runs; what was not recorded is null. Knows no page.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

from tuneworthy.core.errors import TaskError
from tuneworthy.core.failure import DEFAULTS, Config, RunFacts, Runs, Value
from tuneworthy.lab import words
from tuneworthy.lab.cases import NEW, LabCase
from tuneworthy.lab.events import Event, run_id
from tuneworthy.lab.experiment import ANSWER, ASKED, HELD
from tuneworthy.lab.shipped import shipped, shipped_bytes

SURE = ("a hunch", "fairly", "certain")
RIGHT, WRONG = (22, 36, 40), (2, -15, -35)  # points by how sure a guess was: honesty pays
EVIDENCE, FIX, LESS = 30, 30, 10  # a wrong citation, a failed run or a hint costs LESS
POINTS = {"whole": RIGHT[-1] + EVIDENCE + FIX, "evidence": EVIDENCE, "fix": FIX, "less": LESS}
MINUTES_TO_FREE_HINT = 5
ALWAYS = ("loss", "held")
LIVE_COMMAND = "tuneworthy lab"
ANSWERS_OVER = f"{ASKED} new rows, {NEW} at the end"
OVER = {
    "held": f"{HELD} new rows",
    "p_end": f"{HELD} new rows",
    **dict.fromkeys(("ended", "length", "score", "valid"), ANSWERS_OVER),
}
SPARK = 24  # points of a card's curve at most


def card(case: LabCase) -> dict[str, Any]:
    """Return what the home page says of a case; its curve is null where nothing was recorded."""
    plant, twin = _record(case, "plant"), _record(case, "twin")
    key = _charts(case)[2 if case.trains else 0]
    return {
        "slug": case.slug,
        "number": case.module.NUMBER,
        "title": case.module.TITLE,
        "hard": case.module.HARD,
        "kind": _kind(case, plant, twin),
        "shown": words.chart(key).title,
        "spark": _spark(key, plant, twin) if plant and twin else None,
    }


def public(case: LabCase) -> dict[str, Any]:
    """Return what a visitor may know before the first guess."""
    module = case.module
    planted = case.config("plant")
    settings = list(_settings(case))
    return {
        "slug": case.slug,
        "number": module.NUMBER,
        "title": module.TITLE,
        "hard": module.HARD,
        "trains": case.trains,
        "story": module.STORY,
        "win": module.WIN,
        "charts": [_chart(key) for key in _charts(case)],
        "measures": [_measure(case, key) for key in module.MEASURES],
        "causes": [{"key": name, "text": words.cause(name)} for name in module.CAUSES],
        "sure": list(SURE),
        "yaml": _yaml(case, planted),
        "planted": dict(planted),
        "records": {
            "plant": _recorded(case, planted),
            "twin": _recorded(case, case.config("twin")),
            "settings": settings,
        },
        "seconds": _seconds(case),
        "hint": _hint(case),
        "points": {
            "whole": RIGHT[-1] + EVIDENCE + FIX,
            "evidence": EVIDENCE,
            "fix": FIX,
            "less": LESS,
        },
        "command": LIVE_COMMAND,
    }


def guess(case: LabCase, cause: str, sure: int) -> dict[str, Any]:
    """Return whether a guess was right, what it is worth, and the cause in words.

    Raises TaskError if the case has no such cause or `sure` is no index of SURE.
    """
    _one_of("cause", cause, case.module.CAUSES)
    if sure not in range(len(SURE)):
        raise TaskError("no such confidence", got=str(sure), fix="0, 1 or 2: " + ", ".join(SURE))
    right = cause == case.name
    return {
        "cause": cause,
        "sure": sure,
        "right": right,
        "points": (RIGHT if right else WRONG)[sure],
        "truth": case.name,
        "text": words.cause(case.name),
        "harmless": case.module.HARMLESS,
    }


def cite(case: LabCase, measure: str) -> dict[str, Any]:
    """Return whether a measurement proves the cause, what it is worth, and what the detector says.

    Raises TaskError if the case has no such measurement.
    """
    _one_of("measurement", measure, case.module.MEASURES)
    proof = case.module.PROOF
    proves = measure in ((proof,) if isinstance(proof, str) else proof)
    own, twin = facts_of(_record(case, "plant")), facts_of(_record(case, "twin"))
    finding = case.module.detect(Runs(own, twin)).plain() if own and proves else None
    return {
        "measure": measure,
        "proves": proves,
        "points": EVIDENCE if proves else -LESS,
        "because": "" if proves else _why_not(measure, own, twin),
        "finding": finding,
    }


def hero(case: LabCase) -> dict[str, Any]:
    """Return the planted and the clean run of a case, with one answer a look and no tokens.

    The events keep their form, so that the reader of records reads these as well.
    """
    runs = {role: _record(case, role) for role in ("plant", "twin")}
    return {role: _short(events) if events else None for role, events in runs.items()}


def record_ids(case: LabCase) -> list[str]:
    """Return the ids of all recorded runs of a case: planted, clean, and other settings."""
    ends = (_recorded(case, case.config(role)) for role in ("plant", "twin"))
    found = [*ends, *(each["id"] for each in _settings(case))]
    return list(dict.fromkeys(name for name in found if name))


def facts_of(events: Sequence[Event] | None) -> RunFacts | None:
    """Return the facts of a recorded run, or None if it has not ended."""
    last = events[-1] if events else None
    return RunFacts(**last["facts"]) if last and last["kind"] == "end" else None


def _one_of(what: str, name: str, known: Sequence[str]) -> None:
    if name not in known:
        raise TaskError(f"this case has no such {what}", got=name, fix=f"one of: {list(known)}")


def _recorded(case: LabCase, config: Config) -> str | None:
    name = run_id(case.slug, config, 0)
    return name if shipped_bytes(name) else None


def _record(case: LabCase, role: str) -> list[Event] | None:
    return shipped(run_id(case.slug, case.config(role), 0))


def _seconds(case: LabCase) -> float | None:
    events = _record(case, "plant")
    return events[-1].get("seconds") if events else None


def _charts(case: LabCase) -> tuple[str, ...]:
    own = tuple(case.module.CHARTS)
    return (*ALWAYS, *own) if case.trains else own


def _chart(key: str) -> dict[str, Any]:
    said = words.chart(key)
    return {
        "key": key,
        "title": said.title,
        "unit": said.unit,
        "top": said.top,
        "cap": ANSWER if key == "length" else None,
        "over": OVER.get(key, ""),
    }


def _value(facts: RunFacts, key: str) -> Any:
    return getattr(facts, key) if key in RunFacts.model_fields else facts.other.get(key)


def _measure(case: LabCase, key: str) -> dict[str, Any]:
    """Return a measurement of both runs in words; null where a run was not recorded."""
    said = words.measure(key)
    own, twin = facts_of(_record(case, "plant")), facts_of(_record(case, "twin"))
    shown: dict[str, Any] = {"key": key, "title": said.title, "unit": said.unit}
    for name, facts in (("own", own), ("twin", twin)):
        shown[name] = said.value(_value(facts, key), facts) if facts else None
    both = own and twin
    shown["nothing"] = (
        said.proves_nothing(_value(own, key), _value(twin, key)) if own and twin else None
    )
    shown["recorded"] = bool(both)
    return shown


def _why_not(key: str, own: RunFacts | None, twin: RunFacts | None) -> str:
    if own and twin:
        nothing = words.measure(key).proves_nothing(_value(own, key), _value(twin, key))
        if nothing:
            return nothing
    return "It differs, but other causes move it as well: the detector does not rest on it."


def _yaml_value(value: Value) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        text = f"{value:g}" if value == 0 or abs(value) >= 0.01 else f"{value:.3g}"
        if 0 < abs(value) < 0.01:
            mantissa, power = f"{value:.2e}".split("e")
            text = f"{float(mantissa):g}e{int(power)}"
        return text
    return str(value)


def _yaml(case: LabCase, planted: Config) -> list[dict[str, Any]]:
    """Return the lines of the configuration: fixed ones with a text, knobs with their values."""
    own = {**case.module.CLEAN, **case.module.PLANTED, **case.module.KNOBS}
    keys = [key for key in planted if case.trains or key in own or key.startswith("serve.")]
    lines = []
    for key in (*keys, *(key for key in case.module.KNOBS if key not in keys)):
        line: dict[str, Any] = {"key": key, "text": _yaml_value(planted.get(key))}
        if key in case.module.KNOBS:
            values = list(case.module.KNOBS[key])
            if planted.get(key) not in values:
                values.insert(0, planted.get(key))
            line["values"] = [{"value": value, "text": _yaml_value(value)} for value in values]
        lines.append(line)
    return lines


def _settings(case: LabCase) -> Iterator[dict[str, Any]]:
    """Yield the recorded settings of the knobs, with the checks that such a run passes or fails."""
    planted, twin = case.config("plant"), facts_of(_record(case, "twin"))
    knobs = {key: _with_planted(key, case, planted) for key in case.module.KNOBS}
    for values in product(*knobs.values()):
        chosen = dict(zip(knobs, values, strict=True))
        name = run_id(case.slug, {**planted, **chosen}, 0)
        own = facts_of(shipped(name))
        if own and twin:
            checks = [each.plain() for each in case.module.victory(own, twin)]
            yield {"values": chosen, "id": name, "checks": checks}


def _with_planted(key: str, case: LabCase, planted: Config) -> list[Value]:
    values = list(case.module.KNOBS[key])
    return values if planted.get(key) in values else [planted.get(key), *values]


def _hint(case: LabCase) -> dict[str, Any]:
    """Return what a hint rules out: two wrong causes, and the lines that need no change."""
    wrong = sorted(name for name in case.module.CAUSES if name != case.name)[:2]
    clean, planted = case.config("twin"), case.config("plant")
    lines = [key for key in case.module.KNOBS if clean.get(key) != planted.get(key)]
    return {"causes": wrong, "lines": lines, "free_after_min": MINUTES_TO_FREE_HINT}


def _kind(case: LabCase, plant: list[Event] | None, twin: list[Event] | None) -> str | None:
    """Return whether the training loss shows it, by the records; None where there are none."""
    if not case.trains:
        return "none"
    own, clean = facts_of(plant), facts_of(twin)
    if own is None or clean is None:
        return None
    looks_wrong = own.refused or not _alike(own.loss_last, clean.loss_last)
    return "wrong" if looks_wrong else "fine"


def _alike(one: float | None, two: float | None) -> bool:
    return one is not None and two is not None and abs(one - two) < 0.1


def _curve(key: str, events: Sequence[Event]) -> list[tuple[int, float]]:
    """Return a figure by step: from the steps, or from the looks."""
    points: list[tuple[int, float]] = []
    for event in events:
        if event["kind"] == "steps" and isinstance(event.get(key), list):
            points += [(event["from"] + k, value) for k, value in enumerate(event[key])]
        elif event["kind"] == "look":
            value = event["held"] if key == "held" else event["facts"].get(key)
            if value is not None:
                points.append((event["at"], value))
    return points


def _spark(key: str, plant: Sequence[Event], twin: Sequence[Event]) -> dict[str, Any] | None:
    """Return both curves in a box of 100 by 100, with y downwards as in SVG."""
    curves = {"run": _curve(key, plant), "twin": _curve(key, twin)}
    if not all(curves.values()):
        return None
    whole = [value for curve in curves.values() for _, value in curve]
    last = max(step for curve in curves.values() for step, _ in curve) or 1
    low, high = min(0.0, *whole), words.chart(key).top or max(whole)
    span = (high - low) or 1.0
    return {
        name: [
            [round(100 * step / last, 1), round(97 - 94 * (min(value, high) - low) / span, 1)]
            for step, value in _thin(curve)
        ]
        for name, curve in curves.items()
    }


def _thin(curve: list[tuple[int, float]]) -> list[tuple[int, float]]:
    every = max(1, len(curve) // SPARK)
    return [*curve[:-1:every], curve[-1]]


def _short(events: Sequence[Event]) -> list[Event]:
    short: list[Event] = []
    for event in events:
        if event["kind"] == "begin":
            short.append({**event, "rows": [], "questions": event["questions"][:1]})
        elif event["kind"] == "look":
            short.append({**event, "losses": [], "answers": event["answers"][:1]})
        elif event["kind"] == "steps":
            kept = {key: event[key] for key in ("kind", "from", "loss")}
            last = short[-1] if short else {}
            if last.get("kind") == "steps" and last["from"] + len(last["loss"]) == kept["from"]:
                last["loss"] = [*last["loss"], *kept["loss"]]
            else:
                short.append(kept)
        else:
            short.append(event)
    return short


def whole_config(case: LabCase, knobs: Config) -> Config:
    """Return the planted configuration with some knobs turned, as a run takes it."""
    return {**DEFAULTS, **case.config("plant"), **knobs}
