"""A model folder, looked at before anything of it is opened: whole, safe, and which one it is.

Only safetensors are read; code that a model brings along is never run. Knows no network.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tuneworthy.core.errors import ModelError, SecurityError
from tuneworthy.core.record import digest, file_sha256

_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_LFS = b"version https://git-lfs"
_HEADER = 100_000_000


def cache_folder() -> Path:
    """Return where models and measurements are kept: TUNEWORTHY_CACHE or ~/.cache/tuneworthy."""
    named = os.environ.get("TUNEWORTHY_CACHE")
    return Path(named) if named else Path.home() / ".cache" / "tuneworthy"


def check_folder(folder: Path) -> list[Path]:
    """Return the weight files of a model folder that is whole and safe to open.

    Raises ModelError (a part is missing or cut) or SecurityError (it would run code).
    """
    if not folder.is_dir():
        raise ModelError("there is no such model folder", where=str(folder), fix="check the path")
    _refuse_code(folder, read_config(folder))
    if not any((folder / name).exists() for name in ("tokenizer.json", "tokenizer.model")):
        raise ModelError(
            "the model has no tokenizer",
            where=str(folder),
            fix="copy tokenizer.json and tokenizer_config.json of this model into the folder",
        )
    files = _weight_files(folder)
    for file in files:
        check_safetensors(file)
    return files


def _refuse_code(folder: Path, config: dict[str, Any]) -> None:
    for name in ("config.json", "tokenizer_config.json"):
        found = config if name == "config.json" else _json(folder / name, "")
        if found.get("auto_map"):
            raise SecurityError(
                "the model wants to run code of its own",
                where=str(folder / name),
                got=f"auto_map: {found['auto_map']}",
                fix="choose a model whose architecture transformers knows",
            )


def _json(path: Path, missing: str) -> dict[str, Any]:
    if not path.exists():
        if missing:
            raise ModelError(missing, where=str(path), fix="download the whole model again")
        return {}
    try:
        found = json.loads(path.read_text("utf-8"))
    except (ValueError, OSError) as error:
        raise ModelError(
            "a file of the model is no JSON", where=str(path), got=str(error), fix="download again"
        ) from error
    return found if isinstance(found, dict) else {}


def _weight_files(folder: Path) -> list[Path]:
    index = _json(folder / "model.safetensors.index.json", "")
    if index:
        names = sorted({str(name) for name in index.get("weight_map", {}).values()})
        lost = [name for name in names if Path(name).name != name or not (folder / name).exists()]
        if lost or not names:
            raise ModelError(
                "weight files named in the index are missing",
                where=str(folder),
                got=", ".join(lost),
                fix="download the whole model again",
            )
        return [folder / name for name in names]
    if found := sorted(folder.glob("model*.safetensors")):
        return found
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


def check_safetensors(file: Path) -> None:
    """Raise ModelError where a safetensors file is cut, a pointer, or its header is damaged."""
    size = file.stat().st_size
    with file.open("rb") as opened:
        first = opened.read(24)
        if first.startswith(_LFS):
            raise ModelError(
                "this is a git-LFS pointer, not the weights",
                where=str(file),
                fix="run `git lfs pull` in the model's repository",
            )
        length = struct.unpack("<Q", first[:8])[0] if len(first) >= 8 else -1
        if not 0 < length <= min(_HEADER, size - 8):
            raise _cut(file, size, "its header does not fit in")
        opened.seek(8)
        try:
            header = json.loads(opened.read(length))
            ends = [t["data_offsets"][1] for n, t in header.items() if n != "__metadata__"]
            whole = 8 + length + max(ends, default=0)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            raise _cut(file, size, "its header can't be read") from error
    if whole != size:
        raise _cut(file, size, f"its header promises {whole} bytes")


def shapes(files: Sequence[Path]) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor in checked safetensors files, from their headers alone."""
    found: dict[str, tuple[int, ...]] = {}
    for file in files:
        with file.open("rb") as opened:
            header = json.loads(opened.read(struct.unpack("<Q", opened.read(8))[0]))
        header.pop("__metadata__", None)
        found |= {name: tuple(tensor.get("shape", ())) for name, tensor in header.items()}
    return found


def read_config(folder: Path) -> dict[str, Any]:
    """Return config.json of a model folder. Raises ModelError where it is missing or no JSON."""
    return _json(folder / "config.json", "the folder has no config.json, so it is no model")


def _cut(file: Path, size: int, why: str) -> ModelError:
    return ModelError(
        "a weight file is cut or damaged",
        where=str(file),
        got=f"{size} bytes; {why}",
        fix="delete it and download the model again",
    )


def sha256(file: Path) -> str:
    """Return the SHA-256 of a file; kept in the cache folder by path, size and mtime."""
    seen = file.resolve().stat()
    key = digest([str(file.resolve()), seen.st_size, seen.st_mtime_ns, seen.st_ino], 32)
    note = cache_folder() / "hashes" / key
    try:
        known = note.read_text("ascii")
        if len(known) == 64:
            return known
    except (OSError, ValueError):
        pass
    found = file_sha256(file)
    write_note(note, found)
    return found


def write_note(note: Path, text: str) -> None:
    """Write a small file whole or not at all; a cache that can't be written is no failure."""
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        draft = note.with_name(f"{note.name}.{os.getpid()}")
        draft.write_text(text, "utf-8")
        os.replace(draft, note)
    except OSError:
        return


def weights_hash(files: Sequence[Path]) -> str:
    """Return one hash for all weight files: that of the file, or of the list of their hashes."""
    hashes = [sha256(file) for file in files]
    return hashes[0] if len(hashes) == 1 else digest(hashes)
