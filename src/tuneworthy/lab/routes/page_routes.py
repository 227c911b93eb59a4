"""Routes of pages and of their static files."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, Response
from pydantic import BaseModel, ConfigDict

from tuneworthy.lab import pages
from tuneworthy.lab.cases import all_cases
from tuneworthy.lab.open_lab import Lab
from tuneworthy.lab.pages import REPORT_FILES, REPORT_STATIC, Site
from tuneworthy.lab.problem import Problem
from tuneworthy.lab.settings import find_case

STATIC = Path(__file__).parents[1] / "static"

_CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml", ".png": "image/png", ".ico": "image/x-icon",
    ".json": "application/json", ".woff2": "font/woff2",
}  # fmt: skip

ROUTES = APIRouter(default_response_class=HTMLResponse)


@ROUTES.get("/")
def _get_home_page(lab: Here) -> str:
    return pages.home_page(list(all_cases().values()), site_of(lab))


@ROUTES.get("/case/{slug}")
def _get_case_page(lab: Here, slug: str) -> str:
    case = find_case(slug)
    return pages.case_page(case, list(all_cases()).index(slug) + 1, site_of(lab))


@ROUTES.get("/blind/{key}")
def _get_blind_page(lab: Here, key: str) -> str:
    run = lab.blind_run(key)
    return pages.blind_page(run.key, site_of(lab))


@ROUTES.get("/playground")
def _get_playground_page(lab: Here) -> str:
    return pages.playground_page(site_of(lab))


@ROUTES.get("/kinds")
def _get_kinds_page(lab: Here) -> str:
    from tuneworthy.lab.tuning_kinds import kinds_page

    return kinds_page(site_of(lab))


@ROUTES.get("/check")
def _get_check_page(lab: Here) -> str:
    return pages.check_page(lab.own_folders, site_of(lab))


@ROUTES.get("/static/{name:path}")
def _get_static_file(name: str) -> Response:
    """Return a static file of the package; the name is looked up, never used as a path."""
    path = _static_files(REPORT_STATIC if name in REPORT_FILES else STATIC).get(name)
    if path is None:
        raise Problem(404, "the lab has no such file", where="the address", got=name)
    return Response(path.read_bytes(), media_type=_CONTENT_TYPES[path.suffix])


@lru_cache(maxsize=4)
def _static_files(folder: Path) -> dict[str, Path]:
    """Return the files that pages may load, by name, without symbolic links."""
    found = (path for path in folder.rglob("*") if path.suffix in _CONTENT_TYPES)
    plain = (path for path in found if path.is_file() and not path.is_symlink())
    return {path.relative_to(folder).as_posix(): path for path in plain}


@ROUTES.get("/demo/{name}")
def _get_demo_page(lab: Here, name: str) -> str:
    from tuneworthy.lab.study_pages import demo_page

    return demo_page(name, site_of(lab))


@ROUTES.get("/plan")
def _get_plan_page(lab: Here) -> str:
    from tuneworthy.lab.plan_pages import plan_page

    return plan_page(site_of(lab))


@ROUTES.get("/guess")
def _get_guess_page(lab: Here) -> str:
    from tuneworthy.lab.advice_pages import guess_page

    return guess_page(site_of(lab))


@ROUTES.get("/advice")
def _get_advice_page(lab: Here) -> str:
    from tuneworthy.lab.advice_pages import advice_page

    return advice_page(site_of(lab))


@ROUTES.get("/atlas")
def _get_map_page(lab: Here) -> str:
    from tuneworthy.lab.atlas_pages import atlas_page

    return atlas_page(site_of(lab))


@ROUTES.get("/atlas/{key}")
def _get_measured_page(lab: Here, key: str) -> str:
    from tuneworthy.lab.atlas_pages import measured_page

    return measured_page(key, site_of(lab))


@ROUTES.get("/experiments")
def _get_claims_page(lab: Here) -> str:
    from tuneworthy.lab.claim_results import claims_page

    return claims_page(site_of(lab))


@ROUTES.get("/findings")
def _get_findings_page(lab: Here) -> str:
    from tuneworthy.lab.claim_results import findings_page

    return findings_page(site_of(lab))


class StreamIsOver(Exception):
    """A browser asked for a stream of which it has all events; the reply makes it stop."""


def _lab_of(request: Request) -> Lab:
    """Return the lab that a request is for."""
    lab: Lab = request.app.state.lab
    return lab


Here = Annotated[Lab, Depends(_lab_of)]


def site_of(lab: Lab) -> Site:
    """Return the site of a running lab, with its records and its CSRF token."""
    return Site(token=lab.access.csrf, records=lab.records)


class Fields(BaseModel):
    """The body of a request: unknown fields and values of another type are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class NoFields(Fields):
    """An empty body."""
