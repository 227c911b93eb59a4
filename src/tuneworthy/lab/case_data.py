"""The data of a case for its pages: its card, its public data, what a guess reveals.

All figures come from records of real runs; what was not recorded is null. Knows no page.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from tuneworthy.lab import words
from tuneworthy.lab.cases import ANSWER_TOKENS, ASKED_ROWS, HELD_ROWS, NEW_ROWS, LabCase
from tuneworthy.lab.recordings import (
    SHIPPED_RECORDS,
    Recordings,
    RecordStore,
    UsualRange,
    clean_runs,
    live_id,
    outside_range_text,
    usual_ranges,
)
from tuneworthy.records.errors import TaskError
from tuneworthy.records.failure import Config, RunFacts, Runs, Value
from tuneworthy.records.plugins import load

CONFIDENCES = ("a hunch", "fairly", "certain")
POINTS_IF_RIGHT, POINTS_IF_WRONG = (
    (22, 36, 40),
    (2, -15, -35),
)  # points by how sure a guess was: an honest confidence pays best
EVIDENCE_POINTS, FIX_POINTS = 30, 30
_PENALTY_POINTS = 10  # what a wrong citation, a failed run or a hint costs
POINTS = {
    "whole": POINTS_IF_RIGHT[-1] + EVIDENCE_POINTS + FIX_POINTS,
    "right": POINTS_IF_RIGHT,
    "wrong": POINTS_IF_WRONG,
    "evidence": EVIDENCE_POINTS,
    "fix": FIX_POINTS,
    "less": _PENALTY_POINTS,
}
_MINUTES_TO_FREE_HINT = 5
_WRONG_LOSS_GAP = 0.1  # nats above the clean run's last loss from which a chart looks wrong
CLEAN_ONE_IN = 6  # one blind run in so many is clean
_BLIND_CHARTS = ("loss", "held", "norm", "score", "valid", "ended", "length", "p_end")
_WITHHELD = (
    "A few causes show only in a measurement that one case alone makes. It would give them away, so"
    " it is shown after your guess; until then, exclude the other causes."
)
_HIDDEN_FACTS = ("refused", "answers", "other")
_ALWAYS_SHOWN = ("loss", "held")  # charts of every case that trains
_LIVE_COMMAND = "tuneworthy lab"
_ANSWERS_OVER = f"{ASKED_ROWS} new rows, {NEW_ROWS} at the end"
_ROWS_BEHIND_CHART = {
    "held": f"{HELD_ROWS} new rows",
    "p_end": f"{HELD_ROWS} new rows",
    **dict.fromkeys(("ended", "length", "score", "valid"), _ANSWERS_OVER),
}


def card_data(case: LabCase, records: RecordStore = SHIPPED_RECORDS) -> dict[str, Any]:
    """Return a case's card for the home page as a dict; "spark" is None if nothing is recorded."""
    recorded = Recordings(case, records)
    kind = _loss_kind(case, recorded)
    key = "loss" if kind == "wrong" else case.module.CHARTS[0]
    said = words.chart_of(key)
    return {
        "slug": case.slug,
        "number": case.module.NUMBER,
        "title": case.module.TITLE,
        "hard": case.module.HARD,
        "kind": kind,
        "shown": said.title,
        "spark": recorded.sparkline(key, said.top),
        "apart": _chart_data(key, case.trains)["apart"],
    }


