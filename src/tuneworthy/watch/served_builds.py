"""Choose the requests of a log that a build of the arm in use answered."""

from __future__ import annotations

import re
from dataclasses import replace

from tuneworthy.core.artefact import artefact_name
from tuneworthy.watch.request_log import RequestLog

_ID = "-[0-9a-f]{12}"  # what `serve` puts after an artefact's name


def requests_to_builds(log: RequestLog, task: str, arm: str) -> RequestLog:
    """Return the log with the requests to builds of an arm alone, if it names any; else the log.

    `tuneworthy serve --log` logs every name that it serves: bare models, bases, builds of other
    arms and tasks. The names that other servers write say nothing about the arm.
    """
    built = re.compile(re.escape(artefact_name(task, arm)) + _ID)
    own = tuple(one for one in log.requests if one.model and built.fullmatch(one.model))
    return replace(log, requests=own) if own else log
