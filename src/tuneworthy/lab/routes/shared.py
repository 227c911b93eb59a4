"""Shared by routes: the lab of a request, its site and streams, bodies of requests."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Header, Request
from pydantic import BaseModel, ConfigDict, Field

from tuneworthy.core.failure import Value
from tuneworthy.lab.event_stream import Stream
from tuneworthy.lab.open_lab import Lab
from tuneworthy.lab.pages import Site


class StreamIsOver(Exception):
    """A browser asked for a stream of which it has all events; the reply makes it stop."""


def lab_of(request: Request) -> Lab:
    """Return the lab that a request is for."""
    lab: Lab = request.app.state.lab
    return lab


Here = Annotated[Lab, Depends(lab_of)]


def stream_of(lab: Here, name: str, last_event_id: Annotated[str, Header()] = "") -> Stream:
    """Return the stream of events that a browser lacks. Raises StreamIsOver if it has all."""
    stream = Stream(lab, name, last_event_id)
    if stream.over:
        raise StreamIsOver
    return stream


def site_of(lab: Lab) -> Site:
    """Return the site of a running lab, with its records and its CSRF token."""
    return Site(token=lab.access.csrf, records=lab.records)


class Fields(BaseModel):
    """The body of a request: unknown fields and values of another type are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class RunFields(Fields):
    """A run to start; `config` holds the knobs that differ from the planted configuration."""

    case: str = Field(max_length=64)
    config: dict[str, Value] = Field(default_factory=dict, max_length=64)
    seed: int = 0


class GuessFields(Fields):
    """A guess: the cause and how sure the visitor is (0 to 2)."""

    cause: str = Field(max_length=64)
    sure: int


class CiteFields(Fields):
    """The measurement that a visitor cites as the proof."""

    measure: str = Field(max_length=64)


class NoFields(Fields):
    """An empty body."""
