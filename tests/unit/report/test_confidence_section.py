"""The section on probabilities: a row an arm, both pictures, every label alike; none without."""

import pytest
from tests import studies

from tuneworthy.flows import study
from tuneworthy.report.confidence_section import confidence_section
from tuneworthy.report.page_parts import Columns, Table


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    path = studies.write(tmp_path_factory.mktemp("study"), 120, arms=["majority", "tfidf"],
                         present=None)  # fmt: skip
    return study.run(path).results


def test_every_arm_that_states_probabilities_has_a_row_and_the_best_its_pictures(results):
    section = confidence_section(results)
    tables = [part for part in section.parts if isinstance(part, Table)]
    assert [row[0] for row in tables[0].rows] == ["tfidf"]
    assert tables[0].columns[:4] == (
        "Arm", "#Brier score", "#Calibration error", "#At temperature")  # fmt: skip
    arm = next(arm for arm in results.evidence.arms if arm.name == "tfidf")
    shown = {at.limit for at in arm.confidence.at}
    assert len(tables[0].columns) == 4 + len(shown)
    drawn = next(part for part in section.parts if isinstance(part, Columns))
    assert all("<svg" in figure.drawn for figure in drawn.of)
    assert drawn.of[0].drawn.count("<circle") == len(arm.confidence.curve)
    assert drawn.of[1].drawn.count("<circle") == len(arm.confidence.bins)
    assert [row[0] for row in tables[1].rows] == ["tfidf"]


def test_without_labels_and_probabilities_there_is_no_section(results):
    bare = [arm.model_copy(update={"confidence": None, "by_label": None})
            for arm in results.evidence.arms]  # fmt: skip
    evidence = results.evidence.model_copy(update={"arms": tuple(bare)})
    assert confidence_section(results.model_copy(update={"evidence": evidence})) is None


def test_too_few_rows_say_that_no_limit_is_kept(results):
    arms = [arm.model_copy(update={"confidence": arm.confidence.model_copy(update={"at": ()})})
            if arm.confidence else arm for arm in results.evidence.arms]  # fmt: skip
    evidence = results.evidence.model_copy(update={"arms": tuple(arms)})
    section = confidence_section(results.model_copy(update={"evidence": evidence}))
    assert "No arm keeps even 10 % wrong" in str(section.parts)
