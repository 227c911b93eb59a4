"""Two studies: the direction is said, a blocked one is marked, two metrics are never subtracted."""

import json

import pytest
from study_fixture import study

from tuneworthy.explain.two_studies import (
    METRIC_SOURCE_KEY,
    compare_repetition,
    compare_studies,
    ids_with_other_inputs,
)
from tuneworthy.records.answer import Unscored
from tuneworthy.records.case import Message
from tuneworthy.records.errors import DataError, TaskError
from tuneworthy.report.comparisons import compare_screen, repeated_screen
from tuneworthy.report.exports import repeated_json


@pytest.fixture(scope="module")
def results():
    return study()


def scored_by(results, **success):
    found = results.task.success.model_copy(update=success)
    return results.model_copy(update={"task": results.task.model_copy(update={"success": found})})


def test_the_screen_names_a_and_b_and_the_direction(results):
    pairs = compare_studies(results, results)
    told = " ".join(compare_screen(results, results, pairs, 120).plain.split())
    assert "A: " in told
    assert "B: " in told
    assert "Each line is B − A in points (two-sided 95 %): above 0, B is better." in told
    assert f"B {pairs[0].arm} − A {pairs[0].versus}: 0" in told
    assert "blocked" not in told


def test_a_blocked_study_is_marked(results):
    blocked = {"status": "blocked", "because": "rows leak."}
    stopped = results.model_copy(update={"verdict": results.verdict.model_copy(update=blocked)})
    told = " ".join(compare_screen(results, stopped, (), 120).plain.split())
    assert "B is blocked (rows leak.): its scores may mislead" in told
    assert "Each line" not in told


@pytest.mark.parametrize(
    ("success", "where"),
    [
        ({"metric": "fields_f1"}, "success.metric"),
        ({"options": {"tolerance": 0.1}}, "success.options"),
        ({"pass_at": 0.25}, "success.pass_at"),
    ],
)
def test_studies_that_were_not_scored_alike_are_refused(results, success, where):
    one = scored_by(results, metric="accuracy", options={}, pass_at=1.0)
    with pytest.raises(TaskError) as told:
        compare_studies(one, scored_by(one, **success))
    assert told.value.exit_code == 2
    assert told.value.where == where
    assert "in A" in told.value.got
    assert told.value.fix
    assert told.value.kept == "both studies, unchanged"
    judged = scored_by(one, metric="judge", judge=None)
    assert compare_studies(judged, judged)


def test_larger_groups_that_may_come_widen_the_differences(results):
    data = results.task.data.model_copy(update={"largest_group": 20})
    larger = results.model_copy(update={"task": results.task.model_copy(update={"data": data})})
    plain, wider = compare_studies(results, results), compare_studies(results, larger)
    assert [(p.arm, p.versus) for p in plain] == [(p.arm, p.versus) for p in wider]
    assert all(w.low < p.low and w.high > p.high for p, w in zip(plain, wider, strict=True))


def with_other_inputs(results, share):
    """Return the results with the ids of their rows on other inputs, in this share of them."""
    some = round(share * len(results.cases))
    turned = [
        case.model_copy(update={"messages": (Message(role="user", content=f"other {at}"),)})
        if at < some
        else case
        for at, case in enumerate(results.cases)
    ]
    return results.model_copy(update={"cases": tuple(turned)})


def test_a_case_with_another_input_under_the_same_id_is_left_out(results):
    few = with_other_inputs(results, 0.25)
    apart, both = ids_with_other_inputs(results, few)
    assert (len(apart), both) == (round(0.25 * len(results.cases)), len(results.cases))
    for whole, part in zip(
        compare_studies(results, results), compare_studies(results, few), strict=True
    ):
        assert part.n == whole.n - len(apart)


def test_studies_of_other_rows_with_the_same_ids_are_refused(results):
    with pytest.raises(DataError, match="name other rows") as told:
        compare_studies(results, with_other_inputs(results, 0.75))
    assert told.value.exit_code == 5
    assert "shared ids have one input" in told.value.got


def with_metric_source(results, source):
    """Return the results as those of a study whose own metric file had this hash; "" for none."""
    kept = {METRIC_SOURCE_KEY: source} if source else {}
    return results.model_copy(update={"reproduce": {**results.reproduce, **kept}})


def test_a_study_without_the_hash_of_its_own_metric_is_compared_with_a_caution(results):
    own = scored_by(results, metric="./score.py:score", options={})
    old, new = with_metric_source(own, ""), with_metric_source(own, "ab" * 32)
    told = " ".join(compare_screen(old, new, compare_studies(old, new), 120).plain.split())
    assert "Whether ./score.py:score scored both alike is not known: A has no hash" in told
    repeated = compare_repetition(old, new)
    assert "not known: before has no hash of its file" in repeated.caution
    assert repeated.caution.split()[0] in repeated_screen(repeated, 120).plain
    assert json.loads(repeated_json(repeated))["caution"] == repeated.caution
    assert compare_repetition(new, new).caution == ""
    with pytest.raises(TaskError, match="its file was changed"):
        compare_studies(new, with_metric_source(own, "cd" * 32))


def test_two_tasks_of_a_built_in_metric_are_not_said_to_share_more_than_was_compared(results):
    margin = scored_by(results, margin=0.123)
    told = " ".join(compare_screen(results, margin, (), 120).plain.split())
    assert "The tasks differ (the metric's name and options do not)" in told
    assert "not known" not in told


def test_answers_that_the_metric_could_not_score_are_no_difference(results):
    lost = Unscored(reason="score.py: ValueError")
    runs = [run.model_copy(update={"scores": (lost,) * len(run.scores)}) for run in results.runs]
    failed = {a.case for run in results.runs for a in run.answers if a.error is not None}
    pairs = compare_studies(results, results.model_copy(update={"runs": tuple(runs)}))
    assert all(pair.n <= len(failed) < len(results.cases) for pair in pairs)
