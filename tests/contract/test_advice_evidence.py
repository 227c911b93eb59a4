"""The tables of advisers and of cells in the evidence are what the shipped tasks give."""

import sys
from pathlib import Path

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
