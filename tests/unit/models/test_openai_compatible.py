"""The remote model against a server that misbehaves: the provider catalogue I107-I136."""

import json
import threading
from decimal import Decimal

import pytest
from models_kit import ask, says
from tests.in_time import ends_within

from tuneworthy.models import open_model
from tuneworthy.models.openai_compatible import Remote, open_remote
from tuneworthy.models.remote.endpoint import endpoint
from tuneworthy.models.remote.price_list import worst_case_cost
from tuneworthy.models.remote.reply import read_reply
from tuneworthy.models.remote.request import size
from tuneworthy.models.remote.wire import RetryPolicy
from tuneworthy.records.errors import (
    BudgetError,
    ModelError,
    ProviderError,
    SecurityError,
    TaskError,
)
from tuneworthy.records.model import Grammar, Limits
from tuneworthy.records.record import digest
from tuneworthy.records.redaction import Redactor
from tuneworthy.store import signals

LIMITS = Limits(max_tokens=8)
PRICE = {"in": 1.0, "out": 2.0, "cached_in": 0.5}


class Purse:
    """Reserves and settles in memory, with a cap, as the ledger's purse does."""

    def __init__(self, usd=None):
        self.cap_usd = None if usd is None else Decimal(str(usd))
        self.open, self.spent, self.kept, self.lock = {}, [], {}, threading.Lock()
        self.number, self.facts = 0, {}

    def recorded(self, key):
        return self.kept.get(key)

    def recall(self, what):
        return self.facts.get(what)

    def learn(self, what, value):
        return self.facts.setdefault(what, value)

    def reserve(self, usd, tokens, key=""):
        with self.lock:
            worst = usd or Decimal(0)
            if (
                self.cap_usd is not None
                and sum(self.spent) + sum(u for u, _ in self.open.values()) + worst > self.cap_usd
            ):
                raise BudgetError("the next request could pass the cap")
            self.number += 1
            self.open[self.number] = (worst, key)
            return type("T", (), {"number": self.number, "retry_key": key[:16]})

    def settle(self, ticket, usd, tokens, reply=None):
        with self.lock:
            worst, key = self.open.pop(ticket.number)
            self.spent.append(worst if usd is None else Decimal(str(usd)))
            if reply is not None:
                self.kept[key] = reply


@pytest.fixture
def waits():
    return []


@pytest.fixture
def remote(serve, waits):
    def make(*turns, purse=None, price=None, **policy):
        server = serve(*turns)
        calm = {"attempts": 3, "request_seconds": 2.0, **policy}
        made = Remote(
            "m", endpoint(server.url), purse, price, RetryPolicy(sleep=waits.append, **calm)
        )
        return server, made

    return make


def one(model, text="hello"):
    return model.reply(ask(text), LIMITS)[0]


def test_an_answer_is_read_whole(remote):
    server, model = remote(says("yes"), price=PRICE)
    reply = one(model)
    assert (reply.text, reply.tokens_in, reply.tokens_out, reply.finish) == ("yes", 12, 3, "stop")
    assert reply.usd == pytest.approx((12 * 1 + 3 * 2) / 1e6)
    assert reply.seconds > 0
    sent = server.seen[0]["body"]
    assert (sent["max_tokens"], sent["temperature"], sent["seed"]) == (8, 0.0, 0)


def test_answers_come_in_order_and_cost_sums(remote):
    purse = Purse(usd=1)
    server, model = remote(
        lambda body: says(body["messages"][-1]["content"]), purse=purse, price=PRICE
    )
    texts = [f"q{k}" for k in range(20)]
    assert [r.text for r in model.reply(ask(*texts), LIMITS)] == texts
    assert not purse.open
    assert sum(purse.spent) == 20 * Decimal("0.000018")
    again = model.reply(ask(*texts), LIMITS)
    assert len(server.seen) == 20, "P2: what is recorded is never sent again"
    assert [r.text for r in again] == texts


