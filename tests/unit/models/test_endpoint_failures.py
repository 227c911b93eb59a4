"""D4, D8: rows that an endpoint refuses, endpoints that fail for all, aliases that move."""

import threading

import pytest
from models_kit import ask, says
from test_openai_compatible import LIMITS, PRICE, Purse

from tuneworthy.models.openai_compatible import Remote
from tuneworthy.models.remote.endpoint import endpoint
from tuneworthy.models.remote.request import RequestOptions
from tuneworthy.models.remote.wire import RetryPolicy
from tuneworthy.records.errors import BudgetError, ModelError, ProviderError

TOO_LONG = {"status": 400, "json": {"error": {"message": "maximum context length is 8",
                                              "code": "context_length_exceeded"}}}  # fmt: skip
ODD = {"status": 400, "json": {"error": {"message": "cannot read this prompt"}}}


@pytest.fixture
def remote(serve):
    def make(*turns, purse=None, price=None, server=None):
        server, said = server or serve(*turns), []
        policy = RetryPolicy(attempts=2, request_seconds=5.0, sleep=lambda seconds: None)
        options = RequestOptions(say=said.append)
        return server, Remote("m", endpoint(server.url), purse, price, policy, options), said

    return make


def refusing(words, what):
    """Return a turn that refuses prompts with one of these words, and answers the others."""

    def turn(body):
        text = body["messages"][-1]["content"]
        return what if any(word in text for word in words) else says()

    return turn


@pytest.mark.parametrize("what", [TOO_LONG, ODD], ids=["context length", "another 400"])
def test_a_refused_row_alone_in_its_call_is_its_own_fault_also_on_resume(remote, what):
    purse = Purse()
    server, model, _ = remote(refusing(["bad"], what), purse=purse)
    assert model.reply(ask("a", "b"), LIMITS)[0].text == "yes"
    alone = model.reply(ask("bad"), LIMITS)[0]
    assert (alone.text, alone.finish) == ("", "error")
    assert "400" in alone.error
    _, resumed, _ = remote(server=server, purse=purse)
    assert resumed.reply(ask("bad"), LIMITS)[0].error == alone.error


def test_a_row_too_long_that_comes_first_of_all_is_its_own_fault(remote):
    _, model, _ = remote(refusing(["bad"], TOO_LONG), purse=Purse())
    assert model.reply(ask("bad"), LIMITS)[0].finish == "error"
    texts = [*(f"bad {k}" for k in range(9)), *(f"q{k}" for k in range(9))]
    assert [r.finish for r in model.reply(ask(*texts), LIMITS)] == ["error"] * 9 + ["stop"] * 9


def test_an_endpoint_that_refuses_all_before_any_answer_is_at_fault(remote):
    server, model, _ = remote(ODD, purse=Purse())
    with pytest.raises(ProviderError):
        model.reply(ask("a"), LIMITS)
    with pytest.raises(ProviderError):
        model.reply(ask(*(f"q{k}" for k in range(60))), LIMITS)
    assert len(server.seen) < 60


def test_an_endpoint_that_refuses_one_kind_of_request_fails_that_arm_alone(remote):
    def turn(body):
        return ODD if "strange" in body["messages"][-1]["content"] else says()

    _, model, _ = remote(turn, purse=Purse())
    model.reply(ask("a"), LIMITS)
    with pytest.raises(ModelError, match="refuses every request"):
        model.reply(ask(*(f"strange {k}" for k in range(20))), LIMITS)


def test_a_row_that_breaks_its_server_stops_the_study_once_and_not_for_good(remote):
    boom = {"status": 500, "json": {"error": {"message": "boom"}}}
    purse = Purse()
    server, model, _ = remote(refusing(["bad"], boom), purse=purse)
    model.reply(ask("a"), LIMITS)
    with pytest.raises(ProviderError):
        model.reply(ask("bad"), LIMITS)
    _, resumed, _ = remote(server=server, purse=purse)
    assert "boom" in resumed.reply(ask("bad"), LIMITS)[0].error


def test_an_endpoint_that_is_down_makes_no_unscored_cases_however_often_it_is_tried(remote):
    purse = Purse()
    busy = {"status": 503, "json": {"error": {"message": "busy"}}}
    server, model, _ = remote(refusing(["bad"], busy), purse=purse)
    model.reply(ask("a"), LIMITS)
    for _ in range(3):
        with pytest.raises(ProviderError):
            remote(server=server, purse=purse)[1].reply(ask("bad"), LIMITS)


