"""Decision models over HTTP: the open form of typed questions, and answers that break it."""

import json
from decimal import Decimal
from pathlib import Path

import pytest
from models_kit import ask, says
from test_openai_compatible import PRICE, Purse
from tests import studies

from tuneworthy.flows.prompt_preview import first_prompts
from tuneworthy.flows.study import RunOptions, run
from tuneworthy.models import is_local, is_paid, lacks_key, open_model
from tuneworthy.models.remote.endpoint import name_and_url
from tuneworthy.models.remote.request import RequestOptions
from tuneworthy.models.remote.wire import RetryPolicy
from tuneworthy.records.case import Message
from tuneworthy.records.errors import ModelError, ProviderError, TaskError
from tuneworthy.records.model import Grammar, Limits, Reply

LABELS = ["refund", "delivery"]
LIMITS = Limits(max_tokens=8, grammar=Grammar(kind="labels", value=LABELS))


def decides(table, choice=None, **more):
    """Return a turn of the server: the published answer to one question of type choice."""
    made = {"type": "choice", "choice": choice or max(table, key=table.get),
            "probabilities": table, "confidence": 0.5}  # fmt: skip
    usage = {"input_tokens": 30, "output_tokens": 6}
    return {"json": {"model": "d-1.2", "answers": {"answer": made}, "usage": usage, **more}}


GOOD = decides({"refund": 0.88, "delivery": 0.12})


