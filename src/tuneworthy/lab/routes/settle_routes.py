"""Settle a study by clicks: open it, vote on the pair that is shown, write the settled verdict."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter
from pydantic import Field

from tuneworthy.lab.routes.shared import Fields, Here, NoFields
from tuneworthy.lab.routes.study_routes import place_of

ROUTES = APIRouter(prefix="/api/studies/{key}/settle")
MOST_TYPED = 20_000  # characters of a right answer


class VoteFields(Fields):
    """A vote: the id of the pair that was shown, the choice, and a right answer if it is typed."""

    pair: str = Field(max_length=64)
    choice: Literal["left", "right", "wrong", "equal", "skip", "typed"]
    gold: str | None = Field(default=None, max_length=MOST_TYPED)


@ROUTES.get("")
def _get_settling_state(lab: Here, key: str) -> dict[str, Any]:
    return lab.open_settling.state(place_of(lab, key).id)


@ROUTES.post("/open", status_code=202)
def _post_open_settling(lab: Here, key: str, _given: NoFields) -> dict[str, Any]:
    lab.running()  # refuses in a lab that reads only
    return lab.open_settling.open(place_of(lab, key))


@ROUTES.post("/vote")
def _post_vote(lab: Here, key: str, given: VoteFields) -> dict[str, Any]:
    place = place_of(lab, key)
    return lab.open_settling.click(place.id, given.pair, given.choice, given.gold)


@ROUTES.post("/finish")
def _post_finish(lab: Here, key: str, _given: NoFields) -> dict[str, Any]:
    return lab.open_settling.finish(place_of(lab, key).id)
