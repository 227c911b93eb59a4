"""The playground: its page, a play or one adapter strength to measure, and their events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import Field

from tuneworthy.lab import pages
from tuneworthy.lab.event_stream import Stream, numbered_lines
from tuneworthy.lab.play_setup import MOST_INPUT, PlayArm, play_config, strength_config
from tuneworthy.lab.routes.shared import Fields, Here, site_of, stream_of
from tuneworthy.lab.settings import check_seed

ROUTES = APIRouter()


class ArmFields(Fields):
    """One column (arm) of the playground; `play_setup` checks the bounds."""

    shots: int = 0
    held: bool = Field(default=False, alias="schema")
    passage: bool = False
    temperature: float = 0.0
    strength: float = 0.0

    def arm(self) -> PlayArm:
        """Return the arm that these fields describe."""
        return PlayArm(self.shots, self.held, self.passage, self.temperature, self.strength)


class PlayFields(Fields):
    """One input and the ways to answer it."""

    task: str = Field(max_length=64)
    input: str = Field(max_length=4 * MOST_INPUT)
    arms: list[ArmFields] = Field(max_length=64)
    seed: int = 0


class StrengthFields(Fields):
    """The strength of the adapter that is measured on 20 rows."""

    strength: float


@ROUTES.get("/playground", response_class=HTMLResponse)
def _get_playground_page(lab: Here) -> str:
    return pages.playground_page(site_of(lab))


@ROUTES.post("/api/play", status_code=202)
def _post_play(lab: Here, given: PlayFields) -> dict[str, str]:
    config = play_config(given.task, given.input, [one.arm() for one in given.arms])
    return {"id": lab.running().submit_play(config, check_seed(given.seed))}


@ROUTES.post("/api/strength", status_code=202)
def _post_strength(lab: Here, given: StrengthFields) -> dict[str, str]:
    return {"id": lab.running().submit_play(strength_config(given.strength), 0)}


@ROUTES.get("/api/play/{name}/events", response_class=EventSourceResponse)
async def _get_play_events(
    stream: Annotated[Stream, Depends(stream_of)],
) -> AsyncIterator[ServerSentEvent]:
    async for number, line in numbered_lines(stream):
        yield ServerSentEvent(raw_data=line, id=str(number))
