"""The route that starts a blind run and returns its key."""

from __future__ import annotations

from fastapi import APIRouter

from tuneworthy.lab.blind_play import open_blind
from tuneworthy.lab.routes.shared import Here, NoFields

ROUTES = APIRouter(prefix="/api")


@ROUTES.post("/blind")
def _post_blind_run(lab: Here, _given: NoFields) -> dict[str, str]:
    return open_blind(lab)
