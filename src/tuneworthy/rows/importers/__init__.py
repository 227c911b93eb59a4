"""Importers: what the records of another tool mean; `containers/` reads the files.

`_paths.py` has the formats that are field paths alone. A plug-in, one a file, has

    FORMAT        its name in messages
    NEEDS         the fields that each record of this format has, `a.b` for a field of a field
    TAKES         the sources of the input and of the right answer, in words
    fits(record)  whether a record has this format; no record fits two
    rows(record, notes)   the rows of a record that fits, with the answers of systems. `notes` is
                  one dict for a whole file, with its "path". Raises BadRow for a record that
                  makes no row; its reason is counted and shown.
    note(record, notes)   optional: reads from another record what holds for the whole file
    learn(sample, notes)  optional: reads from the first records what holds for the whole file

Records of no format are rows of a table, whose columns `rows/column_roles.py` recognises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from tuneworthy.records.plugins import catalogue, load
from tuneworthy.rows.bad_rows import ImportedRow, RawRow
from tuneworthy.rows.importers._paths import BY_PATHS

Notes = dict[str, Any]


@dataclass(frozen=True)
class Format:
    """A format of another tool, whether field paths or a plug-in; see the module's text.

    Without inputs it is one of answers alone.
    """

    name: str
    takes: tuple[str, str]
    needs: tuple[str, ...]
    fits: Callable[[RawRow], bool]
    rows: Callable[[RawRow, Notes], Iterator[ImportedRow]]
    note: Callable[[RawRow, Notes], None] | None = None
    learn: Callable[[Sequence[RawRow], Notes], None] | None = None
    has_inputs: bool = True


@cache
def formats() -> dict[str, Format]:
    """Return every format by its name, sorted."""
    found = {
        name: Format(one.name, one.takes, tuple(group[0] for group in one.needs), one.fits,
                     one.rows, has_inputs=bool(one.input))
        for name, one in BY_PATHS.items()
    }  # fmt: skip
    for name in catalogue("importers"):
        module = load("importers", name)
        note, learn = (getattr(module, part, None) for part in ("note", "learn"))
        found[name] = Format(
            module.FORMAT, module.TAKES, module.NEEDS, module.fits, module.rows, note, learn
        )
    return dict(sorted(found.items()))
