"""Learning curves measured on a small study: cut, stored, paired; what clean labels are worth."""

import random

import pytest
from tests import studies

from tuneworthy.explain.comparison import compare
from tuneworthy.flows.session import open_session
from tuneworthy.measure.further import training_size_curve as curves
from tuneworthy.measure.planning import PlanInputs, Speed
from tuneworthy.measure.units import measure
from tuneworthy.records.arm import Recipe, Sizes
from tuneworthy.records.plan import PlannedArm
from tuneworthy.records.run import RunOptions, Spec


def noisy(rows, share, seed=3):
    draw = random.Random(seed)
    return [
        {**row, "output": draw.choice([x for x in studies.LABELS if x != row["output"]])}
        if draw.random() < share
        else row
        for row in rows
    ]


def measured(folder, n=120, share=0.0, arms=("majority", "tfidf", "zero_shot"), **more):
    """Run some arms of a study and return its curves and how many units were fitted for them."""
    path = studies.write(folder, n, arms=list(arms), present=None, **more)
    studies.lines(folder / "rows.jsonl", noisy(studies.rows(n), share))
    with open_session(path, RunOptions()) as desk:
        bench, planned, runs = desk.runner(), desk.plan().arms, []
        recipes = [Recipe() for _ in bench.split.parts]
        for arm in planned:
            runs += measure(bench, arm, recipes, False)
        evidence = compare(desk.inputs, list(desk.sealed.open("compare").values()), runs)
        before = len(desk.ledger.keys(bench.study, "run"))
        found = curves.learning_curves(bench, planned, runs, recipes, evidence)
        added = len(desk.ledger.keys(bench.study, "run")) - before
        again = curves.learning_curves(bench, planned, runs, recipes, evidence)
        assert again == found
        assert len(desk.ledger.keys(bench.study, "run")) == before + added
        later = curves.learning_curves(
            bench, planned, runs, recipes, evidence, {"tfidf": "no minutes are left"}
        )
    return found, added, later


def test_a_classifier_is_measured_on_fewer_rows_and_every_fit_is_a_unit(tmp_path):
    (curve,), added, (skipped,) = measured(tmp_path)
    assert (curve.arm, curve.tool, curve.rival) == ("tfidf", "classifier", "zero_shot")
    assert [point.rows for point in curve.points] == [24, 48, 96]  # of 120, a fold is for scoring
    assert {point.n for point in curve.points} == {120}
    assert {point.repeats for point in curve.points} == {5}
    assert curve.points[0].score.mean <= curve.points[-1].score.mean
    assert curve.last_doubling.low <= curve.last_doubling.mean <= curve.last_doubling.high
    assert 2 * 5 <= added <= 3 * 5  # two sizes, and the folds where a row is denied
    assert curve.cleaning.dropped < 1
    assert (skipped.points, skipped.because) == ((), "no minutes are left")


def test_rows_that_others_deny_are_left_out_where_labels_are_wrong(tmp_path):
    (curve,), _, _ = measured(tmp_path, n=150, share=0.25)
    seen = curve.cleaning
    assert (seen.n, seen.rows) == (150, 120)  # a classifier chooses nothing: no row is kept for it
    assert 5 < seen.dropped < 25
    assert seen.gain.low < seen.gain.mean < seen.gain.high


def test_an_arm_that_was_scored_on_one_fold_has_its_curve_there(tmp_path):
    """The schedule may stop an arm after its first fold: the others were never fitted."""
    path = studies.write(tmp_path, 120, arms=["majority", "tfidf", "zero_shot"], present=None)
    with open_session(path, RunOptions()) as desk:
        bench, runs = desk.runner(), []
        recipes, planned = [Recipe() for _ in bench.split.parts], desk.plan().arms
        for arm in planned:
            first = arm.folds[:1] if arm.spec.arm == "tfidf" else arm.folds
            runs += measure(bench, arm.model_copy(update={"folds": first}), recipes, False)
        evidence = compare(desk.inputs, list(desk.sealed.open("compare").values()), runs)
        (curve,) = curves.learning_curves(bench, planned, runs, recipes, evidence)
    assert {point.n for point in curve.points} == {24}
    assert {point.repeats for point in curve.points} == {2}


