"""The prior: it learns a rule across types, says nothing without one, and is always called so."""

import random

import pytest
from bench.atlas.prior import forecast_of, predictor_line, prior_of
from tests.advice_kit import task

FACTS = {"rows": 100.0, "base": 0.2, "type_label": 1.0}


def world(rule, kinds=8, each=6):
    """Return made-up tasks whose winner is `rule(base, draw)`; base varies inside each type."""
    draw, tasks = random.Random(5), []
    for kind in range(kinds):
        for at in range(each):
            base = draw.random()
            facts = {"rows": 100.0 * (at + 1), "base": base, "type_label": float(kind % 2)}
            tasks.append(task(f"{kind}-{at}", kind=f"type {kind}", features=facts,
                              use=rule(base, draw), arm="x"))  # fmt: skip
    return tasks


def test_a_rule_that_holds_in_every_type_is_learnt_and_named_a_prior():
    prior = prior_of(world(lambda base, draw: "tune" if base < 0.5 else "prompt", 24, 3), FACTS)
    assert prior.better
    forecast = prior.forecast
    assert forecast.brier < forecast.frequency_brier
    assert prior.gain.low > 0
    assert forecast.probabilities(FACTS)["tune"] > 0.7
    assert sum(forecast.probabilities(FACTS).values()) == pytest.approx(1)
    line = forecast.line(FACTS)
    assert line.startswith(
        "Prior, not a measurement of your rows: on 72 measured tasks of 24 types"
    )
    assert "tune" in line


def test_few_types_show_nothing_even_of_a_perfect_rule():
    prior = prior_of(world(lambda base, draw: "tune" if base < 0.5 else "prompt", 8, 6), FACTS)
    assert prior.forecast.brier < prior.forecast.frequency_brier
    assert not prior.better  # one more type could be another world: the bound allows for it


def test_chance_shows_no_prior_and_says_so():
    tasks = world(lambda base, draw: draw.choice(["tune", "prompt"]))
    prior = prior_of(tasks, FACTS)
    assert not prior.better
    assert forecast_of(tasks) is None
    line = predictor_line(tasks)
    assert "On 48 firm tasks of 8 types" in line
    assert f"Brier score of {prior.forecast.brier:.2f}" in line
    assert line.endswith("nothing is shown.")


def test_a_type_is_never_forecast_from_itself():
    """Winners that follow the type alone can't be forecast for a type that was left out."""
    tasks = world(lambda base, draw: "tune")
    winners = {f"type {k}": "tune" if k % 3 else "prompt" for k in range(8)}
    tasks = [each.model_copy(update={"use": winners[each.kind], "features": {
        **each.features, "rows": float(each.kind[-1]) + 1}}) for each in tasks]  # fmt: skip
    assert not prior_of(tasks, FACTS).better


@pytest.mark.parametrize(
    "tasks",
    [
        [],
        world(lambda base, draw: "tune"),  # one winner alone
        world(lambda base, draw: draw.choice(["tune", "prompt"]), kinds=2),
        [task(str(k), kind=str(k), use=("tune", "keep")[k % 2]) for k in range(9)],  # no facts
        [
            t.model_copy(update={"status": "provisional"})
            for t in world(lambda b, d: d.choice(["tune", "keep"]))
        ],
    ],
)  # fmt: skip
def test_too_little_to_learn_from_gives_no_prior(tasks):
    assert prior_of(tasks, FACTS) is None
    assert forecast_of(tasks) is None
    assert f"Nothing is shown yet on {len(tasks)} measured task" in predictor_line(tasks)


def test_a_type_is_left_out_under_every_name_that_its_rows_have():
    """Two names of the same rows would let a forecast learn a type from its other name."""
    tasks = world(lambda base, draw: "tune" if base < 0.5 else "prompt", 4, 2)
    hashes = [f"rows {at % 4}" for at in range(len(tasks))]
    shared = [each.model_copy(update={"rows_hash": of, "kind": f"name {at}"})
              for at, (each, of) in enumerate(zip(tasks, hashes, strict=True))]  # fmt: skip
    assert prior_of(shared, FACTS).forecast.kinds == 4
    apart = [each.model_copy(update={"rows_hash": str(at)}) for at, each in enumerate(shared)]
    assert prior_of(apart, FACTS).forecast.kinds == 8
