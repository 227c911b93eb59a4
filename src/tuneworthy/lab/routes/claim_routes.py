"""The experiments on common claims, and the findings of all measurements: two pages to read."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from tuneworthy.lab.routes.shared import Here, site_of

ROUTES = APIRouter(default_response_class=HTMLResponse)


@ROUTES.get("/experiments")
def _get_claims_page(lab: Here) -> str:
    from tuneworthy.lab.claim_pages import claims_page

    return claims_page(site_of(lab))


@ROUTES.get("/findings")
def _get_findings_page(lab: Here) -> str:
    from tuneworthy.lab.finding_pages import findings_page

    return findings_page(site_of(lab))
