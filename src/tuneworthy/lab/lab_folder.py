"""The folder of a lab, `.tuneworthy/lab/`: private to the user, without symbolic links.

File names are built from checked ids, never from a path in a request.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path

from tuneworthy.records.errors import SecurityError

_ID_PATTERN = re.compile(r"[0-9a-f]{16}")
_SUBFOLDERS = ("records", "runs", "scratch", "shared")


def is_id(text: object) -> bool:
    """Return whether a text is the id of a run, a record or a blind run: 16 hex digits."""
    return isinstance(text, str) and _ID_PATTERN.fullmatch(text) is not None


def make_lab_folder(working: Path) -> Path:
    """Return `.tuneworthy/lab/` below the working folder; create it for this user alone if needed.

    Raises SecurityError if one of its folders is a link, which could make the lab read or write
    elsewhere.
    """
    folder = working
    for name in (".tuneworthy", "lab"):
        folder = _make_private_folder(folder / name)
    for name in _SUBFOLDERS:
        _make_private_folder(folder / name)
    return folder


def read_file(path: Path, most: int) -> bytes:
    """Return a file's content. Raises OSError for a link, pipe or device, or over `most` bytes."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    with os.fdopen(fd, "rb") as file:
        about = os.fstat(fd)
        if not stat.S_ISREG(about.st_mode):
            raise OSError(errno.EINVAL, "no plain file", path.name)
        if about.st_size > most:
            raise OSError(errno.EFBIG, "too large", path.name)
        return file.read(most)


def private_file(path: Path, more: int) -> int:
    """Return a descriptor to write a file of this user alone; `more` are flags; links fail."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | more, 0o600)


def _make_private_folder(path: Path) -> Path:
    if path.is_symlink():
        raise SecurityError(
            "a link stands where the lab keeps its files",
            where=str(path),
            got=f"a link to {os.readlink(path)}",
            fix="remove the link, or start the lab in another folder",
            kept="everything: nothing was changed",
        )
    path.mkdir(mode=0o700, exist_ok=True)
    return path
