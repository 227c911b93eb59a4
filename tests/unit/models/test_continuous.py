"""Continuous batching: rows join and leave at any step, and answer as they do in bulk."""

import random

import pytest
from models_kit import EMBEDDED, PROMPTS, ask

from tuneworthy.core.model import Grammar, Limits
from tuneworthy.models.local.continuous import Batcher, joins, shared_ids
from tuneworthy.models.local.lane import Stream

PLACES = ("sea", "forest", "desert", "river", "farm", "jungle", "mountains", "city", "Arctic")
GREEDY = Limits(max_tokens=14)
SCHEMA = {
    "type": "object",
    "properties": {"kind": {"enum": ["a", "b"]}, "n": {"type": "integer"}},
    "required": ["kind", "n"],
    "additionalProperties": False,
}


def drained(batcher, streams, draw=None, chance=1.0):
    """Add streams at random steps and run until all have ended; return the most rows at once."""
    left, most = list(streams), 0
    while left or batcher.busy:
        while left and (draw is None or draw.random() < chance):
            batcher.add(left.pop(0))
        batcher.advance()
        most = max(most, batcher.rows)
    return most


def streams_of(engine, prompts, limits=GREEDY, **more):
    return [Stream(engine, prompt, limits, **more) for prompt in prompts]


@pytest.mark.full
@pytest.mark.parametrize("seed", [0, 1])
def test_p17_rows_that_join_and_leave_answer_as_in_bulk(engine, seed):
    if not joins(engine, GREEDY):
        pytest.skip("its window is shorter than its context")
    head = shared_ids(engine, PROMPTS[:2])
    assert len(head) >= 8
    truth = engine.reply(PROMPTS, GREEDY)
    draw = random.Random(seed)
    order = draw.sample(range(len(PROMPTS)), len(PROMPTS))
    limits = {k: GREEDY.model_copy(update={"max_tokens": draw.randint(1, 14)}) for k in order[::2]}
    made = {k: Stream(engine, PROMPTS[k], limits.get(k, GREEDY), head) for k in order}
    most = drained(Batcher(), list(made.values()), draw, 0.5)
    assert most > 3
    short = {k: engine.reply([PROMPTS[k]], own)[0] for k, own in limits.items()}
    for k, stream in made.items():
        wanted = short.get(k, truth[k])
        got = stream.reply
        assert (got.text, got.finish, got.tokens_out) == (
            wanted.text,
            wanted.finish,
            wanted.tokens_out,
        )
        assert (got.tokens_in, got.tokens_cached) == (wanted.tokens_in, len(head))


@pytest.mark.full
def test_rows_with_other_limits_share_a_batch(engines):
    engine = engines["llama"]
    held = Limits(max_tokens=24, grammar=Grammar(kind="json", value=SCHEMA))
    warm = Limits(max_tokens=14, temperature=0.9, top_p=0.9, seed=5)
    stopped = Limits(max_tokens=14, stop=("e",))
    kinds = [GREEDY, held, warm, stopped]
    asked = [(PROMPTS[k], kinds[k % 4]) for k in range(12)]
    made = [Stream(engine, prompt, limits) for prompt, limits in asked]
    assert drained(Batcher(), made) > 6
    for (prompt, limits), stream in zip(asked, made, strict=True):
        assert stream.reply.text == engine.reply([prompt], limits)[0].text
    assert len({stream.reply.text for stream in made[2::4]}) > 1


@pytest.mark.full
def test_a_dropped_row_frees_its_place_and_changes_no_other(engines):
    engine = engines["llama"]
    truth = engine.reply(PROMPTS[:6], GREEDY)
    made = streams_of(engine, PROMPTS[:6], watched=True)
    batcher = Batcher()
    for stream in made:
        batcher.add(stream)
    batcher.advance()
    made[1].dropped = made[4].dropped = True
    batcher.advance()
    assert batcher.rows == 4
    late = Stream(engine, PROMPTS[7], GREEDY)
    late.dropped = True
    batcher.add(late)
    while batcher.busy:
        before = [stream.text for stream in made]
        batcher.advance()
        grown = zip(before, (stream.text for stream in made), strict=True)
        assert all(new.startswith(old) for old, new in grown), "what was shown stays"
    for k in (0, 2, 3, 5):
        assert made[k].reply.text == truth[k].text
        assert made[k].reply.text.startswith(made[k].text)


