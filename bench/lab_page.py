"""The lab's pages in chromium: weight and time of the first one, memory of the server, and how long
a visitor waits for the next picture while a run streams into a case page.

usage: lab_page.py [seconds]   of the run (25); needs chromium and playwright

The run sends the events of a recorded one, spread over these seconds, and computes in between as
training does, in the lab's worker process. The longest wait is that of the browser's own event
timing: from a click or a key to the picture after it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _bench import write

from tuneworthy.lab.events import Emit
from tuneworthy.lab.run_process import RunOrder

CASE, SIZE = "never-stops", 900  # rows and columns of a product
SECONDS = float(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1] != "--serve" else 25.0
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
WATCH = """
window.waits = [];
new PerformanceObserver((list) => {
  for (const { duration, interactionId } of list.getEntries()) if (interactionId) window.waits.push(duration);
}).observe({ type: 'event', durationThreshold: 16, buffered: true });
"""  # noqa: E501
FIRST = """() => {
  const [page] = performance.getEntriesByType('navigation');
  const parts = [page, ...performance.getEntriesByType('resource')];
  return { bytes: parts.reduce((sum, each) => sum + each.transferSize, 0), ms: page.loadEventEnd };
}"""


def open_replay(_emit: Emit) -> Any:
    """Return a runner that sends a recorded run's events over some seconds, and computes."""
    import numpy as np

    from tuneworthy.lab.cases import case_of
    from tuneworthy.lab.recordings import Recordings

    def run(order: RunOrder, emit: Emit, control: Callable[[], None]) -> None:
        events = Recordings(case_of(CASE)).plant or []
        left, seconds = np.ones((SIZE, SIZE)), float(os.environ["LAB_PAGE_SECONDS"])
        for event in events:
            emit({**event, "id": order.id} if event["kind"] == "begin" else event)
            until = time.perf_counter() + seconds / len(events)
            while time.perf_counter() < until:
                left @ left
            control()

    return run


def serve(folder: str) -> None:
    """Serve a lab until the process is ended; print the address that opens it."""
    from tuneworthy.lab.lab_server import make_server
    from tuneworthy.lab.open_lab import open_lab
    from tuneworthy.serve.listening import bound

    opened = bound("127.0.0.1", 0)
    lab = open_lab(Path(folder), opened.getsockname(), open_runner=open_replay)
    print(lab.access.launch_url(), flush=True)
    make_server(lab).run(sockets=[opened])


def memory(pid: int) -> float:
    """Return the most memory that a process has had so far, in MB."""
    told = Path(f"/proc/{pid}/status").read_text("utf-8")
    return int(told.split("VmHWM:")[1].split()[0]) / 1024


def measure(launch: str) -> dict[str, float]:
    """Open the first page, then a case with a live run, and use it until the run is over."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=chromium, args=FLAGS)
        tab = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
        tab.set_default_timeout(120_000)
        tab.add_init_script(WATCH)
        tab.goto(launch)
        root = launch.split("/launch")[0]
        tab.goto(f"{root}/", wait_until="load")
        tab.wait_for_timeout(500)
        first = tab.evaluate(FIRST)
        tab.goto(f"{root}/case/{CASE}")
        tab.locator("#live").click()
        used = 0
        while tab.evaluate("lab.find('#live-run').hidden") is False or used == 0:
            tab.locator(("#row-after", "#question-after", "[data-cause]")[used % 3]).first.click()
            tab.keyboard.press(("e", "]", "2")[used % 3])
            used += 2
        waits = tab.evaluate("window.waits")
        browser.close()
    return {
        "first page, bytes": first["bytes"],
        "first page, ms": round(first["ms"]),
        "clicks and keys": used,
        "longest wait for a picture, ms": max(waits, default=0),
    }


def main() -> None:
    """Measure and write bench/results/lab_page.json."""
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen(
            [sys.executable, __file__, "--serve", folder], stdout=subprocess.PIPE, text=True,
            env={**os.environ, "LAB_PAGE_SECONDS": str(SECONDS)},
        )  # fmt: skip
        assert server.stdout is not None
        try:
            told = measure(server.stdout.readline().strip())
            told["server, most MB"] = round(memory(server.pid))
        finally:
            server.terminate()
            server.wait()
    write("lab_page", {"seconds": SECONDS, "summary": told})


if __name__ == "__main__":
    serve(sys.argv[2]) if "--serve" in sys.argv else main()
