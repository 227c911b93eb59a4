"""The pages of studies: the list, the report of a finished one, a run and its progress, settling.

The templates escape all text, as in the report. Computes nothing.
"""

from __future__ import annotations

import shlex
from datetime import datetime
from functools import lru_cache
from typing import Any

import jinja2

from tuneworthy.lab.demo_studies import demo_cards, demo_results
from tuneworthy.lab.pages import LAB_FOLDER, Site
from tuneworthy.lab.studies import (
    StudyPlace,
    find_studies,
    read_ledger,
    results_of,
    running_since,
    time_of,
    verdict_of,
)
from tuneworthy.records.counting import count_noun, tenths
from tuneworthy.records.errors import StoreError
from tuneworthy.records.results import Results
from tuneworthy.records.verdict import Verdict
from tuneworthy.report.column_names import name_cells
from tuneworthy.verdict import phrases
from tuneworthy.verdict.open_pairs import why_no_vote_helps
from tuneworthy.verdict.rungs import policy_of

SCRIPTS = ("lab", "wire", "study")

_ROW_KEYS = ((("j", "k"), "next and previous study"), (("Enter",), "open it"))

_VOTE_KEYS = (
    (("l", "r"), "the left answer is right, the right one is"),
    (("e", "b", "s"), "both right, both wrong, skip"),
)

_ENDING_TEXTS = {
    "firm": "no open question is left that votes can decide",
    "pool": "no new input was left",
    "patience": "the allowed votes are spent",
    "stopped": "it was stopped",
    "elsewhere": "what is open is not between two answers",
}


def studies_page(working: Any, site: Site) -> str:
    """Return the page with the list of a folder's studies: running ones, then the newest."""
    rows = [_study_row(place) for place in find_studies(working)]
    order = {"running": 0, "stopped": 1}
    rows.sort(key=lambda row: row["written"] or datetime.min, reverse=True)
    rows.sort(key=lambda row: order.get(row["state"], 2))
    return _render_page("studies.html.j2", site, SCRIPTS, _ROW_KEYS, studies=rows,
                        demos=demo_cards())  # fmt: skip


def report_page(place: StudyPlace, site: Site) -> str:
    """Return the report of a finished study, with links to the other pages of the study."""
    tabs = (("Studies", "/studies"), ("Report", ""), ("Run", f"/study/{place.id}/run"),
            ("Settle", f"/study/{place.id}/settle"))  # fmt: skip
    return _report_in_lab(results_of(place), site, tabs)


def demo_page(name: str, site: Site) -> str:
    """Return the report of a demo study. Raises Problem (404) for an unknown name."""
    tabs = (("Plan a study", site.page("plan")), ("Three studies", f"{site.home}#studies"))
    return _report_in_lab(demo_results(name), site, (*tabs, (name, "")))


def _report_in_lab(results: Results, site: Site, tabs: tuple[tuple[str, str], ...]) -> str:
    """Return a report below the lab's menu."""
    from tuneworthy.report.html import STYLES, ServedPage, page  # its sections read statistics

    menu = (("Lab", site.home), *((name, pages[0][1]) for name, pages in site.links))
    styles, policy = tuple(map(site.static, STYLES)), "" if site.live else site.policy
    served = ServedPage(menu, styles, site.static("report.js"), policy, here="Decide", tabs=tabs)
    return page(results, served)


def run_page(place: StudyPlace, site: Site) -> str:
    """Return the page of a study's run: its progress, or where it was stopped."""
    return _render_study("study_run.html.j2", place, "run", site, live=run_snapshot(place))


def settle_page(place: StudyPlace, site: Site) -> str:
    """Return the page on which a finished study is settled by votes."""
    results = results_of(place)
    return _render_study("study_settle.html.j2", place, "settle", site, results=results,
                         verdict=results.verdict, settling=_settling_values(results))  # fmt: skip


def _study_row(place: StudyPlace) -> dict[str, Any]:
    state = _study_state(place)
    row: dict[str, Any] = {"id": place.id, "name": place.title, "folder": place.name, "n": None,
                           "state": state, "place": place.inside}  # fmt: skip
    verdict, written = verdict_of(place)
    row |= {"written": written, "date": written.strftime("%Y-%m-%d %H:%M") if written else ""}
    row["verdict"] = run_snapshot(place)["sentence"]
    if state != "done":
        more = "" if state == "running" else ". `tuneworthy run` continues it"
        return row | {"verdict": row["verdict"] + more, "status": state}
    if verdict is None:
        return row | {"status": "not readable"}
    return row | {"status": verdict.status, "n": _rows_of(verdict)}


def _rows_of(verdict: Verdict) -> int | None:
    """Return the scored rows of the named arm, else of the arm with most; None if none is."""
    named = [arm.n for arm in verdict.arms if arm.name == verdict.arm]
    return max(named or [arm.n for arm in verdict.arms], default=0) or None


def _verdict_line(verdict: Verdict | None) -> str:
    """Return the verdict in a line: `Don't fine-tune yet. Use: few_shot (prompt)`."""
    if verdict is None:
        return "Its verdict.json can't be read. `tuneworthy run` writes it again from the store"
    tool = "recorded answers" if verdict.use == "other" else verdict.use
    return phrases.headline_and_arm(verdict) + (f" ({tool})" if verdict.arm else "")


