"""Write folders of files atomically, whole or absent: checkpoints, adapters, files of a unit.

Independent of the files' content. A folder is written under a temporary name, synced, listed with
sizes and SHA-256 in a manifest, then renamed; a truncated, flipped, missing or added file makes it
unusable.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tuneworthy.core.errors import StoreError
from tuneworthy.core.record import file_sha256
from tuneworthy.ledger.failpoint import failpoint
from tuneworthy.ledger.trouble import store_errors

MANIFEST = "manifest.json"
_PART = ".part-"
_OLD_SUFFIX = ".old-"


def publish(folder: Path, final: Path | None = None) -> Path:
    """Write the manifest of a complete folder and move it to `final` (default: leave it in place).

    Every file is synced, then the manifest, then the rename. If `final` already is a whole folder,
    it stays and the new one is dropped. Raises StoreError if the disk fails.
    """
    with store_errors(folder):
        files = {name: _manifest_entry(folder / name) for name in sorted(_names_of_files(folder))}
        failpoint("publish.files")
        part = folder / (MANIFEST + ".tmp")
        with open(part, "w", encoding="utf-8") as out:
            out.write(_manifest_text(files))
            out.flush()
            os.fsync(out.fileno())
        failpoint("publish.before")
        os.rename(part, folder / MANIFEST)
        for inner in {folder, *(p for p in folder.rglob("*") if p.is_dir())}:
            sync(inner)
        if final is not None and final != folder:
            _move_in_place(folder, final)
        failpoint("publish.after")
    return final or folder


@contextmanager
def atomic_folder(final: Path) -> Iterator[Path]:
    """Yield an empty folder to write into; after the block it appears whole at `final`.

    If the block raises (or the process dies) nothing appears, and the previous content stays.
    """
    part = final.with_name(f".{final.name}{_PART}{os.getpid()}")
    with store_errors(final):
        final.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
    try:
        with store_errors(final):
            yield part
        publish(part, final)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def integrity_faults(folder: Path) -> list[str]:
    """Return a line for each missing, added, cut or changed file of a folder; [] if it is whole."""
    try:
        written = (folder / MANIFEST).read_text("utf-8")
        files = json.loads(written)["files"]
        if written != _manifest_text(files):
            return [f"{MANIFEST}: not as it was written"]
        there = set(_names_of_files(folder))
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [f"{MANIFEST}: {error}"]
    reasons = [f"{name}: not listed" for name in sorted(there - set(files))]
    for name, entry in files.items():
        if name not in there:  # a listed path outside the folder is never in `there`
            reasons.append(f"{name}: missing")
        elif (size := (folder / name).stat().st_size) != entry["bytes"]:
            reasons.append(f"{name}: {size} bytes, {entry['bytes']} expected")
        elif file_sha256(folder / name) != entry["sha256"]:
            reasons.append(f"{name}: its content changed")
    return reasons


def is_whole(folder: Path) -> bool:
    """Return whether a folder was published and no byte of it has changed since."""
    return not integrity_faults(folder)


def require_whole(folder: Path) -> Path:
    """Return the folder if it is whole; raise StoreError that names the bad files."""
    if reasons := integrity_faults(folder):
        raise StoreError(
            "a stored artefact is not whole",
            where=str(folder),
            got="; ".join(reasons),
            fix="remove this folder and run again: the unit that made it is run anew",
        )
    return folder


def remove_partial(parent: Path) -> list[Path]:
    """Remove half-written folders of a killed writer, at any depth; return the removed ones."""
    left = re.compile(rf"\.(?P<name>.+)({re.escape(_PART)}|{re.escape(_OLD_SUFFIX)})\d+")
    gone = []
    for path in sorted(parent.rglob(".*")):
        if not (match := left.fullmatch(path.name)) or not path.is_dir():
            continue
        final = path.with_name(match["name"])
        if _OLD_SUFFIX in path.name and not final.exists():
            os.rename(path, final)  # killed between the two renames: restore the old folder
            continue
        shutil.rmtree(path, ignore_errors=True)
        gone.append(path)
    return gone


def sync(path: Path) -> None:
    """Sync a file, or a folder, so that renames in it survive a power loss."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _move_in_place(folder: Path, final: Path) -> None:
    if final.exists() and is_whole(final):
        shutil.rmtree(folder)
        return
    old = final.with_name(f".{final.name}{_OLD_SUFFIX}{os.getpid()}")
    if final.exists():
        shutil.rmtree(old, ignore_errors=True)
        os.rename(final, old)
    failpoint("publish.move")
    os.rename(folder, final)
    sync(final.parent)
    shutil.rmtree(old, ignore_errors=True)


def _names_of_files(folder: Path) -> Iterator[str]:
    """Yield the relative path of each file but the manifest; raise OSError for a link or device."""
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise OSError(f"{name} is neither a file nor a folder")
        if path.is_file() and name not in {MANIFEST, MANIFEST + ".tmp"}:
            yield name


def _manifest_entry(path: Path) -> dict[str, object]:
    sync(path)
    return {"bytes": path.stat().st_size, "sha256": file_sha256(path)}


def _manifest_text(files: object) -> str:
    """Return the text of a manifest; it is compared byte for byte, so a bit flip shows too."""
    body = json.dumps(files, sort_keys=True)
    total = hashlib.sha256(body.encode()).hexdigest()
    return f'{{"schema": 1, "digest": "{total}", "files": {body}}}\n'
