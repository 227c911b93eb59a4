"""`trim_heap` returns freed memory to the system where the C library keeps it."""

import ctypes
import resource
import sys
from threading import Thread

import pytest

from tuneworthy.records import freed_memory as memory


def resident() -> int:
    """Return the bytes that this process holds."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


@pytest.mark.skipif(
    sys.platform != "linux" or memory._find_malloc_trim() is None, reason="glibc alone keeps"
)
def test_what_another_thread_freed_goes_back_and_stays_without() -> None:
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]

    def work() -> None:  # the last block keeps the heap from shrinking
        blocks = [libc.malloc(60_000) for _ in range(1500)]
        for block in blocks:
            ctypes.memset(block, 1, 60_000)
        for block in blocks[:-1]:
            libc.free(block)

    begun = resident()
    thread = Thread(target=work)
    thread.start()
    thread.join()
    held = resident() - begun
    if held < 30e6:
        pytest.skip("this allocator gave it back by itself")
    assert memory.trim_heap()
    assert resident() - begun < held / 2


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_find_malloc_trim", lambda: None)
    assert memory.trim_heap() is False


def test_a_system_without_a_c_library_to_open_gives_nothing_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(name: object) -> object:
        raise OSError("no library")

    memory._find_malloc_trim.cache_clear()
    monkeypatch.setattr(memory.ctypes, "CDLL", missing)
    assert memory.trim_heap() is False
    memory._find_malloc_trim.cache_clear()
