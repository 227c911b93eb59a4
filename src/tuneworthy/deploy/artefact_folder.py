"""Seal, publish and read an artefact folder: complete and unchanged, or refused.

`artefact.json` lists every other file with its SHA-256 and is written last. The folder gets its
name when all of it is on disk.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import ValidationError

from tuneworthy.core.artefact import Artefact
from tuneworthy.core.errors import ModelError, TaskError
from tuneworthy.core.record import digest, file_sha256, plain_file
from tuneworthy.ledger.blobs import sync
from tuneworthy.ledger.failpoint import failpoint
from tuneworthy.ledger.trouble import output_errors

MANIFEST, LATEST = "artefact.json", "latest"
CLASSIFIER, DOCS, ADAPTER = "classifier/classifier.skops", "index/docs.jsonl", "peft"
WEIGHTS_FOLDER = "weights"
VERSION = 1
_MOST_BYTES = 256_000_000  # bytes of a manifest; nearest examples carry every training row
_OLD_PREFIX = ".old-"  # prefix of a folder while its successor takes its place
_KEPT = "the folder, untouched"
_BUILD_AGAIN = "build it again: `tuneworthy build` (nothing that was trained is trained again)"


def with_identity(artefact: Artefact) -> Artefact:
    """Return the artefact with its id: the hash of everything that decides an answer.

    That is the pack, the task, the model with its fingerprint (adapter included) and the documents.
    """
    return artefact.model_copy(update={"id": _identity(artefact)})


def _identity(artefact: Artefact) -> str:
    decides = {
        "pack": artefact.pack.plain(),
        # the order of a schema's keys matters, which a digest of plain data ignores
        "grammar": artefact.pack.grammar.model_dump_json() if artefact.pack.grammar else "",
        "task": artefact.task,
        "model": artefact.model,
        "fingerprint": artefact.fingerprint,
        "docs": artefact.files.get(DOCS, ""),
    }
    return digest(decides, 12)


def folder_name(artefact: Artefact) -> str:
    """Return the name of an artefact's folder, under which it is served: name-id."""
    return f"{artefact.name}-{artefact.id}"


def seal_artefact(draft: Path, artefact: Artefact) -> Artefact:
    """Write the manifest of a draft folder and return it: files with hashes, and the id."""
    files = {
        path.relative_to(draft).as_posix(): file_sha256(path)
        for path in sorted(draft.rglob("*"))
        if path.is_file() and path != draft / MANIFEST
    }
    sealed = with_identity(artefact.model_copy(update={"files": files}))
    (draft / MANIFEST).write_text(sealed.model_dump_json(indent=1) + "\n", "utf-8")
    return sealed


def publish_artefact(draft: Path, folder: Path) -> Path:
    """Give a sealed draft its name, durably, and note it as the latest of its parent folder.

    A former folder of the same name is replaced. Raises StoreError.
    """
    with output_errors(folder):
        for path in sorted(draft.rglob("*")):
            failpoint("artefact.sync")
            sync(path)
        sync(draft)
        old = folder.with_name(f"{_OLD_PREFIX}{folder.name}")
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)
        failpoint("artefact.before")
        if folder.exists():
            os.replace(folder, old)
            failpoint("artefact.swap")
        os.replace(draft, folder)
        failpoint("artefact.after")
        shutil.rmtree(old, ignore_errors=True)
        note = folder.with_name(f"{LATEST}.part")
        note.write_text(folder.name + "\n", "utf-8")
        os.replace(note, folder.with_name(LATEST))
        sync(folder.parent)
    return folder


def find_artefact(path: Path) -> Path:
    """Return the artefact folder for a folder or for a build folder, whose latest one counts.

    Raises TaskError if there is none.
    """
    if (path / MANIFEST).is_file():
        return path
    try:
        name = plain_file(path / LATEST, 1000).decode("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        name = ""
    if name and Path(name).name == name:
        for found in (
            path / name,
            path / f"{_OLD_PREFIX}{name}",
        ):  # a stop while one replaced the other
            if (found / MANIFEST).is_file():
                return found
    raise TaskError(
        "there is no artefact here: artefact.json is missing",
        where=str(path),
        fix="`tuneworthy build` makes one; a build that was refused or interrupted has no manifest",
        kept=_KEPT,
    )


def read_artefact(folder: Path) -> Artefact:
    """Return the manifest of an artefact folder whose files are all there and unchanged.

    Raises ModelError if a file is missing, truncated or changed, or if another version wrote it.
    """
    where = folder / MANIFEST
    try:
        raw = json.loads(plain_file(where, _MOST_BYTES).decode("utf-8"))
    except OSError as error:
        raise _refused("the manifest can't be read", where, str(error)) from None
    except (ValueError, RecursionError) as error:
        raise _refused(
            "the manifest is no JSON: it was cut or changed", where, str(error)
        ) from None
    version = raw.get("version") if isinstance(raw, dict) else None
    if version != VERSION:
        raise _refused(
            "the artefact was written by another version of tuneworthy",
            where,
            f"version {version}, this one reads {VERSION}",
        )
    try:
        artefact = Artefact.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise _refused("the manifest was changed", where, f"{place}: {first['msg']}") from None
    if artefact.id != _identity(artefact):
        raise _refused("the manifest was changed: its id is that of other contents", where,
                       f"id {artefact.id}, contents {_identity(artefact)}")  # fmt: skip
    for name, expected in sorted(artefact.files.items()):
        _check(folder, name, expected)
    return artefact


def _check(folder: Path, name: str, expected: str) -> None:
    path = folder / name
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise _refused("the manifest names a file outside the folder", folder / MANIFEST, name)
    if not path.is_file():
        raise _refused("a file of the artefact is missing", path, "no such file")
    if (found := file_sha256(path)) != expected:
        raise _refused(
            "a file of the artefact is not the one that was built: it was cut or changed",
            path,
            f"SHA-256 {found[:12]}…, built as {expected[:12]}…",
        )


def _refused(what: str, where: Any, got: str) -> ModelError:
    return ModelError(what, where=str(where), got=got, fix=_BUILD_AGAIN, kept=_KEPT)
