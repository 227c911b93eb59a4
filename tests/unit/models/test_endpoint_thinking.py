"""D3: an endpoint that reasons first: what is sent, read, counted, and asked again."""

from decimal import Decimal

import pytest
from models_kit import ask, says
from test_openai_compatible import PRICE, Purse

from tuneworthy.models.openai_compatible import Remote
from tuneworthy.models.remote import reply as _reasoning
from tuneworthy.models.remote import request as _request
from tuneworthy.models.remote.endpoint import endpoint
from tuneworthy.models.remote.request import RequestOptions
from tuneworthy.models.remote.wire import RetryPolicy
from tuneworthy.records.model import Grammar, Limits

AUTO = Limits(max_tokens=8, thought_tokens=100)
ON, OFF = (AUTO.model_copy(update={"thinking": word}) for word in ("on", "off"))


def usage(out, **more):
    return {"prompt_tokens": 12, "completion_tokens": out, **more}


def thinker(fields=None, needs=50):
    """Return a turn of a model that reasons for `needs` tokens, then says yes."""

    def turn(body):
        room = body.get("max_tokens", body.get("max_completion_tokens"))
        if room <= needs:
            message = {"content": "", "reasoning_content": "hm " * room}
            return says(message=message, finish_reason="length", usage=usage(room))
        message = {"content": "yes", "reasoning_content": "hm " * needs}
        details = {"completion_tokens_details": {"reasoning_tokens": needs}}
        return says(message=message, usage=usage(needs + 3, **details))

    return turn


@pytest.fixture
def remote(serve):
    def make(*turns, name="m", purse=None, price=None, **how):
        server, said = serve(*turns), []
        policy = RetryPolicy(attempts=3, request_seconds=5.0, sleep=said.append)
        options = RequestOptions(say=said.append, **how)
        return server, Remote(name, endpoint(server.url), purse, price, policy, options), said

    return make


THOUGHTS = [
    {"content": "yes", "reasoning_content": "hm hm"},
    {"content": "yes", "reasoning": "hm hm"},
    {"content": "yes", "reasoning_details": [{"type": "reasoning.text", "text": "hm hm"}]},
    {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm hm"}]},
                 {"type": "text", "text": "yes"}]},
    {"content": "<think>hm hm</think>\n\nyes"},
    {"content": "hm hm</think>\n\nyes"},
    {"content": "[THINK]hm hm[/THINK]yes"},
]  # fmt: skip


@pytest.mark.parametrize("message", THOUGHTS, ids=[str(sorted(m))[:40] + str(i) for i, m in
                                                  enumerate(THOUGHTS)])  # fmt: skip
def test_reasoning_is_taken_out_of_the_answer_and_counted(remote, message):
    _, model, _ = remote(says(message=message, usage=usage(20)))
    reply = model.reply(ask("x"), ON)[0]
    assert (reply.text, reply.finish, reply.error) == ("yes", "stop", None)
    assert 0 < reply.tokens_thought < reply.tokens_out == 20


def test_what_is_no_reasoning_stays():
    for text in ("yes", "a <think> b", "use <b>think</b>", " yes ", "<thinking-cap> is a hat"):
        assert _reasoning.separate(text).text == text
    empty = _reasoning.separate("<think>\n\n</think>\n\nyes")
    assert (empty.text, empty.thought.strip()) == ("yes", "")


@pytest.mark.parametrize(
    ("told", "out", "thought"),
    [({"completion_tokens_details": {"reasoning_tokens": 5}}, 8, 5),
     ({"reasoning_tokens": 5}, 8, 5),
     ({"completion_tokens_details": {"reasoning_tokens": 50}}, 58, 50),
     ({"completion_tokens_details": {"reasoning_tokens": 5}, "total_tokens": 25}, 13, 5),
     ({"completion_tokens_details": {"reasoning_tokens": "5"}}, 8, None),
     ({}, 8, None)],
)  # fmt: skip
def test_reasoning_tokens_are_part_of_those_of_the_answer_and_priced(remote, told, out, thought):
    purse = Purse(usd=1)
    _, model, _ = remote(says(usage=usage(8, **told)), purse=purse, price=PRICE)
    reply = model.reply(ask("x"), ON)[0]
    assert (reply.tokens_out, reply.tokens_thought) == (out, thought)
    assert purse.spent == [(12 * Decimal(1) + out * Decimal(2)) / 1_000_000]