def public_data(case: LabCase, records: RecordStore = SHIPPED_RECORDS) -> dict[str, Any]:
    """Return what a case's page shows before the first guess, as a dict without the cause."""
    module, recorded = case.module, Recordings(case, records)
    planted = case.config("plant")
    charts = (*_ALWAYS_SHOWN, *module.CHARTS) if case.trains else tuple(module.CHARTS)
    return {
        "slug": case.slug,
        "number": module.NUMBER,
        "title": module.TITLE,
        "hard": module.HARD,
        "trains": case.trains,
        "story": module.STORY,
        "win": module.WIN,
        "conditions": _conditions(recorded),
        "charts": [_chart_data(key, case.trains) for key in charts],
        "measures": [_measurement_data(key, recorded) for key in _shuffled(module.MEASURES, case)],
        "causes": _cause_texts(_shuffled(module.CAUSES, case)),
        "sure": list(CONFIDENCES),
        "yaml": _config_lines(recorded, planted),
        "about": {
            key: words.KEY_TEXTS[key]
            for key in {**planted, **module.KNOBS}
            if key in words.KEY_TEXTS
        },
        "planted": dict(planted),
        "records": {
            "plant": recorded.id_of(planted),
            "twin": recorded.id_of(case.config("twin")),
            "settings": list(recorded.settings()),
        },
        "seconds": recorded.plant[-1].get("seconds") if recorded.plant else None,
        "hint": _hint_data(case),
        "points": POINTS,
        "command": _LIVE_COMMAND,
    }


def live_pair(case: LabCase, records: RecordStore) -> dict[str, Any]:
    """Return the ids of what a live run is compared with, and ("known") whether both ran."""
    pair = {role: live_id(case.slug, case.config(role)) for role in ("plant", "twin")}
    return {**pair, "known": all(map(records.has, pair.values()))}


def _conditions(recorded: Recordings) -> list[dict[str, Any]]:
    """Return the checks of the planted run, which a fix must pass; [] without the recorded runs."""
    own, twin = recorded.own_facts, recorded.twin_facts
    checks = recorded.case.module.victory(own, twin) if own and twin else ()
    return [each.plain() for each in checks]


def guess_result(case: LabCase, cause: str, sure: int) -> dict[str, Any]:
    """Return a guess's result as a dict: whether it is right, its points, the true cause.

    Raises TaskError if the case has no such cause or `sure` is no index of CONFIDENCES.
    """
    _check_known("cause", cause, case.module.CAUSES)
    if sure not in range(len(CONFIDENCES)):
        raise TaskError(
            "no such confidence", got=str(sure), fix="0, 1 or 2: " + ", ".join(CONFIDENCES)
        )
    right = cause == case.name
    return {
        "cause": cause,
        "sure": sure,
        "right": right,
        "points": (POINTS_IF_RIGHT if right else POINTS_IF_WRONG)[sure],
        "named": words.cause_text(cause),
        "against": None if right else _what_speaks_against(case, cause),
        "truth": case.name,
        "text": words.cause_text(case.name),
        "harmless": case.module.HARMLESS,
    }


def _what_speaks_against(case: LabCase, cause: str) -> str:
    """Return a sentence on what a wrong cause's own detector says of the planted run."""
    other, recorded = load("failures", cause), Recordings(case)
    own, twin = recorded.own_facts, recorded.twin_facts
    if own and twin and next(iter(other.victory(own, twin))).passed:  # its first check is the cause
        found = other.detect(Runs(own, twin))
        if found.found is False:
            return f"Against it: {found.because}."
    proof = other.PROOF if isinstance(other.PROOF, str) else other.PROOF[0]
    return f"It would show in another measurement: “{words.measure_of(proof).title}”."


def citation_result(
    case: LabCase, measure: str, records: RecordStore = SHIPPED_RECORDS
) -> dict[str, Any]:
    """Return a citation's result as a dict: whether it proves the cause, points, the finding.

    Raises TaskError if the case has no such measurement.
    """
    _check_known("measurement", measure, case.module.MEASURES)
    recorded, proves = Recordings(case, records), measure in proving_measures(case)
    own, twin = recorded.own_facts, recorded.twin_facts
    finding = case.module.detect(Runs(own, twin)).plain() if own and proves else None
    return {
        "measure": measure,
        "proves": proves,
        "points": EVIDENCE_POINTS if proves else -_PENALTY_POINTS,
        "because": "" if proves else _why_no_proof(measure, own, twin),
        "finding": finding,
    }


