"""Shared by routes: the lab of a request, its site, the bodies of requests."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request
from pydantic import BaseModel, ConfigDict

from tuneworthy.lab.open_lab import Lab
from tuneworthy.lab.pages import Site


class StreamIsOver(Exception):
    """A browser asked for a stream of which it has all events; the reply makes it stop."""


def lab_of(request: Request) -> Lab:
    """Return the lab that a request is for."""
    lab: Lab = request.app.state.lab
    return lab


Here = Annotated[Lab, Depends(lab_of)]


def site_of(lab: Lab) -> Site:
    """Return the site of a running lab, with its records and its CSRF token."""
    return Site(token=lab.access.csrf, records=lab.records)


class Fields(BaseModel):
    """The body of a request: unknown fields and values of another type are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class NoFields(Fields):
    """An empty body."""
