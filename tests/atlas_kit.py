"""Entries of the atlas for tests: of a small study with recorded answers, and cells of few rows."""

from datetime import date
from pathlib import Path

from tests import studies
from tuneworthy.atlas import atlas_data, cells
from tuneworthy.atlas.entry import EntryLabels, make_entry
from tuneworthy.core.run_options import RunOptions
from tuneworthy.study import run

DAY = date(2026, 11, 1)
ARMS = ["present", "majority", "tfidf", "zero_shot"]


def results_of(folder: Path, **task):
    """Return the results of a small study: recorded answers, a classifier, a scripted model."""
    path = studies.write(folder, **{"arms": ARMS, **task})
    return run(path, RunOptions(brief=True)).results


def entry(results, key="planted-40", **changed):
    fields = {"kind": "Planted rule", "title": "Planted, 40 rows", **changed}
    return make_entry(results, EntryLabels(key=key, **fields), DAY)


def few_rows(monkeypatch):
    """Make cells of few rows: 60, of which 40 are to learn from and 20 are test rows; none ship."""
    monkeypatch.setattr(atlas_data, "SHIPPED_FOLDER", Path("nothing-shipped"))
    monkeypatch.setattr(cells, "GENERATED_ROWS", 60)
    monkeypatch.setattr(cells, "TEST_ROWS", 20)
    monkeypatch.setattr(cells, "SIZES", (20, 40))
    cells.generated_task.cache_clear()
