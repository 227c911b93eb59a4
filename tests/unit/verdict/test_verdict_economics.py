"""What each rung costs and is worth, what flips the verdict, and why anything is not known."""

from statistics import NormalDist
from types import SimpleNamespace

import pytest
import verdict_scenes as scenes

from tuneworthy.records.evidence import Interval, Policy
from tuneworthy.records.task import Economics, Task
from tuneworthy.verdict.decide import decide
from tuneworthy.verdict.prices import keys_lacking
from tuneworthy.verdict.rungs import policy_of

PRICED = Policy(
    margin=0.05, margin_is_default=True, value_of_correct=0.05, requests_per_month=40000
)


def rows(verdict):
    return {row["name"]: row for row in verdict.economics["arms"]}


def changed(found, name, **update):
    arms = [a.model_copy(update=update) if a.name == name else a for a in found.arms]
    return found.model_copy(update={"arms": tuple(arms)})


def test_cost_and_net_value_follow_the_written_formula():
    seen = rows(decide(scenes.worked()[0], (), PRICED))
    tune, schema = seen["tune"], seen["schema"]
    assert tune["cost_per_month"] == pytest.approx(40000 * 0.00031 + 807 + 6300 / 12)
    assert tune["total_cost"] == pytest.approx(12 * tune["cost_per_month"])
    assert tune["net_value_per_month"] == pytest.approx(40000 * 0.05 * 0.9 - tune["cost_per_month"])
    assert schema["cost_per_month"] == pytest.approx(40000 * 0.0026 + 900 / 12)
    assert schema["p_net_higher"] is None


def test_the_chance_that_tuning_is_worth_more_turns_over_at_break_even():
    found, at = scenes.worked()[0], 382_066.87
    chance = {
        volume: decide(found, (), PRICED.model_copy(update={"requests_per_month": volume}))
        .economics["p_net_higher"]
        for volume in (40_000, at / 2)
    }  # fmt: skip
    assert chance[40_000] < chance[at / 2] < 0.5
    verdict = decide(found, (), PRICED)
    pair = next(p for p in found.pairs if (p.arm, p.versus) == ("tune", "schema"))
    error = (pair.high - pair.low) / 2 / NormalDist().inv_cdf(1 - pair.level)
    mean = 40000 * (0.05 * pair.mean + 0.00229) - 1257
    assert verdict.economics["p_net_higher"] == pytest.approx(
        NormalDist().cdf(mean / (40000 * 0.05 * error)), abs=1e-4
    )
    wide = changed(found, "tune", usd_per_1k_se=20.0)  # an unsure price makes all of it unsure
    assert decide(wide, (), PRICED).economics["p_net_higher"] > verdict.economics["p_net_higher"]


def test_an_arm_without_a_tool_has_no_known_costs():
    shares = {"keep": ("keep", 0.5), "tuned": ("tune", 0.55), "hosted": ("bigger", 0.95)}
    found = scenes.evidence(
        {name: (tool, scenes.scores(400, share, 1), {}) for name, (tool, share) in shares.items()}
    )
    verdict = decide(changed(found, "hosted", tool=None), (), PRICED)
    assert verdict.arm == "hosted"
    assert "the tool of `hosted` is not given" in verdict.missing["/economics/break_even_per_month"]


def test_under_the_motive_of_cost_the_rival_is_what_runs_today():
    found = scenes.worked()[0]
    versus = {
        motive: decide(found, (), PRICED.model_copy(update={"motive": motive})).economics
        for motive in ("quality", "cost")
    }
    assert versus["cost"]["break_even_per_month"] != versus["quality"]["break_even_per_month"]


@pytest.mark.parametrize(
    ("key", "field", "says"),
    [("requests_per_month", "cost_per_month", "economics.requests_per_month"),
     ("value_of_correct", "net_value_per_month", "economics.value_of_correct")],
)  # fmt: skip
def test_a_key_that_is_missing_is_named(key, field, says):
    verdict = decide(scenes.worked()[0], (), PRICED.model_copy(update={key: None}))
    assert rows(verdict)["tune"][field] is None
    assert says in verdict.missing[f"/economics/arms/3/{field}"]
    assert says in verdict.missing[f"/economics/{key}"]


def test_a_cost_that_is_missing_says_which():
    found = changed(scenes.worked()[0], "tune", build_usd=None,
                    missing={"build_usd": "set economics.hours_to_build"})  # fmt: skip
    verdict = decide(found, (), PRICED)
    assert "hours_to_build" in verdict.missing["/economics/arms/3/build_usd"]
    assert "one-off cost" in verdict.missing["/economics/arms/3/cost_per_month"]
    assert "one-off cost" in verdict.missing["/economics/p_net_higher"]


