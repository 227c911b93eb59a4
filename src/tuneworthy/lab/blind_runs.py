"""Blind runs: a random key stands for a random case, or one time in six for a clean run.

`blind.jsonl` stores the case and the guess of each key; no reply reveals the case before the guess
is locked. Knows no HTTP.
"""

from __future__ import annotations

import json
import os
import secrets
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuneworthy.lab.case_data import CLEAN_ONE_IN
from tuneworthy.lab.events import MOST_EVENT_BYTES, Event
from tuneworthy.lab.lab_folder import is_id, private_file, read_file
from tuneworthy.lab.problem import Problem

_HIDDEN_FIELDS = {"begin": ("case", "role", "config", "seed"), "end": ("finding", "checks")}


@dataclass(frozen=True)
class BlindRun:
    """A blind run: its key, its case (clean or planted), and the locked guess (None before)."""

    key: str
    case: str
    clean: bool
    guess: dict[str, Any] | None = None


class BlindRuns:
    """All blind runs of a lab, stored in one file of JSON lines."""

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()

    def open(self, slugs: Sequence[str]) -> BlindRun:
        """Store and return a new blind run on a random case of those drawn least often so far."""
        drawn = Counter(line.get("case") for line in self._lines())
        least = min(drawn[slug] for slug in slugs)
        slug = secrets.choice([slug for slug in slugs if drawn[slug] == least])
        run = BlindRun(secrets.token_hex(8), slug, secrets.randbelow(CLEAN_ONE_IN) == 0)
        self._append({"key": run.key, "case": run.case, "clean": run.clean})
        return run

    def find(self, key: str) -> BlindRun | None:
        """Return the blind run of a key, None if this lab has no such key."""
        found = None
        for line in self._lines() if is_id(key) else ():
            if line.get("key") != key:
                continue
            if "guess" in line and found:
                found = BlindRun(key, found.case, found.clean, line["guess"])
            elif isinstance(line.get("case"), str):
                found = BlindRun(key, line["case"], bool(line.get("clean")))
        return found

    def lock(self, key: str, guess: dict[str, Any]) -> None:
        """Store the guess of a blind run if it has none yet. Raises OSError."""
        run = self.find(key)
        if run and run.guess is None:
            self._append({"key": key, "guess": guess})

    def _lines(self) -> list[dict[str, Any]]:
        try:
            content = read_file(self._path, MOST_EVENT_BYTES).decode("utf-8", "replace")
        except OSError:
            return []
        lines = []
        for text in content.splitlines():
            try:
                line = json.loads(text)
            except (ValueError, RecursionError):
                continue  # cut by a full disk
            lines += [line] if isinstance(line, dict) else []
        return lines

    def _append(self, line: dict[str, Any]) -> None:
        content = (json.dumps(line) + "\n").encode()
        with self._lock:
            fd = private_file(self._path, os.O_APPEND)
            try:
                if os.write(fd, content) < len(content):
                    raise Problem(507, "the disk is full", where=self._path.name,
                                  fix="free some space, then try again")  # fmt: skip
            finally:
                os.close(fd)


def without_cause(event: Event, key: str) -> Event:
    """Return an event as a blind run's page may see it, under its key and without the cause."""
    names = _HIDDEN_FIELDS.get(event["kind"], ())
    told: dict[str, Any] = {name: [] if name == "checks" else None for name in names}
    if event["kind"] == "queue":
        return {name: event.get(name) for name in ("kind", "ahead", "wait_s")}
    return {**event, **told, "id": key} if event["kind"] == "begin" else {**event, **told}
