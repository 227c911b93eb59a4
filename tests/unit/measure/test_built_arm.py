"""What is built from a study: which rows it learns from, and which prompt it stands on."""

from types import SimpleNamespace

import pytest

from tuneworthy.measure.built_arm import (
    DeployedArm,
    deployment_part,
    scores_of,
)
from tuneworthy.records.answer import Answer, Score
from tuneworthy.records.arm import Recipe
from tuneworthy.records.run import Run, Spec
from tuneworthy.rows.folds import Part, Split


def test_under_cross_fitting_the_scored_rows_are_learnt_from_but_no_copy_twice():
    parts = (
        Part(train=("c", "d"), dev=("e",), test=("a", "b")),
        Part(train=("a",), dev=("b",), test=("c", "d", "x")),
    )
    split = Split(k=2, parts=parts, copies=("x",))
    assert deployment_part(split, 1).train == ("a", "c", "d")
    assert deployment_part(split, 1).dev == ("b",)


def test_with_one_split_it_is_what_was_scored():
    part = Part(train=("c", "d"), dev=("e",), test=("a", "b"))
    assert deployment_part(Split(k=1, parts=(part,)), 0) == part


def prompt(name, dev, k, **more):
    spec = Spec(name=name, arm=name, tool="prompt")
    return Run(spec=spec, seed=0, fold=1, state="measured", dev=dev,
               recipe=Recipe(kind="few", k=k), **more)  # fmt: skip


def test_scores_are_those_of_the_seed_that_is_built():
    answer = Answer(case="a", text="x")
    runs = [
        prompt("one", 0.5, 1, answers=(answer,), scores=(Score(value=value),)).model_copy(
            update={"seed": seed}
        )
        for seed, value in ((0, 0.25), (1, 0.75))
    ]
    assert scores_of(runs, "one", 1) == {"a": 0.75}


@pytest.mark.parametrize(("arm", "count"), [("constrained", 1), ("lora", 0)])
def test_an_arm_that_chooses_its_prompt_chooses_among_those_of_the_study(arm, count):
    spec = Spec(name=arm, arm=arm, tool="schema")
    own = Run(spec=spec, seed=0, fold=0, state="measured")
    runs = [
        *(r.model_copy(update={"fold": 0}) for r in (prompt("one", 0.5, 1), prompt("two", 0.7, 2))),
        own,
    ]
    part = Part(train=("c", "d"), dev=("e",), test=("a", "b"))
    runner = SimpleNamespace(split=Split(k=1, parts=(part,)), task=SimpleNamespace(seed=0))
    made = DeployedArm(runner, runs, arm, 0, {})
    assert len(made.unit.prompts) == count
    assert made.unit.recipe.k == 2
