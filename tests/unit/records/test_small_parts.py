"""Settings of a task, spans, texts, parts of rows, and records that other rooms fill."""

from dataclasses import dataclass

import pytest
from tests.advice_kit import arm as measured_arm
from tests.advice_kit import task as measured_task

from tuneworthy.records.artefact import Pack, artefact_name
from tuneworthy.records.case import Message
from tuneworthy.records.counting import percent_with_bounds, points_with_bounds, with_verb
from tuneworthy.records.errors import EXIT_CODES, exit_code_lines
from tuneworthy.records.failure import LabRow, judged
from tuneworthy.records.interval import Interval
from tuneworthy.records.model import (
    Limits,
    final_replies,
    limits_for,
    reasoning_tokens,
    scaled_limits,
)
from tuneworthy.records.record import well_formed
from tuneworthy.records.run_report import (
    NEEDS_ANSWERS,
    ONLY_IN_LAB_RUNS,
    CaseFinding,
    LogStep,
    TrainingLog,
)
from tuneworthy.records.task import (
    Data,
    Task,
    duration_days,
    match_setting,
    price_fault,
    recorded_files,
)
from tuneworthy.records.tokens import parts, shared_length


def task(**more):
    return Task(data=Data(file="rows.jsonl"), **more)


def test_recorded_systems_and_how_their_answers_match():
    assert recorded_files(task()) == {}
    both = task(answers={"old": {"file": "old.jsonl", "match": "order"}},
                present={"answers": "now.jsonl", "match": "id"})  # fmt: skip
    assert recorded_files(both) == {"old": "old.jsonl", "present": "now.jsonl"}
    assert match_setting(both, "old") == ("order", "answers.old")
    assert match_setting(both, "present") == ("id", "present")
    assert match_setting(task(), "present") == (None, "present")


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("in", 0.4, ""), ("prompt_tokens", 1000, ""), ("on", 1, "no such key"),
        ("in", True, "a number"), ("in", "1", "a number"), ("out", -1, "0 or more"),
        ("out", float("nan"), "0 or more"), ("prompt_tokens", 0.5, "whole number above 0"),
        ("in", 2e6, "no model costs this much"),
    ],
)  # fmt: skip
def test_a_price_that_can_not_be_one_is_told(key, value, said):
    fault = price_fault(key, value)
    assert said in fault
    assert bool(fault) is bool(said)


@pytest.mark.parametrize(("text", "days"), [("12h", 0.5), ("30d", 30), (" 1.5 w", 10.5)])
def test_a_span_of_time_in_days(text, days):
    assert duration_days(text) == days


@pytest.mark.parametrize(
    ("text", "said"), [("soon", "no span"), ("0d", "above 0"), ("101y", "at most a century")]
)
def test_what_is_no_span_of_time_is_refused(text, said):
    with pytest.raises(ValueError, match=said):
        duration_days(text)


def test_half_a_character_is_replaced_and_other_text_stays():
    assert well_formed("a\ud800b") == "a\ufffdb"
    assert well_formed("a\ud83d\ude00") == "a\U0001f600"
    assert well_formed("\u6f22") == "\u6f22"


def test_a_count_and_its_verb_agree():
    assert with_verb(1, "row", "have") == "1 row has"
    assert with_verb(1, "arm", "learn") == "1 arm learns"
    assert with_verb(1250, "row", "have") == "1,250 rows have"


def test_a_share_and_points_are_written_with_their_bounds():
    share = Interval(mean=0.42, low=0.3, high=0.55)
    assert percent_with_bounds(share) == "42 % (30 to 55 %)"
    assert percent_with_bounds(share, "n 60") == "42 % (30 to 55 %; n 60)"
    assert points_with_bounds(Interval(mean=0.08, low=0.02, high=0.14)) == "8 points (2 to 14)"


def test_the_help_lists_each_exit_code_in_a_line():
    lines = exit_code_lines(EXIT_CODES).split("\n")
    assert lines[:2] == ["\b", "Exit codes:"]
    assert [int(line.split()[0]) for line in lines[2:]] == list(EXIT_CODES)


def test_limits_of_a_request_follow_the_task():
    given = task(thinking="on", thinking_tokens=50)
    limits = limits_for(given, 8, seed=3)
    assert (limits.max_tokens, limits.thinking, limits.thought_tokens, limits.seed) == (
        8, "on", 50, 3,
    )  # fmt: skip
    assert scaled_limits(limits, 3) == limits.model_copy(
        update={"max_tokens": 24, "thought_tokens": 150}
    )
    thinker = type("Thinker", (), {"thinks": True})()
    assert [reasoning_tokens(given, model) for model in (thinker, object())] == [50, 0]
    assert Limits(max_tokens=1).thought_tokens == 0


