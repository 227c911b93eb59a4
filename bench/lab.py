"""The cases of the lab, run for real on the embedded model: their records, and their detectors.

usage: lab.py records [SLUG ...]      write src/tuneworthy/lab/records, on seed 0: planted run and
                                      clean twin of each case, then its tempting fixes
       lab.py fixes [SLUG ...]        the tempting fixes alone, judged by the shipped clean twins
       lab.py pairs [SLUG ...]        planted runs and clean twins alone
       lab.py play                     write the playground's adapters and its records beside them
       lab.py kinds                    write what five kinds of tuning change, beside them
       lab.py table                    print what the shipped records show, as docs/evidence has it
       lab.py rows [N]                the detectors that need rows and tokens alone, on N seeds
       lab.py seeds [N] [SLUG ...]    planted run and clean twin on N seeds (default 5): how often
                                      each detector finds its failure, and how often it finds one
                                      in the clean twin; writes bench/results/lab.json

Every run is stored when it is over, below TUNEWORTHY_CACHE (or ~/.cache/tuneworthy), and made once:
stop the command and start it again as you like. A case that fails is named, and the rest goes on.
"""

from __future__ import annotations

import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

from _bench import write
from _lab_play import PlayRecorder, ship_adapters
from _lab_records import Recorder, settings_to_record
from scipy.stats import beta

from tuneworthy.lab import facts
from tuneworthy.lab.card_run import CardRun
from tuneworthy.lab.cases import LabCase, all_cases, case_of
from tuneworthy.lab.encode import encode_rows, serving_template
from tuneworthy.lab.events import run_id
from tuneworthy.lab.recordings import SHIPPED_RECORDS
from tuneworthy.lab.run_process import LabRun
from tuneworthy.lab.strength import record_strength
from tuneworthy.lab.tuning_kinds import record_kinds
from tuneworthy.models import open_model
from tuneworthy.models.local.chat_template import prompt_ids
from tuneworthy.models.local.weights import cache_folder
from tuneworthy.records.errors import TuneworthyError
from tuneworthy.records.failure import Config, RunFacts, Runs

SPEC, SEEDS = "smollm2-135m", 5
FROM_ROWS = (
    "test_rows_leaked", "wrong_labels", "mixed_formats", "loss_on_prompt", "other_template",
    "end_not_trained", "rows_cut", "packed_rows", "refusals_overrepresented", "stale_passage",
)  # fmt: skip
"""Failure modes whose detector needs no model: rows, tokens or passages tell."""


def recorder() -> Recorder:
    """Return what runs the cases on the embedded model."""
    return Recorder(lambda: open_model(SPEC, folder=Path()), cache_folder() / "lab-runs")


def write_pairs(record: Recorder, cases: Sequence[LabCase]) -> None:
    """Record the clean twin and the planted run of each case on seed 0."""
    for case in cases:
        _ship(record, [LabRun(case, case.config(role), 0, role) for role in ("twin", "plant")])


def write_settings(record: Recorder, cases: Sequence[LabCase]) -> None:
    """Record the tempting fixes of each case."""
    for case in cases:
        _ship(record, [LabRun(case, config, 0, "own") for config in settings_to_record(case)])


def _ship(record: Recorder, runs: Sequence[LabRun]) -> None:
    case, sizes = runs[0].case, []
    for run in runs:
        path = _tried(case, partial(record.write_shipped, run))
        sizes += [path.stat().st_size] if path else []
    print(f"{case.slug}: {len(sizes)} records, {sum(sizes) / 1000:.0f} kB", flush=True)


def write_play() -> None:
    """Train the playground's adapters; record its answers, and the adapter at all strengths."""
    model, folder = open_model(SPEC, folder=Path()), cache_folder() / "lab-runs"
    for adapter in ship_adapters(model, folder / "shared"):
        print(adapter, flush=True)
    for path in (*PlayRecorder(model, folder / "play").write(), record_strength(model)):
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB", flush=True)


def write_kinds() -> None:
    """Record what five kinds of fine-tuning change in weights, outputs and answers."""
    path = record_kinds(open_model(SPEC, folder=Path()), cache_folder() / "lab-runs" / "work")
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB", flush=True)


def table_of_records(cases: Sequence[LabCase]) -> Iterator[str]:
    """Yield a line for each recorded case: the detector's numbers, seconds, and the fix."""
    for case in cases:
        names = [run_id(case.slug, case.config(role), 0) for role in ("plant", "twin")]
        ends = [SHIPPED_RECORDS.events(name)[-1] for name in names if SHIPPED_RECORDS.has(name)]
        if len(ends) < 2:
            yield f"| {case.slug} | not recorded | | | |"
            continue
        found = ["yes" if end["finding"]["found"] else "no" for end in ends]
        numbers = [f"{end['finding']['value']:.3g}" for end in ends]
        fixed = "yes" if all(check["passed"] for check in ends[1]["checks"]) else "no"
        seconds = ", ".join(f"{end['seconds']:.0f}" for end in ends)
        told = [f"{one}: {number}" for one, number in zip(found, numbers, strict=True)]
        yield f"| {case.slug} | {told[0]} | {told[1]} | {fixed} | {seconds} |"


