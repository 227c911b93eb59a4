"""The pages on advice: guess the winning tool, and the table of advisers."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from tuneworthy.lab.routes.shared import Here, site_of

ROUTES = APIRouter(default_response_class=HTMLResponse)


@ROUTES.get("/guess")
def _get_guess_page(lab: Here) -> str:
    from tuneworthy.lab.advice_pages import guess_page

    return guess_page(site_of(lab))


@ROUTES.get("/advice")
def _get_advice_page(lab: Here) -> str:
    from tuneworthy.lab.advice_pages import advice_page

    return advice_page(site_of(lab))
