"""Hold what all requests share: models, token, limits, counters, log. Knows no HTTP library."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from tuneworthy.serve.answer_log import AnswerLog
from tuneworthy.serve.api_error import ApiError
from tuneworthy.serve.asked_jobs import STOPPING_MESSAGE
from tuneworthy.serve.request_counters import RequestCounters
from tuneworthy.serve.served_models import ServedModels

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


@dataclass
class Service:
    """State that all requests share. `models` is None while they load; `token` None: none needed.

    `local`: the server listens on loopback, so a request must name a loopback host (a web page
    whose name resolves to this machine does not).
    """

    token: str | None
    local: bool = True
    most_body: int = 1 << 20
    most_tokens: int = 1024
    models: ServedModels | None = None
    log: AnswerLog | None = None
    stopping: bool = False
    say: Callable[[str], None] = lambda text: None

    def __post_init__(self) -> None:
        self.counters = RequestCounters()

    def ready_models(self) -> ServedModels:
        """Return the models. Raises ApiError (503) while they load and once the server stops."""
        if self.stopping:
            raise ApiError(503, STOPPING_MESSAGE, code="stopping", retry_after=5)
        if self.models is None:
            raise ApiError(503, "The models are loading.", code="loading", retry_after=2)
        return self.models

    def check_headers(self, host: str, authorization: str) -> None:
        """Raise ApiError for a request with a wrong `Host` (400) or `Authorization` (401)."""
        if self.local and _host_name(host) not in _LOOPBACK:
            raise ApiError(400, "This server answers to a loopback host name only.")
        if self.token is None:
            return
        scheme, _, given = authorization.partition(" ")
        same = secrets.compare_digest(given.strip().encode(), self.token.encode())
        if scheme.lower() != "bearer" or not same:
            raise ApiError(401, "Incorrect API key provided.", code="invalid_api_key")

    def retry_after(self, in_flight: int) -> int:
        """Return the estimated seconds until the queue has room again, 1 to 60."""
        each = (self.counters.mean_seconds or 1.0) / max(1, min(in_flight, 32))
        return max(1, min(60, round(8 * each)))


def _host_name(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:  # a bracket too few
        return None
