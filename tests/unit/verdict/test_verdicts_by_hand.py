"""Figures and words of the verdict, each with the value that it must have."""

import numpy as np
import pytest
import verdict_scenes as scenes
from test_pairwise_votes import click, query, votes

from tuneworthy.matrix.sizing import VerdictAssurance
from tuneworthy.records.case import Message, Query
from tuneworthy.records.evidence import Policy
from tuneworthy.records.reason import Reason
from tuneworthy.verdict.contest import find_undecided_pair
from tuneworthy.verdict.decide import decide, standing_so_far
from tuneworthy.verdict.missing import reasons_for_nulls
from tuneworthy.verdict.open_pairs import pairs_left_open
from tuneworthy.verdict.phrases import amount, as_sentence
from tuneworthy.verdict.rule import apply_rule, ladder_scenarios
from tuneworthy.verdict.rungs import _with_gain
from tuneworthy.verdict.sequential import PairStream, gold_rows

PLAIN = Policy(margin=0.05)


def changed(found, name, **update):
    arms = [a.model_copy(update=update) if a.name == name else a for a in found.arms]
    return found.model_copy(update={"arms": tuple(arms)})


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.031, "0.031"), (0.1, "0.10"), (99.5, "99.50"), (100, "100"), (999.4, "999"),
     (1000, "1,000"), (549_321, "549,000")],
)  # fmt: skip
def test_an_amount_has_two_or_three_digits(value, text):
    assert amount(value) == text


def test_a_note_becomes_a_sentence_unless_it_begins_with_a_file():
    assert as_sentence("rows are few") == "Rows are few."
    assert as_sentence("rows.jsonl is cut") == "rows.jsonl is cut."
    assert as_sentence("is it?") == "Is it?"


def test_what_is_named_so_far_has_its_tool_and_its_arm():
    now = standing_so_far(scenes.ladder_up_to("schema"), PLAIN, False)
    assert (now.use, now.arm) == ("schema", "schema")


def test_a_null_says_why_by_its_place():
    plain = {
        "wrong": [{"arm": None, "placebo": None}, {"arm": "lora", "placebo": None}],
        "changes": {"arms": [], "temperature": None},
        "next": None, "seconds": None,
    }  # fmt: skip
    why = reasons_for_nulls({key: plain[key] for key in ("wrong", "changes", "seconds")}, {}, {})
    assert why["/wrong/0/placebo"] == "no remedy stands behind this cause"
    assert why["/wrong/1/placebo"] == "its remedy has no placebo"
    assert why["/changes/temperature"] == "no arm was trained here"
    assert why["/seconds"] == "the time of the units was not handed in"


def test_a_null_of_an_arm_says_why_by_its_state():
    found = scenes.ladder_up_to("schema")
    blank = {"state": "skipped", "because": Reason.of("no documents"), "score": None, "n": 0,
             "finalist": False}  # fmt: skip
    found = changed(found, "context", **blank)
    found = changed(found, "majority", usd_per_1k=None)
    verdict = decide(found, (), PLAIN)
    at = {arm.name: i for i, arm in enumerate(verdict.arms)}
    assert verdict.missing[f"/arms/{at['context']}/score"] == "no documents"
    assert verdict.missing[f"/arms/{at['majority']}/tool"] == "a reference is no tool"


def test_a_target_that_nothing_reaches_has_its_own_reason():
    policy = Policy(margin=0.05, target=0.9)
    none = decide(scenes.no_better(300, 0.3, 0.5, 0.12), (), policy)
    assert (none.arm, none.missing["/target_met"]) == (None, "no arm is named")
    near = decide(scenes.ladder_up_to("schema"), (), Policy(margin=0.05, target=0.86))
    assert near.missing["/target_met"] == "the target lies inside the score's interval"


def test_rows_to_label_cost_what_each_costs():
    policy = Policy(margin=0.05, label_each=0.5)
    step = decide(scenes.worked(pool=0)[0], (), policy).next
    assert (step.do, step.usd) == ("label", step.rows * 0.5)


def test_pairs_that_are_left_open_have_the_margin():
    found = scenes.worked()[0]
    _, (open_pair,) = pairs_left_open(found, PLAIN)
    assert (open_pair.margin, open_pair.shift) == (0.05, 0.0)


def test_a_gain_ends_at_the_whole_scale():
    arm = scenes.arm("a", "prompt", 90, 100)
    more = _with_gain(arm, 0.2).score
    assert (more.mean, more.high) == (1.0, 1.0)
    assert more.low == pytest.approx(arm.score.low + 0.2) or more.low == 1.0
    assert _with_gain(arm, 0.0) is arm


