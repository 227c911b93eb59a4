"""Live runs: start, watch, pause, resume, stop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from tuneworthy.lab.blind_play import resolve_run_id, shown_events
from tuneworthy.lab.event_stream import Stream, numbered_lines
from tuneworthy.lab.routes.shared import Here, NoFields, RunFields, stream_of
from tuneworthy.lab.starting import start_run

ROUTES = APIRouter(prefix="/api/runs")


@ROUTES.post("")
def _post_run(lab: Here, given: RunFields, response: Response) -> Any:
    name, known = start_run(lab, given.case, given.config, given.seed)
    response.status_code = 200 if known else 202
    return shown_events(lab, name) if known else {"id": name}


@ROUTES.get("/{name}/events", response_class=EventSourceResponse)
async def _get_run_events(
    stream: Annotated[Stream, Depends(stream_of)],
) -> AsyncIterator[ServerSentEvent]:
    async for number, line in numbered_lines(stream):
        yield ServerSentEvent(raw_data=line, id=str(number))


@ROUTES.post("/{name}/{action}")
def _post_run_action(
    lab: Here, name: str, action: Literal["pause", "resume", "stop"], _given: NoFields
) -> dict[str, str]:
    return {"id": name, "state": lab.running().control(resolve_run_id(lab, name), action)}
