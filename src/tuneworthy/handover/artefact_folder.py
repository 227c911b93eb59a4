"""Seal, publish, read and upload an artefact folder, and say until when it holds.

`artefact.json` lists every other file with its SHA-256 and is written last. The folder gets its
final name when all of it is on disk.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import ValidationError

from tuneworthy.records.artefact import Artefact
from tuneworthy.records.errors import ModelError, ProviderError, TaskError
from tuneworthy.records.evidence import ArmResult
from tuneworthy.records.further import Freshness
from tuneworthy.records.live_check import Expiry
from tuneworthy.records.own_files import OwnKind, check_own, write_own
from tuneworthy.records.record import digest, file_sha256, plain_file
from tuneworthy.records.task import CENTURY
from tuneworthy.store.blobs import sync
from tuneworthy.store.failpoint import failpoint
from tuneworthy.store.trouble import output_errors

MANIFEST_FILE, LATEST_LINK = "artefact.json", "latest"

CLASSIFIER_FILE, DOCS_FILE = "classifier/classifier.skops", "index/docs.jsonl"

ADAPTER_FOLDER = "peft"

WEIGHTS_FOLDER = "weights"

ENCODER_FOLDER = "encoder"

_DECIDING_FILES = (DOCS_FILE, CLASSIFIER_FILE, *(f"{ADAPTER_FOLDER}/{name}" for name in (
    "adapter_config.json", "adapter_model.safetensors")), *(f"{ENCODER_FOLDER}/{name}" for name in (
    "model.safetensors", "config.json", "tokenizer.json", "head.safetensors", "head.json",
)))  # fmt: skip

_LATEST = OwnKind(
    "the name of the latest build", lambda head: head.count(b"-") > 0 and head.count(b"\n") == 1
)

_VERSIONS = (1, 2)  # the id of the first covers of the files the documents alone

_MOST_BYTES = 256_000_000  # bytes of a manifest; nearest examples carry every training row
_OLD_PREFIX = ".old-"  # prefix of a folder while another replaces it
_FOLDER_KEPT = "the folder, untouched"

_BUILD_AGAIN = "build it again: `tuneworthy build` (nothing that was trained is trained again)"


def with_identity(artefact: Artefact) -> Artefact:
    """Return the artefact with its id, the hash of everything that decides an answer.

    That is the pack, the task, the model with its fingerprint, and the files of _DECIDING_FILES.
    """
    return artefact.model_copy(update={"id": _identity_hash(artefact)})


def _identity_hash(artefact: Artefact) -> str:
    decides: dict[str, Any] = {
        "pack": artefact.pack.plain(),
        # the order of a schema's keys matters, which a digest of plain data ignores
        "grammar": artefact.pack.grammar.model_dump_json() if artefact.pack.grammar else "",
        "task": artefact.task,
        "model": artefact.model,
        "fingerprint": artefact.fingerprint,
        "docs": artefact.files.get(DOCS_FILE, ""),
    }
    if artefact.version > 1:
        decides["files"] = deciding_files(artefact.files)
    return digest(decides, 12)


def deciding_files(files: Mapping[str, str]) -> dict[str, str]:
    """Return {path: SHA-256} of those of a folder's files that decide an answer."""
    return {name: files[name] for name in _DECIDING_FILES if name in files}


def folder_name(artefact: Artefact) -> str:
    """Return `name-id`, the name of an artefact's folder, under which it is also served."""
    return f"{artefact.name}-{artefact.id}"


def seal_artefact(draft: Path, artefact: Artefact) -> Artefact:
    """Write a draft folder's manifest (each file's hash, the id); return the sealed artefact."""
    files = {
        path.relative_to(draft).as_posix(): file_sha256(path)
        for path in sorted(draft.rglob("*"))
        if path.is_file() and path != draft / MANIFEST_FILE
    }
    sealed = with_identity(artefact.model_copy(update={"files": files}))
    (draft / MANIFEST_FILE).write_text(sealed.model_dump_json(indent=1) + "\n", "utf-8")
    return sealed