def flips(verdict, key):
    return [flip for flip in verdict.flips if flip["input"] == key]


def test_how_long_a_tuned_model_lasts_flips_the_verdict():
    many = PRICED.model_copy(update={"requests_per_month": 700_000})
    found = scenes.with_upkeep(scenes.worked()[0])
    verdict = decide(found, (), many)
    (flip,) = flips(verdict, "retrain_days")
    assert (flip["below"], flip["above"]) == ("schema", "tune")
    assert "lasts more than" in flip["says"]
    for days, use in ((flip["at"] * 0.98, "schema"), (flip["at"] * 1.02, "tune")):
        upkeep = 567 + 30 / days * 720
        other = changed(found, "tune", upkeep_usd_month=upkeep, retrain_days=days)
        assert decide(other, (), many).use == use
    assert not flips(decide(scenes.worked()[0], (), many), "retrain_days")  # nothing is retrained


@pytest.mark.parametrize("change", [lambda found: found, scenes.with_upkeep])
def test_an_arm_without_a_price_that_failed_answers_keep_below_the_floor_ends_no_verdict(change):
    found = changed(change(scenes.worked()[0]), "tune", usd_per_1k=None, score_if_right=0.95,
                    score=Interval(mean=0.2, low=0.1, high=0.3))  # fmt: skip
    found = changed(found, "schema", retrain_usd=100.0, retrain_days=90.0)
    priced = PRICED.model_copy(update={"floor": 0.5})
    verdict = decide(found, (), priced)
    assert verdict.arm in ("schema", "keep", "prompt")
    without = found.model_copy(update={
        "arms": tuple(arm for arm in found.arms if arm.name != "tune"),
        "pairs": tuple(p for p in found.pairs if "tune" not in (p.arm, p.versus)),
    })  # fmt: skip
    assert flips(verdict, "value_of_correct") == flips(
        decide(without, (), priced), "value_of_correct")  # fmt: skip


def test_a_price_flips_the_verdict_where_it_is_said_to():
    many = PRICED.model_copy(update={"requests_per_month": 700_000})
    found = scenes.worked()[0]
    (flip,) = [f for f in flips(decide(found, (), many), "usd_per_1k") if f["of"] == "tune"]
    assert decide(changed(found, "tune", usd_per_1k=flip["at"] * 0.98), (), many).use == "tune"
    assert decide(changed(found, "tune", usd_per_1k=flip["at"] * 1.02), (), many).use == "schema"


def test_under_motive_cost_a_dearer_request_flips_to_what_runs_today():
    policy = Policy(margin=0.05, motive="cost")
    found = scenes.cost(0.9)
    verdict = decide(found, (), policy)
    assert verdict.arm == "small"
    (flip,) = [f for f in flips(verdict, "usd_per_1k") if f["of"] == "today"]
    assert flip["above"] == "tune"
    assert decide(changed(found, "today", usd_per_1k=flip["at"] * 0.98), (), policy).arm == "today"


def test_the_cheapest_a_request_is_not_praised_where_it_costs_more_a_month():
    policy = Policy(margin=0.05, motive="cost", requests_per_month=50_000)
    verdict = decide(scenes.dearer_to_keep(), (), policy)
    assert "$418 more than `today`" in verdict.because
    assert (verdict.economics["rival"], verdict.economics["side"]) == ("today", "below")
    at = verdict.economics["break_even_per_month"]
    assert at == pytest.approx((3700 / 12 + 250) / (0.003 - 0.0002), rel=1e-6)
    more = policy.model_copy(update={"requests_per_month": 1.01 * at})
    assert "more than `today`" not in decide(scenes.dearer_to_keep(), (), more).because


def test_the_end_of_the_base_is_printed_with_the_verdict():
    policy = PRICED.model_copy(update={"margin_is_default": False})
    verdict = decide(scenes.newer_base(), (), policy)
    assert verdict.economics["expires"] == "2027-01-14"
    assert "Retire `today`" in verdict.because
    assert "ends on 2027-01-14" in verdict.because
    assert decide(scenes.worked()[0], (), PRICED).missing["/economics/expires"]


def test_what_is_assumed_is_said():
    verdict = decide(scenes.with_upkeep(scenes.worked()[0]), (), PRICED)
    said = " ".join(verdict.economics["assumed"])
    assert "building `tune` costs $6,300: your hours and rates, not measured" in said
    assert "retrained every 90 days at $720" in said
    assert "production differs" not in said
    timed = changed(scenes.worked()[0], "tune", price_from="its seconds on this machine at $1")
    assert "production differs" in " ".join(decide(timed, (), PRICED).economics["assumed"])


