"""The lab's pages in chromium: weight and time of the first one, memory of the server, and how long
a visitor waits for the next picture while a run streams into a case page.

usage: lab_page.py [seconds]   of the run (25); needs chromium, playwright and psutil

The run sends the events of a recorded one and computes in between as training does, in the lab's
worker process: products of some 15 ms, as many as fill these seconds on a quiet machine. It runs
with no page open, with a page open that nobody touches, and once more while a visitor clicks and
types. Waits are those of the browser's own event timing: from a click or a key to the picture after
it. Other load on the machine lengthens waits; processor seconds it moves less, so those of the
page's main thread are counted beside them, for the first page and for each click or key.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import psutil
from _bench import write
from playwright.sync_api import sync_playwright

from tuneworthy.lab.events import Emit
from tuneworthy.lab.run_process import RunOrder

CASE, SIZE = "never-stops", 900  # rows and columns of a product
PRODUCT_SECONDS = 0.015  # about what a product takes on one core
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
        products, began = round(seconds / PRODUCT_SECONDS / len(events)), time.process_time()
        for event in events[:-1]:
            emit({**event, "id": order.id} if event["kind"] == "begin" else event)
            for _ in range(products):
                left @ left
                control()
        with Path(os.environ["LAB_PAGE_TOLD"], str(order.seed)).open("a", encoding="utf-8") as told:
            told.write(f"{time.process_time() - began}\n")
        emit(events[-1])

    return run


def serve(folder: str) -> None:
    """Serve a lab until the process is ended; print the address that opens it."""
    from tuneworthy.handover.serve.listening import listening_socket
    from tuneworthy.lab.app import make_server
    from tuneworthy.lab.open_lab import open_lab

    opened = listening_socket("127.0.0.1", 0)
    lab = open_lab(Path(folder), opened.getsockname(), open_runner=open_replay)
    print(lab.access.launch_url(), lab.access.secret, flush=True)
    make_server(lab).run(sockets=[opened])


def memory(pid: int) -> float:
    """Return the most memory that a process has had so far, in MB."""
    told = Path(f"/proc/{pid}/status").read_text("utf-8")
    return int(told.split("VmHWM:")[1].split()[0]) / 1024


def processor(of: list[psutil.Process]) -> float:
    """Return the processor seconds that these processes and their ended children have used."""
    return sum(sum(one.cpu_times()[:4]) for one in of if one.is_running())


class MainThread:
    """The processor time of a tab's main thread, as chromium counts it."""

    def __init__(self, tab: Any) -> None:
        self._session = tab.context.new_cdp_session(tab)
        self._session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def seconds(self) -> float:
        """Return the processor seconds of all tasks of the tab so far."""
        told = self._session.send("Performance.getMetrics")["metrics"]
        return float(next(each["value"] for each in told if each["name"] == "TaskDuration"))


def run_alone(root: str, secret: str, told: Path, seed: int) -> float:
    """Run with no page open; return the processor seconds of the run and its twin."""
    order = Request(
        f"{root}/api/runs", json.dumps({"case": CASE, "config": {}, "seed": seed}).encode(),
        {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"},
    )  # fmt: skip
    urlopen(order).close()
    while len(seconds_of(told / str(seed))) < 2:  # the clean twin on this seed runs first
        time.sleep(0.1)
    return sum(seconds_of(told / str(seed)))


def seconds_of(path: Path) -> list[float]:
    """Return the processor seconds of the runs on one seed so far."""
    return [float(line) for line in path.read_text("utf-8").split()] if path.exists() else []


def until_over(tab: Any, used: Callable[[], int] = lambda: 0) -> int:
    """Wait until a live run has begun in the page and is over; return how often `used` used it."""
    count, hidden = 0, "lab.find('#live-run').hidden"
    while tab.evaluate(hidden):
        tab.wait_for_timeout(20)
    while not tab.evaluate(hidden):
        count += used()
        tab.wait_for_timeout(100)
    return count


def measure(launch: str, secret: str, server: int, told: Path) -> dict[str, float | None]:
    """Open the first page, then a case: let a run stream in, then one more while it is used."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    root = launch.split("/launch")[0]
    alone = [run_alone(root, secret, told, 7)]
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=chromium, args=FLAGS)
        tab = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
        tab.set_default_timeout(300_000)
        tab.add_init_script(WATCH)
        tab.goto(launch)
        main_thread, at_server = MainThread(tab), [psutil.Process(server)]
        before_page = main_thread.seconds(), processor(at_server)
        tab.goto(f"{root}/", wait_until="load")
        tab.wait_for_timeout(500)
        first = tab.evaluate(FIRST)
        load = (main_thread.seconds() - before_page[0], processor(at_server) - before_page[1])
        tab.goto(f"{root}/case/{CASE}")
        shown = [one for one in psutil.Process().children(recursive=True)
                 if "chrom" in one.name() and one.pid != server]  # fmt: skip
        sides, began = (shown, at_server), time.perf_counter()
        before = [processor(side) for side in sides]
        tab.locator("#live").click()
        until_over(tab)
        minutes = (time.perf_counter() - began) / 60
        page, serving = (round((processor(side) - one) / minutes, 1)
                         for side, one in zip(sides, before, strict=True))  # fmt: skip
        watched = sum(seconds_of(told / "1"))
        tab.locator("#live").click()
        turn = iter(range(1_000_000))

        def use() -> int:
            k = next(turn) % 3
            tab.locator(("#row-after", "#question-after", "[data-cause]")[k]).first.click()
            tab.keyboard.press(("e", "]", "2")[k])
            return 2

        before_use = main_thread.seconds()
        used = until_over(tab, use)
        used_seconds = main_thread.seconds() - before_use
        waits = sorted(tab.evaluate("window.waits"))
        browser.close()
    alone.append(run_alone(root, secret, told, 8))
    per_use = round(1000 * used_seconds / used, 1) if used else None
    return {
        "first page, bytes": first["bytes"],
        "first page, ms": round(first["ms"]),
        "first page, processor ms in its tab": round(1000 * load[0]),
        "first page, processor ms in the server": round(1000 * load[1]),
        "clicks and keys": used,
        "processor ms in the tab, a click or key": per_use,
        "longest wait for a picture, ms": max(waits, default=0),
        "median wait for a picture of 16 ms or more": waits[len(waits) // 2] if waits else None,
        "run slower with a page open, processor time": round(2 * watched / sum(alone) - 1, 3),
        "processor seconds of the browser a minute": page,
        "processor seconds of the server a minute": serving,
    }


def main() -> None:
    """Measure and write bench/results/lab_page.json."""
    with tempfile.TemporaryDirectory() as folder:
        told_by_runs = Path(folder, "told")
        told_by_runs.mkdir()
        server = subprocess.Popen(
            [sys.executable, __file__, "--serve", folder], stdout=subprocess.PIPE, text=True,
            env={**os.environ, "LAB_PAGE_SECONDS": str(SECONDS),
                 "LAB_PAGE_TOLD": str(told_by_runs)},
        )  # fmt: skip
        assert server.stdout is not None
        try:
            launch, secret = server.stdout.readline().split()
            told = measure(launch, secret, server.pid, told_by_runs)
            told["server, most MB"] = round(memory(server.pid))
        finally:
            server.terminate()
            server.wait()
    write("lab_page", {"seconds": SECONDS, "summary": told})


if __name__ == "__main__":
    serve(sys.argv[2]) if "--serve" in sys.argv else main()
