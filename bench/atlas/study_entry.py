"""Make an entry of the atlas from a user's finished study."""

from __future__ import annotations

import re
from pathlib import Path

from bench.atlas.entry import Entry, EntryLabels, is_key, make_entry
from bench.atlas.run_cell import measured_on, shown_rows

from tuneworthy.records.errors import TaskError
from tuneworthy.report.results_folder import open_study


def entry_of_study(
    study: Path, kind: str | None, key: str | None, facts_change: bool, figures_only: bool
) -> Entry:
    """Return the entry of a finished study, given by its folder, name or hash.

    Raises TaskError for a key that can't name a file, and if others can't score the answers again.
    """
    opened = open_study(study)
    results = opened.results
    task = results.task
    plain = re.sub(r"[^a-z0-9_.-]", "-", opened.folder.name.lower())
    key = key or plain[-80:].lstrip("_.-")  # the study's hash stands at the end
    if not is_key(key):
        raise TaskError("this key can't name an entry", where="--key", got=key, kept="",
                        fix="small letters, digits, . _ and -, 80 at most")  # fmt: skip
    named = EntryLabels(
        key=key,
        kind=kind or task.name,
        title=task.name,
        facts_change=facts_change,
        shown=() if figures_only else shown_rows(opened.home / "task.yaml", results),
    )
    return make_entry(results, named, measured_on(opened.folder, results), figures_only)
