"""Check a user's own runs: the page of the launch list, and the check of one folder."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from pydantic import Field

from tuneworthy.lab import pages
from tuneworthy.lab.routes.shared import Fields, Here, site_of

ROUTES = APIRouter()


class FolderFields(Fields):
    """The id of a folder that was named at launch."""

    folder: str = Field(max_length=64)


@ROUTES.get("/check", response_class=HTMLResponse)
def _get_check_page(lab: Here) -> str:
    return pages.check_page(lab.own_folders, site_of(lab))


@ROUTES.post("/api/check")
def _post_check(lab: Here, given: FolderFields) -> dict[str, Any]:
    return lab.own_folders.check(given.folder)