def publish_artefact(draft: Path, folder: Path) -> Path:
    """Rename a sealed draft to `folder`, durably, and note it as the latest build; return `folder`.

    A former folder of the same name is replaced. Raises StoreError.
    """
    with output_errors(folder):
        check_own(folder.with_name(LATEST_LINK), _LATEST)
        _date_last(draft / MANIFEST_FILE, folder.parent)
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
        write_own(folder.with_name(LATEST_LINK), folder.name + "\n", _LATEST)
        sync(folder.parent)
    return folder


def _date_last(manifest: Path, out: Path) -> None:
    """Date a manifest after all builds and files of `out`: dates are the order in which it is read.

    The clock may have been set back since.
    """
    others = [*out.glob(f"*/{MANIFEST_FILE}"), *(path for path in out.glob("*") if path.is_file())]
    last = max((path.stat().st_mtime for path in others if path != manifest), default=0.0)
    if last >= manifest.stat().st_mtime:
        os.utime(manifest, (last + 1, last + 1))


def refuse_other_task(out: Path | None, artefact: Artefact) -> None:
    """Raise TaskError if another task of the same name built into the folder that the user named.

    Its name would mean this build, and a server would answer with it. None: the task's own folder.
    """
    for path in sorted(out.glob(f"*/{MANIFEST_FILE}")) if out else ():
        try:
            told = json.loads(plain_file(path, _MOST_BYTES))
            name, origin = told["name"], told.get("origin", "")
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            continue  # what can't be read is served by nobody
        if name == artefact.name and origin not in ("", artefact.origin):  # older ones say nothing
            raise TaskError(
                "another task of this name built into this folder", where=str(path.parent),
                got=name, fix="name another folder (--out), or give the task a name of its own",
                kept=_FOLDER_KEPT,
            )  # fmt: skip


