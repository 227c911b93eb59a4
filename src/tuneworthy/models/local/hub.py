"""Download weights, config and tokenizer of a model of the Hugging Face hub."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tuneworthy.core.errors import ModelError, NotInstalled, SecurityError, TaskError
from tuneworthy.models.local import embedded
from tuneworthy.models.local.weights import check_folder

_FETCHED_FILES = (
    "*.safetensors",
    "*.safetensors.index.json",
    "*.json",
    "*.jinja",
    "tokenizer.model",
)

_FIXES = {
    "GatedRepoError": "accept the model's terms on its page, then log in (`hf auth login`)",
    "RepositoryNotFoundError": "check the name; for a private model log in (`hf auth login`)",
    "RevisionNotFoundError": "check the commit after the @",
}
_NO_NETWORK = "check the network, and whether HF_HUB_OFFLINE is set"
_AGAIN = "delete the folder and run again; or download it and write hf:./folder"


def snapshot(name: str) -> Path:
    """Return the folder of ORG/NAME or ORG/NAME@COMMIT; make no request if it is on disk.

    Completes a partial download. Raises TaskError for an invalid name, ModelError if the model
    can't be downloaded or completed.
    """
    repo, _, revision = name.partition("@")
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", repo):
        raise TaskError("this is no model name", got=name, fix="write hf:ORG/NAME or hf:./folder")
    try:
        from huggingface_hub import snapshot_download
    except ImportError as missing:
        raise NotInstalled(
            "models of the hub need the extra `train`", fix="pip install 'tuneworthy[train]'"
        ) from missing
    request: dict[str, Any] = {
        "repo_id": repo,
        "revision": revision or None,
        "allow_patterns": list(_FETCHED_FILES),
    }
    lost = "it is not on this machine"
    try:  # a complete copy on disk needs no request
        here = Path(snapshot_download(**request, local_files_only=True))
        if not (lost := unfinished(here)):
            return here
    except Exception:
        pass
    try:
        folder = Path(snapshot_download(**request))
    except Exception as error:
        raise ModelError(
            "the model can't be had from the hub",
            where=repo,
            got=f"{lost}; {type(error).__name__}: {error}",
            fix=f"{_FIXES.get(type(error).__name__, _NO_NETWORK)}; or download it and write "
            "hf:./folder",
        ) from error
    if lost := unfinished(folder, blobs=False):
        raise ModelError("the model is not whole", where=str(folder), got=lost, fix=_AGAIN)
    return folder


def licence_of(spec: str, folder: Path | None) -> str | None:
    """Return the licence in a local model's card (README.md), None if it has none."""
    if spec == embedded.NAME:
        return embedded.LICENCE.lower()
    try:
        text = (folder / "README.md").read_text("utf-8")[:5000] if folder else ""
    except (OSError, UnicodeDecodeError):
        return None
    named = re.search(r"^license:\s*([\w.-]+)\s*$", text, re.MULTILINE)
    return named.group(1) if named else None


def unfinished(folder: Path, blobs: bool = True) -> str:
    """Return what is missing from a model folder in the hub's cache, "" if it is complete.

    `blobs`: also report files whose download did not end, unless the file exists by now.
    """
    try:
        check_folder(folder)
    except ModelError as error:
        return f"{error.what} ({error.got or Path(error.where).name})"
    except SecurityError:
        return ""  # opening it raises this error again
    halves = sorted((folder.parent.parent / "blobs").glob("*.incomplete")) if blobs else []
    open_ = [path.name for path in halves if not _finished(path)]
    return f"a download that did not end: {', '.join(open_[:3])}" if open_ else ""


def _finished(half: Path) -> bool:
    return (half.parent / half.name.split(".")[0]).exists()
