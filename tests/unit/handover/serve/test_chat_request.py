"""Each field of a request: what is read, what is refused, and the name that the error gives."""

import json

import pytest
from serve_kit import LIMITS, Prompted, artefact

from tuneworthy.handover.serve.asked_jobs import jobs_for
from tuneworthy.handover.serve.chat_reply import ApiError
from tuneworthy.handover.serve.chat_request import read_request
from tuneworthy.handover.serve.served_models import Target
from tuneworthy.models.scripted import Scripted
from tuneworthy.records.arm import Recipe
from tuneworthy.records.artefact import Pack
from tuneworthy.records.model import Grammar
from tuneworthy.rows.chat import read_chat

USER = {"role": "user", "content": "a"}


def read(**fields):
    body = {"model": "m", "messages": [USER], **fields}
    return read_request(json.dumps({k: v for k, v in body.items() if v != "left out"}).encode())


def test_what_a_client_leaves_out_is_neutral():
    asked = read()
    assert (asked.n, asked.temperature, asked.max_tokens, asked.stream) == (1, None, None, False)
    assert asked.top is None
    assert asked.grammar is None


def test_what_is_read():
    asked = read(
        temperature=0.5, top_p=0.9, max_tokens=5, max_completion_tokens=7, stop="x", seed=3, n=2,
        stream=True, stream_options={"include_usage": True}, logprobs=True, top_logprobs=2,
        response_format={"type": "json_schema",
                         "json_schema": {"name": "s", "strict": True, "schema": {"type": "null"}}},
    )  # fmt: skip
    assert (asked.temperature, asked.top_p, asked.max_tokens, asked.stop) == (0.5, 0.9, 7, ("x",))
    assert (asked.seed, asked.n, asked.stream, asked.include_usage, asked.top) == (
        3, 2, True, True, 2)  # fmt: skip
    assert asked.grammar.value == {"type": "null"}
    assert read(response_format={"type": "json_object"}).grammar.value == {"type": "object"}
    assert read(response_format={"type": "text"}).grammar is None
    developer = read(messages=[{"role": "developer", "content": "b"}, USER])
    assert [m.role for m in developer.messages] == ["system", "user"]
    assert read(user="u", metadata={}, store=False, tools=[], presence_penalty=0).n == 1


def test_the_parts_of_a_message_are_joined_as_in_the_rows_that_were_measured():
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    turns = [{"role": "user", "content": parts}]
    rows, _ = read_chat([*turns, {"role": "assistant", "content": "c"}])
    assert read(messages=turns).messages == rows


BAD = [
    ("model", 7), ("model", ""), ("model", "left out"), ("messages", []), ("messages", "a"),
    ("messages", "left out"), ("messages", [USER] * 1025), ("temperature", -1), ("temperature", 3),
    ("temperature", "1"), ("temperature", True), ("temperature", 10**400), ("top_p", 0),
    ("top_p", 1.1), ("max_tokens", 0),
    ("max_tokens", 10**9), ("max_tokens", 1.5), ("max_tokens", True), ("max_tokens", "5"),
    ("max_completion_tokens", -4), ("n", 10**6), ("n", 0), ("stop", ["a"] * 5), ("stop", [""]),
    ("stop", 5), ("stop", ["a" * 5000]), ("seed", 1 << 70), ("seed", 0.5), ("stream", "yes"),
    ("stream_options", 3), ("logprobs", 1), ("top_logprobs", 5), ("tools", [{"type": "function"}]),
    ("tool_choice", "required"), ("logit_bias", {"1": 2}), ("presence_penalty", 0.1),
    ("frequency_penalty", True), ("reasoning_effort", "high"), ("response_format", {"type": "xml"}),
    ("response_format", {"type": "json_schema"}), ("response_format", "json"),
    ("response_format", {"type": "json_schema", "json_schema": {"schema": [1]}}),
    ("chat_template_kwargs", {"a": 1}), ("best_of", 3), ("top_k", 5),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value"), BAD, ids=[f"{f}-{i}" for i, (f, _) in enumerate(BAD)])
def test_a73_a_bad_value_is_refused_by_name(field, value):
    with pytest.raises(ApiError) as refused:
        read(**{field: value})
    assert refused.value.status == 400
    assert refused.value.param == field
    assert field in refused.value.message


@pytest.mark.parametrize(
    ("message", "where"),
    [
        ({"role": "robot", "content": "a"}, "messages[0].role"),
        ({"role": [], "content": "a"}, "messages[0].role"),
        ("hello", "messages[0].role"),
        ({"role": "user"}, "messages[0].content"),
        ({"role": "user", "content": None}, "messages[0].content"),
        ({"role": "user", "content": [{"type": "image_url"}]}, "messages[0].content"),
        ({"role": "assistant", "content": "", "tool_calls": [{}]}, "messages[0].tool_calls"),
    ],
)
def test_a_bad_message_is_refused_by_its_place(message, where):
    with pytest.raises(ApiError) as refused:
        read(messages=[message, USER])
    assert refused.value.param == where


@pytest.mark.parametrize("body", [{"\ud800": 1}, {"response_format": {"a": "\udc00"}}])
def test_half_a_character_in_a_name_ends_in_a_reply_that_can_be_written(body):
    with pytest.raises(ApiError) as refused:
        read(**body)
    assert refused.value.status == 400
    assert json.dumps(refused.value.plain(), ensure_ascii=False).encode()


def test_half_a_character_in_a_text_is_replaced():
    asked = read(messages=[{"role": "user", "content": "a \ud800 b"}], stop=["\ud83d"])
    assert asked.messages[0].content == "a ? b"
    assert asked.model_dump_json().encode()


def test_a_key_that_stands_twice_is_refused():
    with pytest.raises(ApiError, match="not valid JSON"):
        read_request(json.dumps({"messages": [USER]}).encode()[:-1] + b', "model": 1, "model": 2}')


@pytest.mark.parametrize("has_raw", [True, False])
def test_a_model_that_is_not_served_is_not_named(has_raw):
    model = Scripted("echo", lambda prompt: "x")
    system = Prompted(artefact(pack=Pack(recipe=Recipe(), limits=LIMITS)), model)
    target = Target("t", None, model, system, has_raw=has_raw)
    with pytest.raises(ApiError) as refused:
        jobs_for(read(temperature=1.3), target, 16, lambda: None)
    assert ("t:raw" in refused.value.message) == has_raw


def test_an_artefact_is_not_asked_for_another_schema_than_its_own():
    """An artefact holds answers to its own schema; a request with another one is refused."""
    own = {"type": "object", "properties": {"a": {"type": "string"}}}
    pack = Pack(recipe=Recipe(), limits=LIMITS, grammar=Grammar(kind="json", value=own))
    model = Scripted("echo", lambda prompt: "x")
    target = Target("t", None, model, Prompted(artefact(pack=pack), model))

    def jobs(form):
        return jobs_for(read(response_format=form), target, 16, lambda: None)

    assert len(jobs({"type": "json_object"})) == 1
    assert len(jobs({"type": "json_schema", "json_schema": {"schema": own}})) == 1
    with pytest.raises(ApiError) as refused:
        jobs({"type": "json_schema", "json_schema": {"schema": {"type": "object", "title": "b"}}})
    assert (refused.value.status, refused.value.param) == (400, "response_format")
