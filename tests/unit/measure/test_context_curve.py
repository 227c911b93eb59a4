"""The context curve: points by the recipe, no placebo, no arm that only stands on a recipe."""

from tuneworthy.measure.further.prompt_search import context_curves
from tuneworthy.records.arm import Recipe
from tuneworthy.records.evidence import ArmResult, Evidence, Interval, Tokens
from tuneworthy.records.run import Run, Spec


def run(arm, recipe, name=None, state="measured", **options):
    spec = Spec(name=name or arm, arm=arm, options=options, tool="prompt")
    return Run(spec=spec, seed=0, fold=0, state=state, recipe=recipe)


def evidence(*names):
    score = Interval(mean=0.5, low=0.4, high=0.6)
    tokens = Tokens.model_validate({"in": 120.0, "out": 4.0})
    arms = [
        ArmResult(name=n, tool="prompt", role="candidate", simplicity=0, options={},
                  state="measured", score=score, tokens=tokens)
        for n in names
    ]  # fmt: skip
    return Evidence(task="t", hash="h", n=9, looks=1, alpha=0.05, arms=tuple(arms), pairs=())


def nearest(k):
    return Recipe(kind="nearest", k=k)


def test_points_are_the_examples_of_the_recipe_in_order_with_none_in_front():
    runs = [
        run("nearest_shots", nearest(16), "nearest_shots(k=16)", k=16),
        run("zero_shot", Recipe()),
        run("nearest_shots", nearest(4), "nearest_shots(k=4)", k=4),
        run("nearest_shots", nearest(4), "nearest_shots(k=4)", k=4),  # another fold
        run("few_shot", Recipe(kind="few", k=8, shots=("a",))),
    ]
    few, near = context_curves(runs, evidence(*{r.spec.name for r in runs}))
    assert (few.kind, [p.k for p in few.points]) == ("few", [0, 8])
    assert (near.kind, [p.k for p in near.points]) == ("nearest", [0, 4, 16])
    assert near.points[1].arm == "nearest_shots(k=4)"
    assert near.points[1].score.low == 0.4
    assert near.points[1].tokens == 120


def test_placebos_skipped_arms_and_arms_that_only_stand_on_a_recipe_are_no_points():
    runs = [
        run("zero_shot", Recipe()),
        run("nearest_shots", nearest(8), "shuffled", shuffled=True),
        run("nearest_shots", nearest(64), "skipped", state="skipped", k=64),
        run("vote", nearest(8)),
        run("constrained", nearest(8)),
    ]
    assert context_curves(runs, evidence(*{r.spec.name for r in runs})) == ()
    runs.append(run("nearest_shots", nearest(8)))
    (curve,) = context_curves(runs, evidence(*{r.spec.name for r in runs}))
    assert [p.arm for p in curve.points] == ["zero_shot", "nearest_shots"]
