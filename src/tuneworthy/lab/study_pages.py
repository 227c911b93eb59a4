"""The pages of studies as HTML: the report's sections, spread over a page per part of a study.

The templates escape all text, as in the report. Computes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from tuneworthy.core.escape import for_html, visible
from tuneworthy.core.results import Results
from tuneworthy.lab import study_facts as facts
from tuneworthy.lab.pages import LAB_FOLDER, Site
from tuneworthy.lab.problem import Problem
from tuneworthy.lab.studies import StudyPlace, results_of
from tuneworthy.lab.study_cases import FILTERS, Filter, case_key, case_page, matrix_of, matrix_page
from tuneworthy.lab.study_compare import SIDES, CompareQuery, comparison_values
from tuneworthy.lab.study_decide import decision_screens, screen_position
from tuneworthy.lab.study_run import frozen_plan, run_snapshot, study_state
from tuneworthy.report import _words as words
from tuneworthy.report._column_names import name_cells
from tuneworthy.report._pieces import TEMPLATES, section_values, template_environment

STYLE = "study.css"
SCRIPTS = ("svg", "keys", "wire", "study")
MORE_SCRIPTS = {"plan": ("budget",), "settle": ("settle",)}
TABS = (
    ("task", "Task"),
    ("plan", "Plan"),
    ("run", "Run"),
    ("results", "Results"),
    ("settle", "Settle"),
    ("changes", "Changes"),
    ("build", "Build"),
)
RESULT_SECTIONS = (
    "named", "ladder", "graded", "meanings", "forest", "differences", "trade_offs", "money",
    "across", "failures", "unclaimed", "cautions", "request_lines", "fresh", "missing", "reproduce",
    "questions",
)  # fmt: skip
PAGE_COMMANDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "task": (("tuneworthy check",), ()),
    "plan": (("tuneworthy plan",), ("arms", "seeds", "budget")),
    "run": (("tuneworthy run",), ("model", "tune", "bigger", "teacher", "arms", "seeds", "seed")),
    "results": (("tuneworthy report",), ("success",)),
    "settle": (("tuneworthy settle",), ("data",)),
    "changes": (("tuneworthy run",), ("model", "tune")),
    "build": (("tuneworthy build", "tuneworthy serve"), ("model", "tune")),
    "case": (("tuneworthy report",), ("instruction", "output")),
}
"""For each page the equivalent commands, and the keys of task.yaml that it is about."""
KEYS = (
    (("1", "7"), "task, plan, run, results, settle, changes, build"),
    (("d",), "decide"),
    (("←", "→"), "the case or question before, the next one"),
    (("j", "k"), "next and previous row"),
)
MORE_KEYS = {
    "settle": (
        (("l", "r"), "the left answer is right, the right one is"),
        (("e", "b", "s"), "both right, both wrong, skip"),
    )
}


def studies_page(working: Path, site: Site) -> str:
    """Return the page with the list of a folder's studies."""
    return _render_page("studies.html.j2", site, studies=facts.study_rows(working), keys=KEYS[3:])


def compare_page(working: Path, asked: CompareQuery, site: Site) -> tuple[int, str]:
    """Return (HTTP status, page) of two compared studies, or of why they can't be compared."""
    shown = comparison_values(working, asked)
    problem = shown["problem"]
    text = _render_page("compare.html.j2", site, sides=SIDES, keys=KEYS[3:],
                        rows=[] if shown["told"] else facts.study_rows(working),
                        **shown)  # fmt: skip
    return (problem.status if problem else 200), text


def study_page(place: StudyPlace, tab: str, by: Filter, site: Site) -> str:
    """Return one page of a study. Raises Problem (404) for an unknown `tab`."""
    makers = {"task": _task_page, "plan": _plan_page, "run": _run_page,
              "results": _results_page, "settle": _settle_page, "changes": _changes_page,
              "build": _build_page}  # fmt: skip
    if tab not in makers:
        raise Problem(404, "a study has no such page", where="the address", got=tab,
                      fix=f"one of: {', '.join(makers)}")  # fmt: skip
    if tab == "results":
        return _results_page(place, by, site)
    return makers[tab](place, site)  # type: ignore[operator, no-any-return]


def study_case_page(place: StudyPlace, key: str, by: Filter, site: Site) -> str:
    """Return the page of one case of a study."""
    results = results_of(place)
    shown = case_page(results, matrix_of(results), key, by)
    return _render_study("study_case.html.j2", place, "case", site, results, by=by, **shown)


def decide_page(place: StudyPlace, name: str, site: Site) -> str:
    """Return one screen of the path to a decision."""
    results = results_of(place)
    found = decision_screens(results)
    at = screen_position(found, name)
    return _render_study(
        "decide.html.j2", place, "decide", site, results, screen=found[at], at=at, all=found,
        command=facts.command_of(place, found[at].command) if found[at].command else "",
        before=found[at - 1].name if at else "",
        after=found[at + 1].name if at + 1 < len(found) else "",
    )  # fmt: skip