def test_replies_are_final_unless_one_may_still_come():
    good, hopeless = {"lost": None}, {"lost": None, "error": "the prompt is too long"}
    assert final_replies({"replies": [good, hopeless]})
    assert not final_replies({"replies": [good, {"lost": "for now"}]})


@dataclass(frozen=True)
class Row:
    ids: tuple[int, ...]
    first: int

    @property
    def trained(self):
        return len(self.ids) - self.first


def test_the_prompt_that_rows_share_ends_before_the_first_answer_token():
    lead = tuple(range(20))
    rows = [Row((*lead, 90, 91), 20), Row((*lead, 92), 20), Row((*lead[:12], 7, 7, 8), 14)]
    assert shared_length(rows[:2]) == 19
    assert shared_length(rows) == 12
    assert shared_length(rows[:1]) == 0, "nothing to share with"
    assert shared_length([Row(lead, 6), Row(lead, 6)]) == 0, "too short to pay"
    assert shared_length([Row(lead, 18), Row((99, *lead), 18)]) == 0


def test_parts_hold_rows_of_like_length_within_the_budget():
    rows = [Row((0,) * size, 1) for size in (30, 20, 31, 19, 21)]
    groups = parts(rows, 65)
    assert sorted(at for group in groups for at in group) == list(range(5))
    assert groups[0] == [2, 0]
    assert all(len(group) * max(len(rows[at].ids) for at in group) <= 65 for group in groups)
    assert parts(rows, 5)[0] == [2], "one above the budget is a group of its own"
    assert len(parts(rows, 1000, count=2)) == 2
    assert len(parts(rows, 65, skipped=18)) == 1 < len(groups)


def test_the_losses_of_a_log_leave_out_steps_without_one():
    steps = (LogStep(1, loss=2.0), LogStep(2, held_out=1.9), LogStep(3, loss=1.5))
    assert TrainingLog("log.jsonl", steps).losses == [steps[0], steps[2]]


def test_a_measured_arm_without_a_score_says_why_and_a_task_needs_rows():
    left_out = measured_arm("lora", "tune", None, because="no time was left")
    assert (left_out.score, left_out.because) == (None, "no time was left")
    assert measured_task(arms=(left_out,)).arms[0].behind is None
    with pytest.raises(ValueError, match="greater than 0"):
        measured_task(size=0)


def test_a_row_gives_its_last_question():
    said = [Message(role=role, content=text) for role, text in
            (("user", "one"), ("assistant", "two"), ("user", "three"))]  # fmt: skip
    assert LabRow("r1", tuple(said), "four").input == "three"


def test_a_detection_without_its_figure_was_not_measured():
    missing = judged(None, True, "high", "no data file")
    assert (missing.found, missing.because) == (None, "not measured: no data file")
    assert judged(None, True, "high").because == "not measured: the run has no such figure"
    told = judged(0.5, True, "high")
    assert (told.found, told.value, told.because) == (True, 0.5, "high")


def test_an_explanation_is_kept_only_where_nothing_is_found():
    found, clear = (judged(0.5, found, "high", limit="from 0.3", explained="so") for found in
                    (True, False))  # fmt: skip
    assert (found.limit, found.explained, clear.explained) == ("from 0.3", "", "so")
    assert set(judged(0.5, True, "high").plain()) == {"found", "value", "because"}


def test_a_finding_says_its_limit_and_what_explains_it():
    def said(**more):
        return CaseFinding(cause="c", case="c", title="t", state="clean", because="so", **more).says

    assert said() == "so"
    assert said(limit="from 0.3") == "so (from 0.3)"
    assert said(limit="from 0.3", explained="it broke") == "so (from 0.3), explained: it broke"


def test_reasons_are_those_that_the_user_can_remove_first():
    def finding(**missing):
        return CaseFinding(cause="c", case="c", title="t", state="not measured", because="own",
                           missing=missing)  # fmt: skip

    assert finding(a="no log", b=NEEDS_ANSWERS, c="no log").reasons == ["no log"]
    assert finding(a=ONLY_IN_LAB_RUNS, b=NEEDS_ANSWERS).reasons == [ONLY_IN_LAB_RUNS]
    assert finding().reasons == ["own"]


def test_a_pack_with_an_adapter_or_weights_was_trained():
    assert [pack.trained for pack in (Pack(), Pack(adapter=True), Pack(weights=True))] == [
        False, True, True,
    ]  # fmt: skip


def test_an_artefact_is_named_after_task_and_arm_in_letters_of_file_names():
    assert artefact_name("tickets", "few_shot") == "tickets-few_shot"
    assert artefact_name("a b/ç", "lora(rank=4)") == "a-b-ç-lora-rank-4-"
