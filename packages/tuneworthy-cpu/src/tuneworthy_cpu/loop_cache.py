"""The cache folder of compiled loops, and whether it exists. Imports no compiler."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

from tuneworthy.models.local.cpu_engine import RUN

# numba's cache checks a loop's own file for changes, but not these, which loops import from.
PARTS = (
    "compiled",
    "gemm/tiles",
    "gemm/products",
    "gemm/thread_pool",
    "read/address_table",
    "read/decode_attention",
    "read/decode_step",
    "read/layer_kernels",
)
_HERE = Path(__file__).parent
_HASH = sha256(b"".join((_HERE / f"{part}.py").read_bytes() for part in PARTS) + bytes([RUN]))
COMPILED_LOOPS = _HERE / "__pycache__" / f"loops-{_HASH.hexdigest()[:12]}"


def compiled_before() -> bool:
    """Return whether the folder of cached loops exists, or NUMBA_CACHE_DIR names another."""
    return COMPILED_LOOPS.exists() or "NUMBA_CACHE_DIR" in os.environ
