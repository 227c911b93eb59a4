"""The map with 0, 1 and many entries; what it names where costs count or facts move."""

from datetime import date

import pytest
from bench.atlas.atlas_map import (
    build_map,
    card_line,
    choose_arm,
    model_lines,
    verdict_bound_text,
)
from bench.atlas.cell_queue import CellCost
from bench.atlas.cells import Cell
from bench.atlas.package_file import figures
from bench.atlas.plan_screen import plan_lines, plan_plain
from tests.atlas_kit import atlas_of as atlas

from tuneworthy.records.interval import Interval
from tuneworthy.records.measured_task import MeasuredArm, MeasuredTask
from tuneworthy.report.atlas import atlas_json, atlas_screen


def arm(name, tool, mean, **more):
    span = Interval(mean=mean, low=mean - 0.05, high=mean + 0.05)
    behind = more.pop("behind", None)
    gap = Interval(mean=behind, low=behind - 0.04, high=behind + 0.04) if behind else None
    fields = {"seeds": 1, "n": 200, **more}
    return MeasuredArm(name=name, tool=tool, score=span, behind=gap, **fields)


ARMS = (
    arm("majority", None, 0.1, behind=0.75),
    arm("zero_shot", "prompt", 0.3, behind=0.55, seconds=20.0),
    arm("rag", "context", 0.78, behind=0.07, seconds=60.0, holds_facts=False),
    arm("lora", "tune", 0.85, seconds=400.0, holds_facts=True),
)


def card(key="changing_facts-100-smollm2-135m", **changed):
    plain = {
        "key": key, "kind": "Changing facts", "title": "t", "size": 100, "n": 200,
        "metric": "token_f1", "margin": 0.1, "model": "smollm2-135m", "instruction": "i",
        "shown": (), "base": 0.3, "arms": ARMS, "use": "tune", "arm": "lora", "status": "firm",
        "left": 0.031, "rows_hash": "0" * 64, "measured": date(2026, 11, 1),
        "facts_change": True,
    }  # fmt: skip
    return MeasuredTask(**{**plain, **changed})


def rows_of_arms(*counts):
    return tuple(arm.model_copy(update={"n": n}) for arm, n in zip(ARMS, counts, strict=True))


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        ((200, 200, 200, 200), "· 200 test rows ·"),
        ((200, 200, 80, 40), "· 40 to 200 test rows an arm ·"),
        ((80, 80, 80, 80), "· 80 test rows an arm ·"),
        ((200, 200, 80, None), "· 80 to 200 test rows an arm, not recorded for each arm ·"),
        ((None,) * 4, "· at most 200 test rows an arm (the number was not recorded) ·"),
    ],
)
def test_on_how_many_rows_each_arm_was_scored_is_said(counts, text):
    assert text in card_line(card(arms=rows_of_arms(*counts)))


def screen(*cards, width=80, plain=False):
    return atlas_screen(figures(atlas(*cards)), width, plain).plain


def test_an_empty_atlas_says_of_every_cell_that_it_is_not_measured():
    found = build_map(atlas())
    text = screen()
    assert text.count("not measured yet") == found.cell_count == 27
    assert "0 of 27 cells are measured" in text
    assert model_lines(found.models) == []
    assert all(cell["measured"] is None for cell in atlas_json(figures(atlas()))["cells"])


def test_a_measured_cell_shows_winner_bound_status_model_and_floor():
    found = build_map(atlas(card()))
    text = screen(card(), width=100)
    assert found.measured_cells == 1
    assert "lora 0.85 (0.80–0.90)  tune, firm" in text
    assert "no other measured arm is better by more than 3.1 points" in text
    assert "smollm2-135m (135M) · 200 test rows · plain instruction 0.30 · guessing 0.10" in text
    assert "without few_shot, nearest_shots, oracle, rag_lora" in text
    assert "near the floor at this size" in text
    assert text.count("not measured yet") == 26
    assert all(len(line) <= 100 for line in text.splitlines())
    assert screen(card(), plain=True).isascii()


def test_a_bound_of_nothing_is_said_as_such():
    assert verdict_bound_text(card(left=0.0)) == "no other measured arm is better"
    assert (
        verdict_bound_text(card(left=0.01))
        == "no other measured arm is better by more than 1 point"
    )
    assert verdict_bound_text(card(left=None)) == ""


def test_entries_of_other_tasks_stand_beside_the_grid():
    other = card("mine-80", kind="My mails", size=80, model="openai:x")
    found = build_map(atlas(card(), other))
    assert [listed.key for listed in found.outside_grid] == ["mine-80"]
    assert "mine-80" in screen(card(), other)
    assert found.models == ("openai:x", "smollm2-135m")
    assert model_lines(["openai:x"]) == ["Measured with openai:x."]
    assert model_lines(["no model"]) == ["No arm that was measured asks a model."]
    assert model_lines(["no model", "openai:x"]) == [
        "Measured with openai:x; some tasks by arms that ask no model."
    ]


