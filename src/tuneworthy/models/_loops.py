"""Where compiled loops are kept, and whether they were compiled before. Imports no compiler."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

from tuneworthy.core.record import file_sha256

# numba asks whether a loop's own file has changed, not whether those have that it takes from.
PARTS = (
    "_blocks",
    "_compiled",
    "_kernels",
    "_row_attention",
    "_places",
    "_products",
    "_steps",
    "_team",
)
_SAID = "".join(file_sha256(Path(__file__).with_name(f"{part}.py")) for part in PARTS)
KEPT = Path(__file__).parent / "__pycache__" / f"loops-{sha256(_SAID.encode()).hexdigest()[:12]}"


def compiled_before() -> bool:
    """Return whether there are loops that were kept, as far as can be seen from here."""
    return KEPT.exists() or "NUMBA_CACHE_DIR" in os.environ
