"""Balanced accuracy and macro F1: equal to scikit-learn's, paired, with bounds that hold."""

import random

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score

from tuneworthy.matrix.class_scores import class_scores
from tuneworthy.matrix.columns import column
from tuneworthy.matrix.inputs import ComparisonInputs
from tuneworthy.records.answer import Answer, Score
from tuneworthy.records.run import Run, Spec
from tuneworthy.records.split import Part, Split
from tuneworthy.records.task import Data, Task


def study(gold, said, groups=None, seed=0):
    ids = [f"c{i:04}" for i in range(len(gold))]
    split = Split(k=1, parts=(Part(train=(), dev=(), test=tuple(ids)),), groups=groups or {})
    inputs = ComparisonInputs(Task(data=Data(file="r"), seed=seed), "s", split)
    columns = {}
    for name, answers in said.items():
        spec = Spec(name=name, arm=name, tool="classifier")
        run = Run(spec=spec, seed=0, fold=None, state="measured",
                  answers=tuple(Answer(case=i, text=a) for i, a in zip(ids, answers, strict=True)),
                  scores=tuple(Score(value=float(a == g))
                               for a, g in zip(answers, gold, strict=True)))  # fmt: skip
        columns[name] = column([run])
    return class_scores(inputs, columns, dict(zip(ids, gold, strict=True)))


def drawn(rng, n=300, right=0.7):
    names = ["a"] * 8 + ["b"] * 3 + ["c"]
    gold = [rng.choice(names) for _ in range(n)]
    said = [g if rng.random() < right else rng.choice(names) for g in gold]
    return gold, said


def test_the_figures_are_those_of_scikit_learn():
    rng = random.Random(0)
    gold, one = drawn(rng)
    other = [g if rng.random() < 0.5 else "a" for g in gold]
    found = study(gold, {"one": one, "other": other})
    for name, said in (("one", one), ("other", other)):
        assert found[name].balanced_accuracy.mean == pytest.approx(
            balanced_accuracy_score(gold, said), abs=1e-6)  # fmt: skip
        assert found[name].macro_f1.mean == pytest.approx(
            f1_score(gold, said, average="macro"), abs=1e-6)  # fmt: skip
    best = max(found, key=lambda name: found[name].macro_f1.mean)
    assert found[best].behind is None
    behind = found[{"one": "other", "other": "one"}[best]].behind
    assert behind.low <= behind.mean <= behind.high
    assert behind.mean < 0


def test_answers_that_are_no_label_are_wrong_and_no_class():
    found = study(["a", "b"] * 20, {"x": ["a", "nothing"] * 20})
    assert found["x"].balanced_accuracy.mean == 0.5
    assert found["x"].macro_f1.mean == 0.5


def test_answers_that_are_all_right_are_not_certain():
    found = study(["a", "b"] * 45, {"x": ["a", "b"] * 45})["x"]
    assert found.macro_f1.mean == found.macro_f1.high == 1
    assert 0.9 < found.macro_f1.low < 0.97


def test_one_label_has_no_such_score():
    assert study(["a"] * 10, {"x": ["a"] * 10}) == {}


def test_groups_are_drawn_whole():
    rng = random.Random(1)
    gold, said = drawn(rng, 200)
    gold, said = [g for g in gold for _ in range(4)], [s for s in said for _ in range(4)]
    groups = {f"c{i:04}": f"g{i // 4}" for i in range(800)}
    widths = [study(gold, {"x": said}, groups=of)["x"].macro_f1 for of in (None, groups)]
    alone, grouped = (one.high - one.low for one in widths)
    assert grouped > 1.5 * alone


def test_the_bounds_cover_the_true_value():
    rng = random.Random(2)
    pool_gold, pool_said = drawn(rng, 50_000)
    true = f1_score(pool_gold, pool_said, average="macro")
    held = 0
    for at in range(60):
        rows = [rng.randrange(50_000) for _ in range(300)]
        found = study([pool_gold[i] for i in rows], {"x": [pool_said[i] for i in rows]}, seed=at)
        held += found["x"].macro_f1.low <= true <= found["x"].macro_f1.high
    assert held >= 60 * 0.95 - 3 * np.sqrt(60 * 0.95 * 0.05)


def test_how_far_an_arm_is_behind_is_the_difference_in_macro_f1():
    rng = random.Random(3)
    gold, one = drawn(rng)
    other = ["a"] * len(gold)
    found = study(gold, {"one": one, "other": other})
    assert found["other"].best == found["one"].best == "one"
    assert found["other"].behind.mean == pytest.approx(
        found["other"].macro_f1.mean - found["one"].macro_f1.mean, abs=2e-6
    )
    gap = found["other"].balanced_accuracy.mean - found["one"].balanced_accuracy.mean
    assert found["other"].behind.mean != pytest.approx(gap, abs=0.01)
