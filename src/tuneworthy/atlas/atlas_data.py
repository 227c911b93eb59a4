"""Read and keep the entries of the atlas, shipped and added; of each key the newest counts."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tuneworthy import __version__
from tuneworthy.atlas.cells import Cell, missing_arms
from tuneworthy.atlas.entry import Entry, EntryHead
from tuneworthy.atlas.entry_files import SUFFIX, pack, read_head, read_packed
from tuneworthy.core.counting import count_noun
from tuneworthy.core.errors import DataError, TaskError
from tuneworthy.ledger.trouble import output_errors

SHIPPED_FOLDER = Path(__file__).parent / "shipped"
ADDED_FOLDER = Path(".tuneworthy") / "atlas"  # below the working folder
MOST_ENTRIES = 1000


@dataclass(frozen=True)
class Listed:
    """An entry of the atlas: its figures, its file, whether it came with the package."""

    head: EntryHead
    path: Path
    shipped: bool

    @property
    def key(self) -> str:
        """Return the entry's key."""
        return self.head.card.key


@dataclass(frozen=True)
class Atlas:
    """The entries by key, and notes on entries that were left out or are of another version."""

    entries: dict[str, Listed]
    notes: tuple[str, ...] = ()

    def measured(self, cell: Cell, model: str) -> bool:
        """Return whether a cell has an entry for a model with every arm that applies."""
        listed = self.entries.get(cell.key(model))
        return listed is not None and not missing_arms(cell, listed.head.card)

    def entry(self, key: str) -> Entry:
        """Return an entry with its answers. Raises TaskError for an unknown key, DataError."""
        if key not in self.entries:
            there = ", ".join(sorted(self.entries)) or "none yet"
            raise TaskError(
                "the atlas has no such entry", got=key, fix=f"there are: {there}", kept=""
            )
        return read_packed(self.entries[key].path)


def read_atlas(working: Path | None) -> Atlas:
    """Return the atlas of the package, with what was measured or added in a working folder."""
    found: dict[str, Listed] = {}
    notes: list[str] = []
    folders = [(SHIPPED_FOLDER, True)] + (
        [] if working is None else [(working / ADDED_FOLDER, False)]
    )
    for folder, shipped in folders:
        for path in sorted(folder.glob(f"*{SUFFIX}"))[:MOST_ENTRIES]:
            try:
                listed = Listed(read_head(path), path, shipped)
            except DataError as error:
                notes.append(f"{path.name} is left out: {error.what} ({error.got})")
                continue
            known = found.get(listed.key)
            if known is None or known.head.card.measured <= listed.head.card.measured:
                found[listed.key] = listed
    others = [each for each in found.values() if each.head.version != __version__]
    if others:
        versions = sorted({each.head.version for each in others})
        count = count_noun(len(others), "measured task")
        notes.append(f"{count} of tuneworthy {', '.join(versions)}; this is {__version__}")
    return Atlas(dict(sorted(found.items())), tuple(notes))


def keep_entry(entry: Entry, working: Path) -> Path:
    """Write an entry into the working folder's part of the atlas and return its file."""
    path = working / ADDED_FOLDER / f"{entry.card.key}{SUFFIX}"
    with output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
        temporary.write_bytes(pack(entry))
        temporary.replace(path)
    return path
