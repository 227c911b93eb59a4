"""Routes of studies: the list, the report of one, its run and its settling.

The report's modules are slow to import, so each handler imports them when it needs them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from tuneworthy.lab.open_lab import Lab
from tuneworthy.lab.routes.shared import Here, site_of

if TYPE_CHECKING:
    from tuneworthy.lab.studies import StudyPlace

ROUTES = APIRouter()


def place_of(lab: Lab, key: str) -> StudyPlace:
    """Return the study of an id. Raises Problem (404) if there is none."""
    from tuneworthy.lab.studies import find_study

    return find_study(lab.working, key)


@ROUTES.get("/studies", response_class=HTMLResponse)
def _get_studies_page(lab: Here) -> str:
    from tuneworthy.lab.study_pages import studies_page

    return studies_page(lab.working, site_of(lab))


@ROUTES.get("/study/{key}", response_class=HTMLResponse)
def _get_report_page(lab: Here, key: str) -> str:
    from tuneworthy.lab.study_pages import report_page

    return report_page(place_of(lab, key), site_of(lab))


@ROUTES.get("/study/{key}/run", response_class=HTMLResponse)
def _get_run_page(lab: Here, key: str) -> str:
    from tuneworthy.lab.study_pages import run_page

    return run_page(place_of(lab, key), site_of(lab))


@ROUTES.get("/study/{key}/settle", response_class=HTMLResponse)
def _get_settle_page(lab: Here, key: str) -> str:
    from tuneworthy.lab.study_pages import settle_page

    return settle_page(place_of(lab, key), site_of(lab))


@ROUTES.get("/api/studies/{key}/run")
def _get_run_snapshot(lab: Here, key: str) -> dict[str, Any]:
    from tuneworthy.lab.study_run import run_snapshot

    return run_snapshot(place_of(lab, key))
