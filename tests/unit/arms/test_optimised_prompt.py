"""optimised_prompt: finds a planted better prompt, keeps its budget, resumes, and can lose."""

import errno

import pytest
from arms_kit import label_cases, setup, task

from tuneworthy.arms import _searched, constrained, optimised_prompt, vote
from tuneworthy.arms._prompted import mean_score, prompting_arm
from tuneworthy.arms.prompt.messages import build, specification
from tuneworthy.metrics import scorer
from tuneworthy.records.arm import Recipe
from tuneworthy.records.errors import DoesNotApply, StoreError
from tuneworthy.records.task import Success


def parts(respond, folder, **more):
    rows = label_cases(60)
    return setup(respond, folder, **{"train": rows[:18], "dev": rows[18:48], **more})


def gold(prompt):
    """Return the right label of the last user turn, from the words of its planted rule."""
    text = prompt[-1].content
    words = {"refund": ("money back", "charged twice", "refund"),
             "delivery": ("parcel", "courier", "not arrived"),
             "warranty": ("broke", "guarantee", "repair")}  # fmt: skip
    return next(label for label, some in words.items() if any(w in text for w in some))


class Needs:
    """A model that is right only where the prompt says what it needs; it counts its prompts."""

    def __init__(self, *needed):
        self.needed, self.asked = needed, []

    def __call__(self, prompt, limits):
        self.asked.append(prompt)
        said = "\n".join(message.content for message in prompt)
        return gold(prompt) if all(need in said for need in self.needed) else "nonsense"


def fit(model, folder, budget=8, **more):
    arm = optimised_prompt
    return arm.fit(parts(model, folder, **more), arm.Options(budget=budget), 0)


def test_trials_score_a_prompt_as_the_ladder_does_by_all_its_answers(tmp_path):
    job = task("text").model_copy(update={"success": Success(metric="style_match+token_f1")})
    told = parts(lambda prompt, limits: f"{gold(prompt).upper()}!", tmp_path, task=job,
                 score=scorer(job))  # fmt: skip
    trials = _searched.Trials(told)
    answers = prompting_arm(told, Recipe()).answer([case.query() for case in trials.rows])
    wanted = mean_score(told, trials.rows, answers)
    alone = [told.score(case, one).value for case, one in zip(trials.rows, answers, strict=True)]
    assert trials.mean(Recipe(), trials.rows) == pytest.approx(wanted)
    assert abs(sum(alone) / len(alone) - wanted) > 0.02
    few = trials.results(Recipe(), trials.rows[:5])  # too few to tell a style
    assert [one.value for one in few] == alone[:5]


def search(fitted):
    return fitted.trace["search"]


def test_words_that_the_model_needs_are_found_and_later_arms_stand_on_them(tmp_path):
    model = Needs("typical of it")
    fitted = fit(model, tmp_path)
    assert "typical of it" in fitted.recipe.specification
    assert fitted.trace["dev"] == 1
    assert fitted.learned
    steps = search(fitted)["steps"]
    assert [step["tried"] for step in steps] == [1, 2, 4, 8]
    assert [sum(step["scores"].values()) for step in steps] == [0, 0, 0, 30]
    asked = [case.query() for case in label_cases(60)[48:]]
    done = parts(model, tmp_path, recipe=fitted.recipe)
    for arm in (vote, constrained):
        made = arm.fit(done, arm.Options(), 0)
        assert made.recipe == fitted.recipe
        answers = made.answer(asked)
        assert all("typical of it" in a.prompt[0].content for a in answers)
        assert made.learned


def test_two_changes_that_help_together_only_are_found_one_after_the_other(tmp_path):
    """Negative control: where neither helps alone, a search by single changes finds nothing."""

    def half(prompt, limits):
        said = "\n".join(message.content for message in prompt)
        ready = [need in said for need in ("has an example", "nothing else")]
        easy = len(prompt[-1].content.split("\n")[0]) % 2  # needs one of the two only
        return gold(prompt) if sum(ready) + easy > 1 else "nonsense"

    found = fit(half, tmp_path / "a", budget=16).trace["dev"]
    assert found == 1
    stuck = Needs("has words that are typical", "warranty", "One of seven keys")
    assert fit(stuck, tmp_path / "b", budget=16).trace["dev"] == 0