def test_arms_that_were_not_compared_have_no_chance_and_list_prices_are_said():
    found, _ = scenes.worked()
    alone = found.model_copy(
        update={"pairs": tuple(p for p in found.pairs if {p.arm, p.versus} != {"tune", "schema"})}
    )
    listed = changed(alone, "tune", price_from="list price of 2026-11-01")
    verdict = decide(listed, (), PRICED)
    where = next(i for i, row in enumerate(verdict.economics["arms"]) if row["name"] == "tune")
    assert rows(verdict)["tune"]["p_net_higher"] is None
    assert "not compared" in verdict.missing[f"/economics/arms/{where}/p_net_higher"]
    assert any("list prices" in text for text in verdict.economics["assumed"])
    assert not any("list prices" in t for t in decide(found, (), PRICED).economics["assumed"])


@pytest.mark.parametrize(("value", "arm"), [(0.00005, "few_shot"), (0.05, "bigger")])
def test_a_cheaper_arm_of_one_tool_makes_no_dearer_tool_worth_its_price(value, arm):
    cost = {"zero_shot": 0.012, "few_shot": 0.03, "bigger": 0.56}
    tools = {"zero_shot": ("prompt", 0.55), "few_shot": ("prompt", 0.6), "bigger": ("bigger", 0.8)}
    found = scenes.evidence({
        name: (tool, scenes.scores(400, share, at),
               {"usd_per_1k": cost[name], "build_usd": 0.0, "upkeep_usd_month": 0.0})
        for at, (name, (tool, share)) in enumerate(tools.items())
    })  # fmt: skip
    arms = [a.model_copy(update={"compared": True, "finalist": a.name != "zero_shot"})
            for a in found.arms]  # fmt: skip
    policy = Policy(margin=0.05, margin_is_default=True, value_of_correct=value,
                    requests_per_month=37_000)  # fmt: skip
    verdict = decide(found.model_copy(update={"arms": tuple(arms)}), (), policy)
    assert verdict.arm == arm
    net = {row["name"]: row["net_value_per_month"] for row in verdict.economics["arms"]}
    assert net[arm] == max(net.values())
    flip = [f for f in verdict.flips if f["input"] == "value_of_correct"]
    assert [(f["below"], f["arm"]) for f in flip] == [("prompt", "bigger")]
    assert ("`zero_shot`" in verdict.because) == (arm == "few_shot")


def results(rival="tune", hour=None, motive="quality", **costs):
    """Return what `keys_lacking` reads of results: two arms of which one is named."""
    plain = {"usd_per_1k": 1.0, "build_usd": 2.0, "upkeep_usd_month": 3.0, "retrain_usd": 0.0}
    arms = [SimpleNamespace(name=name, **(plain | costs)) for name in ("keep", "tune")]
    economics = Economics(machine_hour=hour, engineer_hour=80.0)
    return SimpleNamespace(
        verdict=SimpleNamespace(arm="keep", economics={"rival": rival} if rival else {}),
        evidence=SimpleNamespace(arms=arms),
        task=SimpleNamespace(economics=economics, success=SimpleNamespace(motive=motive)),
    )


def test_the_keys_that_weighing_the_rival_lacks_are_named():
    assert keys_lacking(results(rival=None)) == ""
    assert keys_lacking(results(motive="cost")) == ""
    assert keys_lacking(results()) == "value_of_correct"
    unpriced = keys_lacking(results(usd_per_1k=None, hour=1.0))
    assert unpriced.startswith("prices (of the remote model)")
    unbuilt = keys_lacking(results(build_usd=None, motive="cost"))
    assert "hours_to_build" in unbuilt
    assert "engineer_hour" not in unbuilt


def test_the_rule_reads_every_price_and_limit_of_the_task():
    success = {"margin": 0.07, "motive": "cost", "target": 0.9, "floor": 0.1, "wrong_at_most": 0.02}
    money = {"requests_per_month": 10.0, "value_of_correct": 2.0, "label_each": 3.0,
             "horizon_months": 4}  # fmt: skip
    task = Task.model_validate({"data": {"file": "rows.jsonl"}, "success": success,
                                "economics": money})  # fmt: skip
    told = policy_of(task)
    assert {name: getattr(told, name) for name in (*success, *money)} == {**success, **money}
    assert told.margin_is_default is False
    assert policy_of(Task.model_validate({"data": {"file": "rows.jsonl"}})).margin_is_default
