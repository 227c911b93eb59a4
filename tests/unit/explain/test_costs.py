"""What an arm costs once and a month, by the written formula; what is not known names its key."""

import pytest

from tuneworthy.explain.costs import cost_per_1000_requests, with_costs
from tuneworthy.records.answer import Answer
from tuneworthy.records.evidence import ArmResult, Evidence, Interval
from tuneworthy.records.further import Freshness
from tuneworthy.records.run import Run, Spec, taught_rows
from tuneworthy.records.task import Data, Economics, Knowledge, Task

MONEY = {"engineer_hour": 90, "hours_to_build": 40, "hours_per_retrain": 8, "label_each": 0.5,
         "machine_hour": 0.4, "hosting_month": 567}  # fmt: skip


def task(**money):
    return Task(data=Data(file="rows.jsonl"), economics=Economics(**money))


def arm(name, tool, **more):
    score = Interval(mean=0.8, low=0.7, high=0.9)
    return ArmResult(name=name, tool=tool, role="candidate", simplicity=0, options={}, n=100,
                     state="measured", score=score, **more)  # fmt: skip


def priced(asked, *arms, days=None, runs=()):
    known = Freshness(days=Interval(mean=days, low=days, high=days)) if days else None
    found = Evidence(task="t", hash="h", n=100, looks=1, alpha=0.05, arms=arms, pairs=(),
                     train=250, staleness=known)  # fmt: skip
    return {a.name: a for a in with_costs(found, asked, runs).arms}


def test_a_tuned_model_costs_hours_labels_and_machine_time():
    runs = [Run(spec=Spec(name="lora", arm="lora"), seed=0, fold=f, state="measured")
            for f in range(5)]  # fmt: skip
    seen = priced(task(**MONEY), arm("lora", "tune", fit_seconds=5 * 3600.0), runs=runs)["lora"]
    assert seen.build_usd == pytest.approx(40 * 90 + 250 * 0.5 + 0.4)
    assert seen.retrain_usd == pytest.approx(8 * 90 + 0.4)
    assert seen.retrain_days == 360  # nothing known of change: once in the horizon
    assert seen.upkeep_usd_month == pytest.approx(567 + 720.4 / 12)


def test_the_worked_upkeep_567_hosting_and_eight_hours_every_three_months():
    seen = priced(task(**MONEY), arm("tune", "tune"), days=90)["tune"]
    assert seen.upkeep_usd_month == pytest.approx(807)
    slow = priced(task(**MONEY), arm("tune", "tune"), days=9000)["tune"]
    assert slow.retrain_days == 360


def test_what_went_stale_is_labelled_again():
    asked = task(**MONEY).model_copy(update={"knowledge": Knowledge(stale_ok=0.1)})
    seen = priced(asked, arm("tune", "tune"), days=30)["tune"]
    assert seen.retrain_usd == pytest.approx(720 + 0.1 * 250 * 0.5)


def test_other_tools_cost_their_labels_or_nothing():
    seen = priced(task(**MONEY), arm("tfidf", "classifier"), arm("few_shot", "prompt"),
                  arm("present", "keep", present=True))  # fmt: skip
    assert [seen[n].build_usd for n in ("tfidf", "few_shot", "present")] == [125, 0, 0]
    assert {a.upkeep_usd_month for a in seen.values()} == {0}


def test_a_tuned_model_that_runs_today_is_built_already_and_still_kept_up():
    seen = priced(task(**MONEY), arm("present", "tune", present=True), days=90)["present"]
    assert (seen.build_usd, seen.upkeep_usd_month) == (0, 807)


@pytest.mark.parametrize(
    ("left_out", "field"),
    [("hours_to_build", "build_usd"), ("engineer_hour", "build_usd"),
     ("hours_per_retrain", "retrain_usd"), ("hosting_month", "upkeep_usd_month")],
)  # fmt: skip
def test_a_cost_that_is_not_known_names_its_key(left_out, field):
    money = {key: value for key, value in MONEY.items() if key != left_out}
    seen = priced(task(**money), arm("lora", "tune"))["lora"]
    assert getattr(seen, field) is None
    assert f"economics.{left_out}" in seen.missing[field]
    again = priced(task(**MONEY), seen)["lora"]
    assert not again.missing
    assert again.build_usd is not None


def test_training_time_without_a_price_of_the_machine_is_not_free():
    money = {key: value for key, value in MONEY.items() if key != "machine_hour"}
    seen = priced(task(**money), arm("lora", "tune", fit_seconds=60.0))["lora"]
    assert (seen.build_usd, seen.upkeep_usd_month) == (None, None)


def remote(model, url="https://api.openai.com/v1"):
    return [Run(spec=Spec(name="zero_shot", arm="zero_shot"), seed=0, fold=0, state="measured",
                fingerprint={"engine": "openai-1", "endpoint": url, "model": model})]  # fmt: skip