def test_nothing_changes_where_nothing_is_better(tmp_path):
    start = Recipe(kind="nearest", k=4)
    fitted = fit(lambda prompt, limits: gold(prompt), tmp_path, recipe=start)
    assert fitted.recipe == start
    assert fitted.learned, "another fold could have chosen otherwise"


@pytest.mark.parametrize("budget", [1, 3, 8])
def test_no_more_prompts_are_tried_than_declared_and_every_one_is_kept(tmp_path, budget):
    model = Needs("nowhere")
    told = search(fit(model, tmp_path, budget=budget))
    assert len(told["tried"]) == budget == told["budget"]
    assert all(one["text"] and 10 <= one["n"] <= 30 for one in told["tried"])
    assert sum(one["chosen"] for one in told["tried"]) == 1
    assert len(model.asked) <= 30 * _searched.dev_passes(budget) + 60, "and few rows each"
    recipes = [Recipe.model_validate(one["recipe"]) for one in told["tried"]]
    assert len({r.model_dump_json() for r in recipes}) == budget


def test_a_search_that_was_killed_goes_on_without_asking_again(tmp_path):
    whole = Needs("typical of it")
    first = fit(whole, tmp_path / "a")

    class Dies(Needs):
        def __call__(self, prompt, limits):
            if len(self.asked) == 100:
                raise KeyboardInterrupt
            return super().__call__(prompt, limits)

    with pytest.raises(KeyboardInterrupt):
        fit(Dies("typical of it"), tmp_path / "b")
    rest = Needs("typical of it")
    second = fit(rest, tmp_path / "b")
    assert (second.recipe, second.trace) == (first.recipe, first.trace)
    assert 0 < len(rest.asked) < len(whole.asked) - 50


def test_a_full_disk_is_told_as_one_and_a_spoilt_file_is_asked_again(tmp_path, monkeypatch):
    first = fit(Needs("typical of it"), tmp_path)
    for path in (tmp_path / "trials").iterdir():
        path.write_text("[{")
    assert fit(Needs("typical of it"), tmp_path).trace == first.trace

    def full(*paths):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(_searched.os, "replace", full)
    with pytest.raises(StoreError):
        fit(Needs("typical of it"), tmp_path / "other")


def test_a_request_that_failed_is_asked_again(tmp_path):
    def down(prompt, limits):
        raise RuntimeError("down")

    assert fit(down, tmp_path, budget=1).trace["dev"] == 0
    assert fit(lambda prompt, limits: gold(prompt), tmp_path, budget=1).trace["dev"] == 1


def test_too_few_dev_rows_choose_nothing(tmp_path):
    with pytest.raises(DoesNotApply, match="9 dev rows are too few"):
        fit(Needs(), tmp_path, dev=label_cases(60)[18:27])


def test_prompts_that_do_not_fit_are_not_tried(tmp_path):
    made = parts(Needs("typical of it"), tmp_path)
    made.models["base"].context = 60
    fitted = optimised_prompt.fit(made, optimised_prompt.Options(budget=16), 0)
    assert all(one["recipe"]["k"] < 8 for one in search(fitted)["tried"])


def test_the_placebo_is_as_long_and_says_nothing(tmp_path):
    made = parts(Needs("typical of it"), tmp_path)
    best = optimised_prompt.fit(made, optimised_prompt.Options(budget=8), 0).recipe
    best = best.model_copy(update={"kind": "few", "k": 3, "shots": ("r0", "r1", "r2")})
    handed = parts(Needs(), tmp_path, recipe=best)
    options = optimised_prompt.placebo(optimised_prompt.Options())
    fake = optimised_prompt.fit(handed, options, 0).recipe
    query = label_cases(60)[50].query()
    real, empty = (build(handed.task, query, r, handed.train) for r in (best, fake))
    assert len(real[0].content.split()) == len(empty[0].content.split())
    assert empty[0].content.startswith(specification(handed.task))
    assert "typical" not in empty[0].content
    said = [[m.content for m in p if m.role == "assistant"] for p in (real, empty)]
    assert said[0] != said[1]
    assert sorted(said[0]) == sorted(said[1])


def test_the_budget_s_cost_is_what_a_search_asks():
    assert _searched.halving_sizes(40, 4) == [12, 20, 40]
    assert _searched.halving_sizes(40, 1) == [40]
    assert _searched.halving_sizes(300, 8) == [37, 75, 150, 300]
    assert _searched.dev_passes(1) == 1
    assert _searched.dev_passes(8) == 5.5
