"""State of a study, read from its ledger: the verdict so far, each arm, the latest messages.

Knows no HTTP library. Each query is a read transaction of its own.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tuneworthy.core.errors import StoreError
from tuneworthy.lab.studies import StudyPlace, read_ledger, running_since, time_of
from tuneworthy.verdict import phrases

MOST_LINES = 200
NOT_BEGUN = "its ledger holds no event of this study"
OTHER_EVENTS = "the events of this run were written by another version, or were changed"


def study_state(place: StudyPlace) -> str:
    """Return the state of a study: `running`, `stopped` or `done`."""
    return _state_from_events(place, _study_events(place)[0])


def run_snapshot(place: StudyPlace) -> dict[str, Any]:
    """Return a snapshot of a study's run: state, verdict so far, ladder, arms, messages.

    `because` is why the run has no events, or "".
    """
    events, because = _study_events(place)
    state = _state_from_events(place, events)
    try:
        return {"state": state, **_shown_events(events, state), "because": because}
    except (TypeError, ValueError, LookupError, AttributeError, OverflowError):
        return {"state": state, **_shown_events([], state), "because": OTHER_EVENTS}


def _shown_events(events: list[dict[str, Any]], state: str) -> dict[str, Any]:
    """Return what a page shows of a run's events."""
    begun = [at for at, event in enumerate(events) if event["kind"] == "begin"]
    now = events[begun[-1] :] if begun else []
    steps = [e["value"] for e in events if e["kind"] == "step" and e["value"]]
    said = [event for event in events if event["kind"] == "say"][-MOST_LINES:]
    return {
        "sentence": verdict_so_far(steps),
        "ladder": _ladder_rows(steps[-1]) if steps else [],
        "arms": _arm_rows(now, state),
        "log": [
            {"at": _clock_time(e["at"]), "text": str(e["value"].get("text", ""))} for e in said
        ],
    }


def _study_events(place: StudyPlace) -> tuple[list[dict[str, Any]], str]:
    """Return (events of a study from its ledger, ""), or ([], why there are none)."""
    try:
        with read_ledger(place.home) as ledger:
            events = ledger.events(place.study) if ledger and place.study else []
    except StoreError as error:
        return [], error.what
    return events, "" if events else NOT_BEGUN


def _state_from_events(place: StudyPlace, events: list[dict[str, Any]]) -> str:
    """Return the state; a study runs if it began after a process took the ledger's lock."""
    began = [event["at"] for event in events if event["kind"] == "begin"]
    since = running_since(place.home) if began else None
    last = time_of(began[-1]) if began else None
    if since is not None and last is not None and last >= since:
        return "running"
    return "done" if place.finished else "stopped"


def verdict_so_far(steps: list[dict[str, Any]]) -> str:
    """Return the verdict so far: `If you stopped now: KEEP (present), may leave 9 points`."""
    last = steps[-1] if steps else {}
    use, arm = str(last.get("use", "")), last.get("arm")
    same = [step.get("left") for step in steps if (step.get("use"), step.get("arm")) == (use, arm)]
    said = phrases.verdict_so_far(use, arm, [float(left) for left in same if left is not None])
    return said[:1].upper() + said[1:]


def _ladder_rows(step: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a row for each arm of the verdict so far; a score is [mean, low, high] from 0 to 1."""
    rows = []
    for arm in step.get("arms", ()):
        score = arm.get("score")
        rows.append({
            "name": str(arm.get("name", "")),
            "tool": str(arm.get("tool") or arm.get("role") or ""),
            "named": arm.get("name") == step.get("arm"),
            "n": arm.get("n"),
            "score": [round(float(score[key]), 4) for key in ("mean", "low", "high")]
            if score else None,
            "because": str(arm.get("because") or ""),
        })  # fmt: skip
    return rows


def _arm_rows(events: list[dict[str, Any]], state: str) -> list[dict[str, Any]]:
    """Return the progress of each arm since the last start, in the order of their runs."""
    rows: dict[str, dict[str, Any]] = {}
    open_arm = ""  # the arm that began last and after which no verdict was computed yet
    for event in events:
        value = event["value"]
        name = str(value.get("arm", ""))
        if event["kind"] == "arm":
            rows[name] = {"arm": name, "done": 0, "total": int(value.get("total") or 0),
                          "state": "left out" if value.get("because") else "done",
                          "because": str(value.get("because") or "")}  # fmt: skip
            open_arm = "" if value.get("because") else name
        elif event["kind"] == "answers" and name in rows:
            rows[name] |= {"done": int(value.get("done") or 0)}
        elif event["kind"] == "step":
            open_arm = ""
    if open_arm and state != "done":
        rows[open_arm]["state"] = "at work" if state == "running" else "stopped"
    return list(rows.values())


def _clock_time(at: str) -> str:
    try:
        return datetime.fromisoformat(at).astimezone().strftime("%H:%M:%S")
    except ValueError:
        return ""
