"""Hours of the lab with 50 clients, `serve` under mixed load and a study beside, in parts.

usage: soak.py [minutes [FOLDER]]   one part of so many minutes (20); a FOLDER that is given again
       goes on there, and its parts are added up

The study runs again and again from nothing; a third of its runs is killed at a random moment
and run once more, and each must end in the same verdict. Clients of `serve` ask alone and as a
stream, hang up early and send bad requests; clients of the lab read its pages. Memory, open files,
answers and errors are counted every ten seconds. Growth is the median of the last quarter of a part
over that of the second: the first quarter warms up.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from _bench import write

EVERY, LAB_CLIENTS, SERVE_CLIENTS = 10.0, 50, 8
BESIDE = "beside"  # the task folder of the study that runs again and again
COMMAND = [sys.executable, "-m", "tuneworthy"]
PAGES = ("/", "/studies", "/case/never-stops", "/api/cases", "/atlas", "/findings", "/kinds")


class Watched:
    """A server in a process of its own: its address, memory, open files, requests and errors."""

    def __init__(self, name: str, words: Sequence[str], folder: Path, pattern: str) -> None:
        self.name, self.errors, self.counts = name, Counter[str](), Counter[int]()
        self.samples: list[tuple[float, int, int]] = []  # seconds, KiB, open files
        self.seconds: list[tuple[float, float]] = []  # when a request began, and what it took
        self._said = (folder / f"{name}.log").open("a")
        self.process = subprocess.Popen(
            [*COMMAND, *words], cwd=folder, text=True, stdout=subprocess.PIPE, stderr=self._said
        )
        out = self.process.stdout
        assert out is not None
        self.address = next(found[1] for line in out if (found := re.search(pattern, line)))

    def sample(self, at: float) -> None:
        """Count memory and open files of the process and of those that it started."""
        kib = files = 0
        for pid in family(self.process.pid):
            try:
                kib += int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])  # type: ignore[index]
                files += len(os.listdir(f"/proc/{pid}/fd"))
            except (OSError, TypeError):
                continue
        self.samples.append((at, kib, files))

    def close(self) -> None:
        """End the process by SIGTERM; an exit code other than 0 and 143 counts as an error."""
        self.process.send_signal(signal.SIGTERM)
        if (code := self.process.wait(60)) not in (0, 143):
            self.errors[f"exit code {code}"] += 1
        self._said.close()

    def figures(self, minutes: float) -> dict[str, Any]:
        """Return growth of memory and open files, p99 by quarter, requests and errors."""
        quarter = 15 * minutes
        second, last = (
            [one for one in self.samples if start * quarter <= one[0] < (start + 1) * quarter]
            for start in (1, 3)
        )
        p99 = []
        for start in range(4):
            took = sorted(
                s for at, s in self.seconds if start * quarter <= at < (start + 1) * quarter
            )
            p99.append(round(took[int(0.99 * len(took))], 3) if took else None)
        before, after = (statistics.median(one[1] for one in part) for part in (second, last))
        return {
            "requests": len(self.seconds), "answers": dict(sorted(self.counts.items())),
            "errors": dict(self.errors), "MiB": round(after / 1024),
            "memory grew": round(after / before - 1, 4),
            "open files": [statistics.median(one[2] for one in part) for part in (second, last)],
            "p99 by quarter, seconds": p99,
        }  # fmt: skip


def family(pid: int) -> list[int]:
    """Return a process and those below it."""
    try:
        below = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(one for child in below for one in family(int(child)))]


async def ask(server: Watched, client: Any, began: float, send: Any) -> None:
    """Send one request, and count its status, its seconds, and what else happened."""
    start = time.monotonic()
    try:
        status = await send(client)
    except Exception as error:  # whatever it is, it counts
        server.errors[type(error).__name__] += 1
        return
    if status is not None:
        server.counts[status] += 1
        server.seconds.append((start - began, time.monotonic() - start))
        if status >= 500:
            server.errors[f"status {status}"] += 1


def body(name: str, draw: random.Random, **more: Any) -> dict[str, Any]:
    """Return the body of a request for one answer."""
    text = f"{draw.choice(['refund', 'parcel', 'repair'])} {draw.random()}"
    return {"model": name, "messages": [{"role": "user", "content": text}], **more}


async def serve_client(
    server: Watched, names: Sequence[str], began: float, end: float, seed: int
) -> None:
    """Ask until the end: whole answers, streams, streams that are left, requests that are wrong."""
    import httpx2 as httpx

    draw = random.Random(seed)

    async def whole(client: Any) -> int:
        reply = await client.post("/chat/completions", json=body(draw.choice(names), draw))
        return int(reply.status_code)

    async def stream(client: Any, lines: int = 10**6) -> int | None:
        sent = body(draw.choice(names), draw, stream=True)
        async with client.stream("POST", "/chat/completions", json=sent) as reply:
            async for _ in reply.aiter_lines():
                lines -= 1
                if lines <= 0:
                    return None
            return int(reply.status_code)

    async def left(client: Any) -> int | None:
        return await stream(client, 1)

    async def wrong(client: Any) -> int:
        kinds = [{"json": {"model": "none"}}, {"content": b"{"}, {"json": body("none", draw)},
                 {"json": body(names[0], draw, temperature=9)}]  # fmt: skip
        return int((await client.post("/chat/completions", **draw.choice(kinds))).status_code)

    while time.monotonic() < end:
        async with httpx.AsyncClient(base_url=server.address, timeout=60) as client:
            for _ in range(draw.randint(1, 40)):
                kind = draw.choices([whole, stream, left, wrong], [6, 2, 1, 1])[0]
                await ask(server, client, began, kind)
                await asyncio.sleep(draw.random() / 5)


async def lab_client(
    server: Watched, cookies: Any, studies: Sequence[str], began: float, end: float, seed: int
) -> None:
    """Read pages until the end, one every five to ten seconds, and some that are not there."""
    import httpx2 as httpx

    draw = random.Random(seed)
    while time.monotonic() < end:
        async with httpx.AsyncClient(
            base_url=server.address, timeout=60, cookies=cookies
        ) as client:
            for _ in range(draw.randint(1, 20)):
                page = draw.choice([*PAGES, *studies, f"/case/none-{draw.random()}"])

                async def get(client: Any, page: str = page) -> int:
                    return int((await client.get(page)).status_code)

                await ask(server, client, began, get)
                await asyncio.sleep(5 + 5 * draw.random())


async def study_loop(folder: Path, end: float, told: Counter[str], log: IO[str]) -> None:
    """Run the study beside until the end, each time anew; kill a third of the runs at first."""
    draw, first = random.Random(time.time()), ""
    while time.monotonic() < end:
        for made in (".tuneworthy", "results"):
            shutil.rmtree(folder / made, ignore_errors=True)
        killed = draw.random() < 1 / 3
        while True:
            run = await asyncio.create_subprocess_exec(
                *COMMAND, "run", "--brief", cwd=folder, stdout=log, stderr=log
            )
            if killed:
                killed = False
                await asyncio.sleep(draw.uniform(0.5, 8))
                if run.returncode is None:
                    run.kill()
                    told["kills"] += 1
            if (code := await run.wait()) != -signal.SIGKILL:
                break
        told["runs"] += 1
        if code not in (0, 3):
            told[f"exit code {code}"] += 1
            continue
        (written,) = (folder / "results").glob("*/verdict.json")
        verdict = json.dumps(essence(written))
        first = first or verdict
        told["other verdicts"] += verdict != first


def essence(path: Path) -> Any:
    """Return what no repetition may change: arm, status, what is left on the table, scores."""
    verdict = json.loads(path.read_text())
    scores = [(arm["name"], arm["score"]) for arm in verdict["arms"]]
    return [verdict["arm"], verdict["status"], verdict["left_on_table"], scores]


async def part(folder: Path, minutes: float) -> dict[str, Any]:
    """Run one part in a folder that holds a built study; return its figures."""
    import httpx2 as httpx

    served = Watched("serve", ["serve", "--port", "0", "--no-token", "--log", "answers.jsonl",
                               "--log-size", "100000"], folder, r"serving at (\S+/v1)")  # fmt: skip
    lab = Watched("lab", ["lab", "--no-browser", "--port", "0"], folder, r"(http://\S+)")
    told: Counter[str] = Counter()
    async with httpx.AsyncClient(follow_redirects=True) as client:
        await client.get(lab.address)
        lab.address = lab.address.partition("/launch")[0].rstrip("/")
        page = (await client.get(f"{lab.address}/studies")).text
        studies = sorted(set(re.findall(r'href="(/study/[^"/#?]+)"', page)))
        names = [one["id"] for one in (await client.get(f"{served.address}/models")).json()["data"]]
        cookies = dict(client.cookies)
    assert studies, "the lab shows no study"
    began = time.monotonic()
    end = began + 60 * minutes
    with (folder / "study.log").open("a") as log:
        tasks = [asyncio.create_task(study_loop(folder / BESIDE, end, told, log))]
        tasks += [asyncio.create_task(serve_client(served, names, began, end, n))
                  for n in range(SERVE_CLIENTS)]  # fmt: skip
        tasks += [asyncio.create_task(lab_client(lab, cookies, studies, began, end, n))
                  for n in range(LAB_CLIENTS)]  # fmt: skip
        while time.monotonic() < end:
            for server in (served, lab):
                server.sample(time.monotonic() - began)
            await asyncio.sleep(EVERY)
        await asyncio.gather(*tasks)
    for server in (served, lab):
        server.close()
    figures = {server.name: server.figures(minutes) for server in (served, lab)}
    return {"minutes": minutes, **figures, "study": dict(told)}


def prepare(folder: Path) -> None:
    """Write a study of a classifier and a scripted model, run it and build both."""
    from tests import studies

    for place in (folder, folder / BESIDE):
        studies.write(place, n=60, arms=["majority", "tfidf", "zero_shot"])
    for words in (["run", "--brief"], ["build", "--arm", "tfidf"], ["build", "--arm", "zero_shot"]):
        subprocess.run([*COMMAND, *words], cwd=folder, check=False, stdout=subprocess.DEVNULL)


def summary(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what the final table shows of all parts."""
    sides = {name: [one[name] for one in parts] for name in ("serve", "lab")}
    study = sum((Counter(one["study"]) for one in parts), Counter[str]())
    told: dict[str, Any] = {"hours": round(sum(one["minutes"] for one in parts) / 60, 2)}
    for name, runs in sides.items():
        told |= {
            f"{name}: requests": sum(one["requests"] for one in runs),
            f"{name}: errors": sum(sum(one["errors"].values()) for one in runs),
            f"{name}: memory grew at most (goal .05)": max(one["memory grew"] for one in runs),
            f"{name}: open files more": max(b - a for a, b in (r["open files"] for r in runs)),
        }  # fmt: skip
    return told | {f"study: {what}": study[what] for what in ("runs", "kills", "other verdicts")}


def main() -> None:
    """Run one part, and write bench/results/soak.json with all parts of the folder."""
    sys.path.append(str(Path(__file__).parents[1]))
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    folder = Path(sys.argv[2] if len(sys.argv) > 2 else tempfile.mkdtemp()).resolve()
    if not (folder / "task.yaml").exists():
        folder.mkdir(parents=True, exist_ok=True)
        prepare(folder)
    kept = folder / "parts.json"
    parts = json.loads(kept.read_text()) if kept.exists() else []
    parts.append(asyncio.run(part(folder, minutes)))
    kept.write_text(json.dumps(parts, indent=1))
    told = summary(parts)
    for what, figure in told.items():
        print(f"  {what:<50} {figure}")
    write("soak", {"parts": parts, "summary": told})


if __name__ == "__main__":
    main()
