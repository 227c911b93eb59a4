"""The verdict so far of a running study, and keys of the task that are gone."""

import pytest
from pydantic import ValidationError

from tuneworthy.records.evidence import ArmResult
from tuneworthy.records.interval import Interval
from tuneworthy.records.reason import Reason
from tuneworthy.records.record import told_before
from tuneworthy.records.task import LEFT_KEYS, Budget
from tuneworthy.records.verdict import Standing


def arm(name, role="candidate", **more):
    return ArmResult(name=name, tool="prompt", role=role, state="measured", simplicity=0,
                     options={}, **more)  # fmt: skip


def test_a_standing_is_written_without_placebos_and_with_reasons_in_words():
    score = Interval(mean=0.5, low=0.4, high=0.6)
    left_out = arm("b", because=Reason.needs("data.docs"))
    told = Standing("prompt", "a", 0.2, (arm("a", score=score), left_out, arm("c", "placebo")))
    plain = told.plain()
    assert (plain["use"], plain["arm"], plain["left"]) == ("prompt", "a", 0.2)
    assert [one["name"] for one in plain["arms"]] == ["a", "b"]
    assert [one["because"] for one in plain["arms"]] == ["", "needs data.docs"]
    assert plain["arms"][0]["score"] == {"mean": 0.5, "low": 0.4, "high": 0.6}
    assert left_out.because.lacking


def test_older_results_are_read_without_a_key_that_is_gone_and_refused_where_it_was_used():
    assert Budget.model_validate({"minutes": 5, "stop_early": False}) == Budget(minutes=5)
    with pytest.raises(ValidationError, match="the schedule") as refused:
        Budget.model_validate({"stop_early": True})
    assert LEFT_KEYS["stop_early"] in str(refused.value)


def test_what_is_no_record_is_left_to_the_checks_of_its_type():
    class Told(Reason):
        older = told_before(about=lambda data: "read")

    assert Told.model_validate({}).about == "read"
    with pytest.raises(ValidationError):
        Told.model_validate(3)
