"""Routes of studies: list, pages, the path to a decision, a running study, other budgets.

The report's modules are slow to import, so each handler imports them when it needs them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from fastapi.responses import HTMLResponse

from tuneworthy.lab.open_lab import Lab
from tuneworthy.lab.routes.shared import Here, NoFields, site_of

if TYPE_CHECKING:
    from tuneworthy.lab.studies import StudyPlace

ROUTES = APIRouter()


def _filter_of_query(
    show: Literal["all", "failures", "different"] = "all",
    cause: Annotated[str, Query(max_length=40)] = "",
    page: Annotated[int, Query(ge=1, le=100_000)] = 1,
) -> Any:
    from tuneworthy.lab.study_cases import Filter

    return Filter(show, cause, page)


CaseFilter = Annotated[Any, Depends(_filter_of_query)]


def place_of(lab: Lab, key: str) -> StudyPlace:
    """Return the study of an id. Raises Problem (404) if there is none."""
    from tuneworthy.lab.studies import find_study

    return find_study(lab.working, key)


@ROUTES.get("/studies", response_class=HTMLResponse)
def _get_studies_page(lab: Here) -> str:
    from tuneworthy.lab.study_pages import studies_page

    return studies_page(lab.working, site_of(lab))


@ROUTES.get("/compare")
def _get_compare_page(
    lab: Here,
    a: Annotated[str, Query(max_length=64)] = "",
    b: Annotated[str, Query(max_length=64)] = "",
    pair: Annotated[int | None, Query(ge=0, le=1000)] = None,
    side: Literal["all", "gained", "lost"] = "all",
) -> HTMLResponse:
    from tuneworthy.lab.study_compare import CompareQuery
    from tuneworthy.lab.study_pages import compare_page

    status, text = compare_page(lab.working, CompareQuery(a, b, pair, side), site_of(lab))
    return HTMLResponse(text, status)


@ROUTES.get("/study/{key}/{tab}", response_class=HTMLResponse)
def _get_study_page(lab: Here, key: str, tab: str, by: CaseFilter) -> str:
    from tuneworthy.lab.study_pages import study_page

    return study_page(place_of(lab, key), tab, by, site_of(lab))


@ROUTES.get("/study/{key}/case/{case}", response_class=HTMLResponse)
def _get_study_case_page(lab: Here, key: str, case: str, by: CaseFilter) -> str:
    from tuneworthy.lab.study_pages import study_case_page

    return study_case_page(place_of(lab, key), case, by, site_of(lab))


@ROUTES.get("/decide/{key}", response_class=HTMLResponse)
def _get_decide_page(lab: Here, key: str, q: Annotated[str, Query(max_length=64)] = "") -> str:
    from tuneworthy.lab.study_pages import decide_page

    return decide_page(place_of(lab, key), q, site_of(lab))


@ROUTES.get("/api/studies/{key}/run")
def _get_run_snapshot(lab: Here, key: str) -> dict[str, Any]:
    from tuneworthy.lab.study_run import run_snapshot

    return run_snapshot(place_of(lab, key))


@ROUTES.get("/api/studies/{key}/budget")
def _get_cached_stops(lab: Here, key: str) -> dict[str, Any]:
    return {"known": lab.budget_stops.cached(place_of(lab, key))}


@ROUTES.post("/api/studies/{key}/budget")
def _post_stops(lab: Here, key: str, _given: NoFields) -> dict[str, Any]:
    lab.running()  # refuses in a lab that reads only
    place = place_of(lab, key)
    lab.open_settling.refuse_while_open(place)
    return {"known": lab.budget_stops.compute(place)}
