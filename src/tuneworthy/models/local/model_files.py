"""Check the files of a model folder before reading them: regular, complete, of plausible size.

A FIFO would hang, a device would fill the memory, deep JSON would crash the parser. Knows no model.
"""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

from tuneworthy.records.errors import ModelError, SecurityError

MOST_JSON_BYTES = 64_000_000  # bytes; the index of a model with 700 billion weights has 9 million
_MOST_OTHER_BYTES = 1_000_000_000  # bytes of any text file, such as a vocabulary
_TEXT_SUFFIXES = (".json", ".jinja", ".txt", ".model")
_AGAIN = "download the whole model again"


def size_of(path: Path) -> int | None:
    """Return the size (bytes) of a regular file, None if it does not exist.

    Raises SecurityError for a FIFO, a device or a socket, ModelError for a dangling link.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        if path.is_symlink():
            raise ModelError(
                "a file of the model is a link to nothing: the download did not end",
                where=str(path),
                fix=_AGAIN,
            ) from None
        return None
    except (OSError, ValueError) as error:
        raise ModelError("a file of the model can't be read", where=str(path), got=str(error),
                         fix=_AGAIN) from error  # fmt: skip
    if not stat.S_ISREG(status.st_mode):
        raise SecurityError(
            "a file of the model is no plain file",
            where=str(path),
            got=stat.filemode(status.st_mode),
            fix="remove it, or download the whole model again",
        )
    return status.st_size


def check_files(folder: Path) -> None:
    """Raise ModelError or SecurityError if a file of the folder is incomplete or not regular."""
    try:
        names = sorted(folder.iterdir())
    except OSError as error:
        raise ModelError(
            "the model folder can't be read", where=str(folder), got=str(error)
        ) from error
    more = folder / "additional_chat_templates"  # the only subfolder that transformers reads
    names += sorted(more.iterdir()) if more.is_dir() else []
    for path in names:
        if path.is_dir():
            continue
        size = size_of(path)
        if path.suffix in _TEXT_SUFFIXES and (size or 0) > _MOST_OTHER_BYTES:
            raise ModelError(
                "a file of the model is far too large", where=str(path), got=f"{size} bytes"
            )
    halves = [path for path in names if path.suffix == ".incomplete"]
    halves += sorted((folder / ".cache" / "huggingface" / "download").glob("*.incomplete"))
    if halves:
        raise ModelError(
            "the download of this model did not end",
            where=str(folder),
            got=", ".join(path.name for path in halves[:3]),
            fix="download it again; where the model is whole, delete the .incomplete files",
        )


def read_json(path: Path, missing: str = "") -> dict[str, Any]:
    """Return the object in a JSON file, {} if there is no file and `missing` is "".

    Raises ModelError with the text `missing` if there is no file; also if it is no JSON object, too
    large, too deep, or has NaN.
    """
    size = size_of(path)
    if size is None:
        if missing:
            raise ModelError(missing, where=str(path), fix=_AGAIN)
        return {}
    try:
        if size > MOST_JSON_BYTES:
            raise ValueError(f"{size} bytes, more than {MOST_JSON_BYTES}")
        value = _plain_json(path.read_bytes())
        if not isinstance(value, dict):
            raise ValueError(f"a {type(value).__name__}, no object")
    except (ValueError, OSError) as error:
        raise ModelError(
            "a file of the model is no JSON", where=str(path), got=str(error), fix="download again"
        ) from error
    return value


def _plain_json(raw: bytes) -> Any:
    """Parse JSON bytes. Raises ValueError, also for too deep nesting and for NaN."""
    try:
        return json.loads(raw.decode("utf-8"), parse_constant=_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _constant(name: str) -> float:
    if name == "NaN":
        raise ValueError("NaN is no number")
    return float(name.replace("Infinity", "inf"))  # a limit that some configs set