@pytest.mark.full
def test_the_log_probability_of_an_answer_is_that_of_its_tokens(engines):
    engine = engines["llama"]
    stream = Stream(engine, PROMPTS[0], GREEDY, top=3)
    drained(Batcher(), [stream, *streams_of(engine, PROMPTS[1:4])])
    ids = [token for token, _, _ in stream.tops]
    assert engine._text(ids) == stream.reply.text
    for token, value, top in stream.tops:
        assert len(top) == 3
        assert top[0] == (token, value), "greedy takes the likeliest"
        assert top[0][1] >= top[1][1] >= top[2][1]
    import torch

    whole = torch.tensor([[*stream.ids, *ids]])
    with torch.inference_mode():
        logits = engine.module(input_ids=whole).logits[0, len(stream.ids) - 1 : -1]
    truth = torch.log_softmax(logits.float(), -1)[range(len(ids)), ids]
    found = torch.tensor([value for _, value, _ in stream.tops])
    assert torch.allclose(found, truth, atol=1e-3)
    assert not torch.allclose(found, truth.roll(1), atol=1e-3), "the check can fail"


@pytest.mark.full
def test_a_prompt_that_is_too_long_fails_alone(engines):
    engine, batcher = engines["llama"], Batcher()
    long = Stream(engine, ask("refund " * 900)[0], GREEDY)
    assert not batcher.add(long)
    assert "context" in long.reply.error
    fine = Stream(engine, PROMPTS[0], GREEDY)
    drained(batcher, [fine])
    assert fine.reply.error is None


@pytest.mark.full
def test_an_error_in_a_step_ends_its_rows_and_the_next_batch_runs(engines, monkeypatch):
    engine, batcher = engines["llama"], Batcher()
    made = streams_of(engine, PROMPTS[:5], watched=True)
    for stream in made:
        batcher.add(stream)
    batcher.advance()
    from tuneworthy.models.local import lane

    whole = lane.step
    monkeypatch.setattr(lane, "step", lambda *given: 1 / 0)
    assert len(batcher.advance()) == 5
    assert all("ZeroDivisionError" in stream.reply.error for stream in made)
    monkeypatch.setattr(lane, "step", whole)
    again = streams_of(engine, PROMPTS[:5])
    drained(batcher, again)
    assert [s.reply.text for s in again] == [r.text for r in engine.reply(PROMPTS[:5], GREEDY)]


@pytest.mark.full
@pytest.mark.skipif(EMBEDDED is None, reason="the embedded model is not on this machine")
def test_the_embedded_model_answers_alike_while_rows_join_and_leave():
    """On the CPU engine; in bf16 the other rows of a batch decide how a near tie is rounded.

    So bulk itself gives a few other texts in smaller calls: that is what rows that join may do.
    """
    from tuneworthy.models.hf import load

    engine = load(EMBEDDED, "embedded")
    prompts = ask(*(f"Name {k} animals of the {place}." for k in (2, 3) for place in PLACES))
    limits = Limits(max_tokens=16)
    truth = [reply.text for reply in engine.reply(prompts, limits)]
    small = [r.text for at in range(0, 18, 6) for r in engine.reply(prompts[at : at + 6], limits)]
    assert len(set(truth)) > 6
    head, draw = shared_ids(engine, prompts[:2]), random.Random(2)
    streams = streams_of(engine, prompts, limits, head=head)
    assert drained(Batcher(), streams, draw, 0.8) > 5
    joined = [stream.reply.text for stream in streams]

    def equal(texts, length=None):
        return sum(a[:length] == b[:length] for a, b in zip(texts, truth, strict=True))

    assert equal(joined) >= equal(small) - 5
    assert equal(joined, 8) >= 16
    assert equal(joined[1:] + joined[:1]) <= 6, "the check can fail"
