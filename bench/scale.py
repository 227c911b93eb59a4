"""A plan at the scale of a cluster: what it needs of each resource, and which gives out first.

usage: scale.py [most rows] [--resume]   100,000 rows where nothing else is said

Whole studies of scripted systems are run at growing sizes, each in a process of its own, and give
unit costs and growth exponents. The costs of a ledger are measured on SQLite and, where a server's
programs are installed, on Postgres. Seconds are of the processor, so that other work on the machine
disturbs them less; what a disk's sync and a round trip take is part of the plan, not measured.
`--resume` measures what is missing.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

from _bench import RESULTS, exponent, write

import tuneworthy
from tuneworthy.measure.answering import CASES_PER_SHARD
from tuneworthy.report._data import MOST_SHOWN_CASES
from tuneworthy.store import blobs
from tuneworthy.store.place import HOME_FOLDER, STORE_FILE
from tuneworthy.store.purse import SpendingCap
from tuneworthy.store.store import open_ledger

ROWS = (100, 1_000, 10_000, 100_000)
CASES = (100, 1_000, 10_000, 100_000)
ARMS = (2, 4, 8)
GOAL = 1.1
PUTS, PAID, ANSWER = 200, 100, 400  # rows put, requests paid, bytes of an answer
SYNCS = {"put": 1, "paid request": 3}  # of a disk; a reply is synced into the mirror, too
LABELS = tuple(f"label {i}" for i in range(10))
Figures = Mapping[int, Mapping[str, float]]
WORDS = [f"{a}{b}" for a in ("lo", "mi", "ra", "tu", "ve", "so", "ke", "pa") for b in range(500)]


@dataclass(frozen=True)
class Plan:
    """A plan to simulate. `rate`: generated and read tokens a second of one node."""

    cases: int = 1_000_000
    arms: int = 20
    nodes: int = 100
    tokens_in: int = 300
    tokens_out: int = 20
    rate: float = 20_000
    driver_cores: int = 16
    driver_gb: float = 64
    network_mb: float = 1_000
    sync_ms: float = 1.0


# Studies


def study(folder: Path, rows: int, cases: int, arms: int) -> Path:
    """Write a study of recorded systems: `rows` to learn from, `cases` to score (0: the rows)."""
    draw = Random(0)
    for name, n in (("train", rows), ("test", cases)):
        with (folder / f"{name}.jsonl").open("w", encoding="utf-8") as file:
            for i in range(n):
                right = draw.choice(LABELS)
                text = f"{' '.join(draw.choices(WORDS, k=12))} {name} {i} about {right}"
                line = {"id": f"{name}{i}", "input": text, "output": right}
                file.write(json.dumps(line) + "\n")
    scored = "test" if cases else "train"
    answers = {}
    for arm in range(arms - 2):
        answers[f"system{arm}"] = f"system{arm}.jsonl"
        with (folder / f"system{arm}.jsonl").open("w", encoding="utf-8") as file:
            for i in range(cases or rows):
                said = LABELS[i % 10] if draw.random() < 0.3 + 0.02 * arm else draw.choice(LABELS)
                file.write(
                    json.dumps({"id": f"{scored}{i}", "answer": said, "seconds": 0.1}) + "\n"
                )
    (folder / "replies.jsonl").write_text(
        "".join(json.dumps({"when": f"about {x}", "say": x}) + "\n" for x in LABELS)
        + '{"when": "", "say": "label 0"}\n'
    )
    data = {"train": "train.jsonl", "test": "test.jsonl"} if cases else {"file": "train.jsonl"}
    task = {"name": "scale", "data": data, "model": "scripted:./replies.jsonl", "seeds": 1,
            "arms": ["majority", "zero_shot", *answers], "answers": answers}  # fmt: skip
    (folder / "task.yaml").write_text(json.dumps(task), "utf-8")  # JSON is YAML
    return folder / "task.yaml"


def run_here(rows: int, cases: int, arms: int) -> dict[str, float]:
    """Run one study in this process; return processor seconds, peak memory and bytes written."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        task = study(folder, rows, cases, arms)
        seconds: dict[str, float] = {}
        begun = time.process_time()
        done = tuneworthy.run(task, tuneworthy.RunOptions(brief=True))
        seconds["seconds"] = time.process_time() - begun
        scored = len(done.results.cases)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        with open_ledger(folder, write=False) as ledger:
            begun = time.process_time()
            ledgered = ledger.verify()
            seconds["verify"] = time.process_time() - begun
        begun = time.process_time()
        from tuneworthy.report.html import page

        html = page(done.results)
        seconds["report"] = time.process_time() - begun
        files = {f"bytes of {p.name}": p.stat().st_size for p in done.folder.iterdir()}
        files["bytes of ledger"] = (folder / HOME_FOLDER / STORE_FILE).stat().st_size
        return {**{k: round(v, 4) for k, v in seconds.items()}, **files, "peak_mb": round(peak, 1),
                "scored": scored, "arms": len(done.results.evidence.arms), "rows": ledgered,
                "html": len(html)}  # fmt: skip


