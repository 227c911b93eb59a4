"""Copy measured cells of a folder into the package; drop their seconds if other jobs ran beside.

usage: python -m bench.atlas.ship_cells FOLDER [--busy | --seconds NOTE]

FOLDER is where `python -m bench.atlas run` ran.

NOTE says how the seconds were measured, such as "on one of two cores, another cell on the other".
An entry of the folder that is no whole cell of this version is passed over, with the reason.
"""

from __future__ import annotations

import sys
from pathlib import Path

from bench.atlas.atlas_data import ADDED_FOLDER, SHIPPED_FOLDER
from bench.atlas.cell_rows import refuse_other_rows
from bench.atlas.cells import MODEL, all_cells, scored_arms
from bench.atlas.check_entry import check_entry
from bench.atlas.entry import Entry
from bench.atlas.entry_files import PACKED_SUFFIX, pack_entry, read_head, read_packed
from bench.atlas.public_sets import SETS

from tuneworthy import __version__
from tuneworthy.records.errors import DataError

BUSY = "not kept: other jobs ran on the same core"


def without_seconds(entry: Entry) -> Entry:
    """Return an entry without times, which says why it has none."""
    none = {"seconds": None, "fit_seconds": None}
    arms = tuple(arm.model_copy(update=none) for arm in entry.card.arms)
    runs = tuple(run.model_copy(update={"seconds": None}) for run in entry.runs)
    environment = {**entry.card.environment, "seconds": BUSY}
    card = entry.card.model_copy(update={"arms": arms, "environment": environment})
    return entry.model_copy(update={"card": card, "runs": runs})


def with_note(entry: Entry, seconds: str) -> Entry:
    """Return an entry whose environment says how its seconds were measured."""
    environment = {**entry.card.environment, "seconds": seconds}
    card = entry.card.model_copy(update={"environment": environment})
    return entry.model_copy(update={"card": card})


def why_not_shipped(entry: Entry, shipped: Path) -> str:
    """Return why an entry may not ship, or may not replace the one at `shipped`; "" if it may."""
    card = entry.card
    cell = next((each for each in all_cells() if each.key(MODEL) == card.key), None)
    public = card.source in SETS and entry.figures_only  # nobody's rows stand in it
    if not public and (cell is None or entry.figures_only):
        return "no cell of the map with answers, and no public set"
    if entry.version != __version__:
        return f"measured by tuneworthy {entry.version}, not {__version__}"
    try:
        check_entry(entry)
        refuse_other_rows(entry)
    except DataError as error:
        return f"{error.what} ({error.got})"
    if not shipped.is_file():
        return ""
    before = read_head(shipped).card
    if before.measured > card.measured:
        return f"the shipped one is newer ({before.measured})"
    lost = scored_arms(before) - scored_arms(card)
    return f"the shipped one has {', '.join(sorted(lost))}" if lost else ""


def main() -> int:
    """Check each entry and write it among the shipped ones; return 1 if one was passed over."""
    passed_over = 0
    for path in sorted((Path(sys.argv[1]) / ADDED_FOLDER).glob(f"*{PACKED_SUFFIX}")):
        entry, shipped = read_packed(path), SHIPPED_FOLDER / path.name
        if why := why_not_shipped(entry, shipped):
            passed_over += 1
            print(f"{entry.card.key}: passed over, {why}")
            continue
        if "--busy" in sys.argv:
            entry = without_seconds(entry)
        elif "--seconds" in sys.argv:
            entry = with_note(entry, sys.argv[sys.argv.index("--seconds") + 1])
        scored = check_entry(entry)
        shipped.write_bytes(pack_entry(entry))
        print(f"{entry.card.key}: {scored} answers scored again")
    return min(passed_over, 1)


if __name__ == "__main__":
    sys.exit(main())