@pytest.mark.parametrize(
    "turn",
    [
        {"status": 500, "json": {"error": {"message": "boom"}}},
        {"status": 503, "raw": b"<html>busy</html>"},
        {"raw": b"<html>hello</html>"},
        {"raw": b""},
        {"raw": b'{"choices": [{"mess'},
        {"json": {"choices": []}},
        {"json": {"error": {"message": "overloaded"}}},
        {"json": {"choices": [{"message": None}]}},
        {"json": [1]},
        {"raw": b'{"a": 1}', "promise": 500},
    ],
    ids=["I113", "I113-html", "I114", "I115", "I116", "I117", "I120", "I117b", "I117c", "I118"],
)
def test_a_broken_answer_is_asked_again(remote, waits, turn):
    server, model = remote(turn, says("yes"))
    assert one(model).text == "yes"
    assert len(server.seen) == 2
    assert len(waits) == 1
    assert (
        server.seen[0]["headers"]["idempotency-key"] == server.seen[1]["headers"]["idempotency-key"]
    )


def test_i113_permanent_failure_is_a_provider_error(remote, waits):
    server, model = remote({"status": 500})
    with pytest.raises(ProviderError, match="does not answer") as caught:
        one(model)
    assert len(server.seen) == 3
    assert 0.5 <= waits[0] <= 1.5  # doubling, each spread by half
    assert 1.0 <= waits[1] <= 3.0
    assert "500" in caught.value.got


@pytest.mark.parametrize(
    ("header", "expected"),
    [("7", 7), ("1e12", 5), ("-3", None), ("Thu, 01 Jan 1970 00:00:00 GMT", None), ("soon", None)],
)
def test_i111_a40_retry_after_is_kept_within_reason(remote, waits, header, expected):
    turn = {"status": 429, "headers": {"retry-after": header}, "json": {}}
    _, model = remote(turn, says(), longest_wait=7.0 if expected == 7 else 5.0)
    assert one(model).text == "yes"
    assert waits == [expected] if expected else 0.4 < waits[0] <= 5


@pytest.mark.parametrize(
    ("status", "code", "name"),
    [(401, "", "I108"), (403, "", "I108"), (404, "", "I109"), (429, "insufficient_quota", "I112"),
     (302, "", "I133")],
)  # fmt: skip
def test_what_no_retry_can_mend_stops_at_once(remote, monkeypatch, status, code, name):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-123")
    turn = {
        "status": status,
        "json": {"error": {"message": "no", "code": code}},
        "headers": {"location": "http://127.0.0.1:9/v1"},
    }
    server, model = remote(turn)
    with pytest.raises(ProviderError) as caught:
        model.reply(ask(*"abcdefghijklmnop"), LIMITS)
    assert len(server.seen) <= 8, "no more than were in flight"
    assert "sk-canary" not in str(caught.value)


def test_i110_a_row_too_long_fails_alone(remote):
    def turn(body):
        if "long" in body["messages"][-1]["content"]:
            return {"status": 400, "json": {"error": {"message": "maximum context length is 8"}}}
        return says()

    _, model = remote(turn)
    good, bad, other = model.reply(ask("a", "long", "b"), LIMITS)
    assert (good.text, other.text, bad.finish) == ("yes", "yes", "error")
    assert "context length" in bad.error


def test_a_request_in_flight_ends_soon_after_the_minutes_of_a_study(serve, monkeypatch):
    monkeypatch.setattr("tuneworthy.models.remote.wire._SPARE_SECONDS", 0.5)
    server = serve({"piece": 1, "drip": 1.0, **says()})
    policy, purse = RetryPolicy(attempts=3, request_seconds=600.0), Purse(usd=1)
    model = Remote("m", endpoint(server.url), purse, PRICE, policy)
    with pytest.raises(signals.StopRequested), signals.stop_after(0.5, signals.TIME_UP):
        one(model)
    assert len(server.seen) == 1
    assert len(purse.spent) == 1, "its worst case is booked: it may be billed"


