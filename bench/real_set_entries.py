"""Write the atlas entries of the public sets from the figures that `bench/real_sets.py` measured.

`python bench/real_set_entries.py DATA [FOLDER]`: DATA holds the sets; the entries go
into FOLDER, else among the shipped ones. They hold figures only: no row and no answer of a public
set. What the benchmark did not record is None: on how many cases each arm was scored, and how far
an arm is behind the best one where the verdict names another. Seconds are left out: other jobs ran
beside.
"""

from __future__ import annotations

import json
import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import real_sets
from bench.atlas.atlas_data import SHIPPED_FOLDER
from bench.atlas.cells import MODEL
from bench.atlas.check_entry import check_entry
from bench.atlas.entry import Entry
from bench.atlas.entry_files import PACKED_SUFFIX, pack_entry
from bench.atlas.features import row_features
from bench.atlas.public_sets import SETS

from tuneworthy.flows.session import read
from tuneworthy.records.interval import Interval
from tuneworthy.records.measured_task import MeasuredArm, MeasuredTask
from tuneworthy.records.plugins import load
from tuneworthy.records.run import RunOptions
from tuneworthy.rows.fingerprint import rows_digest

KEPT_FOR_LEARNING = 4 / 5  # of the labelled rows: each of five folds is scored once
# The label in bench/results/real_sets.json of the study of each set whose tuned model learnt from
# most rows, of these the newest.
STUDIES = {
    "banking77": "after, equal folds, busy",
    "e2e_style": "after, bounds of near-copies",
    "gsm8k": "after, prompts looked at",
    "piqa_general": "after, firm rule of 29 Nov",
    "snips_json": "after, prompts looked at",
    "xquad_docs": "after, equal folds",
}


def key_of(name: str, rows: int) -> str:
    """Return the key of a set's entry."""
    return f"{name}-{rows}-{MODEL}"


def arms_of(told: dict[str, Any]) -> tuple[MeasuredArm, ...]:
    """Return the arms of a study as the benchmark recorded them, without the ceiling."""
    known = {name: load("arms", name) for name in told["arms"]}
    shown = {n: Interval(**told["arms"][n]) for n, arm in known.items() if arm.ROLE != "ceiling"}
    best = max((n for n in shown if known[n].TOOL), key=lambda n: shown[n].mean)
    return tuple(
        MeasuredArm(
            name=name,
            tool=known[name].TOOL or None,
            seeds=1,
            score=score,
            behind=_behind(told, name, best),
            holds_facts=known[name].TOOL == "classifier"
            or ("training" in known[name].NEEDS and "docs" not in known[name].NEEDS),
        )
        for name, score in shown.items()
    )


def _behind(told: dict[str, Any], name: str, best: str) -> Interval | None:
    """Return the best arm's score minus this one's, if the study compared this pair."""
    if best == told["arm"] and name in told["deltas"]:
        delta = told["deltas"][name]
        return Interval(mean=-delta["mean"], low=-delta["high"], high=-delta["low"])
    pair = told["deltas"].get(best, {})
    if name != best and pair.get("versus") == name:
        return Interval(**{end: pair[end] for end in ("mean", "low", "high")})
    return None


def entry_of_set(data: Path, name: str) -> Entry:
    """Return the entry of a set: the figures of its newest study, the facts of its rows."""
    label, kind = STUDIES[name], SETS[name].title
    told = json.loads((real_sets.RESULTS / "real_sets.json").read_text("utf-8"))[label][name]
    with tempfile.TemporaryDirectory() as home:
        path = real_sets.written(data.resolve(), name, Path(home), told["rows"], None)
        loaded, _ = read(path, RunOptions())
    task, scores = loaded.task, told["arms"]
    learnt = round(told["rows"] * KEPT_FOR_LEARNING)
    outputs = [case.output for case in loaded.cases]
    return Entry(
        version=told["version"],
        card=MeasuredTask(
            key=key_of(name, told["rows"]),
            kind=kind,
            title=f"{kind} ({name})",
            size=learnt,
            n=told["rows"],
            metric=SETS[name].metric,
            margin=task.success.margin,
            model=MODEL,
            instruction=task.instruction,
            shown=(),
            base=scores["zero_shot"]["mean"],
            reading=scores["oracle"]["mean"] if "oracle" in scores else None,
            arms=arms_of(told),
            use=told["use"],
            arm=told["arm"],
            status=told["status"],
            left=told["left"],
            rows_hash=rows_digest(loaded.cases),
            environment={
                "tuneworthy": told["version"],
                "machine": told["cpu"],
                "study": f"{told['minutes']} minutes, other jobs beside; {'; '.join(told['cuts'])}",
                "figures": f"bench/results/real_sets.json, “{label}”",
            },
            measured=date.fromisoformat(told["date"]),
            source=name,
            output_type=task.output.type,
            features=row_features(outputs, learnt, task.output.type),
            because=told["because"],
        ),
    )


def main() -> None:
    """Write the entry of each set that has a study."""
    data = Path(sys.argv[1])
    folder = Path(sys.argv[2]) if sys.argv[2:] else SHIPPED_FOLDER
    for name in STUDIES:
        entry = entry_of_set(data, name)
        check_entry(entry)
        (folder / f"{entry.card.key}{PACKED_SUFFIX}").write_bytes(pack_entry(entry))
        print(f"{entry.card.key}: use {entry.card.use}, {entry.card.status}")


if __name__ == "__main__":
    main()
