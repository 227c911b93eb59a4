"""The options of `tuneworthy run` and of `study.run`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class RunOptions:
    """Options of a run.

    `bad_rows` and `max_bad`: what to do with bad rows. `limit`: the most rows. `fresh`: start the
    study anew. `pay`: allow paid models without a cap. `brief`: run only the arms and the
    diagnosis; skip optional measurements. `unlock`: score only the locked rows. `more`: further
    minutes for a finished study. `on`: where arms run, in place of `executor` in task.yaml: local,
    ray (one that we start), auto (the one on this machine), HOST:PORT or ray://HOST:PORT.
    """

    bad_rows: Literal["stop", "exclude"] = "stop"
    max_bad: float = 0.01
    limit: int | None = None
    fresh: bool = False
    pay: bool = False
    brief: bool = False
    unlock: bool = False
    more: float | None = None
    on: str | None = None
