"""Figures of the matrix that were counted by hand, and those that mirrored arms must share."""

from dataclasses import replace
from math import ceil, sqrt

import numpy as np
import pytest
from test_abstention import runs as stating
from test_abstention import study as abstaining
from test_class_scores import study as class_scores_of
from test_matrix import FOLDS, HALVES, IDS, even, matrix, runs
from test_repeats import ALONE, told_of

from tuneworthy.matrix.abstention import answering_only_sure, confidence
from tuneworthy.matrix.columns import column
from tuneworthy.matrix.detectable import detectable_by, visible_differences
from tuneworthy.matrix.judge_correction import GradedRows
from tuneworthy.records.answer import Answer, Score
from tuneworthy.records.split import Part, Split


def test_more_arms_answer_less_for_the_same_limit():
    _, inputs = abstaining(n=60, limit=0.05)
    one = {"a": column(stating(inputs, "a", lambda i: (0.9, True)))}
    assert answering_only_sure(inputs, one, 0.05)[1]["a"].shown is not None
    many = {name: column(stating(inputs, name, lambda i: (0.9, True))) for name in "abcdefgh"}
    found = answering_only_sure(inputs, many, 0.05)[1]
    assert [found[name].shown for name in many] == [None] * 8


def test_the_brier_score_of_an_arm_that_learns_is_as_uncertain_as_its_folds():
    ids, inputs = abstaining(k=2)
    parts = tuple(Part(train=tuple(ids[1 - k :: 2]), dev=(), test=tuple(ids[k::2])) for k in (0, 1))
    inputs = replace(inputs, split=Split(k=2, parts=parts))

    def brier(learned):
        made = stating(inputs, "a", lambda i: (0.9, int(i[1:]) % 4 != 1))
        return confidence(
            inputs, column([run.model_copy(update={"learned": learned}) for run in made]), {}, ()
        ).brier

    assert brier(True).mean == brier(False).mean
    assert brier(True).high - brier(True).low > brier(False).high - brier(False).low


def test_a_label_that_nobody_gives_has_an_f1_of_0():
    found = class_scores_of(["a", "b", "c"] * 20, {"one": ["a", "b", "a"] * 20})
    # f1 of a: 2 * 20 / (20 + 40), of b: 1, of c: 0
    assert found["one"].macro_f1.mean == pytest.approx((2 / 3 + 1 + 0) / 3, abs=1e-6)


def test_part_of_a_fold_counts_as_a_part_and_an_unplanned_one_as_one():
    half = column(runs("a", even)).part([*HALVES[0], *HALVES[1][:15]])
    assert half.folds_done(FOLDS) == 1.5
    other = FOLDS.model_copy(update={"k": 1, "parts": FOLDS.parts[:1]})
    assert column(runs("a", even)).folds_done(other) == 2


def test_equal_answers_that_are_repeated_are_told():
    made = runs("a", even)

    def with_repeats(times):
        said = tuple(Answer(case=i, text="x", repeats=(Answer(case=i, text="x"),) * times)
                     for run in made for i in (a.case for a in run.answers))  # fmt: skip
        parts = (said[:30], said[30:])
        return column([run.model_copy(update={"answers": each})
                       for run, each in zip(made, parts, strict=True)])  # fmt: skip

    assert with_repeats(0).alike_note == ""
    assert with_repeats(1).alike_note.startswith("2 answers to each row, always alike")


def test_scores_of_answers_that_differ_are_drawn():
    (first, *_) = runs("a", even)
    said = tuple(Answer(case=a.case, text="x", repeats=(Answer(case=a.case, text="y"),))
                 for a in first.answers)  # fmt: skip
    scores = tuple(Score(value=0.5, repeats=(1.0, 0.0)) for _ in said)
    drawn = column([first.model_copy(update={"answers": said, "scores": scores})]).draws
    assert drawn == {answer.case: (1.0, 0.0) for answer in said}