def test_i122_i121_slow_servers_are_cut(remote):
    _, model = remote({"sleep": 1.5, **says()}, says("fast"), request_seconds=0.3)
    assert one(model).text == "fast"
    _, model = remote({"piece": 1, "drip": 0.05, **says()}, says("fast"), request_seconds=0.4)
    assert one(model).text == "fast"


ENDLESS = {"raw": b"the prompt is odd " + b"x" * 4000, "piece": 1, "drip": 0.05}


@pytest.mark.parametrize("status", [400, 500])
def test_an_error_page_that_drips_is_cut_in_time_and_says_its_status(remote, status):
    turn = {"status": status, **ENDLESS}
    _, model = remote(says(), turn, purse=Purse(), request_seconds=0.4, attempts=2)
    one(model)
    with ends_within(5):  # its whole page would take 200 s
        found = model.reply(ask("a", "b"), LIMITS) if status == 400 else None
        if found is None:
            with pytest.raises(ProviderError) as caught:
                model.reply(ask("a", "b"), LIMITS)
    said = found[0].error if found else caught.value.got
    assert said.startswith(f"{status}: the pro")
    assert said.endswith("the rest of its page did not come)")


def test_an_error_page_without_end_is_read_up_to_a_limit(remote):
    turn = {"status": 400, "raw": b"x" * 50_000_000, "piece": 100_000, "drip": 0.02}
    _, model = remote(says(), turn, purse=Purse(), request_seconds=60.0)
    one(model)
    with ends_within(5):  # its whole page would take 10 s
        assert model.reply(ask("b"), LIMITS)[0].error.startswith("400: xxx")


def test_a_whole_message_counts_although_the_server_goes_on_and_on(remote):
    page = json.dumps({"error": {"message": "maximum context length is 8"}}).encode()
    turn = {"status": 400, "raw": page, "promise": 10_000}
    _, model = remote(says(), turn, purse=Purse())
    one(model)
    assert model.reply(ask("b"), LIMITS)[0].error == "400: maximum context length is 8"


def test_a_page_cut_inside_the_key_shows_none_of_it():
    key = "sk-abcdefghijklmnop"
    assert Redactor(key).end("denied: sk-abcdefghij") == "denied: [key removed]"
    assert Redactor(key).end("denied: sk-") == "denied: sk-"
    assert Redactor(None).end("denied: sk-abcdefghij") == "denied: sk-abcdefghij"


def test_i107_nobody_listens(waits):
    model = Remote("m", endpoint("http://127.0.0.1:9/v1"), Purse(), None,
                   RetryPolicy(attempts=2, sleep=waits.append))  # fmt: skip
    with pytest.raises(ProviderError):
        one(model)
    assert model.purse.spent == [0, 0], "what was never sent costs nothing"


@pytest.mark.parametrize(
    ("reason", "finish", "wrong"),
    [("length", "length", ""), ("content_filter", "error", "filter"), (None, "stop", ""),
     ("tool_calls", "error", "tool"), ("odd", "error", "odd")],
)  # fmt: skip
def test_i126_how_an_answer_ended(remote, reason, finish, wrong):
    _, model = remote(says(finish_reason=reason))
    reply = one(model)
    assert reply.finish == finish
    assert wrong in (reply.error or "")


@pytest.mark.parametrize(
    ("made", "thought", "finish"),
    [(7, 0, "stop"), (8, 0, "length"), (15, 8, "stop"), (16, 8, "length"), (None, None, "stop")],
)
def test_an_answer_that_fills_its_limit_without_a_finish_reason_was_cut(
    remote, made, thought, finish
):
    usage = {"prompt_tokens": 12, "completion_tokens": made,
             "completion_tokens_details": {"reasoning_tokens": thought}}  # fmt: skip
    _, model = remote(says(finish_reason=None, usage=usage))
    assert one(model).finish == finish


