"""The file of measured tasks: round trip, and numbers that no measurement gives are refused."""

import json

import pytest
from bench.atlas.answer_file import read_advice
from bench.atlas.task_file import read_tasks
from tests.advice_kit import prompt_task, task

from tuneworthy.records.errors import DataError


def written(tmp_path, *tasks):
    path = tmp_path / "measured.jsonl"
    path.write_text("\n".join(json.dumps(each) for each in tasks) + "\n\n", "utf-8")
    return path


def test_tasks_come_back_as_they_were_written(tmp_path):
    tasks = [task("a"), prompt_task("b", source="set", output_type="label", features={"rows": 1.0})]
    assert read_tasks(written(tmp_path, *(each.plain() for each in tasks))) == tasks


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"margin": -0.1}, "margin"),
        ({"base": 1.5}, "base"),
        ({"base": float("nan")}, "base"),
        ({"features": {"rows": float("inf")}}, "features.rows"),
        ({"features": {"rows": -5.0}}, "features.rows"),  # its logarithm ended the forecast
        ({"features": {"made_up": 1e300}}, "features.made_up"),
        ({"status": "sure"}, "status"),
        ({"use": "magic"}, "use"),
        ({"arms": "none"}, "arms"),
        ({"extra": 1}, "extra"),
    ],
)
def test_a_line_that_is_no_measured_task_is_named(tmp_path, change, said):
    path = written(tmp_path, task("a").plain(), task("b").plain() | change)
    with pytest.raises(DataError, match="no measured task") as caught:
        read_tasks(path)
    assert caught.value.where.endswith("measured.jsonl:2")
    assert said in caught.value.got


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("score", {"mean": 1.5, "low": 0.1, "high": 1.6}),
        ("score", {"mean": 0.5, "low": 0.6, "high": 0.7}),
        ("score", {"mean": float("nan"), "low": 0.0, "high": 1.0}),
        ("behind", {"mean": 0.0, "low": -2.0, "high": 0.1}),
        ("seconds", float("inf")),
        ("build_usd", -1.0),
    ],
)
@pytest.mark.parametrize("where", ["arms", "first_look"])
def test_numbers_that_no_measurement_gives_are_refused(tmp_path, where, field, value):
    plain = task("a").plain()
    plain["first_look"] = [dict(arm) for arm in plain["arms"]]
    plain[where][0][field] = value
    with pytest.raises(DataError, match="no measured task") as caught:
        read_tasks(written(tmp_path, plain))
    assert "arms.tfidf" in caught.value.got


def test_only_a_line_feed_ends_a_line_and_deep_nesting_is_refused(tmp_path):
    path, kept = tmp_path / "measured.jsonl", task("a", instruction="one\u2028two\x85three")
    path.write_text(json.dumps(kept.plain(), ensure_ascii=False) + "\n", "utf-8")
    assert read_tasks(path) == [kept]
    path.write_text("[" * 100_000 + "\n", "utf-8")
    with pytest.raises(DataError, match="no measured task"):
        read_tasks(path)
    with pytest.raises(DataError, match="no recorded advice"):
        read_advice(path)
