"""Log a random share of the served answers to a JSONL file, for `tuneworthy check --live`.

A line is {"time", "model", "input", "answer", "tokens": {"in", "out"}, "seconds", "valid"}. What
looks like an API key is removed from input and answer. Only the file's owner can read it.
"""

from __future__ import annotations

import json
import os
import random
import threading
import time
from pathlib import Path

from tuneworthy.records.answer import Answer
from tuneworthy.records.own_files import SERVED_LOG, check_own
from tuneworthy.records.redaction import without_keys


class AnswerLog:
    """Appends answers to a file; at `size` bytes it is renamed `NAME.1`, and `NAME.1` `NAME.2`.

    The last `kept` renamed files stay. A line that can't be written at once is dropped and counted
    in `lost`: a full disk, or a pipe that nobody reads, must not hold up a request. Raises
    TaskError if a file of another kind stands where the log or a renamed file will.
    """

    def __init__(self, path: Path, share: float, size: int, kept: int = 5) -> None:
        self._path, self._share, self._size, self._kept = path, share, size, kept
        self._lock, self._draw = threading.Lock(), random.Random()
        self.lost, self._torn = 0, False
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(self._open())  # an error here ends the command before it serves
        if path.is_file():
            for file in (path, *map(self._renamed, range(1, kept + 1))):
                check_own(file, SERVED_LOG)

    def add(
        self, model: str, given: str, answer: Answer, seconds: float, valid: bool | None
    ) -> None:
        """Append one answer with the probability `share`."""
        if self._draw.random() >= self._share:
            return
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "model": model,
            "input": without_keys(given),
            "answer": without_keys(answer.text),
            "tokens": {"in": answer.tokens_in, "out": answer.tokens_out},
            "seconds": round(seconds, 4),
            "valid": valid,
        }
        text = (json.dumps(line, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")
        with self._lock:
            try:
                self._rotate(len(text))
                self._write(text)
            except OSError:
                self.lost += 1

    def _write(self, line: bytes) -> None:
        """Append a line; what is missing of a half written one is cut off by a line end."""
        number = self._open()
        try:
            begun = b"\n" if self._torn else b""
            written = os.write(number, begun + line) - len(begun)
            self._torn = written != len(line) and (written > 0 or self._torn)
            self.lost += written != len(line)
        finally:
            os.close(number)

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK
        return os.open(self._path, flags, 0o600)

    def _renamed(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")

    def _rotate(self, more: int) -> None:
        if not self._path.is_file() or self._path.stat().st_size + more <= self._size:
            return
        for number in range(self._kept, 0, -1):
            newer = self._renamed(number - 1) if number > 1 else self._path
            if newer.exists():
                os.replace(newer, self._renamed(number))
