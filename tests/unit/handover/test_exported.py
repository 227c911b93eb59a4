"""Replies that one pass shows to be greedy are those that plain generation gives."""

import pytest
from tests.tiny import tiny_llama

from tuneworthy.records.case import Message

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.full
ASKED = [[Message(role="user", content=text)] for text in ("the router", "Ann", "late delivery")]


@pytest.fixture
def engine(tmp_path, monkeypatch):
    from tuneworthy.models.local.exported import PlainEngine

    monkeypatch.setenv("TUNEWORTHY_CACHE", str(tmp_path / "cache"))
    return PlainEngine(tiny_llama(tmp_path / "model", seed=1, initializer_range=0.3))


def test_a_reply_that_was_read_is_the_one_that_is_generated(engine, monkeypatch):
    made = engine.reply(ASKED, 60, ["not this"] * 3)
    texts = [reply.text for reply in made]
    assert [reply.finish for reply in made] == ["length", "stop", "length"]
    real, generated = engine._batch, []

    def counted(rows, most):
        generated.extend(rows)
        return real(rows, most)

    monkeypatch.setattr(engine, "_batch", counted)
    again = engine.reply(ASKED, 60, texts)
    assert [(reply.text, reply.finish) for reply in again] == [(r.text, r.finish) for r in made]
    assert len(generated) == 2, "the second was read"
    assert again[1].tokens_out == made[1].tokens_out
    assert engine.reply(ASKED[1:2], 60, [texts[1] + " more"])[0].text == texts[1]
    assert len(generated) == 3, "another text is not the greedy one"


def test_an_answer_longer_than_the_limit_is_generated(engine):
    made = engine.reply(ASKED, 3, ["a b c d e f g"] * 3)
    assert all(reply.tokens_out <= 3 for reply in made)
    assert len(engine.token_logprobs(ASKED, ["refund"] * 3)[0]) >= 2
