"""The worked example: a table of counts, its verdict, its strip, its next step, its prices."""

import json
from pathlib import Path

import pytest
import verdict_scenes as scenes

from tuneworthy.records.evidence import Policy
from tuneworthy.verdict.decide import decide, grid
from tuneworthy.verdict.flips import rulings_by_key
from tuneworthy.verdict.rule import ladder_scenarios

PRICED = Policy(
    margin=0.05, margin_is_default=True, value_of_correct=0.05, requests_per_month=40000
)


def test_the_bounds_of_the_table():
    found, _ = scenes.worked()
    table = {(p.arm, p.versus): (round(p.mean, 3), round(p.low, 3), round(p.high, 3))
             for p in found.pairs}  # fmt: skip
    assert table["schema", "keep"] == (0.108, 0.016, 0.204)
    assert table["schema", "prompt"] == (0.068, 0.012, 0.137)
    assert table["tune", "schema"] == (0.020, -0.025, 0.072)


def test_schema_is_named_and_tuning_may_be_seven_points_better():
    found, policy = scenes.worked()
    verdict = decide(found, (), policy)
    assert (verdict.use, verdict.arm, verdict.status) == ("schema", "schema", "provisional")
    assert round(verdict.left_on_table.points, 3) == 0.072
    assert verdict.left_on_table.level == 0.95
    assert "at most 7.2 points better" in verdict.because
    deltas = {arm.name: arm.delta for arm in verdict.arms}
    assert deltas["schema"] is None
    assert round(deltas["keep"].mean, 3) == -0.108
    assert deltas["zero_shot"] is None


def test_the_strip_over_margins():
    found, policy = scenes.worked()
    strip = decide(found, (), policy).by_margin
    uses = [point.use for point in strip]
    assert uses == ["schema"] * 13 + ["keep"] * 8
    assert [point.margin for point in strip if point.status == "firm"] == [
        0.08, 0.09, 0.10, 0.11, 0.12
    ]  # fmt: skip


def test_the_verdict_says_which_simpler_arm_is_not_shown_to_be_beaten():
    found, policy = scenes.worked()
    verdict = decide(found, (), policy.model_copy(update={"margin": 0.10}))
    assert (verdict.use, verdict.status) == ("schema", "firm")
    assert "simpler than `schema` (except `prompt` with a small gain) is shown" in verdict.because


def test_next_is_168_clicks_or_else_750_labels():
    found, policy = scenes.worked()
    step = decide(found, (), policy).next
    assert (step.do, step.rows, step.clicks) == ("settle", 1000, 168)
    step = decide(found.model_copy(update={"pool": 100}), (), policy).next
    assert (step.do, step.rows) == ("label", 750)


def test_with_value_and_volume_schema_is_firm_without_a_label():
    found, _ = scenes.worked()
    verdict = decide(found, (), PRICED)
    assert (verdict.use, verdict.status) == ("schema", "firm")
    assert round(verdict.economics["break_even_per_month"]) == 382_067
    assert verdict.next.do == "use it"


def test_the_value_that_makes_it_firm_is_stated():
    found, _ = scenes.worked()
    policy = PRICED.model_copy(update={"value_of_correct": None})
    step = decide(found, (), policy).next
    assert step.do == "write down economics"
    assert "between $0.0309 and $0.402" in step.why
    found_ranges = rulings_by_key(ladder_scenarios(found, policy), policy, "value_of_correct")
    at = {
        s.ruling.use_and_name[0]: (s.low, s.high) for s in found_ranges if s.ruling.status == "firm"
    }
    assert at["schema"] == pytest.approx((0.0309, 0.402), rel=0.01)


def test_the_volume_that_makes_it_firm_is_stated():
    found, _ = scenes.worked()
    policy = PRICED.model_copy(update={"requests_per_month": None})
    step = decide(found, (), policy).next
    assert "economics.requests_per_month lies between" in step.why


def equally_dear(pairs, usd=1.0):
    free = {"build_usd": 0.0, "upkeep_usd_month": 0.0}
    arms = (
        scenes.arm("prompt", "prompt", 170, 200, usd_per_1k=1.0, **free),
        scenes.arm("tune", "tune", 180, 200, usd_per_1k=usd, **free),
    )
    return scenes.worked()[0].model_copy(update={"arms": arms, "pairs": pairs})


def test_a_price_that_would_make_nothing_firm_is_not_asked_for():
    policy = PRICED.model_copy(update={"value_of_correct": None})
    assert decide(equally_dear(()), (), policy).next.do == "measure another arm"


def test_a_range_open_at_the_top_is_said_so():
    one = scenes.pair("tune", "prompt", 14, 4, 200, 0.05)
    policy = PRICED.model_copy(update={"value_of_correct": None, "margin": 0.08})
    found = equally_dear((one, scenes.mirrored(one)), usd=0.5)
    assert "is above $0" in decide(found, (), policy).next.why


def test_a_written_margin_is_kept_where_it_is_larger():
    found, _ = scenes.worked()
    policy = PRICED.model_copy(update={"margin_is_default": False, "margin": 0.15})
    assert decide(found, (), policy).use == "keep"
    volume = policy.model_copy(update={"value_of_correct": None})
    assert rulings_by_key(ladder_scenarios(found, volume), volume, "value_of_correct")


def test_the_grid_covers_margins_and_volumes():
    found, policy = scenes.worked()
    plain = grid(found, (), policy)
    assert [point.margin for point in plain] == [i / 100 for i in range(21)]
    strip = decide(found, (), policy).by_margin
    assert [(p.use, p.status) for p in plain] == [(b.use, b.status) for b in strip]
    priced = grid(found, (), PRICED)
    assert {point.requests_per_month for point in priced} >= {1e3, 40000, 1e7}
    assert {point.use for point in priced} >= {"keep", "schema", "tune"}


def test_the_golden_files_come_from_these_scenes():
    """Three are compared in full; making all anew would take seconds."""
    made = scenes.scenes()
    assert {path.stem for path in scenes.GOLDEN.glob("*.json")} == set(made)
    for name in ("worked-example", "worked-example-priced", "limit-broken"):
        whole = json.loads(Path(scenes.GOLDEN / f"{name}.json").read_text())
        found, _, policy = made[name]()
        assert Policy.model_validate(whole["policy"]) == policy
        kept = [(p["arm"], p["versus"], p["low"], p["high"]) for p in whole["evidence"]["pairs"]]
        assert [k[:2] for k in kept] == [(one.arm, one.versus) for one in found.pairs]
        ends = [x for one in found.pairs for x in (one.low, one.high)]
        assert [x for k in kept for x in k[2:]] == pytest.approx(ends, rel=1e-9)
