"""The folder of a lab, `.tuneworthy/lab/`: private folders, files that are no links.

Names of files come from ids that this module checks, never from a path in a request.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path

from tuneworthy.core.errors import SecurityError

ID = re.compile(r"[0-9a-f]{16}")
PARTS = ("records", "runs", "scratch", "shared")


def is_id(text: object) -> bool:
    """Return whether a text is the id of a run, a record or a blind run: 16 hex digits."""
    return isinstance(text, str) and ID.fullmatch(text) is not None


def make_lab_folder(working: Path) -> Path:
    """Return `.tuneworthy/lab/` below the working folder, made if needed, private to this user.

    Raises SecurityError if a link stands where one of its folders is needed: whoever made it could
    let the lab read or write elsewhere.
    """
    folder = working
    for name in (".tuneworthy", "lab"):
        folder = _own_folder(folder / name)
    for name in PARTS:
        _own_folder(folder / name)
    return folder


def read_file(path: Path, most: int) -> bytes:
    """Return a file of at most `most` bytes. Raises OSError for a link, pipe, device or more."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    with os.fdopen(fd, "rb") as file:
        about = os.fstat(fd)
        if not stat.S_ISREG(about.st_mode):
            raise OSError(errno.EINVAL, "no plain file", path.name)
        if about.st_size > most:
            raise OSError(errno.EFBIG, "too large", path.name)
        return file.read(most)


def private_file(path: Path, more: int) -> int:
    """Return a descriptor of a file to write, made for this user alone; a link is refused."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | more, 0o600)


def _own_folder(path: Path) -> Path:
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