def _settling_values(results: Results) -> dict[str, Any]:
    """Return the settle page's values: its state, whether votes come next, what they changed."""
    verdict, seen = results.verdict, results.evidence
    settled = seen.settled
    obstacle = why_no_vote_helps(seen, policy_of(results.task), seen.pool)
    step = verdict.next
    return {
        "state": "settled" if settled else obstacle or "open",
        "settled": settled,
        "ended": _ENDING_TEXTS.get(settled.ended, settled.ended) if settled else "",
        "helps": step.do == "settle",
        "size": phrases.price_of_next_step(step),
        "pool": results.evidence.pool,
        "margin": tenths(results.task.success.margin),
    }


def _render_study(name: str, place: StudyPlace, tab: str, site: Site, **values: Any) -> str:
    """Return a page of a study; `tab` is also the command that does the same at a terminal."""
    command = f"tuneworthy {tab} {shlex.quote(place.inside) if place.inside else ''}".strip()
    votes = values.get("settling", {}).get("state") == "open"
    scripts, keys = ((*SCRIPTS, "settle"), _VOTE_KEYS) if votes else (SCRIPTS, ())
    verdict = verdict_of(place)[0] if place.finished else None
    rows = (verdict and _rows_of(verdict)) or 0
    counted = f" · {count_noun(rows, 'row')}" if rows else ""
    said = {"verdict": _verdict_line(verdict) if verdict else "",
            "status": f"{verdict.status}{counted}" if verdict else ""}  # fmt: skip
    return _render_page(name, site, scripts, keys, place=place, tab=tab, command=command,
                        state=_study_state(place), said=said, **values)  # fmt: skip


def _render_page(name: str, site: Site, scripts: Any, keys: Any, **values: Any) -> str:
    html = _templates().get_template(name).render(
        site=site, here="Studies", scripts=scripts, keys=keys, data=(), blocks={},
        style="study", **values,
    )  # fmt: skip
    return name_cells(html)


@lru_cache(maxsize=1)
def _templates() -> jinja2.Environment:
    from tuneworthy.report.html import template_environment

    return template_environment(jinja2.FileSystemLoader(LAB_FOLDER / "templates"))


MOST_LINES = 200

_TOOLLESS = {"candidate": "no tool given"}  # by role, of an arm without a tool

_NOT_BEGUN = "The ledger of this folder has no record of how this study ran."
_SETTLED = "Votes settled this verdict. How its arms ran stands with the study that was settled."
_OTHER_EVENTS = "The events of this run were written by another version, or were changed."


def _study_state(place: StudyPlace) -> str:
    """Return the state of a study: `running`, `stopped` or `done`."""
    return _state_from_events(place, _study_events(place)[0])


def run_snapshot(place: StudyPlace) -> dict[str, Any]:
    """Return a snapshot of a study's run: state, verdict so far, ladder, arms, messages.

    The verdict of a study that has ended is its own, not that of its last event. `because` is why
    the run has no events, or "".
    """
    events, because = _study_events(place)
    state = _state_from_events(place, events)
    try:
        shown = _shown_events(events, state)
    except (TypeError, ValueError, LookupError, AttributeError, OverflowError):
        shown, because = _shown_events([], state), _OTHER_EVENTS
    if state == "done":
        shown["sentence"] = _verdict_line(verdict_of(place)[0])
    return {"state": state, **shown, "because": because}


def _shown_events(events: list[dict[str, Any]], state: str) -> dict[str, Any]:
    """Return {"sentence", "ladder", "arms", "log"}: what a page shows of a run's events."""
    begun = [at for at, event in enumerate(events) if event["kind"] == "begin"]
    now = events[begun[-1] :] if begun else []
    steps = [e["value"] for e in events if e["kind"] == "step" and e["value"]]
    said = [event for event in events if event["kind"] == "say"][-MOST_LINES:]
    return {
        "sentence": _verdict_so_far(steps),
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
    return events, "" if events else _SETTLED if place.name.endswith("-settled") else _NOT_BEGUN


def _state_from_events(place: StudyPlace, events: list[dict[str, Any]]) -> str:
    """Return "running", "done" or "stopped"; running: it began after the ledger was locked."""
    began = [event["at"] for event in events if event["kind"] == "begin"]
    since = running_since(place.home) if began else None
    last = time_of(began[-1]) if began else None
    if since is not None and last is not None and last >= since:
        return "running"
    return "done" if place.finished else "stopped"


def _verdict_so_far(steps: list[dict[str, Any]]) -> str:
    """Return the verdict so far: `If you stopped now: KEEP (present), at most 9 points …`."""
    last = steps[-1] if steps else {}
    left = last.get("left")
    named = str(last.get("use", "")), last.get("arm")
    said = phrases.verdict_so_far(*named, None if left is None else float(left))
    return said[:1].upper() + said[1:]


def _ladder_rows(step: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a dict for each arm of the verdict so far; a score is [mean, low, high], 0 to 1."""
    rows = []
    for arm in step.get("arms", ()):
        score = arm.get("score")
        rows.append({
            "name": str(arm.get("name", "")),
            "tool": str(arm.get("tool") or _TOOLLESS.get(arm.get("role"), arm.get("role") or "")),
            "named": arm.get("name") == step.get("arm"),
            "n": arm.get("n"),
            "score": [round(float(score[key]), 4) for key in ("mean", "low", "high")]
            if score else None,
            "because": str(arm.get("because") or ""),
        })  # fmt: skip
    return rows


def _arm_rows(events: list[dict[str, Any]], state: str) -> list[dict[str, Any]]:
    """Return a dict on each arm's progress since the last start, in the order of their runs."""
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
