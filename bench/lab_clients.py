"""A live run of the lab with browsers that follow it, beside the same run with none.

usage: lab_clients.py [repetitions [steps [clients [pause]]]]   steps (2,000) of a run, each a
       product on all cores, about 15 ms, and a pause of so many ms (0); clients: 50

Steps are sent as a real run sends them, in batches at most four times a second. The run is in the
lab's worker process, the server in this one, the clients in a third, all on the same cores. Every
client must have read every event, numbered without a gap. Time is counted by the run itself, once
all clients are connected: wall time, and the processor time of the worker, which other load on the
machine moves less. The sides alternate, so that load meets both. On a busy machine a pause makes a
run long enough to be watched for minutes without taking a core.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _bench import alternate, repetitions, write

from tuneworthy.lab.events import Emit, StepBatches
from tuneworthy.lab.run_process import RunOrder

GIVEN = [int(word) for word in sys.argv[1:] if word.isdigit()]
STEPS = GIVEN[1] if len(GIVEN) > 1 else 2000
CLIENTS = GIVEN[2] if len(GIVEN) > 2 else 50
PAUSE = GIVEN[3] / 1000 if len(GIVEN) > 3 else 0.0
SIZE = 900  # rows and columns of a step's product


def open_products(_emit: Emit) -> Any:
    """Return a runner of steps that compute a product and say so."""
    import numpy as np

    def run(order: RunOrder, emit: Emit, control: Callable[[], None]) -> None:
        left = np.random.default_rng(0).random((SIZE, SIZE))
        steps = int(order.config["steps"] or 0)
        emit({"kind": "begin", "id": order.id, "steps": steps, "rows": [], "questions": []})
        while not (order.folder.parent / "go").exists():
            time.sleep(0.01)
        began, batches = (time.perf_counter(), time.process_time()), StepBatches(emit, steps)
        for _ in range(steps):
            loss = float((left @ left)[0, 0])
            batches.add({"loss": loss, "norm": 1.0, "rate": 1e-3, "clipped": False})
            control()
            time.sleep(PAUSE)
        batches.flush()
        wall, processor = time.perf_counter() - began[0], time.process_time() - began[1]
        emit(
            {"kind": "end", "state": "done", "because": None, "seconds": wall,
             "facts": {"processor": processor}}
        )  # fmt: skip

    return run


class Served:
    """A lab on a free port, with its server in a thread."""

    def __init__(self, folder: Path) -> None:
        from tuneworthy.handover.serve.listening import listening_socket
        from tuneworthy.lab.app import make_server
        from tuneworthy.lab.open_lab import open_lab

        opened = listening_socket("127.0.0.1", 0)
        self.lab = open_lab(folder, opened.getsockname(), open_runner=open_products)
        self.server = make_server(self.lab)
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [opened]})
        self.thread.start()
        self.seed = 0
        self.took: dict[int, list[tuple[float, float]]] = {0: [], CLIENTS: []}
        self.served = 0.0  # processor seconds of the server while clients watched

    def run(self, clients: int) -> None:
        """Run once with so many clients; keep the seconds that the run counted, on both clocks."""
        jobs, self.seed = self.lab.jobs, self.seed + 1
        assert jobs is not None
        config = {"steps": STEPS}
        name = jobs.submit("products", config, self.seed, "twin", {"twin": config})
        log = jobs.log_of(name)
        assert log is not None
        reader = self._clients(name, clients) if clients else None
        go = self.lab.folder / "scratch" / "go"
        while len(log._waiting) < clients or len(log.lines) < 2:
            time.sleep(0.05)
        go.touch()
        began = time.process_time()
        while not log.ended:
            time.sleep(0.05)
        go.unlink()
        told = log.events()
        self.took[clients].append((told[-1]["seconds"], told[-1]["facts"]["processor"]))
        self.served += (time.process_time() - began) * (clients > 0)
        assert log.unsaved is None
        if reader:
            read = json.loads(reader.communicate(timeout=60)[0])
            assert read == [len(told)] * clients, read

    def _clients(self, name: str, clients: int) -> subprocess.Popen[str]:
        access = self.lab.access
        order = [str(access.port), access.secret, name, str(clients)]
        return subprocess.Popen(
            [sys.executable, __file__, "--client"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, env={**os.environ, "LAB_CLIENTS": json.dumps(order)},
        )  # fmt: skip

    def close(self) -> None:
        """End server and worker."""
        self.server.should_exit = True
        self.lab.close()
        self.thread.join()


async def follow(port: int, secret: str, name: str) -> int:
    """Return how many events one client has read; they must be numbered 1, 2, 3, …"""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"GET /api/runs/{name}/events HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
    writer.write(f"{head}Authorization: Bearer {secret}\r\nConnection: close\r\n\r\n".encode())
    read = 0
    while line := await reader.readline():
        if line.startswith(b"id: "):
            read += 1
            assert int(line[4:]) == read, (line, read)
    writer.close()
    return read


async def clients() -> None:
    """Follow one run with many connections; print the events that each has read."""
    port, secret, name, many = json.loads(os.environ["LAB_CLIENTS"])
    read = await asyncio.gather(*(follow(int(port), secret, name) for _ in range(int(many))))
    print(json.dumps(read))


def main() -> None:
    """Measure and write bench/results/lab_clients.json."""
    with tempfile.TemporaryDirectory() as folder:
        served = Served(Path(folder))
        try:
            sides = {"no client": lambda: served.run(0),
                     f"{CLIENTS} clients": lambda: served.run(CLIENTS)}  # fmt: skip
            told = alternate(sides, repetitions(5))
        finally:
            served.close()
    slower = {}
    for at, clock in enumerate(("wall", "processor")):
        none, many = (
            statistics.median(one[at] for one in took[1:]) for took in served.took.values()
        )
        slower[clock] = round(many / none - 1, 3)
        print(f"  the run takes {slower[clock]:+.1%} of {clock} time with {CLIENTS} clients")
    seconds = {f"{clients} clients": took[1:] for clients, took in served.took.items()}
    watched = sum(wall for wall, _ in served.took[CLIENTS])
    summary = {
        **{
            f"a run slower, with {CLIENTS} clients, {clock}": more for clock, more in slower.items()
        },
        "minutes watched": round(watched / 60, 1),
        "processor seconds of the server a minute": round(60 * served.served / watched, 1),
    }
    write("lab_clients", {**told, "steps": STEPS, "run_seconds": seconds, "summary": summary})


if __name__ == "__main__":
    asyncio.run(clients()) if "--client" in sys.argv else main()