def test_i117_i127_i136_contents(remote):
    parts = {"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}
    assert one(remote(says(message=parts))[1]).text == "ab"
    assert one(remote(says(message={"content": None, "refusal": "I won't"}))[1]).text == "I won't"
    assert one(remote(says(message={"content": None}))[1]).error
    thought = {"content": None, "reasoning_content": "hm"}
    assert one(remote(says(message=thought, finish_reason="length"))[1]).finish == "length"


@pytest.mark.parametrize(
    "usage",
    [None, {}, {"prompt_tokens": -5, "completion_tokens": 3},
     {"prompt_tokens": 10**9, "completion_tokens": 3}, {"prompt_tokens": True},
     {"prompt_tokens": "12", "completion_tokens": 1.5},
     {"prompt_tokens": 0, "completion_tokens": 0}],
)  # fmt: skip
def test_i128_a41_absurd_usage_counts_the_worst_case(remote, usage):
    purse = Purse(usd=1)
    _, model = remote(says(usage=usage), purse=purse, price=PRICE)
    reply = one(model)
    assert reply.usd is None
    assert reply.tokens_in is None
    assert purse.spent[0] > Decimal("0.00002"), "the reservation stays"


def test_p3_an_answer_has_more_tokens_than_a_server_may_say(remote):
    purse, long = Purse(usd=1), {"content": "word " * 200}
    told = says(message=long, usage={"prompt_tokens": 3, "completion_tokens": 3})
    reply = one(remote(told, purse=purse, price=PRICE)[1])
    assert (reply.tokens_in, reply.tokens_out, reply.usd) == (3, None, None)
    told = says(message=long, usage={"prompt_tokens": 3, "completion_tokens": 4})
    assert one(remote(told, purse=Purse(usd=1), price=PRICE)[1]).tokens_out == 4


def test_the_cap_counts_what_a_server_writes_beyond_the_limit(remote):
    purse = Purse(usd=0.01)
    usage = {"prompt_tokens": 20, "completion_tokens": 5000}
    server, model = remote(says(usage=usage), purse=purse, price=PRICE)
    reply = one(model, "first")
    assert (reply.tokens_out, reply.usd) == (5000, 0.01002)
    assert purse.spent == [Decimal("0.01002")]
    with pytest.raises(BudgetError):
        one(model, "second")
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("stated", "out"),
    [({"completion_tokens": 5000}, 5000),
     ({"completion_tokens": 40, "completion_tokens_details": {"reasoning_tokens": 6000}}, 6040),
     ({"completion_tokens": 10_000_001}, None), ({"completion_tokens": 10**18}, None),
     ({"completion_tokens": -1}, None), ({"completion_tokens": "5000"}, None)],
)  # fmt: skip
def test_read_reply_refuses_only_counts_that_no_request_can_have(stated, out):
    usage = {"prompt_tokens": 20, **stated}
    assert read_reply(says(usage=usage)["json"], LIMITS, asked=100).tokens_out == out


def test_i129_p20_another_model_is_noticed(remote):
    _, model = remote(says(model="m-1"), says(model="m-2"))
    assert one(model).text == "yes"
    with pytest.raises(ModelError, match="changed the model"):
        one(model, "other")


LABEL_RULE = Grammar(kind="labels", value=("yes", "no"))
JSON_RULE = Grammar(kind="json", value={"type": "object"})


