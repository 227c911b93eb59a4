"""Read and write the entries of the atlas, shipped and added; the newest of a key counts."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from bench.atlas.entry import Entry, EntryHead
from bench.atlas.entry_files import PACKED_SUFFIX, pack_entry, read_head, read_packed

from tuneworthy import __version__
from tuneworthy.records.counting import count_noun
from tuneworthy.records.errors import DataError, TaskError
from tuneworthy.store.trouble import output_errors

SHIPPED_FOLDER = Path(__file__).parent / "entries"
ADDED_FOLDER = Path(".tuneworthy") / "atlas"  # below the working folder
MOST_ENTRIES = 1000


@dataclass(frozen=True)
class ListedEntry:
    """An entry of the atlas: its figures, its file, and whether it is shipped with the package."""

    head: EntryHead
    path: Path
    shipped: bool

    @property
    def key(self) -> str:
        """Return the entry's key."""
        return self.head.card.key


@dataclass(frozen=True)
class Atlas:
    """Entries by key, and notes on entries that were left out or are of another version."""

    entries: dict[str, ListedEntry]
    notes: tuple[str, ...] = ()

    def entry(self, key: str) -> Entry:
        """Return an entry with its answers. Raises TaskError: unknown key, DataError: bad file."""
        if key not in self.entries:
            there = ", ".join(sorted(self.entries)) or "none yet"
            raise TaskError(
                "the atlas has no such entry", got=key, fix=f"there are: {there}", kept=""
            )
        return read_packed(self.entries[key].path)


def read_atlas(working: Path | None) -> Atlas:
    """Return the shipped entries and those that were measured or added in a working folder."""
    found: dict[str, ListedEntry] = {}
    notes: list[str] = []
    folders = [(SHIPPED_FOLDER, True)] + (
        [] if working is None else [(working / ADDED_FOLDER, False)]
    )
    for folder, shipped in folders:
        for path in sorted(folder.glob(f"*{PACKED_SUFFIX}"))[:MOST_ENTRIES]:
            try:
                listed = ListedEntry(read_head(path), path, shipped)
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


def refuse_older(entry: Entry, atlas: Atlas) -> None:
    """Raise DataError if the atlas has a newer entry of this key, which counts instead.

    An added entry is one file a key, so that an older one would replace the newer.
    """
    listed = atlas.entries.get(entry.card.key)
    if listed is None or listed.head.card.measured <= entry.card.measured:
        return
    newer = listed.head.card.measured
    raise DataError(
        "the atlas has a newer entry of this key",
        where=str(listed.path),
        got=f"measured on {entry.card.measured}, the other on {newer}",
        fix="write it with another key: python -m bench.atlas entry STUDY --out FOLDER --key KEY",
        kept="the atlas, unchanged",
    )


def write_entry(entry: Entry, working: Path) -> Path:
    """Write an entry into the working folder's atlas and return its file."""
    path = working / ADDED_FOLDER / f"{entry.card.key}{PACKED_SUFFIX}"
    with output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
        temporary.write_bytes(pack_entry(entry))
        temporary.replace(path)
    return path
