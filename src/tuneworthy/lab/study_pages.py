"""The pages of studies: the list, the report of a finished one, a run and its progress, settling.

The templates escape all text, as in the report. Computes nothing.
"""

from __future__ import annotations

import shlex
from datetime import datetime
from functools import lru_cache
from typing import Any

import jinja2

from tuneworthy.core.results import Results
from tuneworthy.core.verdict import Verdict
from tuneworthy.lab.pages import LAB_FOLDER, Site
from tuneworthy.lab.studies import StudyPlace, find_studies, results_of, verdict_of
from tuneworthy.lab.study_run import run_snapshot, study_state
from tuneworthy.report import _words as words
from tuneworthy.report._column_names import name_cells
from tuneworthy.report._pieces import template_environment
from tuneworthy.report.html import ServedPage, page

SCRIPTS = ("lab", "wire", "study")
ROW_KEYS = ((("j", "k"), "next and previous study"), (("Enter",), "open it"))
VOTE_KEYS = (
    (("l", "r"), "the left answer is right, the right one is"),
    (("e", "b", "s"), "both right, both wrong, skip"),
)
ENDING_TEXTS = {
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
    return _render_page("studies.html.j2", site, SCRIPTS, ROW_KEYS, studies=rows)


def report_page(place: StudyPlace, site: Site) -> str:
    """Return the report of a finished study, with links to the other pages of the study."""
    links = (("Lab", site.home), ("Studies", "/studies"), ("Run", f"/study/{place.id}/run"),
             ("Settle", f"/study/{place.id}/settle"))  # fmt: skip
    served = ServedPage(links, site.static("report.css"), site.static("report.js"))
    return page(results_of(place), served)


def run_page(place: StudyPlace, site: Site) -> str:
    """Return the page of a study's run: its progress, or where it was stopped."""
    return _render_study("study_run.html.j2", place, "run", site, live=run_snapshot(place))


def settle_page(place: StudyPlace, site: Site) -> str:
    """Return the page on which a finished study is settled by votes."""
    results = results_of(place)
    return _render_study("study_settle.html.j2", place, "settle", site, results=results,
                         verdict=results.verdict, settling=_settling_values(results))  # fmt: skip


def _study_row(place: StudyPlace) -> dict[str, Any]:
    state = study_state(place)
    row: dict[str, Any] = {"id": place.id, "name": place.title, "folder": place.name, "n": None,
                           "state": state, "place": place.inside}  # fmt: skip
    verdict, written = verdict_of(place)
    row |= {"written": written, "date": written.strftime("%Y-%m-%d %H:%M") if written else ""}
    if state == "running" or not place.finished:
        said = run_snapshot(place)["sentence"]
        more = "" if state == "running" else ". `tuneworthy run` continues it"
        return row | {"verdict": said + more, "status": state}
    if verdict is None:
        why = "Its verdict.json can't be read. `tuneworthy run` writes it again from the store"
        return row | {"verdict": why, "status": "not readable"}
    n = max((arm.n for arm in verdict.arms), default=0)
    return row | {"verdict": _verdict_line(verdict), "status": verdict.status, "n": n or None}


def _verdict_line(verdict: Verdict) -> str:
    """Return the verdict in a line: `Don't fine-tune yet. Use: few_shot (prompt)`."""
    head = words.headline(verdict.use, verdict.status)
    return f"{head} Use: {verdict.arm} ({verdict.use})" if verdict.arm else head


def _settling_values(results: Results) -> dict[str, Any]:
    """Return the state of settling: whether votes can help, how many, and what they changed."""
    verdict, settled = results.verdict, results.evidence.settled
    state = "open" if verdict.status == "provisional" else verdict.status
    step = verdict.next
    return {
        "state": "settled" if settled else state,
        "settled": settled,
        "ended": ENDING_TEXTS.get(settled.ended, settled.ended) if settled else "",
        "helps": step.do == "settle",
        "size": words.price_of_next_step(step),
        "pool": results.evidence.pool,
        "margin": words.points(results.task.success.margin),
    }


def _render_study(name: str, place: StudyPlace, tab: str, site: Site, **values: Any) -> str:
    """Return a page of a study; `tab` is also the command that does the same at a terminal."""
    command = f"tuneworthy {tab} {shlex.quote(place.inside) if place.inside else ''}".strip()
    scripts, keys = ((*SCRIPTS, "settle"), VOTE_KEYS) if tab == "settle" else (SCRIPTS, ())
    return _render_page(name, site, scripts, keys, place=place, tab=tab, command=command,
                        state=study_state(place), **values)  # fmt: skip


def _render_page(name: str, site: Site, scripts: Any, keys: Any, **values: Any) -> str:
    html = _templates().get_template(name).render(
        site=site, here="Studies", scripts=scripts, keys=keys, data=(), blocks={},
        style="study.css", **values,
    )  # fmt: skip
    return name_cells(html)


@lru_cache(maxsize=1)
def _templates() -> jinja2.Environment:
    return template_environment(jinja2.FileSystemLoader(LAB_FOLDER / "templates"))
