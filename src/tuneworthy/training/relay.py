"""A prefix read a layer ahead of the rows that look back on it, and its gradient a layer behind.

Forwards the rows wait for the prefix's keys and values of a layer; backwards the prefix waits for
what every part of the rows sends to them. Knows no tensor but what it hands on.
"""

from __future__ import annotations

from queue import SimpleQueue
from threading import Event
from typing import Any


class Broken(RuntimeError):
    """The other side failed; its own error is the cause."""


class Relay:
    """What passes between the prefix and `parts` parts of the rows, layer by layer."""

    def __init__(self, layers: int, parts: int) -> None:
        self.parts = parts
        self.error: BaseException | None = None
        self.ready = [Event() for _ in range(layers)]
        self.inbox: list[SimpleQueue[Any]] = [SimpleQueue() for _ in range(layers)]

    def wait(self, number: int) -> None:
        """Wait until the prefix's layer is read. Raises Broken."""
        self.ready[number].wait()
        if self.error:
            raise Broken("the shared prompt could not be read") from self.error

    def send(self, number: int, part: int, slopes: tuple[Any, Any]) -> None:
        """Send the gradient of the prefix's keys and values that one part found."""
        self.inbox[number].put((part, slopes))

    def collect(self, number: int) -> tuple[Any, Any]:
        """Return the sum over all parts, always in the order of the parts. Raises Broken."""
        found: dict[int, tuple[Any, Any]] = {}
        while len(found) < self.parts:
            part, slopes = self.inbox[number].get()
            if self.error:
                raise Broken("a part of the rows could not be read") from self.error
            found[part] = slopes
        keys, values = found[0]
        for part in range(1, self.parts):
            keys, values = keys + found[part][0], values + found[part][1]
        return keys, values

    def fail(self, error: BaseException) -> None:
        """Wake whoever waits: this side ends with an error; the first one counts."""
        self.error = self.error or error
        for event, queue in zip(self.ready, self.inbox, strict=True):
            event.set()
            queue.put((0, (None, None)))