def _task_page(place: StudyPlace, site: Site) -> str:
    results = results_of(place) if place.finished else None
    text, why = facts.task_file_text(place)
    shown = section_values(results, matrix_of(results), ("audit", "task_text")) if results else {}
    return _render_study(
        "study_task.html.j2", place, "task", site, results, text=text, why=why, **shown
    )


def _plan_page(place: StudyPlace, site: Site) -> str:
    results = results_of(place) if place.finished else None
    plan = results.plan if results else frozen_plan(place)
    rows = facts.plan_rows(plan) if plan else []
    return _render_study("study_plan.html.j2", place, "plan", site, results, plan=plan, rows=rows,
                         lines=facts.plan_lines(plan) if plan else [],
                         enough=facts.whole_minutes(plan) if plan else None)  # fmt: skip


def _run_page(place: StudyPlace, site: Site) -> str:
    live = run_snapshot(place)
    results = results_of(place) if place.finished else None
    shown: Mapping[str, Any] = {}
    if results:
        shown = section_values(
            results, matrix_of(results), ("trainings", "learning", "reproduce", "task_text")
        )
    return _render_study("study_run.html.j2", place, "run", site, results, live=live, **shown)


def _results_page(place: StudyPlace, by: Filter, site: Site) -> str:
    results = results_of(place)
    matrix = matrix_of(results)
    return _render_study("study_results.html.j2", place, "results", site, results, by=by,
                         table=matrix_page(results, matrix, by), filters=FILTERS,
                         **section_values(results, matrix, RESULT_SECTIONS))  # fmt: skip


def _settle_page(place: StudyPlace, site: Site) -> str:
    results = results_of(place)
    return _render_study("study_settle.html.j2", place, "settle", site, results,
                  settling=facts.settling_state(results))  # fmt: skip


def _changes_page(place: StudyPlace, site: Site) -> str:
    results = results_of(place)
    shown = section_values(results, matrix_of(results), ("changes", "robust", "students"))
    why = results.evidence.missing.get("changes") or results.verdict.missing.get("/changes", "")
    return _render_study("study_changes.html.j2", place, "changes", site, results,
                         why=words.untrained_line(results) or why, **shown)  # fmt: skip


def _build_page(place: StudyPlace, site: Site) -> str:
    results = results_of(place)
    found = facts.build_rows(place, results.evidence.hash)
    trained = [run.artefact for run in results.runs
               if run.artefact and run.spec.name == results.verdict.arm]  # fmt: skip
    return _render_study("study_build.html.j2", place, "build", site, results, builds=found,
                         trained=trained)  # fmt: skip


def _render_study(
    name: str, place: StudyPlace, tab: str, site: Site, results: Results | None, /, **values: Any
) -> str:
    commands, keys = PAGE_COMMANDS.get(tab, ((), ()))
    yaml = facts.keys_as_yaml(results.task, *keys) if results and keys else ""
    common = {"results": results, "verdict": results.verdict if results else None,
              "task": results.task if results else None}  # fmt: skip
    return _render_page(
        name, site, place=place, tab=tab, tabs=TABS, yaml=yaml,
        keys=(*KEYS, *MORE_KEYS.get(tab, ())),
        commands=[facts.command_of(place, command) for command in commands],
        case_href=lambda case: f"/study/{place.id}/case/{case_key(case)}",
        cause_href=lambda cause: f"/study/{place.id}/results?cause={cause}#cases",
        state=study_state(place),
        apart=results is not None and facts.verdict_differs(place, results),
        **{**common, **values},
    )  # fmt: skip


def _render_page(name: str, site: Site, **values: Any) -> str:
    page = _templates().get_template(name)
    scripts = (*SCRIPTS, *MORE_SCRIPTS.get(values.get("tab", ""), ()))
    html = page.render(site=site, here="Studies", scripts=scripts, data=(), style=STYLE, **values)
    return name_cells(html)


@lru_cache(maxsize=1)
def _templates() -> jinja2.Environment:
    """Return a Jinja environment with the lab's templates and, as `report/…`, the report's."""
    own = jinja2.FileSystemLoader(LAB_FOLDER / "templates")
    parts = jinja2.PrefixLoader({"report": jinja2.FileSystemLoader(TEMPLATES)})
    jinja = template_environment(jinja2.ChoiceLoader([own, parts]))
    jinja.filters["lines"] = _escaped_lines
    return jinja


def _escaped_lines(text: str) -> Markup:
    """Return escaped text that keeps newlines and tabs; other control characters are shown."""
    kept = re.split(r"([\n\t])", text.replace("\r\n", "\n"))
    return Markup("".join(part if part in "\n\t" else for_html(visible(part)) for part in kept))
