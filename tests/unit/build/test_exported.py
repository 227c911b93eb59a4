"""Replies that one pass shows to be greedy are those that plain generation gives."""

import pytest
from tests.tiny import tiny_llama

from tuneworthy.core.case import Message

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.full
ASKED = [[Message(role="user", content=text)] for text in ("the router", "refund", "late delivery")]


@pytest.fixture
def engine(tmp_path, monkeypatch):
    from tuneworthy.models.local.exported import PlainEngine

    monkeypatch.setenv("TUNEWORTHY_CACHE", str(tmp_path / "cache"))
    return PlainEngine(tiny_llama(tmp_path / "model", initializer_range=0.3))


def test_a_reply_that_was_read_is_the_one_that_is_generated(engine, monkeypatch):
    made = engine.reply(ASKED, 40, ["not this"] * 3)
    texts = [reply.text for reply in made]
    ended = [at for at, reply in enumerate(made) if reply.finish == "stop"]
    again = engine.reply(ASKED, 40, texts)
    assert [reply.text for reply in again] == texts
    assert [reply.finish for reply in again] == [reply.finish for reply in made]
    generated = []
    monkeypatch.setattr(engine, "_batch", lambda rows, most: generated.append(rows) or [])
    for at in ended:
        if engine._read(ASKED[at], texts[at])[1]:
            assert engine.reply([ASKED[at]], 40, [texts[at]])[0].text == texts[at]
    assert not generated


def test_an_answer_longer_than_the_limit_is_generated(engine):
    made = engine.reply(ASKED, 3, ["a b c d e f g"] * 3)
    assert all(reply.tokens_out <= 3 for reply in made)
    assert len(engine.token_logprobs(ASKED, ["refund"] * 3)[0]) >= 2