def blind_data(cases: Sequence[LabCase]) -> dict[str, Any]:
    """Return the dict for blind runs' page: all causes of training cases, nothing of the case."""
    fields = [key for key in RunFacts.model_fields if key not in _HIDDEN_FACTS]
    shown = {*fields, *_shared_facts(cases)}
    return {
        "trains": True,
        "one_in": CLEAN_ONE_IN,
        "charts": [_chart_data(key) for key in _BLIND_CHARTS],
        "facts": _fact_groups(shown),
        "clean_runs": len(clean_runs()),
        "withheld": _WITHHELD,
        "cause_groups": _cause_groups(cases),
        "clean": {"key": words.CLEAN_CAUSE, "text": words.CLEAN_WORDS},
        "sure": list(CONFIDENCES),
        "points": POINTS,
    }


def _cause_groups(cases: Sequence[LabCase]) -> list[dict[str, Any]]:
    """Return the causes of training cases as [{"title", "causes"}], by what their settings set."""
    of_key = {key: title for title, keys in words.KEY_GROUPS.items() for key in keys}
    named: dict[str, list[str]] = {title: [] for title in ("", *words.KEY_GROUPS)}
    named[""].append(words.CLEAN_CAUSE)
    for case in sorted(cases, key=lambda case: case.name):
        if case.trains:
            named[of_key[next(iter(case.module.PLANTED))]].append(case.name)
    return [
        {"title": title, "causes": _cause_texts(names)} for title, names in named.items() if names
    ]


def _fact_groups(shown: set[str]) -> list[dict[str, Any]]:
    """Return the facts to show as [{"title", "facts"}], by what they are about."""
    ranges = usual_ranges(tuple(shown))
    return [
        {
            "title": title,
            "facts": [
                {
                    "key": key,
                    "title": said.title,
                    "unit": said.unit,
                    **_usual_range_data(ranges.get(key), said.unit),
                }
                for key, said in group.items()
                if key in shown
            ],
        }
        for title, group in words.MEASURE_GROUPS.items()
        if not shown.isdisjoint(group)
    ]


def _shared_facts(cases: Sequence[LabCase]) -> list[str]:
    """Return the facts of single cases that several record, so that none of them names its case."""
    recorded = [
        set(facts.other) for case in cases if case.trains and (facts := Recordings(case).own_facts)
    ]
    return [key for key in words.CASE_MEASURES if sum(key in each for each in recorded) > 1]


def _usual_range_data(found: UsualRange | None, unit: str) -> dict[str, Any]:
    """Return {"usual", "low", "high"} of a fact's range in clean runs; all None without a range.

    "usual" is without its unit, which the value beside it has.
    """
    if found is None:
        return {"usual": None, "low": None, "high": None}
    return {"usual": found.in_words.removesuffix(f" {unit}"), "low": found.low, "high": found.high}


def proving_measures(case: LabCase) -> tuple[str, ...]:
    """Return the names of the measurements that prove a case's cause."""
    proof = case.module.PROOF
    return (proof,) if isinstance(proof, str) else tuple(proof)


def _chart_data(key: str, trains: bool = True) -> dict[str, Any]:
    """Return a chart's {key, title, unit, top, cap, over, apart}; None and "" where there is none.

    `apart`: its points rest on few rows each, and its last one on more, so no line joins them.
    """
    said = words.chart_of(key)
    return {
        "key": key,
        "title": said.title,
        "unit": said.unit,
        "top": said.top,
        "cap": ANSWER_TOKENS if key == "length" and trains else None,
        "over": _ROWS_BEHIND_CHART.get(key, "") if trains else "",
        "apart": trains and _ROWS_BEHIND_CHART.get(key) == _ANSWERS_OVER,
    }


