"""Count a server's requests and write the counts for Prometheus."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

BUCKET_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
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
                                ("model",), registry=own, buckets=BUCKET_SECONDS)  # fmt: skip
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
