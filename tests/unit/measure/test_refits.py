"""Cheap arms are fitted again on other folds; only their lower bounds become narrower."""

import json

import pytest
from tests import studies

import tuneworthy
from tuneworthy.flows import look_count
from tuneworthy.report import results_folder

ARMS = {"arms": ["present", "majority", "tfidf"], "present": {"answers": "logged.jsonl"}}


def pair_of(study, arm, versus):
    return next(p for p in study.results.evidence.pairs if (p.arm, p.versus) == (arm, versus))


def test_a_classifier_is_fitted_again_and_only_its_lower_bound_narrows(tmp_path, monkeypatch):
    near = tuneworthy.run(studies.write(tmp_path / "a", n=150, **ARMS))
    assert list(near.results.reproduce["spent"]["refits"]) == ["tfidf"]
    assert results_folder.recompute(near.folder).differs == ()
    monkeypatch.setattr(look_count, "score_variances", lambda *given: {})
    wide = tuneworthy.run(studies.write(tmp_path / "b", n=150, **ARMS))
    assert "spent" not in wide.results.reproduce
    one, other = (pair_of(study, "tfidf", "present") for study in (near, wide))
    assert (one.mean, one.high) == (other.mean, other.high)
    assert one.low > other.low + 0.005
    assert (one.factor, other.factor) == (1.25, 1.5)
    mirrored = pair_of(near, "present", "tfidf")
    assert (mirrored.low, mirrored.high) == (-one.high, -one.low)
    scores = [{a.name: a.score for a in study.results.evidence.arms} for study in (near, wide)]
    assert scores[0] == scores[1], "scores and their own intervals are those of the first partition"


@pytest.mark.parametrize("key", ["group", "time"])
def test_rows_in_groups_or_in_order_of_time_keep_the_whole_factor(tmp_path, key):
    path = studies.write(tmp_path, n=150, **ARMS)
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    values = {
        "group": lambda at: f"g{at // 3}",
        "time": lambda at: f"2026-01-01T{at // 60:02}:{at % 60:02}",
    }
    studies.lines(tmp_path / "rows.jsonl",
                  [{**row, key: values[key](at)} for at, row in enumerate(rows)])  # fmt: skip
    assert "refits" not in tuneworthy.run(path).results.reproduce.get("spent", {})