def _cause_texts(names: Sequence[str]) -> list[dict[str, str]]:
    """Return [{"key": name, "text": the cause in words}] of causes."""
    return [{"key": name, "text": words.cause_text(name)} for name in names]


def _yaml_value(value: Value) -> str:
    """Return a value as YAML text, small numbers as powers of ten."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and 0 < abs(value) < 0.01:
        mantissa, power = f"{value:.2e}".split("e")
        return f"{float(mantissa):g}e{int(power)}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _shuffled(names: Sequence[str], case: LabCase) -> list[str]:
    """Return names in a random order fixed for the case, so that a position reveals nothing."""
    mixed = sorted(names)
    Random(f"lab {case.slug}").shuffle(mixed)
    return mixed


def _check_known(what: str, name: str, known: Sequence[str]) -> None:
    if name not in known:
        raise TaskError(f"this case has no such {what}", got=name, fix=f"one of: {list(known)}")


def _measurement_data(key: str, recorded: Recordings) -> dict[str, Any]:
    """Return a measurement's texts for both runs as a dict; None for a run that is not recorded."""
    said, own, twin = words.measure_of(key), recorded.own_facts, recorded.twin_facts
    return {
        "key": key,
        "title": said.title,
        "unit": said.unit,
        "own": said.value(words.value_of(own, key), own) if own else None,
        "twin": said.value(words.value_of(twin, key), twin) if twin else None,
        "outside": outside_range_text(key, own) if own and recorded.case.trains else None,
        "nothing": None
        if key in proving_measures(recorded.case)
        else _why_it_proves_nothing(key, own, twin),
        "recorded": bool(own and twin),
    }


def _why_it_proves_nothing(key: str, own: RunFacts | None, twin: RunFacts | None) -> str | None:
    if not own or not twin:
        return None
    values = words.value_of(own, key), words.value_of(twin, key)
    return words.measure_of(key).why_proves_nothing(*values)


def _why_no_proof(key: str, own: RunFacts | None, twin: RunFacts | None) -> str:
    other = "Several causes move it, so it proves none of them."
    return _why_it_proves_nothing(key, own, twin) or other


def _config_lines(recorded: Recordings, planted: Config) -> list[dict[str, Any]]:
    """Return the planted configuration's lines; those of knobs have `values` to choose from."""
    case = recorded.case
    own = {**case.module.CLEAN, **case.module.PLANTED, **case.module.KNOBS}
    keys = [key for key in planted if case.trains or key in own]
    lines = []
    for key in (*keys, *(key for key in case.module.KNOBS if key not in keys)):
        line: dict[str, Any] = {"key": key, "text": _yaml_value(planted.get(key))}
        if key in case.module.KNOBS:
            values = recorded.options(key)
            line["values"] = [{"value": value, "text": _yaml_value(value)} for value in values]
        lines.append(line)
    return lines


def _hint_data(case: LabCase) -> dict[str, Any]:
    """Return the hint as a dict: two wrong causes, the knobs that the clean run turns, minutes."""
    wrong = sorted(name for name in case.module.CAUSES if name != case.name)[:2]
    clean, planted = case.config("twin"), case.config("plant")
    lines = [key for key in case.module.KNOBS if clean.get(key) != planted.get(key)]
    return {"causes": wrong, "lines": lines, "free_after_min": _MINUTES_TO_FREE_HINT}


def _loss_kind(case: LabCase, recorded: Recordings) -> str | None:
    """Return whether the recorded loss looks "wrong" or "fine", "none" for a case without training.

    None without records. A loss below that of the clean run looks fine.
    """
    if not case.trains:
        return "none"
    own, twin = recorded.own_facts, recorded.twin_facts
    if own is None or twin is None:
        return None
    if own.refused or own.loss_last is None or twin.loss_last is None:
        return "wrong"
    return "wrong" if own.loss_last - twin.loss_last >= _WRONG_LOSS_GAP else "fine"
