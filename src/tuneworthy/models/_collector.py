"""The garbage collector, kept from a million objects of libraries that live to the end anyway."""

from __future__ import annotations

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager

atexit.register(gc.freeze)  # else the interpreter walks them all once more before it ends: a second


@contextmanager
def at_rest() -> Iterator[None]:
    """Collect nothing inside: while torch and transformers load, that takes .9 of 4 seconds."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
