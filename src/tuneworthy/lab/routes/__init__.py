"""The routes of the lab. A handler calls one module and returns its result, without own rules."""

from __future__ import annotations

from tuneworthy.lab.routes import (
    advice_routes,
    atlas_routes,
    blind_routes,
    case_routes,
    check_routes,
    claim_routes,
    page_routes,
    play_routes,
    run_routes,
    settle_routes,
    study_routes,
)

ROUTERS = (
    page_routes.ROUTES,
    case_routes.ROUTES,
    run_routes.ROUTES,
    blind_routes.ROUTES,
    play_routes.ROUTES,
    check_routes.ROUTES,
    study_routes.ROUTES,
    settle_routes.ROUTES,
    atlas_routes.ROUTES,
    advice_routes.ROUTES,
    claim_routes.ROUTES,
)
