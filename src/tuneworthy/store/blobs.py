"""Write folders of files atomically, whole or absent, and values that are larger than a row.

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
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from tuneworthy.records.errors import ClusterError, StoreError
from tuneworthy.records.record import digest, file_sha256
from tuneworthy.store.failpoint import failpoint
from tuneworthy.store.trouble import store_errors

MANIFEST = "manifest.json"

_PART = ".part-"

_OLD_SUFFIX = ".old-"


def publish(folder: Path, final: Path | None = None) -> Path:
    """Write a complete folder's manifest, move the folder to `final` if given; return its place.

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
    """Yield the relative path of each file but the manifest; OSError for a link or device."""
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
    """Return a manifest's JSON text, with a digest; compared byte for byte, it shows a bit flip."""
    body = json.dumps(files, sort_keys=True)
    total = hashlib.sha256(body.encode()).hexdigest()
    return f'{{"schema": 1, "digest": "{total}", "files": {body}}}\n'


def receive_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write these files to a folder and remove all others; an equal file is left as it is.

    Raises ClusterError for a path that leaves the folder, StoreError if the disk fails.
    """
    for name in files:
        inside = PurePosixPath(name)
        if inside.is_absolute() or ".." in inside.parts:
            raise ClusterError("a node returned a file outside of its folder", got=name)
    with store_errors(folder):
        for path in [path for path in folder.rglob("*") if not path.is_dir()]:
            if path.relative_to(folder).as_posix() not in files:
                path.unlink()
        for name, content in files.items():
            _write_once(folder / name, content)
    failpoint("received.after")


def _write_once(path: Path, content: bytes) -> None:
    if path.is_file() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    with open(part, "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    failpoint("received.before")
    os.replace(part, path)
    sync(path.parent)


LARGEST_PART = 4_000_000  # the most characters of one row; SQLite allows 1 GB

PART_KEY = "part"  # kind of a row that holds a part, and the key of its text

PARTS_KEY = "stored in parts"  # the one key of the value that lists them


def in_parts(
    pieces: Iterable[str], put: Callable[[str, dict[str, Any]], object]
) -> tuple[str, dict[str, Any]]:
    """Store a long text in parts by `put(key, value)`; return (its end, value listing the parts).

    A text of at most LARGEST_PART characters is its own end, and has no parts. Else the second
    value stands under the text's key. The key of a part is the hash of its content, so a killed
    write is continued, not repeated.
    """
    names: list[str] = []
    rest = ""

    def store(text: str) -> None:
        piece = {PART_KEY: text}
        names.append(digest(piece))
        put(names[-1], piece)

    for piece in pieces:
        rest += piece
        # The end is never empty.
        whole = (len(rest) - 1) // LARGEST_PART * LARGEST_PART if rest else 0
        for start in range(0, whole, LARGEST_PART):
            store(rest[start : start + LARGEST_PART])
        rest = rest[whole:]
    if names:
        store(rest)
    return rest, {PARTS_KEY: names}


def joined(content: dict[str, Any], get: Callable[[str], Any], where: str) -> dict[str, Any]:
    """Return a stored value; one that lists parts is joined from them, read by `get(key)`.

    Raises StoreError if a piece is missing or was changed.
    """
    if set(content) != {PARTS_KEY}:
        return content
    pieces = [(key, get(key)) for key in content[PARTS_KEY]]
    lost = [key for key, piece in pieces if piece is None or digest(piece) != key]
    if lost:
        raise StoreError(
            "a part of a stored value is not there, or was changed",
            where=where,
            got=f"{len(lost)} of {len(pieces)} parts, first {lost[0][:8]}",
            fix="restore the ledger from a backup, or remove it and run again",
            kept="the store as it is, untouched",
        )
    value: dict[str, Any] = json.loads("".join(piece[PART_KEY] for _, piece in pieces))
    return value
