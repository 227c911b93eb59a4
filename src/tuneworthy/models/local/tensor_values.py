"""Read tensors of a checked safetensors file as numpy arrays, without torch."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneworthy.models.local.tensors import Tensor

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
    """Return a tensor's values as float64, in its shape. Raises OSError."""
    return _part(file, tensor, 0, math.prod(tensor.shape)).reshape(tensor.shape)


def square_of(file: Path, tensor: Tensor) -> float:
    """Return the sum of a tensor's squared values (the square of its Frobenius norm)."""
    count = math.prod(tensor.shape)
    parts = (_part(file, tensor, at, min(_PART, count - at)) for at in range(0, count, _PART))
    return sum(float(np.vdot(part, part)) for part in parts)


def _part(file: Path, tensor: Tensor, at: int, count: int) -> NDArray[np.float64]:
    if tensor.kind == "BF16":  # the upper half of a float of 32 bits
        half = np.fromfile(file, "<u2", count, offset=tensor.start + 2 * at)
        return (half.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    kind = _FLOATS[tensor.kind]
    numbers = np.fromfile(file, kind, count, offset=tensor.start + kind.itemsize * at)
    return numbers.astype(np.float64)