@pytest.fixture
def decider(serve, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    def make(*turns, name="d@", end="", **more):
        server = serve(*turns)
        model = open_model(f"decision:{name}{server.url}{end}", folder=Path(), **more)
        model.policy = RetryPolicy(attempts=2, request_seconds=1.0, sleep=lambda seconds: None)
        return server, model

    return make


@pytest.mark.parametrize("end", ["", "/", "/systemone"])
def test_the_labels_are_the_options_of_one_question(decider, end):
    server, model = decider(GOOD, end=end)
    reply = model.reply(ask("my money, please", system="Which kind?"), LIMITS)[0]
    assert server.seen[0]["path"] == "/v1/systemone"
    question = {"type": "choice", "instructions": "Which kind?",
                "criteria": {"refund": None, "delivery": None}}  # fmt: skip
    assert server.seen[0]["body"] == {
        "model": "d", "state": "my money, please", "questions": {"answer": question}}  # fmt: skip
    assert (reply.text, reply.labels) == ("refund", {"refund": 0.88, "delivery": 0.12})
    assert (reply.tokens_in, reply.tokens_out, reply.served) == (30, 6, "d-1.2")
    assert (reply.usd, reply.finish, reply.error) == (None, "stop", None)
    assert Reply.model_validate(reply.plain()) == reply


def test_several_turns_are_the_state_and_a_model_without_a_name_is_not_named(decider):
    how = RequestOptions(fields={"provider": {"only": ["x"]}})
    server, model = decider(GOOD, name="", requests=how)
    turns = [Message(role=r, content=r[0]) for r in ("system", "user", "assistant", "user")]
    model.reply([turns], LIMITS)
    body = server.seen[0]["body"]
    assert [turn["content"] for turn in body["state"]] == ["u", "a", "u"]
    assert body["state"][1]["role"] == "assistant"
    assert "model" not in body
    assert body["provider"] == {"only": ["x"]}
    assert model.name == "decision", "the name that its price has"


def bad(**change):
    made = {**GOOD["json"]["answers"]["answer"], **change}
    return {"json": {**GOOD["json"], "answers": {"answer": made}}}


@pytest.mark.parametrize(
    ("turn", "why"),
    [(bad(choice="warranty"), "no option that was offered: warranty"),
     (bad(choice=None), "no option that was offered"),
     (bad(choice=["refund"]), "no option that was offered"),
     (bad(probabilities={"refund": 0.7, "delivery": 0.5}), "sum to 1.2, not to 1"),
     (bad(probabilities={"refund": 0.4, "delivery": 0.5}), "sum to 0.9, not to 1"),
     (bad(probabilities={"refund": 1.2, "delivery": -0.2}), "1.2, not from 0 to 1"),
     (bad(probabilities={"refund": float("nan"), "delivery": 0.5}), "nan, not from 0 to 1"),
     (bad(probabilities={"refund": "0.9", "delivery": 0.1}), "is no number"),
     (bad(probabilities={"refund": True, "delivery": 0.0}), "is no number"),
     (bad(probabilities={"refund": 1.0}), "probability of `delivery` is missing"),
     (bad(probabilities={"refund": 0.9, "delivery": 0.1, "x": 0.0}), "`x` is no label"),
     (bad(probabilities=[0.9, 0.1]), "has no probabilities"),
     (bad(type="noul"), "no answer of type choice"),
     ({"json": {"answers": {"other": {}}}}, "no answer of type choice"),
     ({"json": {"answers": {"answer": "refund"}}}, "no answer of type choice")],
)  # fmt: skip
def test_an_answer_outside_the_form_is_an_error_and_never_a_label(decider, turn, why):
    reply = decider(turn)[1].reply(ask("x"), LIMITS)[0]
    assert (reply.text, reply.labels, reply.finish) == ("", None, "error")
    assert why in reply.error


def test_probabilities_of_many_labels_may_be_rounded_to_two_places(decider):
    many = [f"l{n}" for n in range(77)]
    limits = Limits(max_tokens=8, grammar=Grammar(kind="labels", value=many))
    table = dict.fromkeys(many, 0.0) | {"l0": 0.7}
    assert decider(decides(table))[1].reply(ask("x"), limits)[0].error is None
    assert decider(decides({**table, "l0": 0.6}))[1].reply(ask("x"), limits)[0].error


def test_a_choice_that_is_not_the_likeliest_counts_and_is_told(decider):
    _, model = decider(decides({"refund": 0.1, "delivery": 0.9}, choice="refund"))
    assert model.reply(ask("x"), LIMITS)[0].text == "refund"
    assert "not its likeliest" in model.notes[0]
    _, tied = decider(decides({"refund": 0.495, "delivery": 0.505}, choice="refund"))
    tied.reply(ask("x"), LIMITS)
    assert tied.notes == ()


def test_it_is_not_asked_for_text(decider):
    server, model = decider(GOOD)
    with pytest.raises(TaskError, match="writes no text"):
        model.reply(ask("x"), Limits(max_tokens=8))
    assert not server.seen


def test_requests_are_stored_priced_and_capped(decider):
    purse = Purse(usd=1)
    server, model = decider(GOOD, purse=purse, prices={"d": PRICE})
    first = model.reply(ask("x"), LIMITS)[0]
    assert first.usd == pytest.approx((30 * 1 + 6 * 2) / 1e6)
    assert purse.spent == [Decimal("0.000042")]
    assert model.reply(ask("x"), LIMITS)[0].labels == first.labels
    assert len(server.seen) == 1, "a stored reply is not asked for again"
    model.reply(ask("x"), LIMITS.model_copy(update={"sample": 1}))
    assert len(server.seen) == 2, "another draw is another request"
    with pytest.raises(TaskError, match="a money cap needs a price"):
        decider(GOOD, purse=purse)


def test_the_cost_that_the_reply_states_counts_without_a_price(decider):
    purse = Purse()
    turn = {"json": {**GOOD["json"], "usage": {"input_tokens": 3, "output_tokens": 1,
                                               "cost": 0.002}}}  # fmt: skip
    assert decider(turn, purse=purse)[1].reply(ask("x"), LIMITS)[0].usd == 0.002
    assert purse.spent == [Decimal("0.002")]
    turn["json"]["usage"]["cost"] = -1
    assert decider(turn)[1].reply(ask("x"), LIMITS)[0].usd is None


def test_a_server_that_fails_is_asked_again_or_named(decider):
    busy = {"status": 429, "json": {"detail": {"error_type": "rate_limit", "message": "slow down"}}}
    server, model = decider(busy, GOOD)
    assert model.reply(ask("x"), LIMITS)[0].text == "refund"
    assert len(server.seen) == 2
    for turn, why in [(busy, "slow down"), ({"status": 401, "json": {"detail": "no key"}}, "401"),
                      ({"status": 422, "json": {"detail": [{"msg": "state: required"}]}}, "state"),
                      ({"sleep": 1.5, **GOOD}, "no answer within"),
                      (says("refund"), "no `answers`")]:  # fmt: skip
        with pytest.raises(ProviderError) as caught:
            decider(turn)[1].reply(ask("x"), LIMITS)
        assert why in caught.value.got


def test_another_model_in_mid_study_ends_the_arm(decider):
    _, model = decider(GOOD, {"json": {**GOOD["json"], "model": "d-1.3"}})
    model.reply(ask("x"), LIMITS)
    with pytest.raises(ModelError, match="changed the model"):
        model.reply(ask("y"), LIMITS)


def test_a_spec_says_where_it_is_asked():
    assert name_and_url("decision:https://h/v1") == ("decision", "https://h/v1")
    assert name_and_url("decision:d@https://h/v1") == ("d", "https://h/v1")
    assert name_and_url("openai:m") == ("m", "")
    spec = "decision:d@https://h/v1"
    assert (is_paid(spec), is_local(spec), lacks_key(spec)) == (True, False, False)


def label_by_words(body):
    """Answer as a model that knows two of the words of each label."""
    state = body["state"]
    text = json.loads(state)["input"] if state.startswith("{") else state
    found = [n for n in studies.LABELS if any(word in text for word in studies.WORDS[n][:2])]
    best = found[0] if found else "warranty"
    return decides({n: 0.8 if n == best else 0.1 for n in studies.LABELS})


def test_a_study_of_a_decision_model_skips_what_needs_text(serve, tmp_path, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    server = serve(label_by_words)
    arms = ["majority", "zero_shot", "decision", {"decision": {"examples": 4, "draws": 1}}]
    path = studies.write(tmp_path, model=f"decision:d@{server.url}", arms=arms)
    done = run(path, RunOptions(pay=True))
    arm = {a.name: a for a in done.results.evidence.arms}
    assert arm["decision"].state == arm["decision(examples=4, draws=1)"].state == "measured"
    assert arm["decision"].score.mean > 0.6 > arm["majority"].score.mean
    assert "needs a model that writes text" in str(arm["zero_shot"].because)
    runs = [r for r in done.results.runs if r.spec.arm == "decision"]
    assert all(sorted(a.labels) == sorted(studies.LABELS) for r in runs for a in r.answers)
    assert "examples" in json.loads(server.seen[-1]["body"]["state"])


def test_a_decision_model_beside_a_model_that_writes(serve, tmp_path, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    server = serve(label_by_words)
    path = studies.write(
        tmp_path, decision=f"d@{server.url}", arms=["present", "zero_shot", "decision"]
    )
    done = run(path, RunOptions(pay=True))
    states = {a.name: a.state for a in done.results.evidence.arms}
    assert states == {"present": "measured", "zero_shot": "measured", "decision": "measured"}
    assert len(server.seen) >= 60


def test_the_state_and_its_examples_are_shown_before_anything_is_sent(serve, tmp_path):
    server = serve(label_by_words)
    arms = ["majority", "decision", {"decision": {"examples": 3}}]
    path = studies.write(tmp_path, decision=f"d@{server.url}", arms=arms, present=None)
    _, plain, shown = first_prompts(path)
    assert plain.model == f"decision:d@{server.url}"
    assert plain.messages[-1].content in {row["input"] for row in studies.rows(60)}
    assert len(json.loads(shown.messages[-1].content)["examples"]) == 3
    assert "its examples come from the training rows" in shown.note
    assert not server.seen
