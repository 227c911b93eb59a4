"""Request fields of the user's, connections, and parameters that a model refuses."""

import threading
import time

import pytest
from models_kit import ask, says
from test_openai_compatible import LIMITS, PRICE, Purse

from tuneworthy.models.openai_compatible import Remote
from tuneworthy.models.remote import request as _request
from tuneworthy.models.remote.endpoint import endpoint
from tuneworthy.models.remote.request import RequestOptions
from tuneworthy.models.remote.wire import RetryPolicy
from tuneworthy.records.errors import ProviderError, TaskError


@pytest.fixture
def remote(serve):
    def make(*turns, name="m", purse=None, price=None, **how):
        server, said = serve(*turns), []
        policy = RetryPolicy(attempts=3, request_seconds=5.0, sleep=lambda seconds: None)
        options = RequestOptions(say=said.append, **how)
        return server, Remote(name, endpoint(server.url), purse, price, policy, options), said

    return make


def test_fields_of_the_user_are_sent_win_and_name_the_request(remote):
    purse = Purse()
    fields = {"reasoning_effort": "low", "temperature": 0.6, "extra_headers": {"x": "y"},
              "chat_template_kwargs": {"custom": 1}}  # fmt: skip
    server, model, _ = remote(says(), name="qwen3-8b", purse=purse, fields=fields)
    model.reply(ask("x"), LIMITS)
    body = server.seen[0]["body"]
    assert (body["reasoning_effort"], body["temperature"]) == ("low", 0.6)
    assert body["chat_template_kwargs"] == {"enable_thinking": False, "custom": 1}
    assert body["extra_headers"] == {"x": "y"}
    assert "x" not in server.seen[0]["headers"], "a field is no header"
    plain = Remote("qwen3-8b", endpoint(server.url), purse)
    plain.reply(ask("x"), LIMITS)
    assert len(server.seen) == 2, "other fields are another request"
    assert plain.fingerprint != model.fingerprint


def test_connections_bound_what_is_under_way_and_are_told_with_the_reply(remote):
    now, most, lock = [0], [0], threading.Lock()

    def turn(body):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.05)
        with lock:
            now[0] -= 1
        return says()

    _, model, _ = remote(turn, connections=3)
    replies = model.reply(ask(*(f"q{k}" for k in range(12))), LIMITS)
    assert most[0] == 3
    assert max(reply.concurrency for reply in replies) == 3
    _, alone, _ = remote(turn, connections=1)
    assert {r.concurrency for r in alone.reply(ask("a", "b"), LIMITS)} == {1}


REFUSALS = [
    ("temperature", {"message": "Unsupported value: 'temperature' does not support 0.0 with this "
                                "model. Only the default (1) value is supported."}),
    ("seed", {"message": "Unrecognized request argument supplied: seed"}),
    ("top_p", {"message": "`temperature` is fine; this one is unsupported", "param": "top_p"}),
    ("top_p", {"message": "top_p: Extra inputs are not permitted"}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "error"), REFUSALS)
def test_a_parameter_that_a_model_refuses_is_left_out_and_that_is_said(remote, name, error):
    def turn(body):
        return {"status": 400, "json": {"error": error}} if name in body else says()

    server, model, said = remote(turn, connections=1)
    assert [r.text for r in model.reply(ask("a", "b", "c"), LIMITS)] == ["yes"] * 3
    assert len(server.seen) == 4, "it is refused once and remembered"
    assert [note for note in said if f"refuses the parameter {name}" in note] == said
    assert model.notes == tuple(said)
    assert set(server.seen[-1]["body"]) == set(server.seen[0]["body"]) - {name}


def test_a_model_that_refuses_all_of_them_is_asked_without_all(remote):
    names = ("temperature", "top_p", "seed")

    def turn(body):
        found = next((name for name in names if name in body), None)
        if found:
            return {"status": 422, "json": {"detail": [{"type": "extra_forbidden",
                                                        "loc": ["body", found]}]}}  # fmt: skip
        return says()

    _, model, said = remote(turn)
    assert model.reply(ask("a"), LIMITS)[0].text == "yes"
    assert len(said) == 3


def test_a_prompt_that_is_too_long_is_no_refused_parameter(remote):
    message = ("'max_tokens' or 'max_completion_tokens' is too large: 8. This model's maximum "
               "context length is 4 tokens; unsupported request")  # fmt: skip
    assert _request.refused_parameter({"max_tokens": 8}, message, "") == ""


def test_no_limit_at_all_needs_no_money_cap(remote):
    def turn(body):
        if found := next((name for name in _request.TOKEN_LIMITS if name in body), None):
            said = f"Unsupported parameter: '{found}' is not supported with this model."
            return {"status": 400, "json": {"error": {"message": said}}}
        return says()

    server, model, said = remote(turn, purse=Purse())
    assert model.reply(ask("a"), LIMITS)[0].text == "yes"
    assert [list(s["body"]) for s in server.seen][-1] == ["model", "messages", "temperature",
                                                          "top_p", "seed"]  # fmt: skip
    assert "takes no limit" in said[0]
    _, capped, _ = remote(turn, purse=Purse(usd=1), price=PRICE)
    with pytest.raises(TaskError, match="no worst case"):
        capped.reply(ask("a"), LIMITS)
    assert not capped.purse.open


def test_a_refused_field_of_the_user_ends_in_the_servers_words(remote):
    said = "Unrecognized request argument supplied: reasoning_effort"
    _, model, _ = remote({"status": 400, "json": {"error": {"message": said}}},
                         fields={"reasoning_effort": "low"})  # fmt: skip
    with pytest.raises(ProviderError) as caught:
        model.reply(ask("a"), LIMITS)
    assert "reasoning_effort" in caught.value.got