def run_apart(rows: int, cases: int, arms: int) -> dict[str, float]:
    """Run one study in a process of its own, so that its peak of memory is its own."""
    words = [sys.executable, __file__, "--study", str(rows), str(cases), str(arms)]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(f"  {rows} rows, {cases} cases, {arms} arms: {figures['seconds']:.1f} s, "
          f"{figures['peak_mb']:.0f} MB", file=sys.stderr, flush=True)  # fmt: skip
    return figures


def axes(
    most: int, known: dict[str, Any], ledgers: dict[str, Any]
) -> dict[str, dict[int, dict[str, float]]]:
    """Return {axis: {size: figures}} of real studies; each is written as soon as it is measured."""
    wanted = {f"rows {n}": (n, 0, 3) for n in ROWS if n <= most}
    wanted |= {f"cases {n}": (200, n, 3) for n in CASES if n <= most}
    wanted |= {f"arms {n}": (200, 1_000, n) for n in ARMS}
    for name, sizes in wanted.items():
        if name not in known:
            known[name] = run_apart(*sizes)
            write("scale", {"studies": known, "ledgers": ledgers})
    points: dict[str, dict[int, dict[str, float]]] = {"rows": {}, "cases": {}, "arms": {}}
    for name in wanted:
        axis, size = name.split()
        points[axis][int(size)] = known[name]
    return points


def growth(points: Figures) -> dict[str, dict[str, float]]:
    """Return the exponent of what grows, over all points and over the last two."""
    sizes, told = list(points), {}
    for what in ("seconds", "peak_mb", "bytes of results.json", "html", "bytes of ledger"):
        figures = [points[n][what] for n in sizes]
        told[what] = {"all": exponent(sizes, figures), "at_end": exponent(sizes[-2:], figures[-2:])}
    return told


# The ledger


def ledger_costs() -> dict[str, float]:
    """Return processor seconds a row of a ledger.

    A disk's syncs are no part of them: `SYNCS` counts these.
    """
    text = "x" * (CASES_PER_SHARD * ANSWER)
    with tempfile.TemporaryDirectory() as name, open_ledger(Path(name)) as ledger:
        purse = SpendingCap(ledger, usd=1000, study="s")

        def pay(number: int) -> None:
            ticket = purse.reserve("0.01", 100, f"q{number}")
            purse.settle(ticket, "0.005", 50, {"text": "x" * ANSWER})

        costs = {
            "put": each(PUTS, lambda i: ledger.put(f"k{i}", "answers", {"t": text}, "s")),
            "find": each(PUTS, lambda i: ledger.get(f"k{i}")),
            "verify": each(1, lambda i: ledger.verify()) / PUTS,
            "paid request": each(PAID, pay),
        }
    return {what: round(seconds, 7) for what, seconds in costs.items()}


def each(n: int, work: Callable[[int], Any]) -> float:
    """Return the processor seconds of one of n calls of `work(i)`."""
    begun = time.process_time()
    for i in range(n):
        work(i)
    return (time.process_time() - begun) / n


# The simulation


