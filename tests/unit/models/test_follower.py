"""Answers that are followed while they are decoded: their texts, draws, log-probabilities."""

import pytest
from models_kit import PROMPTS, ask

from tuneworthy.models.local.follower import Follower
from tuneworthy.records.model import Grammar, Limits

pytestmark = pytest.mark.full
GREEDY = Limits(max_tokens=14)
SCHEMA = {
    "type": "object",
    "properties": {"kind": {"enum": ["a", "b"]}, "n": {"type": "integer"}},
    "required": ["kind", "n"],
    "additionalProperties": False,
}


def followed(engine, prompts, limits=GREEDY, told=lambda follower: False, **more):
    """Return (replies, followers) of prompts whose answers are followed."""
    followers = [Follower(told, **more) for _ in prompts]
    return engine.reply_followed(prompts, limits, followers), followers


def test_followed_answers_are_those_of_reply_and_grow_as_they_are_decoded(engine):
    seen = {}

    def told(follower):
        seen.setdefault(id(follower), []).append(follower.text)
        return False

    for limits in (GREEDY, GREEDY.model_copy(update={"stop": ("e",)})):
        seen.clear()
        replies, followers = followed(engine, PROMPTS, limits, told, watched=True)
        truth = engine.reply(PROMPTS, limits)
        assert [(r.text, r.finish, r.tokens_out) for r in replies] == [
            (r.text, r.finish, r.tokens_out) for r in truth
        ]
        for follower, reply in zip(followers, replies, strict=True):
            texts = seen[id(follower)]
            assert len(texts) == reply.tokens_out
            pairs = zip(texts, [*texts[1:], reply.text], strict=True)
            assert all(new.startswith(old) for old, new in pairs), "what was shown stays"
    assert max(len(set(texts)) for texts in seen.values()) > 2


def test_a_schema_and_the_draws_of_one_prompt_are_followed(engines):
    engine = engines["llama"]
    held = Limits(max_tokens=24, grammar=Grammar(kind="json", value=SCHEMA))
    assert [r.text for r in followed(engine, PROMPTS[:4], held)[0]] == [
        r.text for r in engine.reply(PROMPTS[:4], held)
    ]
    warm = Limits(max_tokens=14, temperature=0.9, top_p=0.9, seed=5)
    followers = [Follower(lambda follower: False, sample=k) for k in range(3)]
    drawn = engine.reply_followed([PROMPTS[0]] * 3, warm, followers)
    texts = [r.text for r in drawn]
    assert texts == [r[0].text for r in engine.draws([PROMPTS[0]], warm, 3)[:3]]
    assert len(set(texts)) > 1


def test_an_answer_that_nobody_waits_for_ends_and_changes_no_other(engines):
    engine = engines["llama"]
    truth = engine.reply(PROMPTS[:6], GREEDY)
    left = []
    followers = [Follower(lambda follower: follower in left, watched=True) for _ in PROMPTS[:6]]
    left += [followers[1], followers[4]]
    replies = engine.reply_followed(PROMPTS[:6], GREEDY, followers)
    assert [replies[k].tokens_out for k in (1, 4)] == [1, 1]
    assert [replies[k].text for k in (0, 2, 3, 5)] == [truth[k].text for k in (0, 2, 3, 5)]


def test_an_error_while_it_is_told_ends_the_call(engines):
    def told(follower):
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        followed(engines["llama"], PROMPTS[:5], told=told)
    assert followed(engines["llama"], PROMPTS[:2])[0][0].error is None


def test_the_log_probability_of_an_answer_is_that_of_its_tokens(engines):
    engine = engines["llama"]
    replies, followers = followed(engine, PROMPTS[:4], top=3)
    reply, follower = replies[0], followers[0]
    ids = [token for token, _, _ in follower.tops]
    assert engine._text(ids) == reply.text
    for token, value, top in follower.tops:
        assert len(top) == 3
        assert top[0] == (token, value), "greedy takes the likeliest"
        assert top[0][1] >= top[1][1] >= top[2][1]
    import torch

    asked = engine._prompt_ids(PROMPTS[0])
    with torch.inference_mode():
        logits = engine.module(input_ids=torch.tensor([[*asked, *ids]])).logits
    truth = torch.log_softmax(logits[0, len(asked) - 1 : -1].float(), -1)[range(len(ids)), ids]
    found = torch.tensor([value for _, value, _ in follower.tops])
    assert torch.allclose(found, truth, atol=1e-3)
    assert not torch.allclose(found, truth.roll(1), atol=1e-3), "the check can fail"


def test_a_prompt_that_is_too_long_fails_alone(engines):
    prompts = [ask("refund " * 900)[0], PROMPTS[0]]
    replies, _ = followed(engines["llama"], prompts)
    assert "context" in replies[0].error
    assert replies[1].text == engines["llama"].reply(PROMPTS[:1], GREEDY)[0].text


def test_compiled_grammars_of_many_clients_do_not_pile_up(engines, monkeypatch):
    from tuneworthy.models import hf

    monkeypatch.setattr(hf, "CACHED_GRAMMARS", 3)
    for n in range(8):
        rule = Grammar(kind="json", value={"type": "string", "enum": [f"a{n}"]})
        followed(engines["llama"], PROMPTS[:1], Limits(max_tokens=8, grammar=rule))
    assert len(engines["llama"]._guides) <= 3


def test_labels_that_are_scored_come_whole(engines):
    rule = Grammar(kind="labels", value=["refund", "delivery"])
    limits, heard = Limits(max_tokens=8, grammar=rule), []
    replies, _ = followed(engines["llama"], PROMPTS[:2], limits, heard.append)
    assert [r.text for r in replies] == [
        r.text for r in engines["llama"].reply(PROMPTS[:2], limits)
    ]
    assert not heard