def test_a_billed_request_says_whose_price_it_is_and_when_the_model_ends():
    answers = [Answer(case=str(i), text="", usd=usd) for i, usd in enumerate((0.001, 0.003))]
    listed = cost_per_1000_requests(task(), answers, remote("gpt-4.1-mini"), {})
    assert listed["usd_per_1k"] == pytest.approx(2.0)
    assert listed["usd_per_1k_se"] == pytest.approx(1.0)
    assert listed["price_from"].startswith("list price of gpt-4.1-mini, read on 20")
    assert listed["expires"] == "2027-01-14"
    own = task(prices={"gpt-4.1-mini": {"in": 1, "out": 1}})
    assert (
        "your price"
        in cost_per_1000_requests(own, answers, remote("gpt-4.1-mini"), {})["price_from"]
    )
    logged = cost_per_1000_requests(task(), answers, [], {})
    assert (logged["price_from"], logged["expires"]) == ("as recorded with its answers", None)


def test_seconds_without_a_price_are_no_cost():
    lacking = {}
    found = cost_per_1000_requests(task(), [Answer(case="1", text="", seconds=2.0)], [], lacking)
    assert "usd_per_1k" not in found
    assert "economics.machine_hour" in lacking["usd_per_1k"]
    found = cost_per_1000_requests(
        task(machine_hour=3.6), [Answer(case="1", text="", seconds=2.0)], [], {}
    )
    assert found["usd_per_1k"] == pytest.approx(2.0)


def test_a_server_on_this_machine_is_priced_by_its_hours():
    answers = [Answer(case="1", text="", seconds=2.0)]
    here = remote("mine", "http://localhost:8000/v1")
    assert cost_per_1000_requests(task(machine_hour=3.6), answers, here, {})[
        "usd_per_1k"
    ] == pytest.approx(2)
    lacking = {}
    assert "usd_per_1k" not in cost_per_1000_requests(
        task(machine_hour=3.6), answers, remote("x"), lacking
    )
    assert "no price of x" in lacking["usd_per_1k"]


def failed(case="f", **more):
    return Answer(case=case, text="", finish="error", error="refused by the server", **more)


@pytest.mark.parametrize("hour", [None, 0.4])
def test_one_failed_request_leaves_a_paid_arm_its_price(hour):
    answers = [Answer(case=str(i), text="x", usd=0.002, seconds=1.0) for i in range(199)]
    runs, asked = remote("gpt-4.1-mini"), task(machine_hour=hour)
    for failure in (failed(), failed(seconds=1.0), failed(usd=0.5)):
        lacking = {}
        found = cost_per_1000_requests(asked, [*answers, failure], runs, lacking)
        assert found == cost_per_1000_requests(asked, answers, runs, {})
        assert (found["usd_per_1k"], lacking) == (2.0, {})


def test_one_failed_answer_leaves_a_local_arm_its_price():
    answers = [Answer(case="1", text="", seconds=2.0), failed()]
    assert cost_per_1000_requests(task(machine_hour=3.6), answers, [], {})[
        "usd_per_1k"
    ] == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("answers", "runs", "why"),
    [
        ([Answer(case="1", text="", usd=0.1, seconds=1.0), Answer(case="2", text="", seconds=1.0),
          failed()], remote("gpt-4.1-mini"), "1 of 2 successful answers lack their `usd`"),
        ([Answer(case="1", text="", seconds=1.0)], remote("own"),
         "no price of own is known: set economics.prices"),
        ([Answer(case="1", text="", seconds=1.0)], remote("gpt-4.1-mini"), "no token counts"),
        ([Answer(case="1", text="", usd=0.1, seconds=1.0), Answer(case="2", text="", seconds=1.0)],
         [], "1 of 2 successful answers lack their `usd`"),
        ([failed(seconds=1.0)], [], "no request was answered"),
        ([Answer(case="1", text="", seconds=1.0), Answer(case="2", text="")], [], "its seconds"),
    ],
)  # fmt: skip
def test_what_was_billed_or_sent_away_is_never_priced_as_time_of_this_machine(answers, runs, why):
    lacking = {}
    assert "usd_per_1k" not in cost_per_1000_requests(
        task(machine_hour=0.4), answers, runs, lacking
    )
    assert why in lacking["usd_per_1k"]


def test_d5_requests_that_were_under_way_together_share_the_hour_of_this_machine():
    here = remote("x", "http://127.0.0.1:8000/v1")
    answers = [Answer(case=str(n), text="", seconds=8.0, concurrency=4) for n in range(4)]
    found = cost_per_1000_requests(task(machine_hour=3.6), answers, here, {})
    assert found["usd_per_1k"] == pytest.approx(2)


def test_what_a_teacher_wrote_is_paid_at_each_building_and_retraining():
    trace = {"distilled": {"teacher_rows": 270, "pairs": {"usd": 28.8}}}
    runs = [Run(spec=Spec(name="distil", arm="distil"), seed=0, fold=f, state="measured",
                trace=trace) for f in range(2)]  # fmt: skip
    student = arm("distil", "distil", fit_seconds=7200.0)
    plain, taught = (priced(task(**MONEY), student, runs=r)["distil"]
                     for r in ([run.model_copy(update={"trace": None}) for run in runs], runs)
                     )  # fmt: skip
    assert taught.build_usd == pytest.approx(plain.build_usd + 28.8)
    assert taught.retrain_usd == pytest.approx(plain.retrain_usd + 28.8)
    assert taught_rows(trace) == 270
