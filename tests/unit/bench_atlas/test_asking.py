"""Asking a model: the prompt, reading answers, the file, nothing asked twice."""

import json

import pytest
from bench.atlas.advice_input import TOOL_CHOICES, input_of
from bench.atlas.answer_file import append_advice, by_adviser, read_advice
from bench.atlas.asking import (
    ANSWER_SCHEMA,
    SKILL_FILE,
    TOOL_MEANINGS,
    ask_model,
    prompt_of,
    read_reply,
)
from tests.advice_kit import prompt_task, task

from tuneworthy.models.scripted import Scripted
from tuneworthy.records.errors import DataError

TASKS = [task("a"), prompt_task("b")]
SURE = json.dumps({"because": "many rows", **dict.fromkeys(TOOL_CHOICES, 0), "tune": 1})


def scripted(*texts):
    """Return a model that gives these replies one after the other, and the list of its prompts."""
    asked, left = [], list(texts)

    def respond(prompt, limits):
        asked.append((prompt, limits))
        text = left.pop(0)
        if text is None:
            raise ConnectionError("no route")
        return text

    return Scripted("scripted:made-up", respond), asked


def test_the_prompt_holds_what_every_adviser_sees_and_no_result():
    system, user = prompt_of(input_of(TASKS[0]))
    for name, meaning in TOOL_MEANINGS.items():
        assert f"- {name}: {meaning}" in system.content
    assert set(TOOL_MEANINGS) == set(TOOL_CHOICES) == set(ANSWER_SCHEMA["required"]) - {"because"}
    for part in ("Name the topic", "message 9", "topic 2", "100", "0.40", "accuracy", "label"):
        assert part in user.content
    assert "lora" not in user.content
    assert "0.9" not in user.content
    skilled, same = prompt_of(input_of(TASKS[0]), SKILL_FILE.read_text("utf-8"))
    assert same == user
    assert skilled.content.startswith(system.content)
    assert "word counts" in skilled.content


def test_a_task_without_shown_rows_is_asked_about_too():
    _, user = prompt_of(input_of(task(shown=(), base=None)))
    assert "(not shown)" in user.content
    assert "not measured" in user.content


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"tune": 0.5, "prompt": 0.5}', {"tune": 0.5, "prompt": 0.5}),
        ('Sure:\n```\n{"because": "", "tune": 6, "prompt": 6}\n```', {"tune": 0.5, "prompt": 0.5}),
        ('{"probabilities": {"schema": 1}}', {"schema": 1.0}),
        ('{"tune": "high"}', None),
        ('{"magic": 1}', None),
        ('{"tune": 0}', None),
        ('{"tune": -1, "prompt": 2}', None),
        ('{"tune": NaN}', None),
        ('{"tune": 1' + "0" * 400 + "}", None),  # as a float it is too large
        ('{"tune": true}', None),
        ('{"probabilities": [1]}', None),
        ("I would fine-tune.", None),
        ("{" * 50_000, None),
        ("", None),
    ],
)  # fmt: skip
def test_replies(text, expected):
    assert read_reply(text)[0] == expected


def test_answers_are_kept_and_nothing_is_asked_twice(tmp_path):
    path = tmp_path / "own" / "advice.jsonl"
    model, asked = scripted(SURE, "I would fine-tune.")
    said = []
    assert ask_model(model, TASKS, path, "made-up", say=said.append) == 2
    assert "2 of 2" in said[-1]
    assert asked[0][1].grammar.value == ANSWER_SCHEMA
    one, two = read_advice(path)
    assert (one.adviser, one.task, one.probabilities["tune"]) == ("made-up", "a", 1.0)
    assert (one.because, one.text, one.model["engine"]) == ("many rows", SURE, "scripted")
    assert (two.probabilities, two.text) == (None, "I would fine-tune.")
    assert ask_model(model, TASKS, path, "made-up") == 0
    assert len(asked) == 2
    again, more = scripted(SURE, SURE)
    assert ask_model(again, TASKS, path, "made-up", with_skill=True) == 2
    assert more[0][0] != asked[0][0]
    assert set(by_adviser(read_advice(path))) == {"made-up", "made-up + skill"}


def test_a_failed_request_is_asked_again_and_counts_for_nothing(tmp_path):
    path = tmp_path / "advice.jsonl"
    model, _ = scripted(SURE, None)
    assert ask_model(model, TASKS, path, "made-up") == 2
    assert [bool(each.error) for each in read_advice(path)] == [False, True]
    assert set(by_adviser(read_advice(path))["made-up"]) == {"a"}
    later, asked = scripted(SURE)
    assert ask_model(later, TASKS, path, "made-up") == 1
    assert "message" in asked[0][0][1].content
    assert set(by_adviser(read_advice(path))["made-up"]) == {"a", "b"}


def test_a_changed_task_is_asked_again(tmp_path):
    path = tmp_path / "advice.jsonl"
    ask_model(scripted(SURE)[0], TASKS[:1], path, "made-up")
    changed = TASKS[0].model_copy(update={"size": 400})
    model, asked = scripted(SURE)
    assert ask_model(model, [changed], path, "made-up") == 1
    assert asked


def test_a_line_that_a_kill_cut_is_asked_again_and_the_next_stands_alone(tmp_path):
    path = tmp_path / "advice.jsonl"
    ask_model(scripted(SURE, SURE)[0], TASKS, path, "made-up")
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    assert [each.task for each in read_advice(path)] == ["a"]
    assert ask_model(scripted(SURE)[0], TASKS, path, "made-up") == 1
    assert [each.task for each in read_advice(path)] == ["a", "b"]


def test_a_file_of_something_else_is_refused(tmp_path):
    path = tmp_path / "advice.jsonl"
    for text in ('{"input": "x"}\n', "[1]\n", "hello\n", '{"adviser": 1}\n'):
        path.write_text(text, "utf-8")
        with pytest.raises(DataError, match="no recorded advice"):
            read_advice(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="can't be read"):
        read_advice(path)
    with pytest.raises(DataError, match="can't be read"):
        read_advice(tmp_path)
    assert read_advice(tmp_path / "none.jsonl") == []


def test_a_person_writes_three_fields(tmp_path):
    path = tmp_path / "people.jsonl"
    path.write_text(
        '{"adviser": "Ada", "task": "a", "probabilities": {"prompt": 0.7, "tune": 0.3}}\n', "utf-8"
    )
    assert by_adviser(read_advice(path)) == {"Ada": {"a": {"prompt": 0.7, "tune": 0.3}}}
    append_advice(path, read_advice(path)[0].model_copy(update={"task": "b"}))
    assert set(by_adviser(read_advice(path))["Ada"]) == {"a", "b"}
