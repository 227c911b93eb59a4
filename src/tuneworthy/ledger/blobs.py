"""Folders of files that are whole or absent: checkpoints, adapters, what a unit leaves on disk.

Knows nothing of what the files hold. Written aside, synced, listed with sizes and SHA-256 in a
manifest, then renamed; a truncated, flipped, missing or added file makes the folder unusable.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tuneworthy.core.errors import StoreError
from tuneworthy.core.record import file_sha256
from tuneworthy.ledger.failpoint import failpoint
from tuneworthy.ledger.trouble import guarded

MANIFEST = "manifest.json"
_PART = ".part-"
_OLD = ".old-"


def publish(folder: Path, final: Path | None = None) -> Path:
    """Make a written folder whole, then move it to `final` (default: it stays where it is).

    Every file is synced, then the manifest, then the rename. A whole folder that is already at
    `final` stays and the new one is dropped. Raises StoreError where the disk fails.
    """
    with guarded(folder):
        files = {name: _entry(folder / name) for name in sorted(_names(folder))}
        failpoint("publish.files")
        part = folder / (MANIFEST + ".tmp")
        with open(part, "w", encoding="utf-8") as out:
            out.write(_rendered(files))
            out.flush()
            os.fsync(out.fileno())
        failpoint("publish.before")
        os.rename(part, folder / MANIFEST)
        for inner in {folder, *(p for p in folder.rglob("*") if p.is_dir())}:
            sync_folder(inner)
        if final is not None and final != folder:
            _move(folder, final)
        failpoint("publish.after")
    return final or folder


@contextmanager
def writing(final: Path) -> Iterator[Path]:
    """Give an empty folder to write into; at the end of the block it appears whole at `final`.

    If the block raises (or the process dies) nothing appears, and what was there before stays.
    """
    part = final.with_name(f".{final.name}{_PART}{os.getpid()}")
    with guarded(final):
        final.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
    try:
        with guarded(final):
            yield part
        publish(part, final)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def faults(folder: Path) -> list[str]:
    """Return why a folder is not whole, [] if it is: each missing, added, cut or changed file."""
    try:
        written = (folder / MANIFEST).read_text("utf-8")
        files = json.loads(written)["files"]
        if written != _rendered(files):
            return [f"{MANIFEST}: not as it was written"]
        there = set(_names(folder))
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [f"{MANIFEST}: {error}"]
    found = [f"{name}: not listed" for name in sorted(there - set(files))]
    for name, entry in files.items():
        if name not in there:  # a listed path that leaves the folder is never in `there`
            found.append(f"{name}: missing")
        elif (size := (folder / name).stat().st_size) != entry["bytes"]:
            found.append(f"{name}: {size} bytes, {entry['bytes']} expected")
        elif file_sha256(folder / name) != entry["sha256"]:
            found.append(f"{name}: its content changed")
    return found


def is_whole(folder: Path) -> bool:
    """Tell whether a folder was published and no byte of it changed since."""
    return not faults(folder)


def require_whole(folder: Path) -> Path:
    """Return the folder if it is whole; raise StoreError that names the bad files."""
    if found := faults(folder):
        raise StoreError(
            "a stored artefact is not whole",
            where=str(folder),
            got="; ".join(found),
            fix="remove this folder and run again: the unit that made it is run anew",
        )
    return folder


def newest_whole(folders: Iterable[Path]) -> tuple[Path | None, list[str]]:
    """Return the last whole one of folders given oldest first, and what to say of those refused."""
    said: list[str] = []
    for folder in reversed(list(folders)):
        if not (found := faults(folder)):
            return folder, said
        said.append(f"{folder.name} is not whole ({found[0]}), the one before is used")
    return None, said


def sweep(parent: Path) -> list[Path]:
    """Remove what a killed writer left half-written, at any depth; return what was removed."""
    left = re.compile(rf"\.(?P<name>.+)({re.escape(_PART)}|{re.escape(_OLD)})\d+")
    gone = []
    for path in sorted(parent.rglob(".*")):
        if not (match := left.fullmatch(path.name)) or not path.is_dir():
            continue
        final = path.with_name(match["name"])
        if _OLD in path.name and not final.exists():
            os.rename(path, final)  # killed between the two renames: the former one is back
            continue
        shutil.rmtree(path, ignore_errors=True)
        gone.append(path)
    return gone


def sync_folder(folder: Path) -> None:
    """Make renames inside a folder survive a power loss."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _move(folder: Path, final: Path) -> None:
    if final.exists() and is_whole(final):
        shutil.rmtree(folder)
        return
    old = final.with_name(f".{final.name}{_OLD}{os.getpid()}")
    if final.exists():
        shutil.rmtree(old, ignore_errors=True)
        os.rename(final, old)
    failpoint("publish.move")
    os.rename(folder, final)
    sync_folder(final.parent)
    shutil.rmtree(old, ignore_errors=True)


def _names(folder: Path) -> Iterator[str]:
    """Yield relative paths of all files but the manifest; a link or device is refused."""
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise OSError(f"{name} is neither a file nor a folder")
        if path.is_file() and name not in {MANIFEST, MANIFEST + ".tmp"}:
            yield name


def _entry(path: Path) -> dict[str, object]:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    return {"bytes": path.stat().st_size, "sha256": file_sha256(path)}


def _rendered(files: object) -> str:
    """Return the manifest's text. It is compared byte for byte, so a flip in it shows too."""
    body = json.dumps(files, sort_keys=True)
    total = hashlib.sha256(body.encode()).hexdigest()
    return f'{{"schema": 1, "digest": "{total}", "files": {body}}}\n'
