"""Only whole cells ship: no study of one's own, no cell of fewer arms or of another version."""

import sys
from pathlib import Path

import pytest
from bench.atlas import atlas_data, cells
from bench.atlas.atlas_data import read_atlas, write_entry
from bench.atlas.cells import Cell
from bench.atlas.run_cell import CellOptions, run_cell
from tests import atlas_kit

CELL = Cell("clause_type", 20)
ROOT = Path(__file__).parents[3]


@pytest.fixture
def ship(monkeypatch, tmp_path):
    """Return the tool's `main`, set to ship the cells of `tmp_path` into an empty folder."""
    atlas_kit.few_rows(monkeypatch)
    from bench.atlas import ship_cells

    (tmp_path / "shipped").mkdir()
    for module in (atlas_data, ship_cells):
        monkeypatch.setattr(module, "SHIPPED_FOLDER", tmp_path / "shipped")
    monkeypatch.setattr(sys, "argv", ["ship_cells.py", str(tmp_path), "--busy"])
    yield ship_cells.main
    cells.generated_task.cache_clear()


def test_a_cell_ships_without_seconds_and_nothing_else_of_the_folder_does(ship, tmp_path, capsys):
    entry = run_cell(CELL, tmp_path, CellOptions(arms=("majority", "tfidf")))
    key = entry.card.key
    mine = entry.card.model_copy(update={"key": "mine", "kind": "My mails"})
    write_entry(entry.model_copy(update={"card": mine}), tmp_path)
    assert ship() == 1
    assert "mine: passed over, no cell of the map" in capsys.readouterr().out
    shipped = read_atlas(None)
    assert list(shipped.entries) == [key]
    assert all(arm.seconds is None for arm in shipped.entries[key].head.card.arms)

    alone = entry.card.arms[0].model_copy(update={"behind": None})
    fewer = entry.card.model_copy(update={"arms": (alone,), "arm": None, "use": "none"})
    runs = tuple(run for run in entry.runs if run.arm == "majority")
    write_entry(entry.model_copy(update={"card": fewer, "runs": runs}), tmp_path)
    assert ship() == 1
    assert "the shipped one has tfidf" in capsys.readouterr().out
    write_entry(entry.model_copy(update={"version": "0.1.0"}), tmp_path)
    assert ship() == 1
    assert "measured by tuneworthy 0.1.0" in capsys.readouterr().out
    assert read_atlas(None).entry(key).card.arms[1].name == "tfidf"


def test_figures_of_a_public_set_ship_and_those_of_ones_own_do_not(ship, tmp_path, capsys):
    entry = run_cell(CELL, tmp_path, CellOptions(arms=("majority", "tfidf")))
    bare = entry.model_copy(update={"scoring": None, "cases": (), "runs": ()})
    for key, source in (("piqa-20", "piqa_general"), ("mine-20", "mine")):
        card = entry.card.model_copy(
            update={"key": key, "kind": key, "source": source, "shown": ()}
        )
        write_entry(bare.model_copy(update={"card": card}), tmp_path)
    assert ship() == 1
    assert "mine-20: passed over" in capsys.readouterr().out
    assert set(read_atlas(None).entries) == {entry.card.key, "piqa-20"}
