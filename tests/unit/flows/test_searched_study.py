"""A whole study with a search for a prompt: kept by fold, stood on by later arms, summed up."""

import json

import pytest
from tests import studies

import tuneworthy
from tuneworthy.measure.further.prompt_search import search_summary
from tuneworthy.records.plan import Plan
from tuneworthy.rows.copies import find_copies

ARMS = ["zero_shot", "optimised_prompt", "constrained"]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("searched")
    return tuneworthy.run(
        studies.write(folder, n=90, arms=ARMS, present=None, budget={"stages": False})
    )


def test_every_fold_keeps_what_it_tried_and_later_arms_stand_on_what_it_chose(study):
    runs = study.results.runs
    own = [run for run in runs if run.spec.arm == "optimised_prompt"]
    assert len(own) == 5
    for run in own:
        told = run.trace["search"]
        assert len(told["tried"]) == told["budget"] == 8
        chosen = next(one for one in told["tried"] if one["chosen"])
        assert chosen["recipe"] == run.recipe.plain()
    recipes = {run.fold: run.recipe for run in own if run.dev > plain_dev(runs, run.fold)}
    later = {run.fold: run.recipe for run in runs if run.spec.arm == "constrained"}
    assert all(later[fold] == recipe for fold, recipe in recipes.items())
    json.dumps(study.results.plain())


def plain_dev(runs, fold):
    return next(run.dev for run in runs if run.spec.arm == "zero_shot" and run.fold == fold)


def test_its_gain_is_measured_on_the_dev_rows_of_all_folds(study):
    results = study.results
    found = search_summary(
        results.task, find_copies(results.cases), results.runs, results.evidence, results.split
    )
    assert (found.arm, found.optimised, found.budget) == ("optimised_prompt", True, 8)
    rows = sum(len(run.trace["search"]["steps"][-1]["scores"]) for run in results.runs
               if run.spec.arm == "optimised_prompt")  # fmt: skip
    assert [step.n for step in found.steps] == [rows] * 4
    assert found.gain.low <= found.gain.mean <= found.gain.high
    assert "no tuned arm" in found.because


def test_its_trials_on_dev_are_in_the_plan(study):
    plan: Plan = study.results.plan
    work = {arm.spec.arm: arm.tokens for arm in plan.arms}
    assert work["optimised_prompt"] > 2 * work["zero_shot"]
