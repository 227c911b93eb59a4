"""Read the files of a training folder, which another program wrote, within limits.

Links are not followed, nothing outside the folder is opened, no pickle is read, and sizes, depth
and the number of files are limited.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import IO, Any

from tuneworthy.records.errors import DataError, SecurityError, TaskError

SEARCH_DEPTH = 4  # folders below the training folder
MOST_FILES = 20_000
_MOST_JSON_BYTES = 128_000_000  # bytes; a trainer_state.json of 500,000 steps has about 100 million
KEPT = "the folder: nothing is written there"


@dataclass(frozen=True)
class RunFolder:
    """A training folder: names of its files and links; `has_more`: some were left out."""

    root: Path
    files: tuple[str, ...]
    links: tuple[str, ...] = ()
    has_more: bool = False

    def named(self, *patterns: str) -> list[str]:
        """Return the files whose base name matches one of the patterns."""
        return [
            name
            for name in self.files
            if any(fnmatch(name.rpartition("/")[2], pattern) for pattern in patterns)
        ]

    def newest(self, name: str) -> str | None:
        """Return the path of a file in the folder, else in its newest checkpoint, else None."""
        found = [file for file in self.files if file.rpartition("/")[2] == name]
        return max(found, key=lambda file: (-file.count("/"), checkpoint_of(file)), default=None)

    def has(self, name: str) -> bool:
        """Return whether there is a plain file of this name."""
        return name in self.files

    @contextmanager
    def opened(self, name: str, most: int) -> Iterator[IO[bytes]]:
        """Open a file of at most `most` bytes. Raises DataError, or SecurityError for a link."""
        file = _open_plain_file(self.root / name, name)
        with file:
            size = os.fstat(file.fileno()).st_size
            if size > most:
                raise DataError("a file of the training folder is too large", where=name,
                                got=f"{size:,} bytes", fix=f"at most {most:,} bytes are read",
                                kept=KEPT)  # fmt: skip
            yield file

    def size(self, name: str) -> int:
        """Return the size of a file in bytes, 0 if it is gone."""
        try:
            return (self.root / name).lstat().st_size
        except OSError:
            return 0

    def text(self, name: str, most: int = 4_000_000) -> str:
        """Return the text of a small file; bytes that are no UTF-8 are replaced."""
        with self.opened(name, most) as file:
            return file.read(most).decode("utf-8", "replace")

    def json(self, name: str, most: int = _MOST_JSON_BYTES) -> Any:
        """Return the value of a JSON file; NaN and Infinity are read as trainers write them."""
        with self.opened(name, most) as file:
            raw = file.read(most)
        try:
            return json.loads(raw.decode("utf-8"))
        except RecursionError:
            why = "it is nested too deep"
        except (ValueError, MemoryError) as error:
            why = str(error)
        raise DataError("a file of the training folder is no whole JSON", where=name, got=why,
                        fix="copy the file again: half of it may be missing",
                        kept=KEPT)  # fmt: skip

    def object(self, name: str) -> dict[str, Any]:
        """Return the object of a JSON file, {} if there is no such file."""
        if not self.has(name):
            return {}
        value = self.json(name)
        if not isinstance(value, dict):
            raise DataError("a file of the training folder has another form", where=name,
                            got=f"a {type(value).__name__}", fix="it must hold one JSON object",
                            kept=KEPT)  # fmt: skip
        return value


def checkpoint_of(name: str) -> int:
    """Return the step of the checkpoint folder that a file lies in, -1 outside of one."""
    number = name.rpartition("checkpoint-")[2].partition("/")[0]
    return int(number) if "checkpoint-" in name and number.isdecimal() else -1


def open_run_folder(path: Path) -> RunFolder:
    """Return the files of a training folder. Raises TaskError if it is no folder or is empty."""
    where = "--run"
    if not path.exists():
        raise TaskError("there is no such folder", where=where, got=str(path),
                        fix="name the output_dir of your trainer", kept=KEPT)  # fmt: skip
    if not path.is_dir():
        raise TaskError("this is a file, not a training folder", where=where, got=str(path),
                        fix="name the folder that holds it", kept=KEPT)  # fmt: skip
    root = path.resolve()
    files: list[str] = []
    links: list[str] = []
    try:
        more = _collect_files(root, "", files, links, SEARCH_DEPTH)
    except OSError as error:
        raise TaskError("the training folder can't be read", where=where, got=str(error),
                        fix="make it readable for this user", kept=KEPT) from error  # fmt: skip
    if not files:
        got = f"{len(links)} links, which are not followed" if links else "no file"
        raise TaskError("the training folder is empty", where=where, got=got,
                        fix="name the output_dir of your trainer, with the files themselves",
                        kept=KEPT)  # fmt: skip
    return RunFolder(root, tuple(sorted(files)), tuple(sorted(links)), more)


def _collect_files(root: Path, inside: str, files: list[str], links: list[str], depth: int) -> bool:
    """Add the names of files and links below a folder to the lists; True if some are left out."""
    more, folders = False, []
    with os.scandir(root / inside) as entries:
        for entry in entries:
            name = f"{inside}{entry.name}"
            if len(files) + len(links) >= MOST_FILES:
                return True
            if entry.is_symlink():
                links.append(name)
            elif entry.is_dir(follow_symlinks=False):
                folders.append(f"{name}/")
            elif entry.is_file(follow_symlinks=False):
                files.append(name)
    for folder in sorted(folders):
        if depth == 0:
            return True
        more |= _collect_files(root, folder, files, links, depth - 1)
    return more


def _open_plain_file(path: Path, name: str) -> IO[bytes]:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise SecurityError("links in a training folder are not followed", where=name,
                                fix="copy the file itself into the folder",
                                kept=KEPT) from error  # fmt: skip
        raise DataError("a file of the training folder can't be opened", where=name,
                        got=error.strerror or "", fix="make it readable for this user",
                        kept=KEPT) from error  # fmt: skip
    file = os.fdopen(handle, "rb")
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        file.close()
        raise SecurityError("a file of the training folder is no plain file", where=name,
                            fix="remove it, or copy what it holds to a file",
                            kept=KEPT)  # fmt: skip
    return file