def test_a_retraining_that_may_differ_by_more_than_half_the_margin_is_told():
    def told(sd):
        return (
            "A retraining may differ"
            in decide(changed(scenes.ladder_up_to("tune"), "tune", seed_sd=sd), (), PLAIN).because
        )

    assert [told(sd) for sd in (None, 0.024, 0.026, 0.2)] == [False, False, True, True]


def test_an_arm_of_unknown_tool_is_named_in_the_key_to_write():
    found = scenes.evidence({"keep": ("keep", scenes.scores(400, 0.5)),
                             "hosted": ("bigger", scenes.scores(400, 0.9, 1))})  # fmt: skip
    because = decide(changed(found, "hosted", tool=None), (), PLAIN).because
    assert "`hosted` stands above all arms" in because
    assert "`answers.hosted.tool`" in because


def test_a_cost_that_nobody_set_is_named():
    priced = Policy(margin=0.05, value_of_correct=0.05, requests_per_month=40000)

    def told(missing):
        found = changed(scenes.worked()[0], "tune", build_usd=None, missing=missing)
        verdict = decide(found, (), priced)
        at = [row["name"] for row in verdict.economics["arms"]].index("tune")
        return verdict.missing[f"/economics/arms/{at}/build_usd"]

    assert told({}).startswith("not known: ")
    assert told({"build_usd": "nobody counted the hours"}) == "nobody counted the hours"


def test_a_verdict_is_one_line_for_people():
    line = decide(scenes.ladder_up_to("schema"), (), PLAIN).__rich__()
    assert line == "use schema: schema · firm"
    none = decide(scenes.no_better(300, 0.3, 0.5, 0.12), (), PLAIN).__rich__()
    assert none == "use none · firm"


def test_all_rows_are_no_part_of_them():
    found = scenes.ladder_up_to("tune").model_copy(update={"train": 320})
    whole, part = (changed(found, "tune", options={"rows": rows}) for rows in (320, 319))
    assert "learnt from" not in decide(whole, (), PLAIN).because
    assert "`tune` learnt from 319 of 320 rows" in decide(part, (), PLAIN).because


def test_a_ruling_says_whether_it_climbed():
    def reason(found):
        return apply_rule(ladder_scenarios(found, PLAIN), PLAIN).reason

    assert reason(scenes.ladder_up_to("schema")) == "climbed"
    assert reason(scenes.ladder_up_to("keep", gain=0.0)) == "first rung"


def test_no_verdict_becomes_firm_by_the_rows_that_it_has():
    found = scenes.worked()[0]
    laid = ladder_scenarios(found, PLAIN)
    pair = find_undecided_pair(found, PLAIN, laid.seen, apply_rule(laid, PLAIN))
    assert isinstance(pair.outlook, VerdictAssurance)
    assert pair.outlook.chance(found.n) == pair.outlook.chance(found.n - 1) == 0
    assert 0 < pair.outlook.chance(4 * found.n) <= 1


def test_a_click_that_may_stand_has_no_word_against_it():
    made = votes()
    assert made.refusal(query(), click("refund", "delivery", "left")) == ""
    assert made.refusal(query(), click("refund", "delivery", "wrong")) == ""
    assert made.refusal(query(), click("x", "delivery", "left")) != ""


def test_a_chat_becomes_a_row_that_ends_with_the_right_answer():
    turns = (Message(role="system", content="s"), Message(role="user", content="u"))
    chat = Query(id="q1", messages=turns)
    row = gold_rows(votes("text"), [click("a", "b", "left")], [chat])[0]
    assert row["messages"][-1] == {"role": "assistant", "content": "a"}


def test_bets_on_new_rows_are_sized_for_twice_the_scored_ones():
    values = np.array([1.0, 0, 0, 1] * 10)
    one = PairStream(0.02, values, 100, 1000)
    again = PairStream(0.02, np.array([]), 100, 1000)
    for value in values:
        again.bounds.see(value, value, 80)
    assert (one.bounds.low, one.bounds.high) == (again.bounds.low, again.bounds.high)
    assert one.planned == 100


def test_a_lead_below_the_margin_is_not_denied():
    n = 4000
    today = np.array([1.0] * 3000 + [0.0] * 1000)
    new = np.array([1.0] * 3100 + [0.0] * 900)
    columns = {"today": ("keep", today, {"present": True}), "new": ("prompt", new)}
    found = decide(scenes.evidence(columns), (), PLAIN)
    assert (found.arm, len(today)) == ("today", n)
    assert "none is shown to beat it by 5 points or more; " in found.because
    even = decide(scenes.evidence(columns | {"new": ("prompt", today)}), (), PLAIN)
    assert "none is shown to beat it; " in even.because
