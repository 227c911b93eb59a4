"""Answering only what is sure: thresholds, coverage, and how far stated probabilities hold."""

import random

import pytest
from sklearn.metrics import brier_score_loss

from tuneworthy.matrix.abstention import confidence, coverage, least_rows
from tuneworthy.matrix.columns import column
from tuneworthy.matrix.inputs import ComparisonInputs
from tuneworthy.matrix.matrix import Matrix
from tuneworthy.records.answer import Answer, Score, Unscored
from tuneworthy.records.run import Run, Spec
from tuneworthy.records.split import Part, Split
from tuneworthy.records.task import Data, Success, Task


def study(n=400, limit=None, groups=None, k=1):
    ids = [f"c{i:04}" for i in range(n)]
    parts = tuple(Part(train=(), dev=(), test=tuple(ids[at::k])) for at in range(k))
    task = Task(data=Data(file="rows.jsonl"), success=Success(wrong_at_most=limit))
    return ids, ComparisonInputs(task, "study", Split(k=k, parts=parts, groups=groups or {}))


def runs(inputs, name, answer, role="candidate"):
    """`answer(id)` returns (probability of label x or None, whether x is right)."""
    out = []
    for fold, part in enumerate(inputs.split.parts):
        told = [(i, *answer(i)) for i in part.test]
        out.append(
            Run(
                spec=Spec(name=name, arm=name, tool="classifier", role=role),
                seed=0,
                fold=fold,
                state="measured",
                answers=tuple(
                    Answer(case=i, text="x", labels=None if p is None else {"x": p, "y": 1 - p})
                    for i, p, _ in told
                ),
                scores=tuple(Score(value=float(right)) for _, _, right in told),
            )
        )
    return out


def calibrated(seed=0):
    rng = random.Random(seed)

    def answer(_):
        p = 0.995 if rng.random() < 0.7 else 0.6
        return p, rng.random() < p

    return answer


def test_the_sure_rows_are_answered_and_the_others_handed_over():
    _, inputs = study()
    one = column(runs(inputs, "a", calibrated()))
    found = coverage(inputs, one, 0.05)
    assert found.threshold == 0.995
    assert 0.6 < found.coverage.mean < 0.8
    assert found.wrong.high <= 0.05
    assert "with at most 5 % wrong" in found.text


def test_without_probabilities_all_rows_are_answered_or_none():
    _, inputs = study()
    good = column(runs(inputs, "a", lambda i: (None, True)))
    bad = column(runs(inputs, "b", lambda i: (None, int(i[1:]) % 2)))
    assert coverage(inputs, good, 0.05).coverage.mean == 1
    assert coverage(inputs, bad, 0.05) is None


def test_too_few_rows_show_nothing_however_good_they_are():
    least = least_rows(0.02)
    assert least == 149
    _, inputs = study(n=100)
    assert coverage(inputs, column(runs(inputs, "a", lambda i: (0.9, True))), 0.02) is None


def test_an_answer_that_failed_is_the_least_sure():
    _, inputs = study()
    made = runs(inputs, "a", lambda i: (0.5, True))
    lost = Answer(case=made[0].answers[0].case, text="", error="down")
    answers = (lost, *made[0].answers[1:])
    scores = (Unscored(reason="down"), *made[0].scores[1:])
    found = coverage(
        inputs, column([made[0].model_copy(update={"answers": answers, "scores": scores})]), 0.05
    )
    assert found.answered == 399


def test_rows_of_one_group_say_less():
    ids, alone = study()
    _, grouped = study(groups={i: f"g{int(i[1:]) // 8}" for i in ids})
    rng = random.Random(3)
    bad = {f"g{k}" for k in range(50) if rng.random() < 0.04}
    told = {i: (0.9, f"g{int(i[1:]) // 8}" not in bad) for i in ids}
    found = [coverage(inputs, column(runs(inputs, "a", told.get)), 0.1)
             for inputs in (alone, grouped)]  # fmt: skip
    assert found[0] is not None
    assert found[1] is None


def test_a_matrix_under_a_limit_scores_what_is_answered():
    _, inputs = study(limit=0.05)
    rows = runs(inputs, "a", calibrated()) + runs(inputs, "b", lambda i: (None, int(i[1:]) % 2))
    found = Matrix.of(inputs, rows)
    assert found.mean("a").mean == found.sure["a"].shown.coverage.mean
    assert found.mean("b").mean == 0
    assert found.sure["b"].shown is None
    assert found.sure["b"].possible == 0
    assert found.difference("a", "b").mean == pytest.approx(found.mean("a").mean)
    assert Matrix.by_score(inputs, rows).mean("a").mean > 0.8


def test_brier_and_calibration_are_those_of_scikit_learn():
    _, inputs = study()
    one = column(runs(inputs, "a", calibrated(5)))
    told = confidence(inputs, one, {}, (0.05,))
    p = [answer.labels["x"] for answer, _ in one.cells.values()]
    right = [score.value for _, score in one.cells.values()]
    assert told.brier.mean == pytest.approx(brier_score_loss(right, p), abs=1e-6)
    assert told.error.low <= told.error.mean <= told.error.high
    assert told.error.low < 0.02  # the world is calibrated
    assert sum(one.n for one in told.bins) == 400
    assert [one.limit for one in told.at] == [0.05]
    assert told.temperature is None  # a single fold has no other rows


def test_too_sure_probabilities_get_a_temperature_from_the_other_folds():
    ids, inputs = study(k=4)
    rng = random.Random(1)

    def answer(_):
        p = rng.uniform(0.5, 0.99)
        return min(0.999, p**0.2), rng.random() < p

    one = column(runs(inputs, "a", answer))
    gold = {i: "x" if score.value else "y" for i, (_, score) in one.cells.items()}
    told = confidence(inputs, one, gold, ())
    assert told.temperature > 1.5
    assert told.error_scaled < told.error.mean
    assert told.error.low > 0.02
    odd = confidence(inputs, one, dict.fromkeys(ids, "never seen"), ())
    assert odd.temperature is None


def test_an_arm_that_states_nothing_has_no_confidence():
    _, inputs = study(n=20)
    assert confidence(inputs, column(runs(inputs, "a", lambda i: (None, True))), {}, ()) is None


def test_votes_state_the_share_that_says_the_same():
    answer = Answer(case="c", text="x", samples=("x", " x ", "y", "x"))
    assert answer.probability == 0.75
    assert Answer(case="c", text="x").probability is None
    assert Answer(case="c", text="z", labels={"x": 1.0}).probability is None
