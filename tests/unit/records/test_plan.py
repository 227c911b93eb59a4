"""The totals of a plan: its load on endpoints, and its diagnosis."""

import pytest

from tuneworthy.records.audit_report import DetectableDifference
from tuneworthy.records.plan import (
    DIAGNOSIS_STEP,
    EndpointLoad,
    Plan,
    PlannedArm,
)
from tuneworthy.records.run import Spec
from tuneworthy.records.task import Budget

SEEN = DetectableDifference(n=10, d=0.3, factor=1.0, prompts=0.2, fitted=0.3)


def load(requests, usd):
    return EndpointLoad(what="arm", requests=requests, most_requests=2 * requests,
                        tokens=10 * requests, most_tokens=20 * requests, usd=usd, most_usd=usd,
                        minutes=1.0)  # fmt: skip


def planned(name, sent=None, **more):
    return PlannedArm(spec=Spec(name=name, arm=name), sent=sent, **more)


def plan(*arms, **more):
    return Plan(task="t", rows="r", k=3, scored=10, train=5, dev=2, arms=arms, visible=SEEN, **more)


def test_a_plan_without_endpoints_sends_nothing():
    assert plan(planned("a")).sent is None


def test_half_of_the_diagnosis_is_expected_and_all_of_it_is_the_most():
    sent = plan(
        planned("a", load(10, 1.0)),
        planned("b", load(20, 2.0), folds=(0,), units=((0, 9),)),
        planned("c", load(99, 9.0), because="left out"),
        across=(planned("d", load(4, 0.4)),),
        others=(load(6, 0.6),),
    ).sent
    assert (sent.requests, sent.most_requests) == (10 + 20 + 2 + 6, 2 * 40)
    assert sent.usd == pytest.approx(1.0 + 2.0 + 0.2 + 0.6)
    assert sent.minutes == 3.5


def test_one_unknown_price_makes_the_sum_unknown():
    assert plan(planned("a", load(10, None)), planned("b", load(1, 1.0))).sent.usd is None


@pytest.mark.parametrize(
    ("caps", "where"),
    [
        ({}, ""),
        ({"usd": 9.0}, ""),
        ({"usd": 0.5}, "a"),
        ({"usd": 1.9}, "b"),
        ({"usd": 3.1}, DIAGNOSIS_STEP),
        ({"usd": 3.3}, "arm"),
        ({"tokens": 99}, "a"),
        ({"tokens": 10_000}, ""),
    ],
)
def test_a_plan_says_where_a_cap_is_expected_to_end_the_run(caps, where):
    found = plan(
        planned("a", load(10, 1.0)),
        planned("b", load(20, 2.0), folds=(0,), units=((0, 9),)),
        planned("c", load(99, 9.0), because="left out"),
        planned("e"),
        across=(planned("d", load(4, 0.4)), planned("f")),
        others=(load(6, 0.6),),
    )
    assert found.with_caps(Budget(**caps)).stops_at == where


def test_each_step_costs_its_cases_and_the_first_one_of_a_fold_trains():
    steps = planned("a", folds=(0, 1), units=((0, 20), (0, 80), (1, 80)), minutes=10.0,
                    fit_minutes=3.0, requests=160)  # fmt: skip
    assert steps.scheduled
    assert steps.unit_minutes == pytest.approx((3.5, 1.5, 5.0))
    assert steps.first_minutes == pytest.approx(5.0)
    assert planned("b", minutes=2.0).first_minutes == 2.0
    first, rest, second = (steps.up_to(step) for step in range(3))
    assert (first.folds, first.units, first.requests) == ((0,), ((0, 20),), 20)
    assert (rest.folds, rest.units, rest.requests) == ((0,), ((0, 20), (0, 80)), 80)
    assert (second.folds, second.units) == ((1,), ((1, 80),))
    assert planned("c", folds=(0,), units=((0, 0),), minutes=1.0).unit_minutes == (1.0,)


def test_a_plan_of_an_older_version_keeps_its_looks():
    told = planned("a").plain()
    told = {key: value for key, value in told.items() if key not in ("units", "looked")}
    old = PlannedArm.model_validate({**told, "follow_up": True, "look_after": 1})
    assert plan(old).looks_at == {"a": (1,)}
    assert plan(PlannedArm.model_validate({**told, "look_after": 0})).looks_at == {}
    with pytest.raises(ValueError, match="PlannedArm"):
        PlannedArm.model_validate(3)


def test_a_plan_has_the_name_of_its_task_and_rows():
    named = plan().model_copy(update={"task": "a" * 64, "rows": "b" * 64})
    assert named.identity == "a" * 8 + "b" * 8
