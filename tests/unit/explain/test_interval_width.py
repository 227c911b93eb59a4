"""Why an interval is wide: every reason with its own records, and silence where rows explain it."""

from dataclasses import replace

import numpy as np
import pytest

from tuneworthy.explain.comparison import compare
from tuneworthy.explain.interval_width import EXPLAINED_RATIO, FEW_ROWS_WIDTH
from tuneworthy.explain.trends import with_fits_and_trends
from tuneworthy.matrix.design import split_factor
from tuneworthy.matrix.inputs import ComparisonInputs
from tuneworthy.records.answer import Answer, Score
from tuneworthy.records.arm import Recipe
from tuneworthy.records.case import Case, Message
from tuneworthy.records.counting import points
from tuneworthy.records.run import Run, Spec
from tuneworthy.records.task import Data, Task
from tuneworthy.rows.folds import Part, Split
from tuneworthy.stats import bounds

N, K = 400, 5
IDS = [f"c{i:03d}" for i in range(N)]
EIGHT = Recipe(kind="nearest", k=8)
BARE = Recipe(kind="zero")


def shape(n=N, groups=None, **more):
    ids = IDS[:n]
    tests = [tuple(ids[at::K]) for at in range(K)]
    parts = tuple(
        Part(train=tuple(i for i in ids if i not in test), dev=(), test=test) for test in tests
    )
    task = Task(data=Data(file="rows.jsonl"), success={"metric": "exact"})
    groups = groups or {}
    return ComparisonInputs(task, "s", Split(k=K, parts=parts, groups=groups), **more)


def runs(made, means, recipes=None, **more):
    """Runs of one arm, a fold each: so many of the fold's first cases are right."""
    spec = Spec(name=more.pop("name", "rag"), arm="rag", tool=more.pop("tool", "context"))
    found = []
    for fold, mean in enumerate(means):
        test = made.split.parts[fold].test
        right = round(mean * len(test))
        scores = tuple(Score(value=float(at < right), valid=True) for at in range(len(test)))
        answers = tuple(Answer(case=i, text="yes") for i in test)
        each = more | ({"recipe": recipes[fold]} if recipes else {})
        found.append(Run(spec=spec, seed=0, fold=fold, state="measured", answers=answers,
                         scores=scores, **({"learned": True} | each)))  # fmt: skip
    return found


def arms(made, found):
    turn = (Message(role="user", content="hi"),)
    cases = [Case(id=i, messages=turn, output="yes") for i in made.split.scored]
    explained = with_fits_and_trends(made, cases, found, compare(made, cases, found))
    return {arm.name: arm for arm in explained.arms}


def wide(made, found, name="rag"):
    return arms(made, found)[name].wide


def test_independent_rows_of_an_arm_that_learns_nothing_need_no_reason():
    assert wide(shape(), runs(shape(), [0.2, 0.13, 0.11, 0.14, 0.09], learned=False)) == ()


def test_folds_that_differ_with_their_prompt_are_shown_by_choice():
    """As on real questions: folds on the bare instruction score .30 and .28, on examples .09."""
    recipes = [BARE, BARE, EIGHT, EIGHT, EIGHT]
    found = arms(shape(), runs(shape(), [0.3, 0.275, 0.1, 0.1, 0.0875], recipes))["rag"]
    lead, shared, scatter = found.wide
    assert lead.startswith(f"{points(found.score.high - found.score.low)} wide, ")
    assert lead.endswith(" times as wide as 400 independent rows would leave it (8 points)")
    assert shared == "its folds share rows to learn from, which widens it 1.5 times"
    assert scatter == (
        "its folds differ by more than their rows explain, as the choice did: the plain instruction"
        " .30, .28; the 8 nearest examples .10, .10, .09"
    )


def test_one_choice_leaves_the_scatter_and_no_scatter_leaves_the_choice_unsaid():
    same = wide(shape(), runs(shape(), [0.3, 0.275, 0.1, 0.1, 0.0875], [EIGHT] * K))
    assert same[-1] == "its folds differ by more than their rows explain: .30, .28, .10, .10, .09"
    recipes = [BARE, BARE, EIGHT, EIGHT, EIGHT]
    even = wide(shape(), runs(shape(), [0.5] * K, recipes))
    assert not any("choice" in line or "differ" in line for line in even)


def test_other_choices_are_told_apart():
    words = [Recipe(specification=text) for text in ("a", "b", "b", "a", "a")]
    found = wide(shape(), runs(shape(), [0.6, 0.2, 0.2, 0.6, 0.6], words))
    assert found[-1].endswith(
        "the plain instruction, searched words 1 .60, .60, .60; the plain instruction, searched"
        " words 2 .20, .20"
    )
    traces = [{"chosen": epoch} for epoch in (1, 3, 3, 1, 1)]
    trained = runs(shape(), [0.6, 0.2, 0.2, 0.6, 0.6], name="lora", tool="tune")
    trained = [
        run.model_copy(update={"trace": trace}) for run, trace in zip(trained, traces, strict=True)
    ]
    assert wide(shape(), trained, "lora")[-1].endswith("epoch 1 .60, .60, .60; epoch 3 .20, .20")


