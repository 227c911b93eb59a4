"""Counters of a server in the Prometheus text format (version 0.0.4). Knows no model."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping

BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class RequestCounters:
    """Requests, tokens and seconds by served name. Labels are names of ours, never of a client."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, int]] = Counter()
        self._tokens: Counter[tuple[str, str]] = Counter()
        self._buckets: Counter[tuple[str, float]] = Counter()
        self._seconds: Counter[str] = Counter()
        self._answered: Counter[str] = Counter()
        self._cancelled = 0

    def refused(self, model: str, status: int) -> None:
        """Count a request that got an error."""
        with self._lock:
            self._requests[model, status] += 1

    def cancelled(self) -> None:
        """Count a request whose client left before its answer."""
        with self._lock:
            self._cancelled += 1

    def answered(self, model: str, tokens: Mapping[str, int | None], seconds: float) -> None:
        """Count an answered request, its tokens (None: not known, not counted) and seconds."""
        with self._lock:
            self._requests[model, 200] += 1
            self._answered[model] += 1
            self._seconds[model] += seconds  # type: ignore[assignment]
            for kind, count in tokens.items():
                self._tokens[model, kind] += count or 0
            for most in BUCKETS:
                self._buckets[model, most] += seconds <= most

    @property
    def mean_seconds(self) -> float | None:
        """Return the mean seconds of an answered request, None before the first."""
        with self._lock:
            count = sum(self._answered.values())
            return sum(self._seconds.values()) / count if count else None

    def text(self, gauges: Mapping[str, float]) -> str:
        """Return all counters and the given {gauge: value} in Prometheus' text format."""
        name = "tuneworthy_"
        with self._lock:
            lines = _family(f"{name}requests_total", "counter", {
                f'model="{_escaped_label(model)}",status="{status}"': count
                for (model, status), count in self._requests.items()})  # fmt: skip
            lines += _family(f"{name}tokens_total", "counter", {
                f'model="{_escaped_label(model)}",kind="{kind}"': count
                for (model, kind), count in self._tokens.items()})  # fmt: skip
            lines += _family(f"{name}cancelled_total", "counter", {"": self._cancelled})
            lines += self._histogram(f"{name}request_seconds")
        for gauge, value in gauges.items():
            lines += _family(name + gauge, "gauge", {"": value})
        return "\n".join(lines) + "\n"

    def _histogram(self, name: str) -> list[str]:
        lines = [f"# TYPE {name} histogram"]
        for model, count in self._answered.items():
            label = f'model="{_escaped_label(model)}"'
            lines += [f'{name}_bucket{{{label},le="{most:g}"}} {self._buckets[model, most]}'
                      for most in BUCKETS]  # fmt: skip
            lines.append(f'{name}_bucket{{{label},le="+Inf"}} {count}')
            lines.append(f"{name}_sum{{{label}}} {self._seconds[model]}")
            lines.append(f"{name}_count{{{label}}} {count}")
        return lines


def _family(name: str, kind: str, values: Mapping[str, float]) -> list[str]:
    rows = [f"{name}{{{label}}} {value}" if label else f"{name} {value}"
            for label, value in values.items()]  # fmt: skip
    return [f"# TYPE {name} {kind}", *rows]


def _escaped_label(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