def test_twice_the_answers_are_as_many_rows_as_their_share_says():
    draws = {f"c{i:02}": (0.0, 1.0) if i < 8 else (float(i % 2),) * 2 for i in range(20)}
    told = told_of(draws)
    means = {case: sum(two) / 2 for case, two in draws.items()}
    within = 8 * 0.5 / 20  # the variance of (0, 1) is 1/2
    share = within / 2 / 20 / ALONE.variance(means)
    assert told.share == pytest.approx(share, abs=1e-6)
    assert told.rows_alone == ceil(20 * (1 - share + 2 * share)) > 20


def test_a_fitted_arm_must_differ_more_than_a_prompt_to_be_shown():
    found = visible_differences(FOLDS.model_copy(update={"learning": (100, 200)}), 60)
    assert 0 < found.prompts < found.fitted <= 1


def test_a_pair_of_twins_shows_what_half_as_many_rows_show():
    groups = {i: f"g{int(i[1:]) // 2}" for i in IDS}
    won = {i for i in IDS if int(i[1:]) // 2 % 5 < 3}
    lost = {i for i in IDS if int(i[1:]) // 2 % 5 == 3}

    def smallest(groups):
        pair = matrix(
            runs("a", lambda i: float(i not in lost)), runs("b", lambda i: float(i not in won)),
            groups=groups,
        ).difference("a", "b")  # fmt: skip
        shown, differ = detectable_by(pair, 0.1)
        # 36 wins and 12 losses in 60 rows; at a difference of .1, 12 losses and 18 wins differ
        wider = pair.standard_error / sqrt((48 / 60 - 0.4**2) / 60)
        assert differ == pytest.approx(0.5)
        assert shown == pytest.approx(shown_at_once(60) * max(1, wider) * sqrt(0.5 / 60), rel=0.01)
        return shown

    assert smallest(groups) / smallest({}) == pytest.approx(sqrt(2), rel=0.15)


def shown_at_once(n):
    """Return how many standard errors a difference must have to be shown in 8 of 10 cases."""
    both = 1.959964 + 0.841621
    return both * sqrt(n / (n + both**2))


def test_the_same_answer_of_two_arms_differs_by_0_although_nobody_graded_it():
    text = np.array(["yes", "no"], dtype=object)
    ungraded = {"judge": np.array([0.7, 0.7]), "low": np.zeros(2), "high": np.ones(2),
                "certain": np.zeros(2, bool), "drawn": np.ones(2, bool)}  # fmt: skip
    one, other = GradedRows(texts=text, **ungraded), GradedRows(texts=text[::-1], **ungraded)
    same, apart = one.minus(one), one.minus(other)
    assert (same.low.tolist(), same.high.tolist()) == ([0, 0], [0, 0])
    assert same.certain.all()
    assert (apart.low.tolist(), apart.high.tolist()) == ([-1, -1], [1, 1])


def test_the_best_of_two_arms_has_a_lower_end_that_allows_for_the_choice():
    found = matrix(runs("a", even), runs("b", lambda i: float(int(i[1:]) % 3 > 0)))
    alone, chosen = found.mean("b"), found.mean("b", rivals=[*found.columns.values()])
    assert chosen.low < alone.low
    assert (chosen.mean, chosen.high) == (alone.mean, alone.high)


@pytest.mark.parametrize("refits", [{}, {"b": 0.001}])
def test_a_difference_is_the_mirrored_one_of_the_mirrored_pair(refits):
    found = matrix(
        runs("a", even), runs("b", lambda i: float(int(i[1:]) % 3 > 0), learned=True, tool="tune"),
        refits=refits,
    )  # fmt: skip
    one, other = found.difference("a", "b"), found.difference("b", "a")
    assert (one.low, one.mean, one.high) == (-other.high, -other.mean, -other.low)
    if refits:  # what is built may be better than each fold, so one end keeps the whole factor
        assert one.high - one.mean < one.mean - one.low
