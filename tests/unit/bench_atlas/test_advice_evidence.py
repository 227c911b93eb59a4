"""The tables of advisers and of cells in the evidence are what the shipped tasks give."""

from pathlib import Path

from bench.atlas.atlas_data import read_atlas
from bench.atlas.cells import MODEL, all_cells, unscored_arms
from bench.atlas.package_file import figures

from tuneworthy.report.atlas_file import read_atlas as read_package
from tuneworthy.report.atlas_file import read_cases

ROOT = Path(__file__).parents[3]


def test_the_evidence_states_what_the_shipped_tasks_give(monkeypatch):
    monkeypatch.delenv("TUNEWORTHY_SOUP", raising=False)
    from bench.atlas import advice_table

    page = (ROOT / "docs" / "evidence" / "claims.md").read_text("utf-8")
    for line in advice_table.lines():
        assert line in page, "python -m bench.atlas.advice_table prints the lines again"


def test_the_evidence_states_every_arm_of_the_cells_that_ship(monkeypatch):
    from bench.atlas import cell_table

    page = (ROOT / "bench" / "evidence" / "atlas.md").read_text("utf-8")
    assert "\n".join(cell_table.lines()).strip() in page, "bench.atlas.cell_table prints them"


def test_the_readme_states_the_named_arm_and_the_tuned_one_of_each_whole_cell(monkeypatch):
    from bench.atlas import cell_table

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
        arms = {arm.name: cell_table.interval_text(arm.score) for arm in card.arms}
        assert arms["lora"] in tuned
        assert (f"`{card.arm}` {arms[card.arm]}" if card.arm else "nothing") in named


def test_the_package_ships_what_the_entries_give():
    """`python -m bench.atlas package` writes the file again."""
    assert figures(read_atlas(None)) == read_package()
    shipped = {key for key, each in read_atlas(None).entries.items() if not each.head.figures_only}
    assert shipped
    for key in shipped:
        entry, cases = read_atlas(None).entry(key), read_cases(key)
        assert [case.id for case in cases] == [case.id for case in entry.cases]
        counting = [run for run in entry.runs if run.counts]
        assert sum(len(case.answers) for case in cases) == sum(len(run.cases) for run in counting)
