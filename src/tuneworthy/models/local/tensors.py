"""Read and check the header of a safetensors file: names, dtypes, shapes and byte ranges.

Nothing else of the file is read. Knows no model.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneworthy.models.local.model_files import size_of
from tuneworthy.records.errors import ModelError

_LFS = b"version https://git-lfs"

_MOST_HEADER_BYTES = 100_000_000  # most bytes of a header, the limit of the format

_BITS = {
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 8),
    **dict.fromkeys(("F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    "F4": 4,
}


@dataclass(frozen=True)
class Tensor:
    """One tensor in a header: dtype, shape, and the offset of its first byte in the file."""

    kind: str
    shape: tuple[int, ...]
    start: int = field(default=0, compare=False)

    @property
    def whole(self) -> bool:
        """Return whether the tensor has integers or booleans, as only packed weights have."""
        return self.kind[0] in "IU" or self.kind == "BOOL"


def header_of(file: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file by name.

    Raises ModelError if it is truncated, a git-LFS pointer, or has an inconsistent header (unknown
    types, impossible shapes, bytes that overlap, are left over or don't fit the shape);
    SecurityError if it is not a regular file.
    """
    size = size_of(file)
    if size is None:
        raise ModelError("a weight file is missing", where=str(file))
    with file.open("rb") as opened:
        first = opened.read(24)
        if first.startswith(_LFS):
            raise ModelError(
                "this is a git-LFS pointer, not the weights",
                where=str(file),
                fix="run `git lfs pull` in the model's repository",
            )
        length = struct.unpack("<Q", first[:8])[0] if len(first) >= 8 else -1
        if not 0 < length <= min(_MOST_HEADER_BYTES, size - 8):
            raise _cut_error(file, size, "its header does not fit in")
        opened.seek(8)
        raw = opened.read(length)
    try:
        entries = json.loads(raw, object_pairs_hook=_without_duplicates)
        entries.pop("__metadata__", None)
        table = {str(name): _tensor(entry, 8 + length) for name, entry in entries.items()}
        _check_contiguous([entry["data_offsets"] for entry in entries.values()])
        ends = [entry["data_offsets"][1] for entry in entries.values()]
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        why = str(error) if type(error) is ValueError else type(error).__name__
        raise _cut_error(file, size, f"its header can't be read: {why}") from error
    if (whole := 8 + length + max(ends, default=0)) != size:
        raise _cut_error(file, size, f"its header promises {whole} bytes")
    return table


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) < len(pairs):
        raise ValueError("a name stands there twice")
    return unique


def _tensor(entry: dict[str, Any], data: int) -> Tensor:
    kind, shape, (low, high) = entry["dtype"], entry["shape"], entry["data_offsets"]
    if kind not in _BITS:
        raise ValueError(f"unknown number type {kind!r}")
    if not isinstance(shape, list) or not all(map(_is_count, [*shape, low, high])) or low > high:
        raise ValueError("a shape or a place is impossible")
    if 8 * (high - low) != math.prod(shape) * _BITS[kind]:
        raise ValueError("a tensor's bytes don't fit its shape")
    return Tensor(kind, tuple(shape), data + low)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _check_contiguous(places: Sequence[Sequence[int]]) -> None:
    at = 0
    for low, high in sorted(map(tuple, places)):
        if low != at:
            raise ValueError("tensors overlap, or leave a hole")
        at = high


def _cut_error(file: Path, size: int, why: str) -> ModelError:
    return ModelError(
        "a weight file is cut or damaged",
        where=str(file),
        got=f"{size} bytes; {why}",
        fix="delete it and download the model again",
    )


_FLOATS: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
}

_PART = 1 << 24  # most numbers read at once


def readable(tensor: Tensor) -> bool:
    """Return whether a tensor has a float type that this module can read."""
    return tensor.kind in _FLOATS or tensor.kind == "BF16"


def values_of(file: Path, tensor: Tensor) -> NDArray[np.float64]:
    """Read a tensor's values from its file as float64, in its shape. Raises OSError."""
    return _read_part(file, tensor, 0, math.prod(tensor.shape)).reshape(tensor.shape)


def read_square_sum(file: Path, tensor: Tensor) -> float:
    """Return the sum of a tensor's squared values (the square of its Frobenius norm)."""
    count = math.prod(tensor.shape)
    parts = (_read_part(file, tensor, at, min(_PART, count - at)) for at in range(0, count, _PART))
    return sum(float(np.vdot(part, part)) for part in parts)


def _read_part(file: Path, tensor: Tensor, at: int, count: int) -> NDArray[np.float64]:
    if tensor.kind == "BF16":  # the upper half of a float of 32 bits
        half = np.fromfile(file, "<u2", count, offset=tensor.start + 2 * at)
        return (half.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    kind = _FLOATS[tensor.kind]
    numbers = np.fromfile(file, kind, count, offset=tensor.start + kind.itemsize * at)
    return numbers.astype(np.float64)