def test_a_cut_off_network_among_answers_stops_and_is_no_unscored_case(remote):
    busy = {"status": 503, "json": {"error": {"message": "busy"}}}
    _, model, _ = remote(refusing(["bad"], busy), purse=Purse())
    with pytest.raises(ProviderError):
        model.reply(ask("a", "b", "bad", "c"), LIMITS)


@pytest.mark.parametrize("reason", [{"a": 1}, ["stop"], 7, True])
def test_a_finish_reason_of_any_type_is_a_failed_reply(remote, reason):
    _, model, _ = remote(says(finish_reason=reason))
    assert model.reply(ask("a"), LIMITS)[0].finish == "error"


def test_a_lone_surrogate_in_an_answer_is_replaced(remote):
    raw = b'{"choices": [{"message": {"content": "a\\ud800b"}}], "model": "m\\udfff"}'
    _, model, _ = remote({"raw": raw}, purse=Purse())
    reply = model.reply(ask("a"), LIMITS)[0]
    assert (reply.text, reply.served) == ("a\ufffdb", "m\ufffd")


def test_the_served_model_is_recorded_and_another_name_fails_the_arm_also_on_resume(remote):
    purse, names = Purse(), iter(["m-1", "m-1", "m-2"])
    server, model, _ = remote(lambda body: says(model=next(names, "m-2")), purse=purse)
    reply = model.reply(ask("a"), LIMITS)[0]
    assert reply.served == "m-1"
    assert model.reply(ask("b"), LIMITS)[0].served == "m-1"
    _, resumed, _ = remote(server=server, purse=purse)
    with pytest.raises(ModelError, match="changed the model"):
        resumed.reply(ask("c"), LIMITS)
    assert not purse.open, "what was reserved is settled"
    with pytest.raises(ModelError, match="changed the model"):
        resumed.reply(ask("c"), LIMITS)
    assert len(server.seen) == 3, "its paid answer is kept, and is no answer of this study"
    assert resumed.reply(ask("a"), LIMITS)[0].text == "yes"


def test_vendor_and_case_of_a_name_are_no_other_model(remote):
    names = iter(["org/Model-1", "model-1", "Other/MODEL-1"])
    _, model, _ = remote(lambda body: says(model=next(names)), purse=Purse())
    for text in "abc":
        assert model.reply(ask(text), LIMITS)[0].text == "yes"


def test_another_system_fingerprint_is_said_once(remote):
    prints = iter(["fp_a", "fp_a", "fp_b", "fp_c"])
    _, model, said = remote(lambda body: says(system_fingerprint=next(prints)), purse=Purse())
    found = [model.reply(ask(text), LIMITS)[0].system_fingerprint for text in "abcd"]
    assert found == ["fp_a", "fp_a", "fp_b", "fp_c"]
    assert len(said) == 1
    assert "fp_a, then fp_b" in said[0]


def test_a_reply_that_raises_near_the_cap_leaves_nobody_waiting(tmp_path, serve):
    from tuneworthy.store.purse import SpendingCap as Real
    from tuneworthy.store.store import open_ledger

    lock, sent = threading.Lock(), []

    def turn(body):
        with lock:
            sent.append(body)
            return says(model=f"m-{len(sent)}")

    with open_ledger(tmp_path) as ledger:
        purse = Real(ledger, usd="0.002", study="s")
        where = endpoint(serve(turn).url)
        model = Remote("m", where, purse, {"in": 2.0, "out": 2.0}, RetryPolicy(attempts=2))
        done = []

        def work():
            try:
                model.reply(ask(*(f"q{k}" for k in range(40))), LIMITS)
            except (ModelError, BudgetError) as error:
                done.append(error)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(30)
        assert done, "it hangs"
        assert not purse._account.live


def test_a_ledger_that_fails_to_settle_leaves_nobody_waiting(tmp_path, serve, monkeypatch):
    from tuneworthy.records.errors import StoreError
    from tuneworthy.store.purse import SpendingCap as Real
    from tuneworthy.store.store import open_ledger

    with open_ledger(tmp_path) as ledger:
        purse = Real(ledger, usd="1", study="s")
        ticket = purse.reserve("0.5", 10, "k")

        def full(*args, **more):
            raise StoreError("the disk is full")

        monkeypatch.setattr(ledger, "outcome", full)
        with pytest.raises(StoreError):
            purse.settle(ticket, "0.1", 5)
        assert not purse._account.live
        assert purse.spent().unknown[0].usd == ticket.usd


def test_prices_of_a_reply_that_is_dearer_when_cached_are_reserved(remote):
    from tuneworthy.models.remote.price_list import worst_case_cost

    assert worst_case_cost({**PRICE, "cached_in": 9.0}, 1_000_000, 0) == 9