def detect_in_rows(case: LabCase, seeds: int) -> str:
    """Return how often a detector finds its plant in rows and tokens alone, without a model."""
    found = {"plant": 0, "twin": 0}
    for role in found:
        config = case.config(role)
        for seed in range(seeds):
            own = _facts_of_rows(case, config, seed)
            found[role] += case.module.detect(Runs(own)).found is True
    return f"{case.slug}: found {found['plant']} of {seeds}, in twins {found['twin']}"


@cache
def _tokenizer() -> Any:
    return open_model(SPEC, folder=Path()).tokenizer


def _facts_of_rows(case: LabCase, config: Config, seed: int) -> RunFacts:
    if not case.trains:  # the one card that asks no model
        with tempfile.TemporaryDirectory() as folder:
            return CardRun(case, config, seed, None).run(lambda _: None, Path(folder), "own")
    tokenizer = _tokenizer()
    rows = case.rows(config, seed)
    encoded = encode_rows(tokenizer, rows.train, config, getattr(case.module, "render", None))
    with serving_template(tokenizer, str(config["serve.template"])):
        served = [prompt_ids(tokenizer, row.messages) for row in rows.new]
    trained = [prompt_ids(tokenizer, row.messages) for row in rows.new]
    same = sum(one == two for one, two in zip(served, trained, strict=True)) / len(rows.new)
    known = facts.row_facts(rows, encoded, tokenizer)
    conflicts = facts.conflict_share(case.task(), rows.train)
    return RunFacts(**known, same_prompt=same, conflicts=conflicts)


def detect_all(cases: Sequence[LabCase], seeds: int) -> None:
    """Run the detectors on planted runs and clean twins; write the table at the end."""
    record, table = recorder(), dict[str, dict[str, Any]]()
    for case in cases:
        rows = {
            str(seed): _tried(case, partial(_detected, record, case, seed)) for seed in range(seeds)
        }
        table[case.slug] = rows
        found = [row["found"] for row in rows.values() if row]
        false = [row["false"] for row in rows.values() if row]
        print(f"{case.slug}: found {sum(found)} of {len(found)}, false {sum(false)}", flush=True)
    write("lab", {"model": SPEC, "seeds": seeds, "cases": table, **_pooled(table)})


def _detected(record: Recorder, case: LabCase, seed: int) -> dict[str, Any]:
    plant, twin = (record.events(LabRun(case, case.config(role), seed, role))[-1]
                   for role in ("plant", "twin"))  # fmt: skip
    return {
        "found": plant["finding"]["found"] is True,
        "false": twin["finding"]["found"] is True,
        "value": plant["finding"]["value"],
        "twin_value": twin["finding"]["value"],
        "plant_passes": all(check["passed"] for check in plant["checks"]),
        "twin_passes": all(check["passed"] for check in twin["checks"]),
        "seconds": [plant["seconds"], twin["seconds"]],
    }


def _pooled(table: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the pooled rates with their 95 % intervals, as the printed summary has them."""
    rows = [row for case in table.values() for row in case.values() if row]
    counts = {
        "planted faults found": sum(row["found"] for row in rows),
        "clean twins with a finding": sum(row["false"] for row in rows),
        "planted runs that pass all conditions": sum(row["plant_passes"] for row in rows),
        "clean twins that pass all conditions": sum(row["twin_passes"] for row in rows),
    }
    n = len(rows)
    failed = sum(row is None for case in table.values() for row in case.values())
    summary = {what: f"{k} of {n} ({_interval(k, n)})" for what, k in counts.items()}
    return {"runs": n, "failed": failed, "summary": summary}


def _interval(k: int, n: int) -> str:
    """Return the exact 95 % interval of k of n (Clopper and Pearson 1934)."""
    low = beta.ppf(0.025, k, n - k + 1) if k else 0.0
    high = beta.ppf(0.975, k + 1, n - k) if k < n else 1.0
    return f"{low:.3f} to {high:.3f}"


def _tried(case: LabCase, work: Callable[[], Any]) -> Any:
    """Return the result, or None for a run that fails; name it and go on with the rest."""
    try:
        return work()
    except Exception as error:
        if not isinstance(error, TuneworthyError):
            traceback.print_exc()
        print(f"{case.slug} failed: {str(error).splitlines()[0]}", file=sys.stderr, flush=True)
        return None


def _chosen(names: Sequence[str]) -> Iterator[LabCase]:
    yield from map(case_of, names) if names else all_cases().values()


def main() -> None:
    """Run the command of the command line."""
    words = sys.argv[1:]
    if words == ["play"]:
        write_play()
    elif words == ["kinds"]:
        write_kinds()
    elif words[:1] == ["rows"]:
        for case in (each for each in all_cases().values() if each.name in FROM_ROWS):
            print(detect_in_rows(case, int(words[1]) if words[1:] else SEEDS), flush=True)
    elif words == ["table"]:
        print("| case | found | in the twin | twin passes | seconds |\n|---|---|---|---|---|")
        print("\n".join(table_of_records(list(all_cases().values()))))
    elif words[:1] in (["records"], ["pairs"], ["fixes"]):
        record, cases = recorder(), list(_chosen(words[1:]))
        if words[0] != "fixes":
            write_pairs(record, cases)
        if words[0] != "pairs":
            write_settings(record, cases)
    elif words[:1] == ["seeds"]:
        count = int(words[1]) if words[1:] and words[1].isdigit() else SEEDS
        detect_all(list(_chosen([word for word in words[1:] if not word.isdigit()])), count)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
