"""Several draws of one prompt: read once, with the same texts as drawn one by one."""

import pytest

from tuneworthy.models.local import generate as _generate
from tuneworthy.records.case import Message
from tuneworthy.records.model import Limits

LIMITS = Limits(max_tokens=12, temperature=0.8, top_p=0.95, seed=3)
M = 4


def prompts():
    words = ["refund", "the laptop arrived broken", "late delivery of a phone, lost warranty"]
    return [(Message(role="user", content=f"Please help: {word}"),) for word in words]


@pytest.mark.full
def test_draws_are_what_single_samples_give_and_a_prompt_is_read_once(engines, monkeypatch):
    engine, read = engines["llama"], []
    one_by_one = [engine.reply(prompts(), LIMITS.model_copy(update={"sample": n}))
                  for n in range(M)]  # fmt: skip
    begin = _generate.begin

    def counted(net, rows, *more):
        read.extend(map(tuple, rows))
        return begin(net, rows, *more)

    monkeypatch.setattr(_generate, "begin", counted)
    together = engine.draws(prompts(), LIMITS, M)
    texts = [[reply.text for reply in replies] for replies in together]
    single = [[reply.text for reply in replies] for replies in one_by_one]
    same = sum(
        a == b for x, y in zip(texts, single, strict=True) for a, b in zip(x, y, strict=True)
    )
    assert same >= M * len(prompts()) - 1, "but for rounding"
    assert len({text for replies in texts for text in replies}) > len(prompts()), "draws differ"
    assert len(read) < M * len(prompts())


@pytest.mark.full
def test_a_prompt_that_cannot_be_asked_fails_in_every_draw(engines):
    engine = engines["llama"]
    long = (Message(role="user", content="refund " * 900),)
    found = engine.draws([prompts()[0], long], LIMITS, 3)
    assert [[reply.error is None for reply in replies] for replies in found] == [[True, False]] * 3


@pytest.mark.full
def test_a_label_is_drawn_as_before(engines):
    from tuneworthy.records.model import Grammar

    held = LIMITS.model_copy(update={"grammar": Grammar(kind="labels", value=["yes", "no"])})
    engine = engines["llama"]
    each = [engine.reply(prompts(), held.model_copy(update={"sample": n})) for n in range(M)]
    found = engine.draws(prompts(), held, M)
    assert [[r.text for r in one] for one in found] == [[r.text for r in one] for one in each]
