"""Which pairs keep a verdict open, and what tighter bounds make of it."""

import pytest
import verdict_scenes as scenes

from tuneworthy.records.evidence import Policy
from tuneworthy.records.settlement import Settlement
from tuneworthy.verdict.decide import decide
from tuneworthy.verdict.open_pairs import (
    OpenPair,
    SettledPair,
    pairs_left_open,
    settlement_sentence,
    why_no_vote_helps,
    with_settled_bounds,
)


def names(found):
    return [one.names for one in found]


def seen(mean=0.0, low=-0.02, high=0.02, points="new", n=300):
    return SettledPair(n, 6, 3, 9, 50, mean, low, high, points)


def test_the_pairs_of_the_worked_example():
    evidence, policy = scenes.worked()
    ruling, found = pairs_left_open(evidence, policy)
    assert ruling.arm.name == "schema"
    assert names(found) == [("tune", "schema")]
    assert found[0].margin == 0.05
    pair = next(p for p in evidence.pairs if (p.arm, p.versus) == ("tune", "schema"))
    second_look = pair.model_copy(update={"level": pair.level / 2})
    assert found[0].planned_rows(second_look, 10_000) == 1000
    assert found[0].planned_rows(second_look, 100) == 100
    assert pairs_left_open(evidence, policy.model_copy(update={"margin": 0.08}))[1] == []


def test_prices_move_what_an_arm_has_to_gain():
    evidence, _ = scenes.worked()
    priced = Policy(margin=0.05, margin_is_default=True, value_of_correct=0.5,
                    requests_per_month=40_000)  # fmt: skip
    ruling, found = pairs_left_open(evidence, priced)
    assert ruling.status == "provisional"
    one = next(one for one in found if one.arm == "tune")
    assert one.shift == pytest.approx((0.0026 - 0.00031) / 0.5)
    assert one.margin == pytest.approx(1257 / (0.5 * 40_000))


def test_a_cheaper_arm_that_may_do_as_well_is_open_against_what_runs_today():
    n = 120
    evidence = scenes.evidence(
        {
            "today": ("keep", scenes.scores(n, 0.9, 1), {"present": True, "usd_per_1k": 2.0}),
            "small": ("prompt", scenes.scores(n, 0.88, 2), {"usd_per_1k": 0.5}),
        }
    )
    _, found = pairs_left_open(evidence, Policy(margin=0.05, motive="cost"))
    assert names(found) == [("small", "today")]
    assert found[0].margin == -0.05
    shown = with_settled_bounds(evidence, {("small", "today"): seen(0.0, -0.03, 0.03)})
    ruling, found = pairs_left_open(shown, Policy(margin=0.05, motive="cost"))
    assert (ruling.arm.name, found) == ("small", [])


def test_arms_are_open_against_a_reference_that_none_beats():
    n = 40
    evidence = scenes.evidence(
        {"majority": (None, scenes.scores(n, 0.6, 3)), "a": ("prompt", scenes.scores(n, 0.65, 4))}
    )
    ruling, found = pairs_left_open(evidence, Policy(margin=0.05))
    assert ruling.use == "none"
    assert names(found) == [("a", "majority")]


def test_nothing_is_open_where_the_verdict_is_blocked():
    evidence, policy = scenes.worked()
    blocked = evidence.model_copy(update={"blocks": ("a leak",)})
    assert pairs_left_open(blocked, policy)[1] == []


def test_votes_help_only_a_pair_that_is_open_and_has_inputs_to_judge():
    evidence, policy = scenes.worked()
    assert why_no_vote_helps(evidence, policy, 100) == ""
    assert why_no_vote_helps(evidence, policy, 0) == "no inputs"
    blocked = evidence.model_copy(update={"blocks": ("a leak",)})
    assert why_no_vote_helps(blocked, policy, 100) == "blocked"
    wide = policy.model_copy(update={"margin": 0.08})
    assert why_no_vote_helps(evidence, wide, 100) == "firm"
    nobody = evidence.model_copy(update={"arms": (), "pairs": ()})
    assert why_no_vote_helps(nobody, policy, 100) == "no pair"


