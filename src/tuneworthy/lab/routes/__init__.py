"""The routes of the lab. A handler calls one module and returns its result, without own rules."""

from __future__ import annotations

from tuneworthy.lab.routes import page_routes, run_routes, study_routes

ROUTERS = (page_routes.ROUTES, run_routes.ROUTES, study_routes.ROUTES)
