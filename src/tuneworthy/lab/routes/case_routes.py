"""Cases and records: what a page may know, and what a guess or a citation reveals."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from tuneworthy.lab import case_data
from tuneworthy.lab.blind_play import cite_blind, guess_blind, shown_events
from tuneworthy.lab.cases import all_cases
from tuneworthy.lab.lab_folder import is_id
from tuneworthy.lab.routes.shared import CiteFields, GuessFields, Here
from tuneworthy.lab.settings import find_case

ROUTES = APIRouter(prefix="/api")


@ROUTES.get("/cases")
def _cases(lab: Here) -> list[dict[str, Any]]:
    return [case_data.card(case, lab.records) for case in all_cases().values()]


@ROUTES.get("/cases/{slug}")
def _case(lab: Here, slug: str) -> dict[str, Any]:
    return case_data.public(find_case(slug), lab.records)


@ROUTES.get("/records/{name}")
def _record(lab: Here, name: str) -> list[dict[str, Any]]:
    return shown_events(lab, name)


@ROUTES.post("/cases/{slug}/guess")
def _guess(lab: Here, slug: str, given: GuessFields) -> dict[str, Any]:
    if is_id(slug):
        return guess_blind(lab, slug, given.cause, given.sure)
    return case_data.guess(find_case(slug), given.cause, given.sure)


@ROUTES.post("/cases/{slug}/cite")
def _cite(lab: Here, slug: str, given: CiteFields) -> dict[str, Any]:
    if is_id(slug):
        return cite_blind(lab, slug, given.measure)
    return case_data.cite(find_case(slug), given.measure, lab.records)
