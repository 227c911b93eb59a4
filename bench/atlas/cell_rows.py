"""Refuse an entry that would stand in a cell of the map with other rows than the cell has."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from bench.atlas.cells import MODEL, Cell, all_cells
from bench.atlas.entry import NO_MODEL, Entry
from bench.atlas.run_cell import write_cell

from tuneworthy.flows.session import read
from tuneworthy.records.errors import DataError
from tuneworthy.records.run import RunOptions
from tuneworthy.rows.fingerprint import rows_digest


def refuse_other_rows(entry: Entry) -> None:
    """Raise DataError if an entry has the key, or type and size, of a cell, but not its test rows.

    The map shows such an entry in that cell, beside figures on the cell's own rows. Making the rows
    of a cell takes seconds; nothing is made for other entries.
    """
    card = entry.card
    for cell in all_cells():
        keyed = card.key == cell.key(MODEL)
        if not keyed and (card.kind, card.size) != (cell.kind, cell.size):
            continue
        named = (card.kind, card.size) == (cell.kind, cell.size)
        if keyed and not (named and card.model in (MODEL, NO_MODEL)):
            got = f"{card.kind}, {card.size:,} rows, {card.model}"
        elif card.rows_hash != (own := cell_rows_digest(cell)):
            got = f"rows {card.rows_hash[:12]}, not {own[:12]}"
        else:
            continue
        raise DataError(
            "this entry is not of the cell that it names",
            where=f"{card.key}, cell {cell.id}",
            got=got,
            fix="give it a kind and a key of its own (atlas entry --kind, --key)",
            kept="the atlas, unchanged",
        )


def cell_rows_digest(cell: Cell) -> str:
    """Return the digest of a cell's test rows, which are made again."""
    with TemporaryDirectory(prefix="tuneworthy-cell-") as folder:
        loaded, split = read(write_cell(cell, Path(folder)), RunOptions())
    scored = {case for part in split.parts for case in part.test}
    return rows_digest(case for case in loaded.everyone if case.id in scored)
