"""Routes of cases and records: public data, and the results of guesses and citations."""

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
def _get_cases(lab: Here) -> list[dict[str, Any]]:
    return [case_data.card_data(case, lab.records) for case in all_cases().values()]


@ROUTES.get("/cases/{slug}")
def _get_case(lab: Here, slug: str) -> dict[str, Any]:
    return case_data.public_data(find_case(slug), lab.records)


@ROUTES.get("/records/{name}")
def _get_record(lab: Here, name: str) -> list[dict[str, Any]]:
    return shown_events(lab, name)


@ROUTES.post("/cases/{slug}/guess")
def _post_guess(lab: Here, slug: str, given: GuessFields) -> dict[str, Any]:
    if is_id(slug):
        return guess_blind(lab, slug, given.cause, given.sure)
    return case_data.guess_result(find_case(slug), given.cause, given.sure)


@ROUTES.post("/cases/{slug}/cite")
def _post_citation(lab: Here, slug: str, given: CiteFields) -> dict[str, Any]:
    if is_id(slug):
        return cite_blind(lab, slug, given.measure)
    return case_data.citation_result(find_case(slug), given.measure, lab.records)
