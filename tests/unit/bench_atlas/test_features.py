"""Cheap facts and the first look, of a real small study."""

import pytest
from bench.atlas.cheap_look import first_look_of
from bench.atlas.features import features_of
from tests.studies import write

from tuneworthy.flows.study import RunOptions, run
from tuneworthy.report.atlas_file import row_features


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    path = write(tmp_path_factory.mktemp("study"), 120, budget={"stages": False})
    return run(path, RunOptions(brief=True)).results


def test_facts_of_rows_by_hand():
    found = row_features(["a", "a", "b b", "b b "], 40, "label")
    assert found["rows"] == 40
    assert found["label_entropy"] == pytest.approx(0.5)  # one bit of the two that four rows allow
    assert found["answer_words"] == 1.5
    assert (found["type_label"], found["type_json"]) == (1, 0)
    assert row_features(["x", "y"], 2, None)["label_entropy"] == 1
    assert row_features(["x"], 1, "text")["label_entropy"] == 0
    assert row_features([], 0, "text") == {}


def test_facts_of_a_study_are_its_scores(results):
    found = features_of(results)
    scores = {arm.name: arm.score.mean for arm in results.evidence.arms if arm.score}
    assert found["base"] == scores["zero_shot"]
    assert found["tfidf"] == scores["tfidf"]
    few = max(score for name, score in scores.items() if name.startswith("few_shot"))
    assert found["few_shot_gain"] == pytest.approx(few - scores["zero_shot"])
    assert found["type_label"] == 1


def test_a_first_look_has_cheap_arms_on_75_cases_and_one_leader(results):
    look = first_look_of(results)
    names = {arm.name for arm in look}
    assert {"zero_shot", "tfidf"} <= names
    assert "majority" not in names
    assert sum(arm.behind is None for arm in look) == 1
    best = max(look, key=lambda arm: arm.score.mean)
    for arm in look:
        if arm.behind:
            assert arm.behind.mean == pytest.approx(best.score.mean - arm.score.mean)
        assert (arm.score.mean * 75) % 1 == pytest.approx(0, abs=1e-4)
    assert first_look_of(results) == look
    assert first_look_of(results.model_copy(update={"runs": ()})) == ()
