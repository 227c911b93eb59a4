"""The tables of advisers and of cells in the evidence are what the shipped tasks give."""

import sys
from pathlib import Path

from tuneworthy.atlas.atlas_data import read_atlas
from tuneworthy.atlas.cells import MODEL, all_cells, unscored_arms

ROOT = Path(__file__).parents[2]


def test_the_evidence_states_what_the_shipped_tasks_give(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT / "bench"), *sys.path])
    monkeypatch.delenv("TUNEWORTHY_SOUP", raising=False)
    import advice

    page = (ROOT / "docs" / "evidence" / "claims.md").read_text("utf-8")
    for line in advice.lines():
        assert line in page, "python bench/advice.py prints the lines again"


def test_the_evidence_states_every_arm_of_the_cells_that_ship(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT / "bench"), *sys.path])
    import atlas

    page = (ROOT / "docs" / "evidence" / "atlas.md").read_text("utf-8")
    assert "\n".join(atlas.lines()).strip() in page, "python bench/atlas.py prints them again"


def test_the_readme_states_the_named_arm_and_the_tuned_one_of_each_whole_cell(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT / "bench"), *sys.path])
    import atlas

    head, named, tuned = (
        next(line for line in (ROOT / "README.md").read_text("utf-8").splitlines() if start in line)
        for start in ("[all arms]", "| named |", "| `lora` |")
    )
    whole = [
        listed.head.card
        for cell in all_cells()
        if (listed := read_atlas(None).entries.get(cell.key(MODEL)))
        and not unscored_arms(cell, listed.head.card)
    ]
    assert head.count("|") == len(whole) + 2
    for card in whole:
        arms = {arm.name: atlas.interval_text(arm.score) for arm in card.arms}
        assert arms["lora"] in tuned
        assert (f"`{card.arm}` {arms[card.arm]}" if card.arm else "nothing") in named
