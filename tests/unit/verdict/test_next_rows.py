"""What the next step says of rows and clicks: how many, and the chance that they settle it."""

import pytest
import verdict_scenes as scenes

from tuneworthy.matrix.sizing import superiority_assurance
from tuneworthy.records.counting import chance_text
from tuneworthy.records.evidence import Policy
from tuneworthy.verdict.decide import decide

PLAIN = Policy(margin=0.05)


@pytest.mark.parametrize(
    ("chance", "text"),
    [(0.0, "less than 5 %"), (0.03, "about 5 %"), (0.58, "about 60 %"), (0.999, "more than 95 %")],
)
def test_a_chance_is_said_to_the_nearest_5_percent(chance, text):
    assert chance_text(chance) == text


def beside(wins, losses, n, factor=1.0, **more):
    """Return evidence of a prompt and a tuned model with so many wins and losses."""
    one = scenes.pair("tune", "prompt", wins, losses, n, 0.035, factor, apart=60)
    arms = scenes.arm("prompt", "prompt", 140, n), scenes.arm("tune", "tune", 150, n)
    update = {"arms": arms, "pairs": (one, scenes.mirrored(one)), **more}
    return scenes.worked()[0].model_copy(update=update)


@pytest.mark.parametrize(("n", "rows", "usd"), [(40, 40, 20.0), (9_000, 620, 310.0)])
def test_without_right_answers_none_is_named_and_answers_are_to_be_written(n, rows, usd):
    found = beside(40, 0, 200, blocks=("no row has a right answer",))
    found = found.model_copy(update={"n": n})
    assert decide(found, (), PLAIN).next.do == "repair", "another reason asks for another step"
    verdict = decide(found, (), Policy(margin=0.05, lacks_answers=True))
    assert (verdict.use, verdict.arm, verdict.status) == ("none", None, "blocked")
    assert (verdict.next.do, verdict.next.rows, verdict.next.usd) == ("label", rows, None)
    assert "about 620 rows with a right answer show a difference of 5 points" in verdict.next.why
    priced = Policy(margin=0.05, lacks_answers=True, label_each=0.5)
    assert decide(found, (), priced).next.usd == usd


def test_rows_near_the_margin_are_offered_with_their_chance():
    for wins in (30, 29, 26):  # 5, 4.5 and 3 points ahead
        found = beside(wins, 20, 200, pool=0)
        step = decide(found, (), PLAIN).next
        assert (step.do, step.rows) == ("label", 800)
        assert "with 800 more labelled rows the chance to show whether `tune` is" in step.why
        assert "(with 200 more: about " in step.why
        outlook = superiority_assurance(found.pairs[0], 0.05, 0.035 / 4, kept=True)
        assert f"is {chance_text(outlook.chance(1000))} (with" in step.why


def test_where_no_rows_help_the_margin_is_to_be_decided():
    found = beside(22, 20, 300, 1.5)
    step = decide(found, (), PLAIN.model_copy(update={"margin": 0.005})).next
    assert (step.do, step.rows) == ("decide the margin", None)
    assert "near the margin of 0.5 points: with 900 more labelled rows the chance" in step.why
    assert "is about 10 %; what such a gain" in step.why


def test_a_pool_too_small_for_all_inputs_is_offered_from_an_even_chance_on():
    def step(pool, each=None):
        found = beside(13, 5, 250, 1.5, pool=pool)
        return decide(found, (), PLAIN.model_copy(update={"label_each": each})).next

    whole = step(5000, 0.5)
    assert (whole.do, whole.rows, whole.clicks) == ("settle", 1000, 240)
    assert whole.usd == 240 * 0.2 * 0.5
    assert "it ends as soon as it is settled, with a chance of about 50 %" in whole.why
    part = step(700)
    assert (part.do, part.rows, part.clicks) == ("settle", 700, 168)
    assert "a chance of about 45 %" in part.why
    assert step(600).rows == 600  # below an even chance, and above that of labels
    assert {step(pool).do for pool in (0, 200)} == {"label"}


def test_rows_show_the_named_arm_above_the_reference_at_the_next_looks_level():
    """Between the two arms all is settled: only rows that lift the named one above it help."""
    n = 1000
    one = scenes.pair("keep", "tune", 3, 3, n, 0.035)
    above = scenes.pair("keep", "majority", 12, 2, n, 0.035)
    rival = scenes.pair("tune", "majority", 26, 6, n, 0.035)
    arms = (scenes.arm("majority", None, 500, n, role="reference"),
            scenes.arm("keep", "keep", 510, n, present=True),
            scenes.arm("tune", "tune", 520, n))  # fmt: skip
    above = above.model_copy(update={"low": -0.001})  # unstable folds may widen a bound so far
    pairs = (one, scenes.mirrored(one), above, rival)
    found = scenes.worked()[0].model_copy(update={"arms": arms, "pairs": pairs, "n": n, "pool": 0})
    verdict = decide(found, (), PLAIN)
    assert (verdict.status, verdict.arm) == ("provisional", "keep")
    assert verdict.next.do == "label"
    assert "whether `keep` is worth it against `majority`" in verdict.next.why
    assert verdict.next.rows > 20  # it was 1: the difference cannot be worth the margin already


def test_with_prices_rows_are_for_the_pair_that_is_open_and_not_for_a_settled_one():
    """`dear` has the highest bound and can't pay; `near` may pay, and rows are for it."""
    n, level = 300, 0.0175
    plain = {"build_usd": 0.0, "upkeep_usd_month": 0.0}
    arms = (scenes.arm("prompt", "prompt", 200, n, usd_per_1k=1.0, **plain),
            scenes.arm("near", "schema", 206, n, usd_per_1k=1.0, **plain),
            scenes.arm("dear", "bigger", 208, n, usd_per_1k=400.0, **plain))  # fmt: skip
    near = scenes.pair("near", "prompt", 10, 4, n, level)
    dear = scenes.pair("dear", "prompt", 30, 22, n, level)
    both = scenes.pair("dear", "near", 22, 20, n, level)
    assert dear.high > near.high > 0.02
    pairs = [side for one in (near, dear, both) for side in (one, scenes.mirrored(one))]
    found = scenes.worked()[0].model_copy(
        update={"arms": arms, "pairs": tuple(pairs), "n": n, "pool": 0})  # fmt: skip
    policy = Policy(margin=0.02, value_of_correct=1.0, requests_per_month=1000.0)
    verdict = decide(found, (), policy)
    assert (verdict.status, verdict.arm) == ("provisional", "prompt")
    assert "whether `near` is worth it against `prompt`" in verdict.next.why
    assert verdict.next.rows > 1


def test_arms_that_share_no_case_are_left_out_of_the_forecast():
    """The forecast is then that of the most open pair alone, as with two arms."""
    two = beside(26, 20, 200, pool=0)
    third = scenes.arm("schema", "schema", 140, 200)
    known = scenes.pair("schema", "prompt", 21, 20, 200, 0.035, 1.0, apart=60)
    unknown = known.model_copy(
        update={"arm": "schema", "versus": "tune", "n": 0, "mean": 0.0, "low": -1.0, "high": 1.0}
    )
    more = (known, scenes.mirrored(known), unknown, scenes.mirrored(unknown))
    three = two.model_copy(update={"arms": (*two.arms, third), "pairs": (*two.pairs, *more)})
    assert decide(three, (), PLAIN).next.why == decide(two, (), PLAIN).next.why
