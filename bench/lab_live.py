"""Whether a live fix is judged rightly where the package's records come from another machine.

usage: lab_live.py [N] [SLUG ...]      N mended and N not (default 10), one of each per case; writes
                                       bench/results/lab_live.json

The records of the package are given to the lab with their scores moved, as another machine could
have had them: in turn lower by .3 and higher by .3. A mended run is the clean configuration with a
number of rows of its own, so that it is no recorded run; one that is not has that number too, but
keeps the planted fault. A run is judged rightly if all of its conditions hold, or do not, as they
should. What ran is kept below TUNEWORTHY_CACHE (or ~/.cache/tuneworthy), so it can go on.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from _bench import write

from tuneworthy.lab.cases import LabCase, case_of
from tuneworthy.lab.events import run_id, write_record
from tuneworthy.lab.jobs import Jobs
from tuneworthy.lab.lab_folder import make_lab_folder
from tuneworthy.lab.recordings import SHIPPED_RECORDS, RecordStore, live_id
from tuneworthy.lab.run_process import open_experiments
from tuneworthy.models.local.weights import cache_folder
from tuneworthy.records.failure import Config, RunFacts

MOVED = 0.3  # of the score, between this machine and the made-up one
ROWS_FEWER = 4  # rows by which a fix differs from all that is recorded
FASTEST = (
    "out-of-date", "two-verdicts", "always-valid", "wrong-page", "changed-when-shipped",
    "never-stops", "zero-and-worse", "another-shape", "lost-in-production", "nothing-changed",
)  # fmt: skip


def foreign_records(case: LabCase, by: float, folder: Path) -> None:
    """Write planted run and twin of the package as of a machine where scores differ by `by`."""
    for role in ("plant", "twin"):
        name = run_id(case.slug, case.config(role), 0)
        *events, end = SHIPPED_RECORDS.events(name)
        score = end["facts"].get("score") or 0.0
        facts = {**end["facts"], "score": min(1.0, max(0.0, score + by))}
        write_record([*events, {**end, "facts": facts}], folder / f"{name}.json.gz")


def fixes(case: LabCase) -> Iterator[tuple[bool, Config]]:
    """Yield (whether it is mended, the setting) of two fixes that no record holds."""
    for mended in (True, False):
        config = case.config("twin" if mended else "plant")
        yield mended, {**config, "rows": int(config["rows"] or 0) - ROWS_FEWER}


def judged(jobs: Jobs, records: RecordStore, case: LabCase, config: Config) -> dict[str, Any]:
    """Run a setting live if it has not run here, and return its last event."""
    name = live_id(case.slug, config)
    if not records.has(name):
        pair = {role: case.config(role) for role in ("twin", "plant")}
        log = jobs.log_of(jobs.submit(case.slug, config, 0, "own", pair))
        assert log is not None
        while not log.ended:
            time.sleep(0.2)
        return log.events()[-1]
    return records.events(name)[-1]


def _passes_beside_record(records: RecordStore, case: LabCase, end: dict[str, Any]) -> bool:
    """Return whether a run would pass if the foreign twin judged it: what must go wrong."""
    twin = records.facts(run_id(case.slug, case.config("twin"), 0))
    assert twin is not None
    return all(check.passed for check in case.module.victory(RunFacts(**end["facts"]), twin))


def main() -> None:
    """Run the command of the command line."""
    words = sys.argv[1:]
    count = int(words.pop(0)) if words and words[0].isdigit() else len(FASTEST)
    cases = [case_of(slug) for slug in (words or FASTEST)[:count]]
    working = cache_folder() / "lab-live"
    working.mkdir(parents=True, exist_ok=True)
    folder = make_lab_folder(working)
    foreign = folder / "foreign"
    for at, case in enumerate(cases):
        foreign_records(case, -MOVED if at % 2 else MOVED, foreign)
    records = RecordStore(foreign, folder / "records")
    jobs, table = Jobs(folder, records, open_experiments), list[dict[str, Any]]()
    for case in cases:
        for mended, config in fixes(case):
            end = judged(jobs, records, case, config)
            passed = bool(end["checks"]) and all(check["passed"] for check in end["checks"])
            by_record = _passes_beside_record(records, case, end)
            table.append({"case": case.slug, "mended": mended, "passed": passed,
                          "right": passed == mended, "right_by_record": by_record == mended,
                          "checks": end["checks"]})  # fmt: skip
            right = sum(row["right"] for row in table)
            print(f"{case.slug} mended={mended} passed={passed}: {right} of {len(table)} right",
                  [f"{each['what']}: {each['value']}" for each in end["checks"]],
                  flush=True)  # fmt: skip
    jobs.close()
    counts = {key: sum(row[key] for row in table) for key in ("right", "right_by_record")}
    of = len(table)
    summary = {
        "live fixes judged rightly": f"{counts['right']} of {of}",
        "by the moved records alone": f"{counts['right_by_record']} of {of}",
    }
    write("lab_live", {"moved": MOVED, **counts, "of": of, "runs": table, "summary": summary})


if __name__ == "__main__":
    main()