@pytest.mark.parametrize(
    ("rule", "text", "ignored"),
    [(JSON_RULE, "Sure, here it is!", True), (JSON_RULE, '{"a": 1}', False),
     (LABEL_RULE, "It is yes, I think.", True), (LABEL_RULE, '{"label": "yes"}', False),
     (LABEL_RULE, "yes", False), (None, "anything", False)],
)  # fmt: skip
def test_i131_a_server_that_ignores_the_form_of_answers_is_noted_once(remote, rule, text, ignored):
    purse = Purse()
    server, model = remote(says(text), says(text), says(text, finish_reason="length"), purse=purse)
    limits = LIMITS.model_copy(update={"grammar": rule})
    replies = model.reply(ask("a", "b"), limits)
    assert all(reply.error is None for reply in replies), "its answers count as they are"
    assert len(server.seen) == 2
    noted = [note for note in model.notes if "response_format" in note]
    assert len(noted) == ignored


def test_i131_an_answer_that_was_cut_is_no_sign_of_an_ignored_form(remote):
    _, model = remote(says('{"a": ', finish_reason="length"), purse=Purse())
    assert model.reply(ask("a"), LIMITS.model_copy(update={"grammar": JSON_RULE}))[0].text
    assert model.notes == ()


def test_i131_a_server_that_ignores_seed_and_n_gives_each_sample_one_answer(remote):
    """`n` is never sent: each sample is a request with a seed of its own."""
    two = says("one")
    two["json"]["choices"] *= 2
    server, model = remote(two, says("two"), purse=Purse())
    drawn = [LIMITS.model_copy(update={"sample": n}) for n in (0, 1)]
    assert [model.reply(ask("a"), limits)[0].text for limits in drawn] == ["one", "two"]
    bodies = [request["body"] for request in server.seen]
    assert all("n" not in body for body in bodies)
    assert len({body["seed"] for body in bodies}) == 2


@pytest.mark.parametrize(
    "logprobs", [None, {}, {"token_logprobs": None}, {"token_logprobs": [None, -1.0]},
                 {"token_logprobs": [None, None, None, -1.0]}],
)  # fmt: skip
def test_i130_log_probabilities_that_do_not_come_end_with_the_path_that_was_asked(logprobs):
    from tuneworthy.models.remote import server_requests

    class Server:
        kind, url, key = "vllm", "http://127.0.0.1:1/v1", "k"

    scores = server_requests.ServerScores(Server())
    page = {"choices": [{"text": "", "logprobs": logprobs}]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server_requests, "post", lambda server, path, body: page)
        with pytest.raises(ProviderError) as caught:
            scores.scores("m", [([1, 2, 3], 1)])
    assert (caught.value.exit_code, caught.value.where) == (1, "/v1/completions")
    assert "version of the server" in caught.value.fix


def test_i134_a_key_rotated_in_mid_run_loses_no_answer(remote):
    """The run ends with the server's words; with the new key it asks for the rest alone."""
    refused = {"status": 401, "json": {"error": {"message": "this key was revoked"}}}
    purse = Purse()
    server, model = remote(says("one"), refused, says("two"), purse=purse)
    assert one(model, "first").text == "one"
    with pytest.raises(ProviderError, match="does not answer") as caught:
        one(model, "second")
    assert "revoked" in caught.value.got
    assert "OPENAI_API_KEY" in caught.value.fix
    assert purse.spent[-1] == 0, "a refused request costs nothing"
    assert [one(model, text).text for text in ("first", "second")] == ["one", "two"]
    assert len(server.seen) == 3, "the first was not asked again"


def test_i135_an_answer_of_forty_megabytes(remote):
    _, model = remote({"raw": b" " * 40_000_000}, request_seconds=20)
    with pytest.raises(ProviderError) as caught:
        one(model)
    assert "larger" in caught.value.got


def test_p3_the_cap_holds_before_anything_is_sent(remote):
    purse = Purse(usd="0.0010")
    server, model = remote(says(), {"status": 500}, says(), purse=purse, price=PRICE)
    with pytest.raises(BudgetError):
        model.reply(ask(*(f"question {k}" for k in range(200))), LIMITS)
    assert sum(purse.spent) + sum(u for u, _ in purse.open.values()) <= purse.cap_usd
    assert 0 < len(server.seen) < 200


