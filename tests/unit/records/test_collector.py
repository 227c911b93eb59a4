"""The garbage collector is paused while libraries load and has nothing to scan at exit."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from tuneworthy.records.freed_memory import gc_paused


def test_nothing_is_collected_inside_and_collecting_goes_on_after_it():
    with gc_paused():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_collecting_goes_on_after_an_error():
    with pytest.raises(ValueError, match="broken"), gc_paused():
        raise ValueError("broken")
    assert gc.isenabled()


def test_a_collector_that_somebody_turned_off_stays_off():
    gc.disable()
    try:
        with gc_paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_what_libraries_left_is_walked_once_at_most_and_nothing_else_is_kept():
    code = """
import gc, weakref
from tuneworthy.records.freed_memory import gc_paused

class Ring:
    def __init__(self):
        self.me = self

before = weakref.ref(Ring())
with gc_paused():
    pass
print(gc.get_freeze_count() == 0)  # a model may be loaded inside
with gc_paused(keep=True):
    held = [[] for _ in range(100_000)]
first = gc.get_freeze_count()
print(before() is None, first > 100_000, len(gc.get_objects()) < 10_000)
for keep in (False, True):
    with gc_paused(keep=keep):
        inside = weakref.ref(Ring())
    gc.collect()
    print(inside() is None, gc.get_freeze_count() <= first)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True"] * 8


def test_a_block_that_fails_keeps_nothing():
    code = """
import gc
from tuneworthy.records.freed_memory import gc_paused
try:
    with gc_paused(keep=True):
        raise ValueError
except ValueError:
    print(gc.get_freeze_count() == 0, gc.isenabled())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]


@pytest.mark.parametrize(("said", "frozen"), [("import tuneworthy.models", True), ("pass", False)])
def test_what_lives_to_the_end_is_not_walked_again(said: str, frozen: bool):
    last = "import atexit, gc; atexit.register(lambda: print(gc.get_freeze_count() > 0)); "
    done = subprocess.run(
        [sys.executable, "-c", last + said], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(frozen)


def test_what_exists_after_the_first_kept_block_is_frozen(monkeypatch):
    done = []
    monkeypatch.setattr(gc, "get_freeze_count", lambda: 0)
    for name in ("collect", "freeze"):
        monkeypatch.setattr(gc, name, lambda name=name: done.append(name))
    with gc_paused(keep=True):
        assert done == ["collect"]
    assert done == ["collect", "freeze"]