def unit_costs(points: Figures, ledgers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the costs of one answer (an arm on a case) by the two largest studies of `cases`."""
    low, high = (points[n] for n in list(points)[-2:])
    answers = high["scored"] * high["arms"] - low["scored"] * low["arms"]

    def slope(what: str, scale: float = 1.0) -> float:
        return max(0.0, (high[what] - low[what]) * scale / answers)

    return {
        "driver seconds": slope("seconds"),
        "report seconds": slope("report"),
        "memory bytes": slope("peak_mb", 2**20),
        "bytes of results.json": slope("bytes of results.json"),
        "bytes of report": slope("html"),
        "bytes of ledger": slope("bytes of ledger"),
        "ledger": dict(ledgers),
    }


def simulate(plan: Plan, cost: Mapping[str, Any], *, database: str, paid: bool) -> dict[str, Any]:
    """Return what a plan needs, and the share of its run that each resource is busy.

    A share above 1 means that the nodes wait for it; memory and the largest row are shares of what
    there is. The first bottleneck is the largest share.
    """
    answers = plan.cases * plan.arms
    tokens = answers * (plan.tokens_in + plan.tokens_out)
    seconds = tokens / (plan.rate * plan.nodes)
    rows = 3 * answers if paid else answers / CASES_PER_SHARD + plan.arms
    what = "paid request" if paid else "put"
    waits = SYNCS[what] * plan.sync_ms
    booked = (answers if paid else rows) * (cost["ledger"][database][what] + waits / 1000)
    moved = answers * (4 * plan.tokens_in + ANSWER)  # prompts out, answers back
    whole = answers * cost["bytes of results.json"]
    listed = min(plan.cases, MOST_SHOWN_CASES)
    shares = {
        "nodes": 1.0,
        "ledger writes": booked / seconds,
        "driver processor, one thread": answers * cost["driver seconds"] / seconds,
        "driver network": moved / (plan.network_mb * 1e6) / seconds,
        "driver memory": answers * cost["memory bytes"] / (plan.driver_gb * 2**30),
        "largest row of the ledger, of 1 GB": min(whole, 2 * blobs.LARGEST_PART) / 1e9,
    }
    first = max(shares, key=lambda name: shares[name])
    return {
        "plan": asdict(plan), "database": database, "paid": paid, "requests": answers,
        "tokens": tokens, "hours_of_nodes": round(seconds / 3600, 2),
        "bytes_through_driver": moved, "ledger_rows": round(rows),
        "ledger_rows_a_second": round(rows / seconds, 1),
        "ledger_gb": round(answers * cost["bytes of ledger"] / 1e9, 2),
        "driver_hours": round(answers * cost["driver seconds"] / 3600, 2),
        "memory_gb": round(answers * cost["memory bytes"] / 2**30, 1),
        "results_gb": round(whole / 1e9, 2),
        "report_mb": round(listed * plan.arms * cost["bytes of report"] / 1e6, 1),
        "shares": {name: round(share, 3) for name, share in shares.items()},
        "first_bottleneck": first,
        "fits_up_to_answers": fits(answers, shares),
    }  # fmt: skip


def fits(answers: int, shares: Mapping[str, float]) -> int:
    """Return how many answers fit the driver's memory; no row grows with them."""
    worst = shares["driver memory"]
    return round(answers / worst) if worst else answers


def main() -> None:
    """Measure, simulate, and write bench/results/scale.json."""
    if sys.argv[1:2] == ["--study"]:
        print(json.dumps(run_here(*map(int, sys.argv[2:5]))))
        return
    most = next((int(word) for word in sys.argv[1:] if word.isdecimal()), ROWS[-1])
    path = RESULTS / "scale.json"
    last = json.loads(path.read_text("utf-8")) if "--resume" in sys.argv and path.exists() else {}
    known: dict[str, Any] = last.get("studies", {})
    if not (ledgers := last.get("ledgers", {})):
        ledgers = {"sqlite": ledger_costs()}
    points = axes(most, known, ledgers)
    costs = unit_costs(points["cases"], ledgers)
    grown = {axis: growth(sizes) for axis, sizes in points.items()}
    plans = [simulate(Plan(), costs, database=d, paid=p) for d in ledgers for p in (False, True)]
    summary: dict[str, Any] = {}
    for axis, told in grown.items():
        for what in ("seconds", "peak_mb"):
            summary[f"{what} by {axis}: exponent, goal {GOAL}"] = told[what]["all"]
            summary[f"{what} by {axis}: exponent at the end"] = told[what]["at_end"]
    for plan in plans:
        name = f"{plan['database']}, {'paid requests' if plan['paid'] else 'own nodes'}"
        summary[f"{name}: first bottleneck"] = plan["first_bottleneck"]
    for what, figure in summary.items():
        print(f"scale: {what}: {figure}")
    told = {
        "studies": known,
        "ledgers": ledgers,
        "growth": grown,
        "costs": costs,
        "plans": plans,
        "summary": summary,
    }
    write("scale", told)


if __name__ == "__main__":
    main()
