"""A whole study with a search for a prompt: kept by fold, stood on by later arms, summed up."""

import json

import pytest
from tests import studies

import tuneworthy
from tuneworthy.measure import schedule_runner
from tuneworthy.measure.further.prompt_search import search_summary, untried_search
from tuneworthy.records.artefact import Recipe
from tuneworthy.records.plan import Plan
from tuneworthy.records.plugins import load
from tuneworthy.records.reason import Reason
from tuneworthy.records.run import Run, Spec
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


def test_a_further_step_of_a_fold_begins_with_the_prompt_of_its_first(tmp_path, monkeypatch):
    begun, measure = [], schedule_runner.measure

    def seen(runner, part, recipes, dev):
        begun.extend((part.spec.name, fold, recipes[fold]) for fold in part.folds)
        return measure(runner, part, recipes, dev)

    def newest(runs, fold, seed):
        return Recipe(reminder=f"after {len(runs)} runs")

    monkeypatch.setattr(schedule_runner, "measure", seen)
    monkeypatch.setattr(schedule_runner, "best_prompt", newest)
    tuneworthy.run(studies.write(tmp_path, n=300, arms=ARMS, present=None))
    own = [(fold, recipe) for name, fold, recipe in begun if name == "optimised_prompt"]
    assert len(own) > len(set(own)), "some fold took two steps"
    assert len({recipe for _, recipe in own}) == len({fold for fold, _ in own})


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


def searched(folder, arms, **more):
    """Return the search that could run and did not, and the finding on prompts, of a study."""
    found = tuneworthy.run(studies.write(folder, n=90, arms=arms, present=None, **more)).results
    (asked,) = [one for one in found.verdict.questions if one.name == "prompt_exhausted"]
    return found.evidence.untried_search, asked, found


def test_a_search_that_the_minutes_cut_or_that_no_list_names_says_how_it_runs(tmp_path):
    cut, asked, _ = searched(tmp_path / "cut", ARMS, budget={"minutes": 1e-5})
    assert (cut.arm, cut.prompts, cut.minutes) == ("optimised_prompt", 4, 1)
    assert (asked.answer, asked.next) == (
        "no", "a search of 4 prompts takes about 1 minute: `tuneworthy run --more 1m`"
    )  # fmt: skip
    assert "`zero_shot` was tried as it is" in asked.because
    unlisted, asked, _ = searched(tmp_path / "unlisted", ["zero_shot", "tfidf"])
    assert (unlisted.arm, unlisted.minutes) == ("optimised_prompt", None)
    assert "`{optimised_prompt: {budget: 8}}` under `arms`" in asked.next
    assert "`tfidf` minus `zero_shot` is" in asked.because
    ran, asked, _ = searched(
        tmp_path / "unlisted", ["zero_shot", {"optimised_prompt": {"budget": 8}}]
    )
    assert ran is None
    assert "the last doubling to 8 prompts" in asked.because


def test_a_search_that_the_rule_left_out_runs_where_the_task_names_it(tmp_path):
    arms = ["tfidf", "zero_shot", "optimised_prompt"]
    left, asked, results = searched(tmp_path, arms)
    (state,) = [a.state for a in results.evidence.arms if a.name == "optimised_prompt"]
    assert state == "skipped"
    assert left.how.startswith("write `success: {finalists: {prompt: optimised_prompt}}`")
    assert left.how in asked.next
    named = {"finalists": {"prompt": "optimised_prompt"}}
    ran, _, results = searched(tmp_path, arms, success=named)
    assert ran is None
    assert results.evidence.search.optimised


def test_no_search_is_offered_where_no_model_is_asked_or_the_search_can_not_run(tmp_path):
    assert searched(tmp_path / "words", ["tfidf", "majority"])[0] is None
    few = searched(tmp_path / "few", ["zero_shot", "optimised_prompt"], data={
        "file": "rows.jsonl", "dev_share": 0.02})[0]  # fmt: skip
    assert few is None


def test_training_is_named_firmly_once_the_search_for_a_prompt_has_run(tmp_path):
    gold = [{"id": row["id"], "answer": row["output"]} for row in studies.rows(90)]
    tmp_path.mkdir(exist_ok=True)
    studies.lines(tmp_path / "tuned.jsonl", gold)
    tuned = {"answers": {"tuned": {"file": "tuned.jsonl", "tool": "tune"}}}
    before = searched(tmp_path, ["zero_shot", "tuned"], **tuned)[2].verdict
    assert (before.arm, before.status) == ("tuned", "provisional")
    assert before.next.do == "search for a better prompt"
    listed = ["zero_shot", {"optimised_prompt": {"budget": 8}}, "tuned"]
    after = searched(tmp_path, listed, **tuned)[2].verdict
    assert (after.arm, after.status) == ("tuned", "firm")


def test_a_search_that_failed_or_lacks_a_need_is_not_offered(study):
    found = study.results
    task, split = found.task, found.split
    others = [run for run in found.runs if run.spec.arm != "optimised_prompt"]
    assert untried_search(task, found.plan, found.runs, split) is None
    assert untried_search(task, found.plan, others, split).arm == "optimised_prompt"
    spec = next(run.spec for run in found.runs if run.spec.arm == "optimised_prompt")
    broken = Run(spec=spec, seed=0, fold=0, state="failed", because=Reason(text="it broke"))
    assert untried_search(task, found.plan, [*others, broken], split) is None
    arms = [arm.model_copy(update={"because": Reason.needs("a model")})
            if arm.spec == spec else arm for arm in found.plan.arms]  # fmt: skip
    lacking = found.plan.model_copy(update={"arms": tuple(arms)})
    assert untried_search(task, lacking, others, split) is None


def test_a_model_that_was_only_trained_here_could_be_asked_as_well(study):
    found = study.results
    lora = Spec(name="lora", arm="lora", options=load("arms", "lora").Options().plain(),
                tool="tune", simplicity=0)  # fmt: skip
    run = Run(spec=lora, seed=0, fold=0, state="measured")
    assert untried_search(found.task, found.plan, [run], found.split) is not None
    elsewhere = found.task.model_copy(update={"tune": "hf:another/model"})
    assert untried_search(elsewhere, found.plan, [run], found.split) is None
    logged = run.model_copy(update={"recorded": True})
    assert untried_search(found.task, found.plan, [logged], found.split) is None
