"""Routes of studies: the list, the report of one, its run; votes that settle one.

The report's modules are slow to import, so each handler imports them when it needs them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from pydantic import Field

from tuneworthy.lab.open_lab import Lab
from tuneworthy.lab.routes.page_routes import Fields, Here, NoFields, site_of

if TYPE_CHECKING:
    from tuneworthy.lab.studies import StudyPlace

ROUTES = APIRouter()
_SETTLE = "/api/studies/{key}/settle"
_MOST_TYPED = 20_000  # characters of a right answer


class _VoteFields(Fields):
    """A vote: the id of the pair that was shown, the choice, and a right answer if it is typed."""

    pair: str = Field(max_length=64)
    choice: Literal["left", "right", "wrong", "equal", "skip", "typed"]
    gold: str | None = Field(default=None, max_length=_MOST_TYPED)


def _place_of(lab: Lab, key: str) -> StudyPlace:
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

    return report_page(_place_of(lab, key), site_of(lab))


@ROUTES.get("/study/{key}/run", response_class=HTMLResponse)
def _get_run_page(lab: Here, key: str) -> str:
    from tuneworthy.lab.study_pages import run_page

    return run_page(_place_of(lab, key), site_of(lab))


@ROUTES.get("/study/{key}/settle", response_class=HTMLResponse)
def _get_settle_page(lab: Here, key: str) -> str:
    from tuneworthy.lab.study_pages import settle_page

    return settle_page(_place_of(lab, key), site_of(lab))


@ROUTES.get(_SETTLE)
def _get_settling_state(lab: Here, key: str) -> dict[str, Any]:
    return lab.open_settling.state(_place_of(lab, key).id)


@ROUTES.post(f"{_SETTLE}/open", status_code=202)
def _post_open_settling(lab: Here, key: str, _given: NoFields) -> dict[str, Any]:
    lab.running()  # refuses in a lab that reads only
    return lab.open_settling.open(_place_of(lab, key))


@ROUTES.post(f"{_SETTLE}/vote")
def _post_vote(lab: Here, key: str, given: _VoteFields) -> dict[str, Any]:
    place = _place_of(lab, key)
    return lab.open_settling.click(place.id, given.pair, given.choice, given.gold)


@ROUTES.post(f"{_SETTLE}/finish")
def _post_finish(lab: Here, key: str, _given: NoFields) -> dict[str, Any]:
    return lab.open_settling.finish(_place_of(lab, key).id)
