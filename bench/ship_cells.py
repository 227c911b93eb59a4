"""Copy measured cells of a folder into the package; drop their seconds if other jobs ran beside.

usage: ship_cells.py FOLDER [--busy]     FOLDER is where `tuneworthy atlas run` ran
"""

from __future__ import annotations

import sys
from pathlib import Path

from tuneworthy.atlas.atlas_data import ADDED_FOLDER, SHIPPED_FOLDER
from tuneworthy.atlas.check_entry import check_entry
from tuneworthy.atlas.entry import Entry
from tuneworthy.atlas.entry_files import PACKED_SUFFIX, pack_entry, read_packed

BUSY = "not kept: other jobs ran on the same core"


def without_seconds(entry: Entry) -> Entry:
    """Return an entry without times, which says why it has none."""
    none = {"seconds": None, "fit_seconds": None}
    arms = tuple(arm.model_copy(update=none) for arm in entry.card.arms)
    runs = tuple(run.model_copy(update={"seconds": None}) for run in entry.runs)
    environment = {**entry.card.environment, "seconds": BUSY}
    card = entry.card.model_copy(update={"arms": arms, "environment": environment})
    return entry.model_copy(update={"card": card, "runs": runs})


def main() -> None:
    """Check each entry and write it among the shipped ones."""
    for path in sorted((Path(sys.argv[1]) / ADDED_FOLDER).glob(f"*{PACKED_SUFFIX}")):
        entry = read_packed(path)
        entry = without_seconds(entry) if "--busy" in sys.argv else entry
        scored = check_entry(entry)
        (SHIPPED_FOLDER / path.name).write_bytes(pack_entry(entry))
        print(f"{entry.card.key}: {scored} answers scored again")


if __name__ == "__main__":
    main()
