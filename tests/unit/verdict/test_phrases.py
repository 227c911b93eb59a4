"""How a verdict is worded: its headline, names of tools, limits, numbers with their units."""

import pytest
from verdict_scenes import arm, worked

from tuneworthy.records.counting import score_text, tenths
from tuneworthy.records.interval import Interval
from tuneworthy.records.task import Data, Success, Task
from tuneworthy.records.verdict import Finding, Next
from tuneworthy.verdict import phrases
from tuneworthy.verdict.decide import decide


def other(**more):
    return arm("a", "prompt", 1, 2).model_copy(update=more)


@pytest.mark.parametrize(("use", "status", "said"), [
    ("tune", "firm", "Fine-tune."),
    ("prompt", "firm", "Don't fine-tune yet."),
    ("none", "firm", "Nothing beats the reference."),
    ("none", "provisional", "Nothing is shown to beat the reference."),
    ("tune", "blocked", "No verdict."),
])  # fmt: skip
def test_the_headline_is_weaker_where_nothing_is_shown(use, status, said):
    assert phrases.headline(use, status) == said


def test_a_verdict_is_told_with_its_arm_and_its_target():
    seen, policy = worked()
    verdict = decide(seen, (), policy)
    head = "Don't fine-tune yet."
    assert phrases.headline_and_arm(verdict) == f"{head} Use: {verdict.arm}"
    assert phrases.headline_and_arm(verdict.model_copy(update={"arm": None})) == head
    met = verdict.model_copy(update={"target_met": True})
    assert phrases.target_line(met, 0.9) == "target .90 met"


def test_numbers_read_as_people_write_them():
    assert [tenths(x) for x in (0.0716, 0.02, -0.025, 0.0001)] == ["7.2", "2", "−2.5", "0"]
    assert [score_text(x) for x in (0.88, 1.0, 0.0)] == [".88", "1.00", ".00"]
    assert [phrases.amount(x) for x in (549_321, 2.6, 0.031, 0, 40_000, 431)] == [
        "549,000", "2.60", "0.031", "0", "40,000", "431",
    ]  # fmt: skip
    assert [phrases.duration(x) for x in (0.42, 2.1, 431, 11520)] == [
        "420 ms", "2.1 s", "7 min", "3.2 h",
    ]  # fmt: skip
    found = Interval(mean=0.02, low=-0.025, high=0.072)
    assert phrases.span(found) == "+2 (−2.5 … +7.2)"
    assert phrases.score_with_bounds(found) == ".02 (-0.03 to .07)"
    assert [phrases.confidence(x) for x in (0.95, 0.05, 0.975)] == ["95 %", "95 %", "97.5 %"]
    assert phrases.price_of_next_step(Next(do="x", minutes=1, usd=1.2, why="")) == "1 minute, $1.20"


def test_limits_are_told_with_their_bounds():
    limits = ("valid", 0.95), ("p95_ms", 3000.0), ("p95_ms", 2), ("floor", None), ("own", 1)
    told = [phrases.limit_text(*limit) for limit in limits]
    assert told == ["valid ≥ .95", "p95 ≤ 3,000 ms", "p95 ≤ 2 ms", "score ≥ ?", "own"]
    broken = other(limits={"valid": "violated", "floor": "met", "p95_ms": "violated"})
    assert phrases.violated_limits(broken) == "valid, p95_ms"


def test_what_may_be_left_is_told_in_words():
    assert phrases.verdict_so_far("", None, None) == "if you stopped now: no verdict yet"
    said = phrases.verdict_so_far("keep", "now", 0.09)
    assert said == "if you stopped now: KEEP (now), at most 9 points may be left"
    said = phrases.verdict_so_far("none", None, None)
    assert said.endswith("none, what it leaves is not known yet")


def test_bounds_that_fall_are_told_as_a_path():
    assert phrases.bounds_path([0.3, 0.2, 0.2, 0.11, 0.1, 0.09]) == "30 → 11 → 10 → 9"
    assert phrases.bounds_path([0.3, 0.2]) == "30 → 20"


def test_a_first_look_says_the_arm_its_score_and_what_was_not_measured():
    score = Interval(mean=0.5, low=0.4, high=0.6)
    arm = phrases.ArmResult(name="now", tool="keep", role="candidate", simplicity=0, options={},
                            state="measured", score=score, n=32)  # fmt: skip
    stand, then = phrases.Standing("keep", "now", 0.09, (arm,)), "not measured yet: lora"
    said = phrases.moment_line("first look", stand, then, 46)
    assert said == (
        "first look after 46 s: if you stopped now: KEEP (now), at most 9 points may be left;"
        " it scores 0.50 (0.40 to 0.60, n 32); not measured yet: lora"
    )
    none = phrases.moment_line("last step", phrases.Standing("none", None, None, (arm,)), "", 46)
    assert none.startswith("last step after 46 s: ")
    assert none.endswith("none, what it leaves is not known yet")
    unscored = arm.model_copy(update={"score": None})
    said = phrases.moment_line(
        "first look", phrases.Standing("keep", "now", 0.1, (unscored,)), "", 1
    )
    assert said.endswith("points may be left")


def test_notes_are_sentences_and_reasons_name_the_state():
    assert [phrases.as_sentence(text) for text in ("is it?", "it is")] == ["Is it?", "It is."]
    failed = other(state="failed", score=None)
    assert phrases.because_of(failed) == f"failed: {phrases.UNKNOWN}"
    assert phrases.short_question("knowledge_still") == "stable knowledge"
    assert phrases.short_question("enough_data") == "enough data"


@pytest.mark.parametrize(
    ("unit", "numbers", "said"),
    [("rows", (1320, 900, 2100), "1,320 rows (900 to 2,100)"), ("rows", (1, None, None), "1 row"),
     ("points", (-0.02, -0.1, 0.055), "−2 points (−10 to 5.5)"),
     ("share", (0.425, 0.3, 0.55), "42.5 % (30 to 55)"),
     ("days", (90.2, 60, 200), "90 days (60 to 200)"),
     ("chance", (0.9, None, None), "chance 0.90"), ("", (0.1234, None, None), "0.123"),
     ("points", (None, None, None), "")],
)  # fmt: skip
def test_a_number_is_said_in_its_unit(unit, numbers, said):
    value, low, high = numbers
    found = Finding(name="q", answer="no", because="b", value=value, low=low, high=high)
    assert phrases.finding_quantity(found, unit) == said


@pytest.mark.parametrize(
    ("success", "name"),
    [({}, "score"), ({"wrong_at_most": 0.1}, "answered"), ({"metric": "valid"}, "valid")],
)
def test_a_score_is_called_by_what_it_counts(success, name):
    task = Task(data=Data(file="rows.jsonl"), success=Success(**success))
    assert phrases.score_name(task) == name
