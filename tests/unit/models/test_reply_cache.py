"""The reply cache: an equal greedy request is generated once; timed requests are not cached."""

from pathlib import Path

import pytest

from tuneworthy.measure import latency
from tuneworthy.models._reply_cache import ReplyCache, uncached
from tuneworthy.models._roles import Models
from tuneworthy.models.scripted import Scripted
from tuneworthy.records.case import Message
from tuneworthy.records.model import Grammar, Limits

GREEDY = Limits(max_tokens=8)


def asked_of(text):
    return [Message(role="user", content=text)]


def counted(answer=lambda text: text.upper(), cache=None):
    seen = []

    def respond(prompt, limits):
        seen.append((prompt[-1].content, limits))
        return answer(prompt[-1].content)

    return seen, Scripted("scripted:counted", respond).cached(
        ReplyCache() if cache is None else cache
    )


def texts(model, *prompts, limits=GREEDY):
    return [reply.text for reply in model.reply([asked_of(p) for p in prompts], limits)]


def test_what_was_asked_before_is_not_asked_again_and_comes_back_in_order():
    seen, model = counted()
    assert texts(model, "a", "b", "a") == ["A", "B", "A"]
    assert texts(model, "c", "b") == ["C", "B"]
    assert [text for text, _ in seen] == ["a", "b", "c"]
    assert model.recall(asked_of("a"), GREEDY).text == "A"
    assert model.recall(asked_of("d"), GREEDY) is None


@pytest.mark.parametrize(
    "limits",
    [
        Limits(max_tokens=9),
        Limits(max_tokens=8, seed=1),
        Limits(max_tokens=8, stop=("x",)),
        Limits(max_tokens=8, grammar=Grammar(kind="json", value={"b": 1, "a": 2})),
        Limits(max_tokens=8, thinking="on"),
    ],
)
def test_other_limits_are_another_request(limits):
    seen, model = counted()
    texts(model, "a")
    texts(model, "a", limits=limits)
    assert len(seen) == 2
    turned = Limits(max_tokens=8, grammar=Grammar(kind="json", value={"a": 2, "b": 1}))
    texts(model, "a", limits=turned)
    assert len(seen) == 3, "the order of a schema's keys counts"


def test_samples_are_always_drawn():
    seen, model = counted()
    warm = Limits(max_tokens=8, temperature=0.7)
    texts(model, "a", "a", limits=warm)
    texts(model, "a", limits=warm)
    assert len(seen) == 3


def test_timing_always_asks():
    seen, model = counted()
    texts(model, "a")
    timed = latency.sequential_latency(
        lambda queries: texts(model, *queries), ["a", "a", "a"], lambda: None, True
    )
    assert len(seen) == 1 + 1 + 3
    assert len(timed.ms) == 3
    with uncached():
        assert model.recall(asked_of("a"), GREEDY) is None
    texts(model, "a")
    assert len(seen) == 5


def test_a_reply_with_an_error_is_asked_again():
    def answer(text):
        if len(seen) == 1:
            raise RuntimeError("down")
        return text

    seen, model = counted(answer)
    assert model.reply([asked_of("a")], GREEDY)[0].error
    assert texts(model, "a") == ["a"]


def test_models_with_another_fingerprint_share_nothing():
    cache = ReplyCache()
    one_seen, one = counted(cache=cache)
    two_seen, two = counted(str.lower, cache)
    two.fingerprint = {**two.fingerprint, "adapter": "x"}
    assert (texts(one, "Aa"), texts(two, "Aa")) == (["AA"], ["aa"])
    assert len(one_seen) == len(two_seen) == 1
    assert len(cache) == 2


def test_the_oldest_replies_are_dropped_first():
    seen, model = counted(cache=ReplyCache(most=2))
    texts(model, "a", "b")
    texts(model, "a")  # used again: b is the oldest now
    texts(model, "c", "a")
    assert len(seen) == 3
    texts(model, "b")
    assert len(seen) == 4
    assert len(model.cache) == 2
    seen, model = counted(cache=ReplyCache(characters=5))
    assert texts(model, "aaa", "bbb") == ["AAA", "BBB"]
    assert len(model.cache) == 1
    assert texts(model, "cccccc") == ["CCCCCC"], "longer than the room: returned, not kept"
    assert len(model.cache) == 0


def test_the_models_of_a_study_share_a_cache_of_their_own():
    seen = []

    def start(spec, fields):
        return Scripted(spec, lambda prompt, limits: seen.append(1) or "yes")

    for _ in range(2):
        models = Models({"base": "scripted:a", "bigger": "scripted:a"}, start)
        texts(models["base"], "q")
        texts(models["bigger"], "q")
    assert len(seen) == 2, "once a study"
    assert models["base"] is models["bigger"]


@pytest.fixture(scope="module")
def engine():
    from tuneworthy.models import open_model

    return open_model("smollm2-135m", folder=Path())


@pytest.mark.full
def test_the_engine_gives_the_same_replies_and_scores_with_a_cache(engine, monkeypatch):
    model = engine.cached(ReplyCache())
    prompts = [asked_of(f"Say {word}.") for word in ("red", "green", "blue")]
    labels = ["red", "blue"]
    plain = engine.reply(prompts, GREEDY)
    replies, sums = model.reply_scored(prompts, GREEDY, labels)
    rows = engine.logprobs(prompts, [labels] * 3)
    assert [r.text for r in replies] == [r.text for r in plain]
    # A request that reached the engine would fail.
    monkeypatch.setattr(type(model), "reply_followed", None)
    monkeypatch.setattr(type(model), "_scores", None)
    assert [r.text for r in model.reply(prompts[::-1], GREEDY)] == [r.text for r in plain[::-1]]
    if all(sums):
        for one, two in zip(model.logprobs(prompts, [labels] * 3), rows, strict=True):
            assert one == pytest.approx(two, abs=0.05)
    assert (model.module, model.context) == (engine.module, engine.context)
    assert model.count_tokens(prompts[0]) == engine.count_tokens(prompts[0])


def test_log_probabilities_are_kept_only_where_all_labels_are_alike(engine):
    asked, model = [], engine.cached(ReplyCache())
    model._logprobs = lambda p, c: asked.append(len(p)) or engine._logprobs(p, c)
    prompts = [asked_of("a"), asked_of("b")]
    once = model.logprobs(prompts, [["x", "y"]] * 2)
    assert model.logprobs(prompts[1:], [["x", "y"]]) == once[1:]
    assert asked == [2]
    model.logprobs(prompts, [["x"], ["y"]])
    model.logprobs(prompts, [["x"], ["y"]])
    assert asked == [2, 2, 2]
    assert model.logprobs([], []) == []