class Watched(Purse):
    """A purse that lists what was reserved."""

    def __init__(self):
        super().__init__(usd=1)
        self.reserved = []

    def reserve(self, usd, tokens, key=""):
        self.reserved.append(usd)
        return super().reserve(usd, tokens, key)


@pytest.mark.parametrize(("limits", "room"), [(ON, 108), (OFF, 8), (AUTO, 8)])
def test_room_and_worst_price_include_the_allowance_only_where_it_may_think(remote, limits, room):
    purse = Watched()
    server, model, _ = remote(says(), purse=purse, price=PRICE)
    model.reply(ask("x"), limits)
    body = server.seen[0]["body"]
    assert body["max_tokens"] == room
    assert purse.reserved == [(_request.size(body) + 2 * Decimal(room)) / 1_000_000]


def test_a_reply_that_ends_inside_its_reasoning_is_cut_and_empty(remote):
    for message in ({"content": "<think>hm hm"}, {"content": None, "reasoning": "hm"}):
        _, model, _ = remote(says(message=message, finish_reason="length", usage=usage(8)))
        reply = model.reply(ask("x"), ON)[0]
        assert (reply.text, reply.finish, reply.error) == ("", "length", None)
        assert reply.tokens_thought == 8
    told = usage(8, completion_tokens_details={"reasoning_tokens": 8})
    _, model, _ = remote(says(message={"content": None}, finish_reason="length", usage=told))
    assert model.reply(ask("x"), ON)[0].finish == "length"


def test_auto_goes_on_with_the_allowance_asks_the_cut_ones_again_and_says_so(remote):
    purse = Purse(usd=1)
    server, model, said = remote(thinker(), purse=purse, price=PRICE)
    replies = model.reply(ask(*"abcdef"), AUTO)
    assert [reply.text for reply in replies] == ["yes"] * 6
    assert not purse.open
    assert [note for note in said if "reasons before it answers" in note] == said
    assert len(said) == 1
    assert model.notes == tuple(said)
    before = len(server.seen)
    again = Remote("m", endpoint(server.url), purse, PRICE)
    assert [r.text for r in again.reply(ask(*"abcdef"), AUTO)] == ["yes"] * 6
    assert len(server.seen) == before, "what was paid for is not asked again"
    more = model.reply(ask("g"), AUTO)[0]
    assert (more.text, server.seen[-1]["body"]["max_tokens"]) == ("yes", 108)


def test_uncut_replies_of_a_thinking_model_stand(remote):
    server, model, _ = remote(thinker(needs=2), purse=Purse())
    assert [r.text for r in model.reply(ask("a", "b"), AUTO)] == ["yes", "yes"]
    assert len(server.seen) == 2


def test_off_says_that_the_model_thinks_all_the_same(remote):
    _, model, said = remote(thinker())
    reply = model.reply(ask("a"), OFF)[0]
    assert (reply.text, reply.finish) == ("", "length")
    assert "although thinking is off" in said[0]


@pytest.mark.parametrize(
    ("name", "switch"),
    [("Qwen/Qwen3-8B", "enable_thinking"), ("zai-org/GLM-4.6", "enable_thinking"),
     ("deepseek-ai/DeepSeek-V3.1", "thinking"), ("gpt-4.1", None), ("llama-3.1-8b", None)],
)  # fmt: skip
def test_the_switch_is_sent_where_the_family_is_known(remote, name, switch):
    server, model, _ = remote(says(), name=name)
    for limits, on in ((ON, True), (OFF, False), (AUTO, False)):
        model.reply(ask("x"), limits)
        sent = server.seen[-1]["body"].get("chat_template_kwargs")
        assert sent == (None if switch is None else {switch: on})
    assert _request.switch("qwen3-8b", "openrouter.ai", ON) == {}


def test_a_server_that_refuses_the_switch_is_asked_without_it(remote):
    def turn(body):
        if "chat_template_kwargs" in body:
            message = "Unrecognized request argument supplied: chat_template_kwargs"
            return {"status": 400, "json": {"error": {"message": message}}}
        return says()

    _, model, said = remote(turn, name="qwen3-8b")
    assert model.reply(ask("x"), ON)[0].text == "yes"
    assert "chat_template_kwargs" in said[0]


def test_labels_are_read_behind_the_reasoning(remote):
    _, model, _ = remote(says('<think>hm</think>{"label": "late"}'))
    limits = ON.model_copy(update={"grammar": Grammar(kind="labels", value=["late", "lost"])})
    assert model.reply(ask("x"), limits)[0].text == "late"
