"""N18: which differences between an exported form and the evaluated model refuse a build."""

from contextlib import contextmanager
from dataclasses import replace

import pytest

from tuneworthy.handover.parity import (
    ReferenceAnswers,
    compare_answers,
    compare_form,
    mean_distance,
)
from tuneworthy.records.answer import Answer, Score, Unscored
from tuneworthy.records.case import Case, Message
from tuneworthy.records.model import Reply

CASES = [Case(id=f"c{n:03}", messages=(Message(role="user", content=f"{n}"),), output=f"{n}")
         for n in range(100)]  # fmt: skip
MARGIN = 0.05


def right(case, answer):
    return Score(value=float(answer.text == case.output))


def answers(wrong=0, start=0):
    return [Answer(case=c.id, text="no" if start <= n < start + wrong else c.output, finish="stop",
                   prompt=c.messages) for n, c in enumerate(CASES)]  # fmt: skip


def reference(old, **more):
    return ReferenceAnswers(
        CASES, old, right, MARGIN, max_tokens=8, counts=[3] * len(CASES), **more
    )


class Fake:
    """An engine that gives these answers, with log-probabilities `shift` from 0."""

    name = "fake"

    def __init__(self, given, shift=0.0, tokens=3):
        self.given, self.shift, self.tokens = given, shift, tokens

    def prompt_tokens(self, prompts):
        return [self.tokens] * len(prompts)

    def reply(self, prompts, max_tokens, expected):
        return [Reply(text=answer.text, finish="stop") for answer in self.given]

    def token_logprobs(self, prompts, texts):
        return [[self.shift, self.shift] for _ in texts]


@pytest.mark.parametrize(("lost", "fails"), [(0, False), (5, False), (6, True), (40, True)])
def test_a_drop_beyond_the_margin_fails(lost, fails):
    parity = compare_answers("gguf", "e", reference(answers()), answers(lost))
    assert bool(parity.failed) is fails
    assert parity.equal == 100 - lost
    assert parity.difference.mean == pytest.approx(-lost / 100)
    assert parity.difference.low <= -lost / 100 <= parity.difference.high
    assert parity.excluded is (lost == 0)
    if fails:
        assert f"drops by {lost / 100:.3f}" in parity.failed[0]
        assert parity.changes[0].before > parity.changes[0].after


def test_a_gain_is_no_drop_and_other_words_are_no_loss():
    assert not compare_answers("gguf", "e", reference(answers(50)), answers()).failed
    same = [a.model_copy(update={"text": a.text + "!"}) for a in answers(100)]
    parity = compare_answers("gguf", "e", reference(answers(100)), same)
    assert (parity.equal, parity.difference.mean, parity.failed) == (0, 0.0, ())


def test_a_request_that_fails_is_no_answer():
    lost = [answers()[0].model_copy(update={"error": "out of memory"}), *answers()[1:]]
    parity = compare_answers("gguf", "e", reference(answers()), lost)
    assert "1 requests failed: out of memory" in parity.failed[0]


def table(value):
    return lambda prompts, texts: [[value, value] for _ in texts]


def scored(shift, base=-3.0, exact=True, **more):
    held = reference(answers(), tuned=table(0.0), base=table(base))
    return compare_form("peft", Fake(answers(), shift, **more), held, exact=exact)


def test_log_probabilities_are_held_to_the_noise_floor():
    near, far = scored(0.0009), scored(0.0011)
    assert (near.failed, near.distance.floor, near.distance.limit) == ((), 0.0, 1e-3)
    assert "nats a token from the evaluated" in far.failed[0]
    assert not scored(0.0011, exact=False).failed, "rounded weights are judged by their answers"
    noisy = reference(answers(), tuned=lambda p, t: [[0.01 * (len(p) == 1)] for _ in t])
    parity = compare_form("peft", Fake(answers(), 0.011), noisy, exact=True)
    assert parity.distance.limit == pytest.approx(0.02) == 2 * parity.distance.floor
    assert not parity.failed


def test_an_adapter_that_is_not_applied_is_seen_even_where_answers_agree():
    assert not scored(0.1, base=-3.0, exact=False).failed
    assert "not applied" in scored(-2.9, base=-3.0, exact=False).failed[0]


@pytest.mark.parametrize(("bare", "fails"), [(-3.0, False), (-2.8, False), (-2.5, True)])
def test_without_its_adapter_a_form_is_the_base(bare, fails):
    class Switched(Fake):
        peft = "there is an adapter to turn off"

        @contextmanager
        def without_adapter(self):
            self.shift = bare
            yield
            self.shift = 0.0

    held = reference(answers(), tuned=table(0.0), base=table(-3.0))
    parity = compare_form("peft", Switched(answers()), held, exact=True)
    assert any("it is not the base" in why for why in parity.failed) is fails
    assert parity.distance.bare == pytest.approx(abs(bare + 3.0))


def test_other_tokens_in_a_prompt_fail():
    assert (
        "100 prompts have other tokens, first c000: 3 in the study, 4 here"
        in (scored(0.0, tokens=4).failed[0])
    )


def test_a_form_that_can_score_nothing_has_no_distance():
    class Mute(Fake):
        def token_logprobs(self, prompts, texts):
            return [None] * len(texts)

    held = reference(answers(), tuned=table(0.0))
    assert compare_form("gguf", Mute(answers()), held, exact=False).distance is None
    remote = reference(answers())
    assert compare_form("gguf", Fake(answers()), remote, exact=False).distance is None


def test_the_distance_is_a_mean_over_tokens():
    assert mean_distance([[0.0, 1.0], [2.0]], [[0.5, 1.0], [2.0]]) == pytest.approx(0.5 / 3)
    assert mean_distance([[0.0, 1.0, 9.0]], [[0.0, 1.0]]) == 0, "the end token may be missing"


def test_answers_that_the_metric_can_not_score_are_no_parity():
    blind = replace(reference(answers()), score=lambda case, answer: Unscored(reason="boom"))
    parity = compare_answers("gguf", "e", blind, answers())
    assert parity.failed == ("the metric gives no score to 200 answers: boom",)
