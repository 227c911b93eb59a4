"""Play a blind run: its events, the guess, the citation. The key hides the case.

No reply reveals the cause before a guess is locked.
"""

from __future__ import annotations

from typing import Any

from tuneworthy.lab import case_data, words
from tuneworthy.lab.blind_runs import BlindRun, without_cause
from tuneworthy.lab.cases import LabCase, all_cases
from tuneworthy.lab.events import Event
from tuneworthy.lab.open_lab import Lab
from tuneworthy.lab.problem import Problem
from tuneworthy.lab.recordings import Recordings, RecordStore, known_id
from tuneworthy.lab.settings import find_case
from tuneworthy.records.failure import Value

_BLIND_SEED = 0


def open_blind(lab: Lab) -> dict[str, str]:
    """Open a blind run and return {"key"}: on a recorded case, or on any if none is recorded."""
    cases = [case for case in all_cases().values() if case.trains]
    known = [case for case in cases if _is_recorded(lab.records, case)]
    return {"key": lab.blind_runs.open([case.slug for case in known or cases]).key}


def blind_setting(run: BlindRun) -> tuple[LabCase, dict[str, Value], str]:
    """Return the case of a blind run, its configuration and its role (twin or plant)."""
    case, role = find_case(run.case), "twin" if run.clean else "plant"
    return case, dict(case.config(role)), role


def blind_run_id(lab: Lab, run: BlindRun) -> str:
    """Return the id of the run (case, configuration, seed) behind a blind run; pages hide it."""
    case, config, _ = blind_setting(run)
    return known_id(lab.records, case.slug, config, _BLIND_SEED)


def resolve_run_id(lab: Lab, name: str) -> str:
    """Return the run id for a blind run's key; any other id is returned as it is."""
    run = lab.blind_runs.find(name)
    return blind_run_id(lab, run) if run else name


def shown_events(lab: Lab, name: str) -> list[Event]:
    """Return a record's events by run id, or by blind key without the cause before its guess."""
    run = lab.blind_runs.find(name)
    if run is None:
        return lab.records.events(name)
    events = lab.records.events(blind_run_id(lab, run))
    return events if run.guess else [without_cause(event, name) for event in events]


def guess_blind(lab: Lab, key: str, cause: str, sure: int) -> dict[str, Any]:
    """Lock a guess and return its result with the cause; a second guess changes nothing."""
    run = lab.blind_run(key)
    known = [*(case.name for case in all_cases().values()), words.CLEAN_CAUSE]
    if cause not in known or sure not in range(len(case_data.CONFIDENCES)):
        raise Problem(422, "no such guess", where="cause, sure", got=f"{cause}, {sure}",
                      fix=f"one of {', '.join(known)}, and 0, 1 or 2")  # fmt: skip
    lab.blind_runs.lock(key, {"cause": cause, "sure": sure})
    run = lab.blind_run(key)
    case, guess = find_case(run.case), run.guess or {"cause": cause, "sure": sure}
    truth = words.CLEAN_CAUSE if run.clean else case.name
    right = guess["cause"] == truth
    return {
        **guess,
        "right": right,
        "points": (case_data.POINTS_IF_RIGHT if right else case_data.POINTS_IF_WRONG)[
            guess["sure"]
        ],
        "truth": truth,
        "text": words.cause_text(truth),
        "harmless": "" if run.clean else case.module.HARMLESS,
        "slug": case.slug,
    }


def cite_blind(lab: Lab, key: str, measure: str) -> dict[str, Any]:
    """Return the result of a citation as a dict. Raises Problem (409) before a locked guess."""
    run = lab.blind_run(key)
    if run.guess is None:
        raise Problem(409, "first lock your guess", where="guess", fix="name the cause, then cite")
    return case_data.citation_result(find_case(run.case), measure, lab.records)


def _is_recorded(records: RecordStore, case: LabCase) -> bool:
    known = Recordings(case, records)
    return all(known.id_of(case.config(role)) for role in ("plant", "twin"))