def test_another_models_entry_fills_a_cell_until_the_embedded_one_is_there():
    other = card("changing_facts-100-big", model="openai:big")
    (cell,) = (c for _, cells in build_map(atlas(other)).rows for c in cells if c.listed)
    assert cell.listed.key == other.key
    both = build_map(atlas(other, card()))
    (cell,) = (c for _, cells in both.rows for c in cells if c.listed)
    assert cell.listed.key == card().key
    assert [listed.key for listed in both.outside_grid] == [other.key]


def test_if_costs_count_the_cheapest_within_the_margin_is_named():
    assert choose_arm(card()).arm.name == "lora"
    chosen = choose_arm(card(), "seconds")
    assert chosen.arm.name == "rag"
    assert chosen.why == "the cheapest of 2 within the margin, at most 11 points behind the best"
    assert choose_arm(card(margin=0.05), "seconds").arm.name == "lora"
    assert choose_arm(card(), "usd").arm is None
    assert choose_arm(card(), "usd").why == "no price was measured"
    priced = card(arms=(*ARMS[:3], ARMS[3].model_copy(update={"usd_per_1k": 2.0})))
    assert choose_arm(priced, "usd").arm.name == "lora"
    assert choose_arm(priced, "usd").why.endswith("; 1 not priced")


def test_if_facts_move_no_arm_is_named_that_holds_them_in_weights():
    chosen = choose_arm(card(), facts_move=True)
    assert (chosen.arm.name, chosen.why) == (
        "rag",
        "the best of those that hold no facts in weights",
    )
    assert choose_arm(card(facts_change=False), facts_move=True).arm.name == "lora"
    assert choose_arm(card(), "seconds", facts_move=True).arm.name == "rag"


@pytest.mark.parametrize(
    ("status", "why"),
    [
        ("firm", "no arm beats the reference by more than the margin"),
        ("provisional", "no arm that could be named is shown to beat the reference"),
        ("blocked", "no verdict: rows or metric must be repaired first"),
    ],
)
def test_where_the_verdict_names_no_arm_every_view_says_what_is_shown(status, why):
    """A provisional verdict shows no loss: an arm may be 18 points better than the reference."""
    none = card(arm=None, use="none", status=status)
    assert (choose_arm(none).arm, choose_arm(none).why) == (None, why)
    assert choose_arm(none, "seconds", facts_move=True) == choose_arm(none)
    assert why in screen(none)


def test_a_bound_says_what_it_is_measured_from():
    none = card(arm=None, use="none", left=0.18)
    assert (
        verdict_bound_text(none)
        == "no measured arm is better than the reference by more than 18 points"
    )
    assert verdict_bound_text(card(arm=None, use="none", left=0.0)) == (
        "no measured arm is better than the reference"
    )
    cut = card(arm=None, use="none", left=0.058, status="provisional")  # its margin is 10 points
    assert verdict_bound_text(cut).endswith("than 5.8 points; still provisional: the task says why")
    by_cost = card(use="context", arm="rag", left=0.0)  # its motive is cost: `lora` is better
    assert verdict_bound_text(by_cost) == "another measured arm is better by 7 points"


def test_no_view_names_an_arm_that_scores_no_higher_than_guessing():
    low = (
        arm("majority", None, 0.28, behind=0.02),
        arm("zero_shot", "prompt", 0.26, behind=0.04, seconds=1.0),
        arm("lora", "tune", 0.3, seconds=100.0, holds_facts=True),
    )
    assert choose_arm(card(arms=low), "seconds").arm.name == "lora"
    chosen = choose_arm(card(arms=low), facts_move=True)
    assert (chosen.arm, chosen.why) == (None, "no arm that is left scores above the reference")
    named = card(arms=low, use="prompt", arm="zero_shot")
    assert choose_arm(named, "seconds").arm.name == "zero_shot"  # the verdict names it


def test_where_all_arms_hold_facts_none_is_named():
    tuned = card(arms=(ARMS[0], ARMS[3]))
    assert choose_arm(tuned, "seconds", True).why == "every measured arm holds facts in weights"


def test_a_recorded_system_without_a_tool_is_not_called_guessing():
    ours = card(arms=(arm("ours", None, 0.9), *ARMS[1:]), use="other", arm="ours")
    assert "guessing" not in card_line(ours)
    assert choose_arm(ours).arm.name == "ours"


def test_a_line_without_a_base_or_a_reference_says_neither():
    bare = card(base=None, arms=ARMS[2:])
    assert card_line(bare) == "smollm2-135m (135M) · 200 test rows"
    assert "gold passage 0.41" in card_line(card(reading=0.41))


def test_a_plan_says_the_minutes_units_and_new_arms_of_each_cell():
    costs = [
        CellCost(Cell("clause_type", 100), 10.0, 9, 5, begun=True),
        CellCost(Cell("clause_type", 1000), 100.0, 9, 8),
    ]
    text = plan_lines(costs, 27, ["distil does not apply to clause_type"], 90).plain
    assert "2 of 27 cells to measure" in text
    assert "about 110 min" in text
    assert "9 units, 5 arms new, begun" in text
    assert "distil does not apply" in text
    plain = plan_plain(costs, 27, [])
    assert [each["cell"] for each in plain["queue"]] == ["clause_type-100", "clause_type-1000"]
    assert plain["minutes"] == pytest.approx(110)
