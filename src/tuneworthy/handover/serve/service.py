"""Hold what all requests share: models, token, limits, counters, log. Knows no HTTP library."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from tuneworthy.handover.serve.answer_log import AnswerLog
from tuneworthy.handover.serve.asked_jobs import STOPPING_MESSAGE
from tuneworthy.handover.serve.chat_reply import ApiError
from tuneworthy.handover.serve.served_models import ServedModels

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


_BUCKET_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
# when each series began tells nobody anything
disable_created_metrics()  # type: ignore[no-untyped-call]


class RequestCounters:
    """Counts requests, tokens and seconds by served name; a client's own names are no labels."""

    def __init__(self) -> None:
        own = CollectorRegistry()
        self._registry = own
        self._requests = Counter("tuneworthy_requests", "Requests by name and HTTP status",
                                 ("model", "status"), registry=own)  # fmt: skip
        self._tokens = Counter("tuneworthy_tokens", "Tokens of prompts and of answers",
                               ("model", "kind"), registry=own)  # fmt: skip
        self._cancelled = Counter("tuneworthy_cancelled", "Requests whose client left before its"
                                  " answer", registry=own)  # fmt: skip
        self._times = Histogram("tuneworthy_request_seconds", "Seconds of answered requests",
                                ("model",), registry=own, buckets=_BUCKET_SECONDS)  # fmt: skip
        self._in_flight = Gauge("tuneworthy_in_flight", "Unanswered requests", registry=own)
        self._lost = Gauge("tuneworthy_log_lines_lost", "Answers that could not be logged",
                           registry=own)  # fmt: skip
        self._answered, self._seconds = 0, 0.0

    def count_refused(self, model: str, status: int) -> None:
        """Count a request that got an error reply."""
        self._requests.labels(model, status).inc()

    def count_cancelled(self) -> None:
        """Count a request whose client left before its answer."""
        self._cancelled.inc()

    def count_answered(self, model: str, tokens: Mapping[str, int | None], seconds: float) -> None:
        """Count an answered request, its tokens by kind (None counts 0) and its seconds."""
        self._answered, self._seconds = self._answered + 1, self._seconds + seconds
        self._requests.labels(model, 200).inc()
        self._times.labels(model).observe(seconds)
        for kind, count in tokens.items():
            self._tokens.labels(model, kind).inc(count or 0)

    @property
    def mean_seconds(self) -> float | None:
        """Return the mean seconds of an answered request; None before the first."""
        return self._seconds / self._answered if self._answered else None

    def prometheus_text(self, in_flight: int, lost: int) -> bytes:
        """Return all counts as Prometheus text, with requests in flight and lost log lines."""
        self._in_flight.set(in_flight)
        self._lost.set(lost)
        return generate_latest(self._registry)
