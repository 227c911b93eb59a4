"""Return freed memory to the system, and keep library objects out of garbage collection."""

from __future__ import annotations

import atexit
import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any


def trim_heap() -> bool:
    """Return freed memory of this process to the system (glibc only); return whether any was.

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


atexit.register(gc.freeze)  # else the interpreter scans them all again at exit: a second


@contextmanager
def gc_paused(*, keep: bool = False) -> Iterator[None]:
    """Pause the garbage collector: it takes .9 of the 4 seconds that torch and transformers load.

    `keep` freezes the objects that exist at the end of the first such block, libraries alone, which
    saves a third of a second in every later collection.
    """
    if not gc.isenabled():
        yield
        return
    first = keep and not gc.get_freeze_count()
    if first:
        gc.collect()  # frozen objects are never freed, so collect garbage first
    gc.disable()
    try:
        yield
        if first:
            gc.freeze()
    finally:
        gc.enable()
