"""The routes of the lab. A handler calls one module and returns its result, without own rules."""

from __future__ import annotations

from tuneworthy.lab.routes import page_routes, run_routes, study_routes
from tuneworthy.lab.routes import page_routes as advice_routes
from tuneworthy.lab.routes import page_routes as atlas_routes
from tuneworthy.lab.routes import page_routes as claim_routes

ROUTERS = (
    page_routes.ROUTES,
    run_routes.ROUTES,
    study_routes.ROUTES,
    atlas_routes.ROUTES,
    advice_routes.ROUTES,
    claim_routes.ROUTES,
)
