"""Routes of cases, live runs, blind runs, plays and the check of own runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import Field

from tuneworthy.lab import blind_play, case_data
from tuneworthy.lab.cases import all_cases
from tuneworthy.lab.event_stream import Stream, numbered_lines
from tuneworthy.lab.lab_folder import is_id
from tuneworthy.lab.open_lab import Lab
from tuneworthy.lab.play_run import (
    MOST_INPUT,
    SHOWN_INPUTS,
    TASKS,
    PlayArm,
    play_config,
    record_name,
    strength_config,
)
from tuneworthy.lab.problem import Problem
from tuneworthy.lab.recordings import known_id, shipped_bytes
from tuneworthy.lab.routes.page_routes import Fields, Here, NoFields, StreamIsOver
from tuneworthy.lab.settings import check_seed, find_case, run_setting
from tuneworthy.records.failure import Value

ROUTES = APIRouter(prefix="/api")


class _RunFields(Fields):
    """A run to start; `config` holds the knobs that differ from the planted configuration."""

    case: str = Field(max_length=64)
    config: dict[str, Value] = Field(default_factory=dict, max_length=64)
    seed: int = 0


class _GuessFields(Fields):
    """A guess: the cause and how sure the visitor is (0 to 2)."""

    cause: str = Field(max_length=64)
    sure: int


class _CiteFields(Fields):
    """The measurement that a visitor cites as the proof."""

    measure: str = Field(max_length=64)


class _ArmFields(Fields):
    """One column (arm) of the playground; `play_config` checks the bounds."""

    shots: int = 0
    held: bool = Field(default=False, alias="schema")
    passage: bool = False
    temperature: float = 0.0
    strength: float = 0.0


class _PlayFields(Fields):
    """One input and the way to answer it."""

    task: str = Field(max_length=64)
    input: str = Field(max_length=4 * MOST_INPUT)
    arm: _ArmFields
    seed: int = 0


class _StrengthFields(Fields):
    """The strength of the adapter that is measured on 20 rows."""

    strength: float


class _FolderFields(Fields):
    """The id of a folder that was named at launch."""

    folder: str = Field(max_length=64)


@ROUTES.get("/cases")
def _get_cases(lab: Here) -> list[dict[str, Any]]:
    return [case_data.card_data(case, lab.records) for case in all_cases().values()]


@ROUTES.get("/cases/{slug}")
def _get_case(lab: Here, slug: str) -> dict[str, Any]:
    return case_data.public_data(find_case(slug), lab.records)


@ROUTES.post("/cases/{slug}/guess")
def _post_guess(lab: Here, slug: str, given: _GuessFields) -> dict[str, Any]:
    if is_id(slug):
        return blind_play.guess_blind(lab, slug, given.cause, given.sure)
    return case_data.guess_result(find_case(slug), given.cause, given.sure)


@ROUTES.post("/cases/{slug}/cite")
def _post_citation(lab: Here, slug: str, given: _CiteFields) -> dict[str, Any]:
    if is_id(slug):
        return blind_play.cite_blind(lab, slug, given.measure)
    return case_data.citation_result(find_case(slug), given.measure, lab.records)


@ROUTES.get("/records/{name}")
def _get_record(lab: Here, name: str) -> list[dict[str, Any]]:
    return blind_play.shown_events(lab, name)


@ROUTES.post("/blind")
def _post_blind_run(lab: Here, _given: NoFields) -> dict[str, str]:
    return blind_play.open_blind(lab)


@ROUTES.post("/runs")
def _post_run(lab: Here, given: _RunFields, response: Response) -> Any:
    name, known = _start_run(lab, given.case, given.config, given.seed)
    response.status_code = 200 if known else 202
    return blind_play.shown_events(lab, name) if known else {"id": name}


def _start_run(lab: Lab, slug: str, given: dict[str, Value], seed: int) -> tuple[str, bool]:
    """Return (run id or blind key, whether it is recorded); queue the run unless it is.

    `slug` is a case, or the key of a blind run, which is returned as the id. Raises Problem: 404
    for an unknown case, 422 for a wrong setting, 429, 409 or 503 if it can't run now.
    """
    if is_id(slug) and not given:
        case, config, role = blind_play.blind_setting(lab.blind_run(slug))
    else:
        case = find_case(slug)
        config, role = run_setting(case, given)
    name = known_id(lab.records, case.slug, config, check_seed(seed))
    known = lab.records.facts(name) is not None
    if not known:
        pair = {each: dict(case.config(each)) for each in ("twin", "plant")}
        lab.running().submit(case.slug, config, seed, role, pair)
    return slug if is_id(slug) else name, known


def _stream_of(lab: Here, name: str, last_event_id: Annotated[str, Header()] = "") -> Stream:
    """Return the stream of events that a browser lacks. Raises StreamIsOver if it has all."""
    stream = Stream(lab, name, last_event_id)
    if stream.over:
        raise StreamIsOver
    return stream


@ROUTES.get("/runs/{name}/events", response_class=EventSourceResponse)
async def _get_run_events(
    stream: Annotated[Stream, Depends(_stream_of)],
) -> AsyncIterator[ServerSentEvent]:
    async for number, line in numbered_lines(stream):
        yield ServerSentEvent(raw_data=line, id=str(number))


@ROUTES.post("/runs/{name}/{action}")
def _post_run_action(
    lab: Here, name: str, action: Literal["pause", "resume", "stop"], _given: NoFields
) -> dict[str, str]:
    run = blind_play.resolve_run_id(lab, name)
    return {"id": name, "state": lab.running().control(run, action)}


@ROUTES.post("/play", status_code=202)
def _post_play(lab: Here, given: _PlayFields) -> dict[str, str]:
    one = given.arm
    arm = PlayArm(one.shots, one.held, one.passage, one.temperature, one.strength)
    config = play_config(given.task, given.input, arm)
    return {"id": lab.running().submit_play(config, check_seed(given.seed))}


@ROUTES.post("/play/open", status_code=202)
def _post_play_open(lab: Here, _given: NoFields) -> None:
    lab.running().open_worker()


@ROUTES.get("/play/{task}/{row}")
def _get_recorded_plays(task: str, row: int) -> Response:
    """Return the recorded answers to an offered input, at all stops of the controls."""
    known = task in TASKS and 0 <= row < SHOWN_INPUTS
    content = shipped_bytes(record_name(task, row)) if known else None
    if content is None:
        raise Problem(404, "no answers to this input are recorded", where="the address",
                      got=f"{task}/{row}", fix="run it live")  # fmt: skip
    return Response(content, media_type="application/json")


@ROUTES.post("/strength", status_code=202)
def _post_strength(lab: Here, given: _StrengthFields) -> dict[str, str]:
    return {"id": lab.running().submit_play(strength_config(given.strength), 0)}


@ROUTES.post("/check")
def _post_check(lab: Here, given: _FolderFields) -> dict[str, Any]:
    return lab.own_folders.check(given.folder)