def test_one_split_takes_two_seeds_for_repeats(tmp_path):
    rows = studies.rows(60, seed=9)
    for at, row in enumerate(rows):
        row["id"] = f"t{at}"
    studies.write(tmp_path)
    studies.lines(tmp_path / "test.jsonl", rows)
    (curve,), _, _ = measured(tmp_path, data={"train": "rows.jsonl", "test": "test.jsonl"})
    assert {point.repeats for point in curve.points} == {2}
    assert {point.n for point in curve.points} == {60}


def test_a_smaller_share_holds_rows_of_the_larger_one(tmp_path):
    path = studies.write(tmp_path, 120)
    with open_session(path, RunOptions()) as desk:
        bench = desk.runner()
        part = bench.split.parts[0]
        cuts = [set(curves._cut_rows(bench, part, share, 0).train) for share in (0.25, 0.5)]
        assert cuts[0] < cuts[1] < set(part.train)
        other = set(curves._cut_rows(bench, part, 0.5, 1).train)
        assert other != cuts[1]
        assert curves._cut_rows(bench, part, 0.5, 0).dev == part.dev


def test_an_arm_that_learns_from_some_rows_has_a_curve_of_those(tmp_path):
    path = studies.write(tmp_path, 200)
    with open_session(path, RunOptions()) as desk:
        bench = desk.runner()
        part = bench.split.parts[0]
        spec = Spec(name="lora", arm="lora", options={"rows": 64}, simplicity=1, tool="tune")
        planned = PlannedArm(spec=spec, folds=(0,), seeds=(0,))
        learner = curves._Learner(planned, (0,), (0, 1), [], {}, "", {})
        assert len(part.train) > 64
        share = curves._usable_row_share(learner, part)
        assert len(curves._cut_rows(bench, part, 0.5 * share, 0).train) == 32
        scores = {(0, 0, case): 1.0 for case in part.test}
        whole = len(part.train) + len(part.dev)
        assert curves._curve_point(bench, learner, 1.0, scores).rows == round(
            64 / len(part.train) * whole
        )


@pytest.mark.parametrize(("rows", "shares"), [(160, 3), (159, 2), (19, 1), (8, 0)])
def test_the_shares_that_are_tried(rows, shares):
    assert len(curves._row_shares(rows)) == shares


@pytest.mark.long
def test_without_an_arm_that_learns_nothing_there_is_no_number_of_rows(tmp_path):
    (curve,), _, _ = measured(tmp_path, arms=("majority", "tfidf"))
    assert (curve.needed, curve.rival) == (None, "")
    assert "learns nothing" in curve.because
    assert curve.last_doubling is not None


def test_without_a_learner_there_is_no_curve(tmp_path):
    found, added, _ = measured(tmp_path, arms=("majority", "zero_shot"))
    assert (found, added) == ((), 0)


def test_the_minutes_of_a_curve_are_those_of_its_smaller_fits(tmp_path):
    path = studies.write(tmp_path, 240, seeds=2)
    with open_session(path, RunOptions()) as desk:
        planned = PlannedArm(spec=Spec(name="lora", arm="lora", tool="tune"), folds=(0, 1),
                             seeds=(0, 1))  # fmt: skip
        sizes = Sizes(cases=240, train=150, dev=40, shared=0, own=40, shot=50, answer=4, cap=8,
                      labels=9)  # fmt: skip
        facts = PlanInputs(
            desk.task, desk.split, desk.audit, {}, sizes, Speed(read=1000, written=100)
        )
        lora = curves.curve_minutes(facts, planned)
        fits = [2 * 3 * rows * 44 * 3.3 / 1000 / 60 for rows in (38, 75)]  # folds, epochs, tokens
        assert sum(fits) < lora < 6 * sum(fits)  # scored and dev answers come on top
        free = planned.model_copy(update={"spec": Spec(name="tfidf", arm="tfidf")})
        assert curves.curve_minutes(facts, free) == 0
