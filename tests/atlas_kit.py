"""Entries of the atlas for tests: of a small study with recorded answers, and cells of few rows."""

from datetime import date
from pathlib import Path

from bench.atlas import atlas_data, cells
from bench.atlas.atlas_data import Atlas, ListedEntry
from bench.atlas.entry import EntryHead, EntryLabels, make_entry
from bench.atlas.package_file import write_package_file

from tests import studies
from tuneworthy.flows.study import run
from tuneworthy.records.run import RunOptions
from tuneworthy.report import atlas_file

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


def publish(monkeypatch, folder, *entries):
    """Make an atlas of these entries the one that the package ships; `folder` is written to."""
    for each in entries:
        atlas_data.write_entry(each, folder)
    return ship(monkeypatch, folder, atlas_data.read_atlas(folder))


def ship(monkeypatch, folder, atlas):
    """Make an atlas the one that the package ships; return its figures."""
    monkeypatch.setattr(atlas_file, "ATLAS_FILE", folder / "atlas.json.xz")
    atlas_file._read_figures.cache_clear()
    write_package_file(atlas)
    return atlas_file.read_atlas()


def atlas_of(*cards):
    """Return an atlas of figures only."""
    heads = [EntryHead(card=each) for each in cards]
    return Atlas({head.card.key: ListedEntry(head, None, False) for head in heads})