def test_every_attempt_is_reserved_and_counted(remote, waits):
    """Nobody but us sends a request again: one that may be billed is in the purse."""

    def dropped(body):
        raise ConnectionResetError("the server closes the connection without an answer")

    server, model = remote(dropped, {"status": 504}, says(), purse=(purse := Purse()))
    assert one(model).text == "yes"
    assert len(server.seen) == len(purse.spent) == 3


def test_the_worst_case_covers_what_is_billed(remote):
    _, model = remote(says(), price=PRICE)
    for text in ("a", "ü" * 50, "日本語" * 30, "<|im_end|>" * 9):
        body = model._request_body(ask(text)[0], LIMITS, None, allowance=0)
        said = sum(len(m["content"].encode()) for m in body["messages"])
        assert size(body) >= said + 4 * len(body["messages"])
        assert (
            worst_case_cost(PRICE, size(body), 8)
            == (size(body) * Decimal(1) + 8 * Decimal(2)) / 1_000_000
        )


def test_i70_a_cap_without_a_price_is_refused(serve):
    url = serve(says()).url
    with pytest.raises(TaskError, match="price"):
        open_remote(f"m@{url}", Purse(usd=1), {})
    with pytest.raises(TaskError, match="`in` and `out`"):
        open_remote(f"m@{url}", Purse(usd=1), {"m": {"in": 1}})
    assert open_remote(f"m@{url}", Purse(usd=1), {"m": PRICE}).price == PRICE


def test_p4_seed_and_sample_are_other_requests(remote):
    server, model = remote(says(), purse=Purse())
    others = [{"sample": 1}, {"seed": 5}, {"max_tokens": 9}, {"temperature": 0.5}, {}]
    for other in ({}, *others):
        model.reply(ask("x"), LIMITS.model_copy(update=other))
    assert len(server.seen) == 5
    assert len({s["body"]["seed"] for s in server.seen}) == 3


def test_samples_of_a_server_that_refuses_a_seed_are_requests_of_their_own(remote):
    said = "Unsupported parameter: 'seed' is not supported with this model."
    refuse = {"status": 400, "json": {"error": {"message": said}}}
    server, model = remote(refuse, says("one"), says("two"), purse=Purse())
    drawn = [LIMITS.model_copy(update={"sample": n}) for n in (0, 1, 0)]
    assert [model.reply(ask("a"), limits)[0].text for limits in drawn] == ["one", "two", "one"]
    assert ["seed" in request["body"] for request in server.seen] == [True, False, False]


def test_grammar_becomes_a_schema_and_labels_are_unwrapped(remote):
    server, model = remote(says('{"label": "late"}'))
    limits = Limits(max_tokens=8, grammar=Grammar(kind="labels", value=["late", "lost"]))
    assert model.reply(ask("x"), limits)[0].text == "late"
    form = server.seen[0]["body"]["response_format"]["json_schema"]
    assert form["strict"] is True
    assert form["schema"]["properties"]["label"]["enum"] == ["late", "lost"]
    with pytest.raises(TaskError):
        model.reply(ask("x"), Limits(max_tokens=8, grammar=Grammar(kind="regex", value="a+")))


def test_the_name_of_the_token_limit_is_learnt(remote):
    said = "Unsupported parameter: 'max_tokens' is not supported with this model."
    refuse = {"status": 400, "json": {"error": {"message": said}}}
    server, model = remote(refuse, says())
    assert one(model).text == "yes"
    assert server.seen[1]["body"]["max_completion_tokens"] == 8


