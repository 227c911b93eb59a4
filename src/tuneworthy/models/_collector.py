"""The garbage collector, kept from a million objects of libraries that live to the end anyway."""

from __future__ import annotations

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager

atexit.register(gc.freeze)  # else the interpreter walks them all once more before it ends: a second


@contextmanager
def at_rest(*, keep: bool = False) -> Iterator[None]:
    """Collect nothing inside: while torch and transformers load, that takes .9 of 4 seconds.

    `keep`: what is there at the end of the first such block, libraries alone, is never walked
    again: a third of a second each time.
    """
    if not gc.isenabled():
        yield
        return
    first = keep and not gc.get_freeze_count()
    if first:
        gc.collect()  # what is frozen is never freed, so garbage should not be among it
    gc.disable()
    try:
        yield
        if first:
            gc.freeze()
    finally:
        gc.enable()
