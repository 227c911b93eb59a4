"""Choices and legal mass on a given answer: the same as computed from whole forward passes."""

import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.full

from models_kit import ask  # noqa: E402

from tuneworthy.records.model import Grammar, Limits  # noqa: E402

PROMPTS = ask("the router is broken, please help", "late delivery of a phone")
LABELS = Grammar(kind="labels", value=["late", "lost"])


def table(engine, prompt, text):
    """Return the ids of the answer with its end, and the logits before each, by one pass."""
    import torch

    from tuneworthy.models.local.chat_template import prompt_ids, text_ids

    ids = [*text_ids(engine.tokenizer, text), engine.ends[0]]
    before = prompt_ids(engine.tokenizer, prompt)
    with torch.inference_mode():
        whole = torch.tensor([[*before, *ids[:-1]]])
        return ids, engine.module(input_ids=whole).logits[0, len(before) - 1 :]


def test_the_chosen_tokens_are_those_of_one_pass_over_the_whole_answer(engine):
    from tuneworthy.models.local.score import chosen_tokens

    replies = engine.reply(PROMPTS, Limits(max_tokens=5))
    for prompt, reply in zip(PROMPTS, replies, strict=True):
        ids, logits = table(engine, prompt, reply.text)
        (found,) = chosen_tokens(engine, [prompt], [reply.text])
        assert found == logits.argmax(-1).tolist()
        assert len(found) == len(ids)


def test_prompts_that_share_a_prefix_give_what_each_gives_alone(engine):
    from tuneworthy.models.local.score import chosen_tokens, legal_mass

    texts = ["lost warranty", "late"]
    assert chosen_tokens(engine, PROMPTS, texts) == [
        chosen_tokens(engine, [p], [t])[0] for p, t in zip(PROMPTS, texts, strict=True)
    ]
    together = legal_mass(engine, PROMPTS, ["late", "lost"], LABELS)
    alone = [legal_mass(engine, [p], [t], LABELS)[0]
             for p, t in zip(PROMPTS, ["late", "lost"], strict=True)]  # fmt: skip
    assert together == [pytest.approx(each, rel=1e-3) for each in alone]


def test_legal_mass_is_the_probability_of_the_tokens_that_may_begin_an_answer(engine):
    import torch

    from tuneworthy.models.local.score import legal_mass

    _, logits = table(engine, PROMPTS[0], "late")
    words = engine.tokenizer.get_vocab()
    starts = [k for word, k in words.items() if any(
        label.startswith(word) for label in LABELS.value)]  # fmt: skip
    expected = torch.softmax(logits[0].float(), -1)[starts].sum().item()
    (masses,) = legal_mass(engine, PROMPTS[:1], ["late"], LABELS)
    assert masses[0] == pytest.approx(expected, rel=1e-3)
    assert all(0 <= mass <= 1 for mass in masses)


def test_an_illegal_answer_has_the_mass_up_to_its_first_illegal_token(engine):
    from tuneworthy.models.local.score import legal_mass

    (masses,) = legal_mass(engine, PROMPTS[:1], ["refund the laptop"], LABELS)
    assert len(masses) == 1
    assert legal_mass(engine, [], [], LABELS) == []
