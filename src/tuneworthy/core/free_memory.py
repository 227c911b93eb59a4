"""Freed memory, given back to the system: a long study would otherwise grow with every arm."""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any


def give_back() -> bool:
    """Give freed memory back where the C library keeps it (glibc); return whether any went.

    Blocks that many threads freed stay with the process in heaps of their own: after a LoRA run
    some .8 GB of them. It takes up to .1 s, so it belongs between arms and not inside one.
    """
    trim = _trim()
    return bool(trim and trim(0))


@lru_cache(maxsize=1)
def _trim() -> Any:
    """Return glibc's malloc_trim, None where another C library is used."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return None
