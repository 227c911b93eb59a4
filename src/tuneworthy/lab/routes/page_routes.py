"""Routes of pages and of their static files."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from tuneworthy.lab import pages
from tuneworthy.lab.cases import all_cases
from tuneworthy.lab.problem import Problem
from tuneworthy.lab.routes.shared import Here, site_of
from tuneworthy.lab.settings import find_case

STATIC = Path(__file__).parents[1] / "static"
REPORT_STATIC = Path(__file__).parents[2] / "report" / "static"
REPORT_FILES = ("report.css", "report.js")  # of the report that the lab shows
CONTENT_TYPES = {
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


@ROUTES.get("/check")
def _get_check_page(lab: Here) -> str:
    return pages.check_page(lab.own_folders, site_of(lab))


@ROUTES.get("/static/{name:path}")
def _get_static_file(name: str) -> Response:
    """Return a static file of the package; the name is looked up, never used as a path."""
    path = static_files(REPORT_STATIC if name in REPORT_FILES else STATIC).get(name)
    if path is None:
        raise Problem(404, "the lab has no such file", where="the address", got=name)
    return Response(path.read_bytes(), media_type=CONTENT_TYPES[path.suffix])


@lru_cache(maxsize=4)
def static_files(folder: Path) -> dict[str, Path]:
    """Return the files that pages may load, by name, without symbolic links."""
    found = (path for path in folder.rglob("*") if path.suffix in CONTENT_TYPES)
    plain = (path for path in found if path.is_file() and not path.is_symlink())
    return {path.relative_to(folder).as_posix(): path for path in plain}
