"""Count a server's requests and write the counts in the Prometheus text format (0.0.4)."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping

BUCKET_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class RequestCounters:
    """Counts requests, tokens and seconds by served name; a client's own names are no labels."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, int]] = Counter()
        self._tokens: Counter[tuple[str, str]] = Counter()
        self._buckets: Counter[tuple[str, float]] = Counter()
        self._seconds: Counter[str] = Counter()
        self._answered: Counter[str] = Counter()
        self._cancelled = 0

    def count_refused(self, model: str, status: int) -> None:
        """Count a request that got an error reply."""
        with self._lock:
            self._requests[model, status] += 1

    def count_cancelled(self) -> None:
        """Count a request whose client left before its answer."""
        with self._lock:
            self._cancelled += 1

    def count_answered(self, model: str, tokens: Mapping[str, int | None], seconds: float) -> None:
        """Count an answered request, its tokens by kind (None counts 0) and its seconds."""
        with self._lock:
            self._requests[model, 200] += 1
            self._answered[model] += 1
            self._seconds[model] += seconds  # type: ignore[assignment]
            for kind, count in tokens.items():
                self._tokens[model, kind] += count or 0
            for most in BUCKET_SECONDS:
                self._buckets[model, most] += seconds <= most

    @property
    def mean_seconds(self) -> float | None:
        """Return the mean seconds of an answered request; None before the first."""
        with self._lock:
            count = sum(self._answered.values())
            return sum(self._seconds.values()) / count if count else None

    def prometheus_text(self, gauges: Mapping[str, float]) -> str:
        """Return all counters, and the gauges by name, in Prometheus' text format."""
        name = "tuneworthy_"
        with self._lock:
            lines = _metric_lines(f"{name}requests_total", "counter", {
                f'model="{_escaped_label(model)}",status="{status}"': count
                for (model, status), count in self._requests.items()})  # fmt: skip
            lines += _metric_lines(f"{name}tokens_total", "counter", {
                f'model="{_escaped_label(model)}",kind="{kind}"': count
                for (model, kind), count in self._tokens.items()})  # fmt: skip
            lines += _metric_lines(f"{name}cancelled_total", "counter", {"": self._cancelled})
            lines += self._histogram_lines(f"{name}request_seconds")
        for gauge, value in gauges.items():
            lines += _metric_lines(name + gauge, "gauge", {"": value})
        return "\n".join(lines) + "\n"

    def _histogram_lines(self, name: str) -> list[str]:
        lines = [f"# TYPE {name} histogram"]
        for model, count in self._answered.items():
            label = f'model="{_escaped_label(model)}"'
            lines += [f'{name}_bucket{{{label},le="{most:g}"}} {self._buckets[model, most]}'
                      for most in BUCKET_SECONDS]  # fmt: skip
            lines.append(f'{name}_bucket{{{label},le="+Inf"}} {count}')
            lines.append(f"{name}_sum{{{label}}} {self._seconds[model]}")
            lines.append(f"{name}_count{{{label}}} {count}")
        return lines


def _metric_lines(name: str, kind: str, values: Mapping[str, float]) -> list[str]:
    rows = [f"{name}{{{label}}} {value}" if label else f"{name} {value}"
            for label, value in values.items()]  # fmt: skip
    return [f"# TYPE {name} {kind}", *rows]


def _escaped_label(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
