"""The cache folder of compiled loops, and whether it exists. Imports no compiler."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

from tuneworthy.core.record import file_sha256

# numba's cache checks a loop's own file for changes, but not these, which loops import from.
PARTS = (
    "compiled",
    "sizes",
    "gemm/tiles",
    "gemm/products",
    "gemm/thread_pool",
    "read/address_table",
    "read/decode_attention",
    "read/decode_step",
    "read/layer_kernels",
)
_SOURCES = "".join(file_sha256(Path(__file__).parent / f"{part}.py") for part in PARTS)
_HASH = sha256(_SOURCES.encode()).hexdigest()[:12]
COMPILED_LOOPS = Path(__file__).parent / "__pycache__" / f"loops-{_HASH}"


def compiled_before() -> bool:
    """Return whether the folder of cached loops exists, or NUMBA_CACHE_DIR names another."""
    return COMPILED_LOOPS.exists() or "NUMBA_CACHE_DIR" in os.environ
