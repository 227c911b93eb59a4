"""One rule, told once: what is left, flips, next steps and breaks follow the ruling itself."""

import numpy as np
import verdict_scenes as scenes

from tuneworthy.records.evidence import Policy
from tuneworthy.records.split import Trend
from tuneworthy.verdict.decide import decide
from tuneworthy.verdict.drift import decisive_breaks
from tuneworthy.verdict.flips import at_margin, rulings_by_key
from tuneworthy.verdict.phrases import headline_and_arm
from tuneworthy.verdict.rule import apply_rule, ladder_scenarios

PLAIN = Policy(margin=0.05)
COST = Policy(margin=0.05, motive="cost")
PRICED = Policy(margin=0.05, margin_is_default=True, value_of_correct=0.05,
                requests_per_month=40000)  # fmt: skip


def changed(found, name, **update):
    arms = [arm.model_copy(update=update) if arm.name == name else arm for arm in found.arms]
    return found.model_copy(update={"arms": tuple(arms)})


def test_what_is_left_names_the_arm_and_what_it_is_better_than():
    left = decide(scenes.cost(0.88), (), COST).left_on_table
    assert (left.arm, left.versus) == ("dear", decide(scenes.cost(0.88), (), COST).arm)
    assert left.points > 0.05


def test_without_a_cheaper_arm_none_is_said_to_lose_more():
    found = scenes.cost(0.88)
    arms = tuple(a for a in found.arms if a.name != "small")
    pairs = tuple(p for p in found.pairs if "small" not in (p.arm, p.versus))
    verdict = decide(found.model_copy(update={"arms": arms, "pairs": pairs}), (), COST)
    assert verdict.use == "keep"
    assert "No arm that is cheaper than what runs today was measured" in verdict.because


def test_flips_of_a_price_hold_where_the_rule_is_asked_at_them():
    rng = np.random.default_rng(5)
    probes = 0
    for seed in range(6):
        share = rng.uniform(0.55, 0.9, 3)
        tools = ("classifier", "prompt", "schema")
        found = scenes.evidence({
            tool: (tool, scenes.scores(300, at, 10 * seed + k, 0.25), {
                "usd_per_1k": float(rng.uniform(0.1, 30)), "build_usd": float(rng.uniform(0, 900)),
                "upkeep_usd_month": float(rng.uniform(0, 90))})
            for k, (tool, at) in enumerate(zip(tools, share, strict=True))
        })  # fmt: skip
        policy = PRICED
        scenarios = ladder_scenarios(found, policy)
        for part in rulings_by_key(scenarios, policy, "value_of_correct"):
            top = part.high or 4 * part.low or 1.0
            for at in np.linspace(part.low, top, 9)[1:-1]:
                asked = policy.model_copy(update={"value_of_correct": float(at)})
                assert apply_rule(scenarios, asked).use_and_name == part.ruling.use_and_name
                probes += 1
        for flip in decide(found, (), policy).flips:
            if flip["input"] == "usd_per_1k":
                for by, use in ((0.99, flip["below"]), (1.01, flip["above"])):
                    arm = next(a for a in found.arms if a.name == flip["of"])
                    other = changed(found, arm.name, usd_per_1k=flip["at"] * by)
                    assert decide(other, (), policy).use == use
                    probes += 1
    assert probes > 100


def test_the_strip_is_the_ruling_at_each_margin():
    left = scenes.scores(300, 0.8, 1)
    found = scenes.evidence({"prompt": ("prompt", left), "schema": ("schema", left)})
    for at in decide(found, (), PLAIN).by_margin:
        there = decide(found, (), at_margin(PLAIN, at.margin))
        assert (there.use, there.status) == (at.use, at.status)


def test_missing_recorded_answers_are_recorded_and_not_asked_again():
    found = scenes.evidence({t: (t, scenes.scores(300, 0.8, 1)) for t in ("prompt", "schema")})
    failed = {"errors": 40, "score_if_right": 0.93}
    asked = decide(changed(found, "schema", **failed), (), PLAIN).next
    assert (asked.do, asked.rows) == ("answer the failed rows again", 40)
    logged = decide(changed(found, "schema", recorded=True, **failed), (), PLAIN).next
    assert (logged.do, logged.rows) == ("record the missing answers", 40)
    assert "tuneworthy run" not in logged.why


def break_after(arm, versus, lead):
    """Return a trend whose last half has a lead of `arm` over `versus`, shown without doubt."""
    before, after = ({"n": 150, "arm": 0.5, "versus": 0.3},
                     {"n": 150, "arm": 0.5 + lead, "versus": 0.5})  # fmt: skip
    return Trend(arm=arm, versus=versus, n=300, p=1e-6, before=before, after=after)


def test_a_break_counts_by_what_the_user_pays_for():
    found = scenes.cost(0.5)
    ladder = ladder_scenarios(found, COST).seen
    today = next(arm for arm in found.arms if arm.name == "today")
    small = next(arm for arm in found.arms if arm.name == "small")

    def decides(policy, arm, versus, lead, on=ladder):
        return bool(decisive_breaks(on, policy, [break_after(arm.name, versus, lead)], arm))

    assert decides(COST, today, "small", 0.03)  # cheaper, and within the margin from now on
    assert not decides(COST, today, "small", 0.07)
    assert not decides(COST, today, "dear", -0.3)  # dearer: never named for its score
    assert decides(COST, small, "today", -0.07)
    assert not decides(COST, small, "today", -0.03)
    assert not decides(COST, small, "dear", -0.3)
    worth, _ = scenes.worked()
    ladder = ladder_scenarios(worth, PRICED).seen
    named = next(arm for arm in worth.arms if arm.name == "schema")
    assert decides(PRICED.model_copy(update={"value_of_correct": 50.0}), named, "tune", -0.06,
                   ladder)  # fmt: skip
    assert not decides(PRICED.model_copy(update={"value_of_correct": 1e-4}), named, "tune", -0.06,
                       ladder)  # fmt: skip
    assert not decides(PLAIN, named, "tune", -0.04, ladder)


def test_a_step_to_prices_promises_what_the_rule_then_says():
    found, _ = scenes.worked()
    step = decide(found, (), PRICED.model_copy(update={"value_of_correct": None})).next
    assert step.do == "write down economics"
    only = changed(changed(found, "schema", tool="classifier"), "prompt", tool="classifier")
    arms = tuple(a for a in only.arms if a.tool in ("classifier", "keep", None))
    policy = PRICED.model_copy(update={"value_of_correct": None})
    assert decide(only.model_copy(update={"arms": arms}), (), policy).next.do != step.do


def test_no_reference_is_named_where_none_was_compared():
    found = scenes.limited_arm()
    arms = tuple(a.model_copy(update={"limits": {"valid": "violated"}}) for a in found.arms)
    verdict = decide(found.model_copy(update={"arms": arms}), (), PLAIN)
    assert (verdict.use, verdict.left_on_table) == ("none", None)
    assert headline_and_arm(verdict) == "No arm can be named."
