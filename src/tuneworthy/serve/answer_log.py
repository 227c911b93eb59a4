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
from typing import Any

from tuneworthy.core.answer import Answer
from tuneworthy.data.secrets import without_keys


class AnswerLog:
    """Appends answers to a file; at `size` bytes it is renamed `NAME.1`, and `NAME.1` `NAME.2`.

    The last `kept` renamed files stay. A line that can't be written is dropped and counted in
    `lost`: a full disk must not end the server.
    """

    def __init__(self, path: Path, share: float, size: int, kept: int = 5) -> None:
        self._path, self._share, self._size, self._kept = path, share, size, kept
        self._lock, self._draw = threading.Lock(), random.Random()
        self.lost = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._open():
            pass  # an error here ends the command before it serves

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
        text = json.dumps(line, ensure_ascii=False) + "\n"
        with self._lock:
            try:
                self._rotate(len(text.encode()))
                with self._open() as file:
                    file.write(text)
            except OSError:
                self.lost += 1

    def _open(self) -> Any:
        number = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        return os.fdopen(number, "a", encoding="utf-8")

    def _rotate(self, more: int) -> None:
        if not self._path.exists() or self._path.stat().st_size + more <= self._size:
            return
        for number in range(self._kept, 0, -1):
            older = self._path.with_name(f"{self._path.name}.{number}")
            newer = self._path if number == 1 else older.with_suffix(f".{number - 1}")
            if newer.exists():
                os.replace(newer, older)
