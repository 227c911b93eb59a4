"""The routes of the lab. Each handler asks one module and answers; none has rules of its own."""

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