def test_folds_left_out_are_said_with_the_factor_of_all():
    found = wide(shape(), runs(shape(), [0.8, 0.1]))
    made = shape().split
    factors = (split_factor(made, [0, 1]), split_factor(made))
    assert factors[0] < factors[1]
    assert found[1].startswith("2 of 5 folds were run (160 of 400 rows); its folds share rows")
    assert found[1].endswith(f"({factors[1]:.3g} times with all folds)")
    assert f"{factors[0]:.3g} times (" in found[1]


def test_rows_in_groups_say_how_many_they_are_worth():
    groups = {i: IDS[8 * (at // 8)] for at, i in enumerate(IDS)}
    made = shape(groups=groups)
    rng = np.random.default_rng(1)
    luck = dict(zip(IDS[::8], rng.random(50) < 0.5, strict=True))
    found = [
        run.model_copy(
            update={
                "scores": tuple(
                    Score(value=float(luck[groups[a.case]]), valid=True) for a in run.answers
                )
            }
        )
        for run in runs(made, [0.5] * K, learned=False)
    ]
    lead, reason = wide(made, found)
    assert "400 independent rows" in lead
    assert (
        reason == "its rows come in groups and are worth 47 independent ones"
    )  # 400 over its width squared


def test_a_training_is_taken_to_differ_from_the_next():
    found = wide(shape(), runs(shape(), [0.5] * K, name="lora", tool="tune"), "lora")
    assert "one training to the next is taken to differ by 2 points" in found


def test_the_best_of_several_arms_pays_for_the_choice_and_few_rows_are_said():
    small = shape(40)
    rng = np.random.default_rng(3)
    many = [
        run
        for at in range(9)
        for run in runs(small, rng.random(K), name=f"p{at}", tool="prompt", learned=False)
    ]
    found = arms(small, many)
    (best,) = [arm for arm in found.values() if arm.finalist]
    said = "it was chosen among 9 arms of its tool, which its lower end allows for"
    assert best.wide[1:] == (said, "rows are few as well")
    assert not any(arm.wide for arm in found.values() if arm is not best)
    _, low, high = bounds.mean_interval([1.0] * 20 + [0.0] * 20, bounds.CHOSEN_ARM_LEVEL)
    assert high - low > FEW_ROWS_WIDTH


def test_a_judge_is_a_reason_of_its_own():
    made = replace(shape(), grades={("c000", "yes"): 1.0, ("c005", "yes"): 0.0})
    found = wide(made, runs(made, [0.5] * K, learned=False))
    assert len(found) == 2
    assert found[1] == "a judge's scores stand on the few that you graded"


def test_graded_cases_without_a_grade_of_this_arm_are_counted():
    made = shape()
    human = {(i, "yes" if at < 60 else "other words"): 1.0 for at, i in enumerate(IDS[:80])}
    found = wide(replace(made, grades=human), runs(made, [0.5] * K, learned=False))
    assert found[2:] == (
        "20 cases with a human grade lack one for this arm's answer:"
        " it counts as 0 at the low end and as 1 at the high end",
    )


def test_folds_widen_a_judged_score_of_an_arm_that_learns():
    made = shape()
    judged = replace(made, grades={(i, "yes"): float(at % 2) for at, i in enumerate(IDS[:100])})
    means = [0.1, 0.5, 0.9, 0.5, 0.5]
    (learned,), (fixed,) = (
        arms(judged, runs(made, means, learned=learns)).values() for learns in (True, False)
    )
    assert learned.score.mean == fixed.score.mean
    assert learned.score.high - learned.score.low > 1.5 * (fixed.score.high - fixed.score.low)


def test_where_humans_graded_every_answer_the_usual_reasons_hold():
    made = shape()
    judged = replace(made, grades={(i, "yes"): float(at % 2) for at, i in enumerate(IDS[:N])})
    (rag,) = arms(judged, runs(made, [0.1] * K, learned=False)).values()
    assert (rag.wide, rag.score.mean) == ((), 0.5)
    learned = wide(judged, runs(made, [0.1] * K))
    assert learned[1] == "its folds share rows to learn from, which widens it 1.5 times"


@pytest.mark.parametrize("means", [[0.2] * K, [0.9, 0.1, 0.5, 0.5, 0.5], [0.0, 0.0, 0.0, 0.1, 0.0]])
def test_the_ratio_said_is_that_of_the_stored_interval(means):
    found = arms(shape(), runs(shape(), means))["rag"]
    values = [float(at < round(m * 80)) for m in means for at in range(80)]
    _, low, high = bounds.mean_interval(values, bounds.CHOSEN_ARM_LEVEL)
    ratio = (found.score.high - found.score.low) / (high - low)
    assert bool(found.wide) == (ratio > EXPLAINED_RATIO)
    if found.wide:
        assert f"{ratio:.3g} times as wide" in found.wide[0]