def find_artefact(path: Path) -> Path:
    """Return `path` if it is an artefact folder, else the latest artefact in the build folder.

    Raises TaskError if there is none.
    """
    if (path / MANIFEST_FILE).is_file():
        return path
    try:
        name = plain_file(path / LATEST_LINK, 1000).decode("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        name = ""
    if name and Path(name).name == name:
        # the second is there if a build was stopped while one folder replaced the other
        for found in (path / name, path / f"{_OLD_PREFIX}{name}"):
            if (found / MANIFEST_FILE).is_file():
                return found
    raise TaskError(
        "there is no artefact here: artefact.json is missing",
        where=str(path),
        fix="`tuneworthy build` makes one; a build that was refused or interrupted has no manifest",
        kept=_FOLDER_KEPT,
    )


def read_artefact(folder: Path) -> Artefact:
    """Return the artefact described by a folder's manifest, after a check that no file changed.

    Raises ModelError if a file is missing, truncated or changed, or if another version wrote it.
    """
    where = folder / MANIFEST_FILE
    try:
        raw = json.loads(plain_file(where, _MOST_BYTES).decode("utf-8"))
    except OSError as error:
        raise _artefact_error("the manifest can't be read", where, str(error)) from None
    except (ValueError, RecursionError) as error:
        raise _artefact_error(
            "the manifest is no JSON: it was cut or changed", where, str(error)
        ) from None
    version = raw.get("version") if isinstance(raw, dict) else None
    if version not in _VERSIONS:
        raise _artefact_error(
            "the artefact was written by another version of tuneworthy",
            where,
            f"version {version}, this one reads {_VERSIONS[-1]}",
        )
    try:
        artefact = Artefact.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        got = f"{place}: {first['msg']}"
        raise _artefact_error("the manifest was changed", where, got) from None
    if artefact.id != _identity_hash(artefact):
        raise _artefact_error("the manifest was changed: its id is that of other contents", where,
                       f"id {artefact.id}, contents {_identity_hash(artefact)}")  # fmt: skip
    for name, expected in sorted(artefact.files.items()):
        _check_file(folder, name, expected)
    return artefact


def _check_file(folder: Path, name: str, expected: str) -> None:
    path = folder / name
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise _artefact_error(
            "the manifest names a file outside the folder", folder / MANIFEST_FILE, name
        )
    if not path.is_file():
        raise _artefact_error("a file of the artefact is missing", path, "no such file")
    if (found := file_sha256(path)) != expected:
        raise _artefact_error(
            "a file of the artefact is not the one that was built: it was cut or changed",
            path,
            f"SHA-256 {found[:12]}…, built as {expected[:12]}…",
        )


def _artefact_error(what: str, where: Any, got: str) -> ModelError:
    return ModelError(what, where=str(where), got=got, fix=_BUILD_AGAIN, kept=_FOLDER_KEPT)


def opened_at(doors: Iterable[Mapping[str, Any]]) -> str | None:
    """Return the time at which a study first opened its scored rows, by ledger entries; or None."""
    return min((str(door["at"]) for door in doors if door["purpose"] == "compare"), default=None)


def expiry_of(
    made: str | None,
    staleness: Freshness | None,
    arm: ArmResult | None,
    reads_docs: bool,
    today: str,
) -> Expiry:
    """Return the day from which the verdict may not hold (stale facts, retired model), or why none.

    Facts count as stale after the lower bound of the study's days (see
    measure/further/freshness_rate.py), counted from `made`; never for an arm that looks them up.
    Without a day, `because` says why.
    """
    ends: list[tuple[str, str]] = []
    why = "no end of the model is known"
    if arm and arm.expires:
        ends.append((arm.expires, "the model that the arm stands on is retired"))
    days = staleness.days if staleness else None
    if reads_docs:
        why += "; the arm looks facts up, so they do not go stale in it"
    elif days is None:
        said = (staleness.because if staleness else "") or "knowledge.changed_share is not set"
        why += f"; how fast facts change is not known ({said})"
    elif made is None:
        why += "; the date of the study is not known: no ledger lies beside it"
    elif days.low >= CENTURY:
        why += "; no fact is known to change"
    else:
        last = datetime.fromisoformat(made).date() + timedelta(days=int(days.low))
        share = f"{100 * staleness.stale_ok:.3g} %" if staleness else ""
        ends.append((last.isoformat(), f"more than {share} of the facts may be stale then"))
    if not ends:
        return Expiry(day=None, because=why)
    day, because = min(ends)
    return Expiry(day=day, passed=date.fromisoformat(today[:10]) > date.fromisoformat(day),
                  because=because)  # fmt: skip


def upload(folder: Path, repository: str, api: Any = None) -> str:
    """Upload a folder to a hub repository as one commit; return the commit's address.

    `huggingface_hub` finds the token, which appears in no message. `api` is its HfApi (None: a new
    one). Raises TaskError for a name that is no ORG/NAME, ProviderError if the hub refuses.
    """
    if repository.count("/") != 1 or not all(repository.split("/")):
        raise TaskError("a repository is named ORG/NAME", where="--push", got=repository,
                        fix="write --push ORG/NAME")  # fmt: skip
    if api is None:
        from huggingface_hub import HfApi

        api = HfApi()
    try:
        api.create_repo(repository, repo_type="model", private=True, exist_ok=True)
        done = api.upload_folder(
            repo_id=repository,
            folder_path=str(folder),
            repo_type="model",
            commit_message=f"Add {folder.name}",
        )
    except Exception as error:  # its error classes differ between versions
        raise ProviderError(
            "the hub did not take the artefact",
            where=repository,
            got=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
            fix="log in (`hf auth login`) or correct the name, then push again",
            kept=f"the artefact, {folder}",
        ) from None
    return str(getattr(done, "commit_url", "") or repository)
