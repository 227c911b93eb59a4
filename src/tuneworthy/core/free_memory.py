"""Return freed memory to the system; without it a long study grows with every arm."""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any


def trim_heap() -> bool:
    """Trim the heap where the C library keeps freed memory (glibc); return whether any was freed.

    Blocks that many threads freed stay in per-thread heaps of the process: some .8 GB after a LoRA
    run. It takes up to .1 s, so call it between arms, not inside one.
    """
    trim = _find_malloc_trim()
    return bool(trim and trim(0))


@lru_cache(maxsize=1)
def _find_malloc_trim() -> Any:
    """Return glibc's malloc_trim function, None with another C library."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return None