def test_a37_m46_the_key_goes_home_only(monkeypatch, serve):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-123")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    server = serve(says())
    model = open_model(f"openai:m@{server.url}", folder=None)
    one(model)
    assert "sk-canary-123" not in str(server.seen)
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    mine = open_model("openai:m", folder=None)
    one(mine)
    assert server.seen[1]["headers"]["authorization"] == "Bearer sk-canary-123"
    for text in (str(mine.fingerprint), repr(mine.where), mine.spec):
        assert "canary" not in text


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a37_m46_a_redirect_is_not_followed(remote, serve, status):
    other = serve(says())
    headers = {"location": f"{other.url}/chat/completions"}
    _, model = remote({"status": status, "json": {}, "headers": headers})
    with pytest.raises(ProviderError) as caught:
        one(model)
    assert "sends us elsewhere" in caught.value.got
    assert not other.seen


@pytest.mark.parametrize(
    "url",
    ["http://169.254.169.254/v1", "http://2852039166/v1", "http://0xa9fea9fe/v1",
     "http://[::ffff:169.254.169.254]/v1", "http://good@evil.example/v1", "http://metadata/v1",
     "https://ехample.com/v1", "http://0.0.0.0/v1"],
)  # fmt: skip
def test_a33_a36_addresses_that_no_model_has(url):
    with pytest.raises(SecurityError):
        endpoint(url)


@pytest.mark.parametrize("url", ["ftp://x/v1", "model", "http://", "http://x:99999/"])
def test_addresses_that_are_none(url):
    with pytest.raises(TaskError):
        endpoint(url)


def test_a43_the_key_never_travels_in_clear(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://models.example/v1")
    with pytest.raises(SecurityError, match="unencrypted"):
        endpoint(None)
    monkeypatch.delenv("OPENAI_BASE_URL")
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(TaskError, match="no key"):
        endpoint(None)


def test_d4_an_answer_that_is_cut_inside_a_character_pair_is_an_answer(remote):
    purse = Purse(usd=1)
    server, model = remote(says("a \ud83d"), purse=purse, price=PRICE)
    assert one(model).text == one(model).text == "a \ufffd"
    assert len(server.seen) == 1  # the second time it comes from what was stored


def test_equal_prompts_of_one_call_are_one_paid_request(remote):
    purse = Purse(usd=1)
    server, model = remote(says("one"), says("two"), purse=purse, price=PRICE)
    replies = model.reply(ask("same", "same", "other", "same"), LIMITS)
    assert len(server.seen) == len(purse.spent) == 2
    assert replies[0] == replies[1] == replies[3] != replies[2]


def test_the_order_of_a_schema_s_keys_is_part_of_a_request(remote):
    server, model = remote(says("{}"), purse=Purse())
    first, second = ({"type": "object", "properties": {key: {} for key in keys}}
                     for keys in ("ab", "ba"))  # fmt: skip
    for schema in (first, second, first):
        rule = Grammar(kind="json", value=schema)
        model.reply(ask("x"), LIMITS.model_copy(update={"grammar": rule}))
    assert len(server.seen) == 2


@pytest.mark.parametrize("rule", [None, Grammar(kind="labels", value=["a", "b"])])
def test_the_key_of_a_request_without_a_schema_is_that_of_earlier_versions(remote, rule):
    _, model = remote(says())
    limits = LIMITS.model_copy(update={"grammar": rule})
    body = model.request(ask("x")[0], limits)
    assert model._key(body, limits) == digest({**model.fingerprint, "body": body, "sample": 0})


def test_a_message_that_quotes_a_prompt_is_no_bill(remote, waits):
    said = {"message": "template error at input: a billing mistake, insufficient_quota"}
    server, model = remote({"status": 500, "json": {"error": said}}, says("yes"))
    assert one(model).text == "yes"
    assert len(server.seen) == 2


@pytest.mark.parametrize(("status", "spent"), [(504, True), (408, True), (503, False)])
def test_a_gateway_that_ran_out_of_time_may_have_been_billed(remote, waits, status, spent):
    purse = Purse(usd=1)
    _, model = remote({"status": status}, says("yes"), purse=purse, price=PRICE)
    assert one(model).text == "yes"
    assert (sum(purse.spent) > Decimal("0.000018")) == spent
