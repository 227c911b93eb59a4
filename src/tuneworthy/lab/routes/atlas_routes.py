"""The atlas: the map, and the page of one measured task."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from tuneworthy.lab.routes.shared import Here, site_of

ROUTES = APIRouter(default_response_class=HTMLResponse)


@ROUTES.get("/atlas")
def _get_map_page(lab: Here) -> str:
    from tuneworthy.lab.atlas_pages import atlas_page

    return atlas_page(site_of(lab))


@ROUTES.get("/atlas/{key}")
def _get_measured_page(lab: Here, key: str) -> str:
    from tuneworthy.lab.atlas_pages import measured_page

    return measured_page(key, site_of(lab))
