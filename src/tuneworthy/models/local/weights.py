"""Check that a model folder is complete and safe before anything of it is opened; hash weights.

Only safetensors are read; a model's own code is never run. Knows no network.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tuneworthy.models.local.config import check_sizes, read_config, refuse_code
from tuneworthy.models.local.model_files import check_files, read_json
from tuneworthy.models.local.tensors import Tensor, header_of
from tuneworthy.records.errors import ModelError, SecurityError
from tuneworthy.records.record import digest, file_sha256

_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


def cache_folder() -> Path:
    """Return the folder of models and measurements.

    TUNEWORTHY_CACHE wins, then `tuneworthy` in XDG_CACHE_HOME, then ~/.cache/tuneworthy.
    """
    if named := os.environ.get("TUNEWORTHY_CACHE"):
        return Path(named)
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "tuneworthy"


def check_folder(folder: Path) -> list[Path]:
    """Return a model folder's weight files; check that it is complete and safe to open.

    Raises ModelError (a part is missing, truncated or inconsistent) or SecurityError (it would run
    code, or block its reader).
    """
    if not folder.is_dir():
        raise ModelError("there is no such model folder", where=str(folder), fix="check the path")
    check_files(folder)
    config = read_config(folder)
    refuse_code(folder)
    _refuse_others(folder, config)
    if not any((folder / name).exists() for name in ("tokenizer.json", "tokenizer.model")):
        raise ModelError(
            "the model has no tokenizer",
            where=str(folder),
            fix="copy tokenizer.json and tokenizer_config.json of this model into the folder",
        )
    files = _weight_files(folder)
    check_sizes(folder, config, _tensors_of(files))
    return files


def _refuse_others(folder: Path, config: dict[str, Any]) -> None:
    """Raise ModelError if transformers would open other weights than those checked here."""
    if (folder / "adapter_config.json").exists():
        raise ModelError(
            "there is an adapter in the model folder: transformers would add it to the weights",
            where=str(folder / "adapter_config.json"),
            fix="move the adapter to a folder of its own, or merge it into the weights",
        )
    if config.get("transformers_weights"):
        raise ModelError(
            "the config names weight files of its own",
            where=str(folder / "config.json"),
            got=f"transformers_weights: {config['transformers_weights']}",
            fix="call the weights model.safetensors and take the key out",
        )


def _weight_files(folder: Path) -> list[Path]:
    if names := _indexed(folder):
        lost = [name for name in names if Path(name).name != name or not (folder / name).exists()]
        if lost:
            raise ModelError(
                "weight files named in the index are missing",
                where=str(folder),
                got=", ".join(lost),
                fix="download the whole model again",
            )
        if "model.safetensors" not in names and (folder / "model.safetensors").exists():
            raise ModelError(
                "there are two models in the folder: model.safetensors and the parts of an index",
                where=str(folder),
                fix="move one of the two away",
            )
        return [folder / name for name in names]
    files = sorted(folder.glob("model*.safetensors"))
    if parts := [path.name for path in files if re.search(r"-\d+-of-\d+\.", path.name)]:
        raise ModelError(
            "there are parts of the weights, and no index that says which belong together",
            where=str(folder),
            got=", ".join(parts[:3]),
            fix="download the whole model again (model.safetensors.index.json too)",
        )
    if files:
        return files
    pickles = sorted(path.name for kind in _PICKLES for path in folder.glob(kind))
    if pickles:
        raise SecurityError(
            "the weights are pickles, which can run code when opened",
            where=str(folder),
            got=", ".join(pickles),
            fix="choose a repository that has .safetensors files",
        )
    raise ModelError(
        "the folder has no weights", where=str(folder), fix="download the whole model again"
    )


def _indexed(folder: Path) -> list[str]:
    """Return the names of the weight files in a folder's index, none without an index."""
    path = folder / "model.safetensors.index.json"
    if not (index := read_json(path)):
        return []
    named = index.get("weight_map")
    if not isinstance(named, dict) or not named:
        raise ModelError(
            "the index of the weight files names none of them",
            where=str(path),
            fix="download the whole model again",
        )
    return sorted({str(name) for name in named.values()})


def check_safetensors(file: Path) -> None:
    """Raise ModelError if a safetensors file is truncated, inconsistent, or a git-LFS pointer."""
    header_of(file)


def _tensors_of(files: Sequence[Path]) -> dict[str, Tensor]:
    """Return the header entry of every tensor in safetensors files, by name.

    Raises ModelError if a file is damaged.
    """
    tensors: dict[str, Tensor] = {}
    for file in files:
        tensors |= header_of(file)
    return tensors


def shapes(files: Sequence[Path]) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor in safetensors files, from their headers alone."""
    return {name: tensor.shape for name, tensor in _tensors_of(files).items()}


def sha256(file: Path) -> str:
    """Return the SHA-256 of a file, cached on disk by its path, size, inode and mtime."""
    status = file.resolve().stat()
    key = digest([str(file.resolve()), status.st_size, status.st_mtime_ns, status.st_ino], 32)
    note = cache_folder() / "hashes" / key
    try:
        cached = note.read_text("ascii")
        if len(cached) == 64:
            return cached
    except (OSError, ValueError):
        pass
    computed = file_sha256(file)
    write_note(note, computed)
    return computed


def write_note(note: Path, text: str) -> None:
    """Write a small cache file atomically; ignore a cache that can't be written."""
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        draft = note.with_name(f"{note.name}.{os.getpid()}")
        draft.write_text(text, "utf-8")
        os.replace(draft, note)
    except OSError:
        return


def weights_hash(files: Sequence[Path]) -> str:
    """Return one hash of all weight files: the file's SHA-256, or a digest of several hashes."""
    hashes = [sha256(file) for file in files]
    return hashes[0] if len(hashes) == 1 else digest(hashes)
