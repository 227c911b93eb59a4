"""Small rules of the records, each with the value that it must have."""

import os
from pathlib import Path

import pytest

from tuneworthy.records.answer import Answer
from tuneworthy.records.case import Case, Message
from tuneworthy.records.causes import argues_against_training, asks_another_model
from tuneworthy.records.errors import TaskError
from tuneworthy.records.escape import visible
from tuneworthy.records.own_files import write_atomic
from tuneworthy.records.plugins import load
from tuneworthy.records.reason import Reason
from tuneworthy.records.run import Spec
from tuneworthy.records.specs import needs_of, specs, times_asked
from tuneworthy.records.task import Budget, Data, Present, Task, price_fault
from tuneworthy.records.tokens import similar_length_groups


def task(**keys):
    return Task(data=Data(file="rows.jsonl"), **keys)


def test_a_lost_answer_ends_by_an_error():
    lost = Answer.missing("c1", "null")
    assert (lost.finish, lost.text, lost.lost) == ("error", "", "null")


def test_two_samples_state_a_probability_and_one_does_not():
    said = Answer(case="c", text="a")
    assert said.model_copy(update={"samples": ("a", "b")}).probability == 0.5
    assert said.model_copy(update={"samples": ("a",)}).probability is None


def test_a_query_keeps_the_group_and_time_of_its_case():
    case = Case(id="c", messages=(Message(role="user", content="x"),), output="y",
                group="g1", time="2026-01-02", context="passage")  # fmt: skip
    query = case.query()
    assert (query.id, query.group, query.time, query.gold_passage) == (
        "c",
        "g1",
        "2026-01-02",
        None,
    )
    assert case.query(gold_passage=True).gold_passage == "passage"


@pytest.mark.parametrize(
    ("spec", "present", "other"),
    [({"tool": "prompt"}, "small", True), ({"tool": "prompt"}, "hf:big", False),
     ({"tool": "prompt"}, None, False), ({"tool": "prompt", "role": "reference"}, "small", False),
     ({"tool": "tune"}, "small", False), ({"tool": "prompt", "arm": "answers"}, "small", False)],
)  # fmt: skip
def test_only_a_prompt_of_another_model_than_todays_asks_another_model(spec, present, other):
    asked = task(model="hf:big", present=Present(model=present) if present else None)
    made = Spec(**{"name": "p", "arm": "zero_shot", "role": "candidate", **spec})
    assert asks_another_model(asked, made) is other


def test_no_diagnosis_argues_against_nothing():
    assert argues_against_training((), frozenset({"learnable"})) is False


@pytest.mark.parametrize("char", ["\x80", "\x9f", "\x7f", "\x1b"])
def test_control_characters_are_shown_by_their_number(char):
    assert visible(f"a{char}b") == f"a\\x{ord(char):02x}b"
    assert visible("a\nb\tc") == r"a\nb\tc"


def test_pieces_and_a_whole_text_reach_a_device():
    reader, writer = os.openpty()
    for text in ("whole\n", iter(["in ", "pieces\n"])):
        write_atomic(Path(os.ttyname(writer)), text)
        assert os.read(reader, 100) in (b"whole\r\n", b"in pieces\r\n")
    os.close(reader)
    os.close(writer)


def test_an_unknown_plug_in_is_named():
    with pytest.raises(TaskError) as error:
        load("arms", "zero_shto")
    assert error.value.got == "zero_shto"
    assert "did you mean `zero_shot`" in error.value.fix


def test_a_reason_says_what_it_is_about():
    assert Reason.needs("docs", " (a folder)").about == "docs"
    assert Reason.not_installed(["peft"], "tuneworthy[train]").about == "tuneworthy[train]"
    assert Reason.not_installed([], "tuneworthy[train]") is None


def test_the_teacher_that_a_student_brings_is_not_added_twice():
    asked = task(model="hf:small", teacher="hf:big", arms=["teacher", "zero_shot", "distil"])
    names = [spec.name for spec in specs(asked)]
    assert sorted(names) == ["distil", "lora", "teacher", "zero_shot"]


def test_todays_system_without_a_task_of_today_is_asked_once():
    asked = task(model="hf:small", repeats=3, arms=["zero_shot"])
    present = Spec(name="present", arm="present", tool="keep", role="candidate")
    assert times_asked(asked, present) == 1
    warm = asked.model_copy(update={"present": Present(options={"temperature": 0.5})})
    assert times_asked(warm, present) == 3


def test_an_encoder_that_is_not_there_is_an_unmet_need():
    missing = Reason.needs("encoder")
    found = needs_of(task(model="hf:small"), gold=False, encoder=missing)
    assert found["encoder"] is missing
    assert found["vectors"] is None


def test_a_cap_on_minutes_replaces_that_of_the_task():
    own = task(budget=Budget(minutes=20))
    assert own.within(5).budget.minutes == 5
    assert own.within(None).budget.minutes == 20


def test_a_limit_on_groups_is_part_of_what_a_study_is():
    plain = task()
    limited = Task(data=Data(file="rows.jsonl", largest_group=3))
    assert plain.hash != limited.hash


@pytest.mark.parametrize(("value", "fault"), [(1, False), (1.5, True), (0, True), (200, False)])
def test_a_price_stands_for_a_whole_number_of_prompt_tokens(value, fault):
    assert bool(price_fault("prompt_tokens", value)) is fault


def test_a_group_of_rows_holds_as_many_tokens_as_fit():
    assert similar_length_groups([10] * 4, least=1, share=0.5, most=20) == [range(2), range(2, 4)]