def test_the_tighter_bound_counts_both_ways_and_settles():
    evidence, policy = scenes.worked()
    after = with_settled_bounds(evidence, {("tune", "schema"): seen(0.012, -0.03, 0.05, n=351)})
    by_name = {(p.arm, p.versus): p for p in after.pairs}
    pair, back = by_name["tune", "schema"], by_name["schema", "tune"]
    assert (pair.high, back.low) == (0.05, -0.05)
    assert pair.low == pytest.approx(-0.025, abs=5e-4)  # the study's own, which is tighter
    assert pair.n == 250 + 351
    assert pair.mean == pytest.approx((0.02 * 250 + 0.012 * 351) / 601, abs=1e-6)
    assert back.mean == -pair.mean
    assert (pair.wins, back.losses) == (14, 14)
    assert pair.apart == 42 + 50
    assert by_name["schema", "keep"] == next(
        p for p in evidence.pairs if (p.arm, p.versus) == ("schema", "keep")
    )
    verdict = decide(after, (), policy)
    assert (verdict.arm, verdict.status) == ("schema", "firm")
    assert verdict.left_on_table.points == 0.05


def test_an_arm_that_is_beaten_hands_over():
    evidence, policy = scenes.worked()
    after = with_settled_bounds(evidence, {("tune", "schema"): seen(0.12, 0.04, 0.2)})
    assert pairs_left_open(after, policy)[0].arm.name == "tune"


def test_preferences_are_not_set_beside_points_of_a_score():
    evidence, _ = scenes.worked()
    after = with_settled_bounds(
        evidence, {("tune", "schema"): seen(0.0, -1.0, 1.0, "preference", n=0)}
    )
    pair = next(p for p in after.pairs if (p.arm, p.versus) == ("tune", "schema"))
    assert (pair.n, pair.mean, pair.low, pair.high) == (0, 0.0, -1.0, 1.0)


def test_bounds_that_exclude_each_other_leave_the_new_ones():
    evidence, _ = scenes.worked()
    after = with_settled_bounds(evidence, {("tune", "schema"): seen(0.3, 0.2, 0.4)})
    pair = next(p for p in after.pairs if (p.arm, p.versus) == ("tune", "schema"))
    assert (pair.low, pair.mean, pair.high) == (0.2, pytest.approx(0.2), 0.4)


def test_bets_are_sized_for_the_inputs_asked_for_and_else_for_the_whole_pool():
    evidence, _ = scenes.worked()
    pair = next(p for p in evidence.pairs if (p.arm, p.versus) == ("tune", "schema"))
    near = scenes.pair("tune", "schema", 22, 20, 300, pair.level, 1.5)
    assert OpenPair("tune", "schema", 0.005).planned_rows(near, 7000) == 1200
    unseen = pair.model_copy(update={"n": 0, "wins": 0, "losses": 0, "differ": 0})
    assert OpenPair("tune", "schema", 0.05).planned_rows(unseen, 700) == 700
    assert OpenPair("tune", "schema", -0.02).planned_rows(pair, 500) == 500


def test_what_is_said_of_a_settlement():
    text = settlement_sentence(
        Settlement(
            look=2,
            inputs=351,
            differing=56,
            clicks=60,
            skipped=1,
            again=4,
            agreed=3,
            points="preference",
        )
    )
    for part in ("60 clicks", "351 new inputs", "preference", "1 were skipped", "Of 4 shown twice"):
        assert part in text


def test_a_settlement_without_skips_and_repeats_says_no_more():
    settled = Settlement(look=1, inputs=80, differing=9, clicks=9, skipped=0, again=0, agreed=0)
    text = settlement_sentence(settled)
    assert "9 clicks" in text
    assert not any(word in text for word in ("preference", "skipped", "twice"))


def test_a_blocked_verdict_and_one_without_an_arm_open_nothing():
    found = scenes.evidence({"only": ("prompt", scenes.scores(50, 0.9, 1), {})})
    blocked = found.model_copy(update={"blocks": ("a leak was left in",)})
    assert pairs_left_open(blocked, Policy(margin=0.05))[1] == []
    nobody = found.model_copy(update={"arms": (), "pairs": ()})
    assert pairs_left_open(nobody, Policy(margin=0.05))[1] == []


def test_where_only_the_reference_is_open_the_named_arm_is_opened_against_it():
    found = scenes.short_of_the_reference()
    ruling, opened = pairs_left_open(found, Policy(margin=0.5))
    assert ruling.short_of.name == "majority"
    assert [one.names for one in opened] == [("keep", "majority")]
