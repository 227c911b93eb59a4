"""vote: the majority answer, ties to the first, every sample kept, costs summed."""

import pytest
from arms_kit import queries, setup
from pydantic import ValidationError

from tuneworthy.arms import _prompted, vote
from tuneworthy.records.model import Reply


def replies(*texts, finish="stop"):
    return [Reply(text=t, tokens_in=10, tokens_out=2, finish=finish, seconds=0.5) for t in texts]


@pytest.mark.parametrize(
    ("kind", "texts", "winner"),
    [
        ("label", ["b", "a", " A ", "c"], "a"),
        ("label", ["b", "a", "a", "B"], "b"),
        ("label", ["c", "b", "a"], "c"),
        ("json", ['{"x":1,"y":2}', '{"x":2}', '{"y": 2, "x": 1}'], '{"x":1,"y":2}'),
        ("json", ["{bad", '{"x":2}', "{bad"], "{bad"),
        ("number", ["7 apples, so 12", "it is 12.0", "9"], "7 apples, so 12"),
        ("text", ["In  Paris", "in paris", "Rome"], "In  Paris"),
    ],
)
def test_the_majority_of_what_was_said_wins_and_ties_go_to_the_first(kind, texts, winner):
    assert _prompted.majority_reply(replies(*texts), kind).text == winner


def test_a_cut_answer_votes_only_where_none_ended():
    cut, whole = replies("a", "a", finish="length"), replies("b")
    assert _prompted.majority_reply([*cut, *whole], "label").text == "b"
    assert _prompted.majority_reply(cut, "label").text == "a"
    failed = Reply(text="", finish="error", error="refused")
    assert _prompted.majority_reply([failed, *cut], "label").text == "a"
    assert _prompted.majority_reply([failed, failed], "label").error == "refused"


def right_in(m):
    """Right in `m` of 8 samples, else a wrong answer that differs from sample to sample."""

    def respond(prompt, limits):
        assert (limits.temperature, limits.top_p) == (0.7, 0.95)
        wrong = ("delivery", "warranty", "none")[limits.sample % 3]
        return "refund" if limits.sample < m else wrong

    return respond


@pytest.mark.parametrize(("m", "text"), [(4, "refund"), (1, "warranty")])
def test_what_is_right_most_often_is_found_and_all_samples_are_kept(tmp_path, m, text):
    fitted = vote.fit(setup(right_in(m), tmp_path), vote.Options(), 0)
    answers = fitted.answer(queries())
    assert [a.case for a in answers] == [q.id for q in queries()]
    assert {a.text for a in answers} == {text}
    assert {len(a.samples) for a in answers} == {8}
    right = [sum(s == "refund" for s in a.samples) for a in answers]
    assert set(right) == {m}


def test_tokens_of_all_samples_are_paid(tmp_path):
    parts = setup(lambda prompt, limits: "refund", tmp_path)
    one = parts.models["base"].count_tokens
    answer = vote.fit(parts, vote.Options(m=3), 0).answer(queries())[0]
    assert answer.tokens_in == 3 * one(answer.prompt)
    assert answer.tokens_out == 3
    assert answer.seconds is None, "what was not measured is not 0"


def test_a_sample_that_failed_counts_as_a_wrong_one(tmp_path):
    def respond(prompt, limits):
        if limits.sample == 0:
            raise RuntimeError("down")
        return "refund"

    answer = vote.fit(setup(respond, tmp_path), vote.Options(m=2), 0).answer(queries())[0]
    assert (answer.text, answer.samples, answer.error) == ("refund", ("", "refund"), None)


def test_one_sample_is_no_vote():
    with pytest.raises(ValidationError):
        vote.Options(m=1)
    with pytest.raises(ValidationError):
        vote.Options(temperature=0)
