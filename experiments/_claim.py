"""What all experiments on claims share: units that are kept, intervals, and the result file.

An experiment is a file eNN_NAME.py with CLAIM (the claim, the prediction, the rule), `collect()`
(runs what its units lack and returns plain data) and `figures(data)` (pure). Run by itself it
writes results/NAME.json. Units lie below .tuneworthy/experiments, so a run that was stopped goes on
where it was. This file run by itself writes the results into the package and prints the rows of
docs/evidence/claims.md.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

import tuneworthy
from tuneworthy.lab.claim_results import (
    CLAIMS_FILE,
    STANDINGS,
    ClaimResult,
    Figure,
    interval_text,
    standing_of,
    verdict_of,
    wanted_text,
)
from tuneworthy.models.local.machine import inspect_machine
from tuneworthy.records.record import digest
from tuneworthy.stats.bounds import paired

HOME = Path(".tuneworthy") / "experiments"
RESULTS = Path(__file__).parent / "results"
VERSION = 1  # of the units: another one makes all of them anew
T_95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 10: 2.262, 20: 2.093}  # by number of seeds
USED: list[Path] = []  # files of the units that this run used
_SPENT: dict[Path, float] = {}  # processor seconds of the units that this run used, each once


def unit(key: dict[str, Any], make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return a unit's data, from its file if it was made before."""
    identity = {"version": VERSION, "tuneworthy": tuneworthy.__version__, **key}
    file = HOME / "units" / f"{digest(identity)}.json"
    if not file.is_file():
        print(f"{time.strftime('%H:%M:%S')} {key}", file=sys.stderr, flush=True)
        begun = time.process_time()
        made = make()
        kept = {"key": identity, "seconds": time.process_time() - begun, "data": made}
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(f".{os.getpid()}")
        part.write_text(json.dumps(kept), "utf-8")
        part.replace(file)
    found = json.loads(file.read_text("utf-8"))
    _SPENT[file] = found["seconds"]
    USED.append(file)
    return dict(found["data"])


def over_seeds(diffs: Any, groups: Sequence[str] | None = None) -> tuple[float, float, float]:
    """Return mean, low and high (95 %) of paired differences (seeds, rows).

    The interval adds the rows' share (paired bounds of the mean over seeds) and the seeds' share
    (Student's t) in quadrature.
    """
    table = np.atleast_2d(np.asarray(diffs, float))
    bound = paired(table.mean(0), 0.025, groups=groups)
    spread = 0.0
    if len(table) > 1:
        spread = T_95[len(table)] * float(table.mean(1).std(ddof=1)) / len(table) ** 0.5
    low = bound.mean - float(np.hypot(bound.mean - bound.low, spread))
    high = bound.mean + float(np.hypot(bound.high - bound.mean, spread))
    return bound.mean, max(low, -1.0), min(high, 1.0)  # no difference of scores lies beyond


def score_over_seeds(
    scores: Any, groups: Sequence[str] | None = None
) -> tuple[float, float, float]:
    """Return `over_seeds` of scores or shares, cut to their range from 0 to 1."""
    mean, low, high = over_seeds(scores, groups)
    return mean, max(low, 0.0), min(high, 1.0)


def of_seeds(values: Sequence[float]) -> tuple[float, float, float]:
    """Return mean, low and high (95 %, Student's t) of one value a seed."""
    half = T_95[len(values)] * float(np.std(values, ddof=1)) / len(values) ** 0.5
    return float(np.mean(values)), float(np.mean(values)) - half, float(np.mean(values)) + half


def figure(name: str, triple: tuple[float, float, float], n: int, seeds: int = 1,
           unit: str = "points") -> Figure:  # fmt: skip
    """Return a figure, rounded."""
    mean, low, high = (round(float(value), 5) for value in triple)
    return Figure(name=name, mean=mean, low=low, high=high, n=n, seeds=seeds, unit=unit)


def main(script: Any) -> None:
    """Run an experiment, write results/NAME.json, print the figures and the verdict.

    `script` has CLAIM, collect, figures, and perhaps REDUCED (where less is run than designed),
    FOUND (what the figures mean for the claim), CAVEAT, COMPARES, and MODEL and MODELS (what was
    measured and how many, if it is not the embedded model).
    """
    os.environ.setdefault("TUNEWORTHY_LOOKS", "folder")
    _SPENT.clear()
    claim, data, models = script.CLAIM, script.collect(), getattr(script, "MODELS", 1)
    measured = script.figures(data)
    seen = inspect_machine()
    told = ClaimResult(
        **claim.model_dump(), verdict=verdict_of(claim.expects, measured), figures=tuple(measured),
        standing=standing_of(claim.holds_if, measured, models), models=models,
        reduced=tuple(getattr(script, "REDUCED", ())), found=getattr(script, "FOUND", ""),
        caveat=getattr(script, "CAVEAT", ""), compares=getattr(script, "COMPARES", {}),
        model=getattr(script, "MODEL", "SmolLM2-135M-Instruct"),
        machine=f"{seen.cpu}, {seen.cores} cores, one thread, {seen.precision}",
        command=f"python experiments/{Path(sys.argv[0]).name}",
        date=date.today().isoformat(), minutes=round(sum(_SPENT.values()) / 60, 1),
    )  # fmt: skip
    RESULTS.mkdir(exist_ok=True)
    whole = {**told.model_dump(mode="json"), "data": data}
    (RESULTS / f"{claim.name}.json").write_text(json.dumps(whole) + "\n", "utf-8")
    for each in measured:
        print(f"  {each.name}: {each.mean:.3f} [{each.low:.3f}, {each.high:.3f}] n {each.n}")
    print(f"E{claim.number} {claim.name}: {told.standing}, prediction {told.verdict}, "
          f"{told.minutes} min", flush=True)  # fmt: skip


def results() -> list[ClaimResult]:
    """Return the results in results/ by number, without their data."""
    read = [json.loads(path.read_text("utf-8")) for path in RESULTS.glob("*.json")]
    plain = [{key: each[key] for key in each if key != "data"} for each in read]
    return sorted(map(ClaimResult.model_validate, plain), key=lambda each: each.number)


def shipped_text() -> str:
    """Return the content of the package's file."""
    run = [each.model_dump(mode="json") for each in results()]
    scripts = sorted(Path(__file__).parent.glob("e[0-9][0-9]_*.py"))
    claims = [import_module(path.stem).CLAIM for path in scripts]
    done = {told["name"] for told in run}
    waiting = [claim.model_dump(mode="json") for claim in claims if claim.name not in done]
    return json.dumps({"results": run, "waiting": waiting}, indent=1, ensure_ascii=False) + "\n"


def evidence_rows() -> list[str]:
    """Return the rows of the table in docs/evidence/claims.md, in the order of the page."""
    rows = []
    for told in sorted(results(), key=lambda told: list(STANDINGS).index(told.standing)):
        by_name = {shown.name: shown for shown in told.figures}
        deciding = [(expected, by_name[expected.figure]) for expected in told.holds_if]
        parts = [
            f"{shown.name} {interval_text(shown)}, {wanted_text(expected, shown.unit, 'holds ')}"
            for expected, shown in deciding
        ]
        n = "/".join(str(n) for n in dict.fromkeys(shown.n for _, shown in deciding))
        rows.append(f"| E{told.number} | {told.claim} | **{told.standing}** | {told.found} | "
                    f"{'; '.join(parts)} | {n} | {told.verdict} |")  # fmt: skip
    return rows


if __name__ == "__main__":
    CLAIMS_FILE.write_text(shipped_text(), "utf-8")
    print("\n".join(evidence_rows()))
