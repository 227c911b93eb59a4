"""Types of a failure mode: token rows, rows of the lab, passages, decoding settings."""

import pytest

from tuneworthy.records.card import CardAnswer, Passage, Sampling, with_examples, with_passages
from tuneworthy.records.case import Message
from tuneworthy.records.failure import LabRow, TokenRow

ROW = TokenRow(ids=(1, 2, 3, 4, 5), first=3)
ASKED = LabRow("r1", (Message(role="user", content="how much?"),), "20")


def test_a_row_without_its_end_keeps_the_end_as_dropped():
    assert ROW.without_last() == TokenRow(ids=(1, 2, 3, 4), first=3, dropped=(5,))


@pytest.mark.parametrize(("most", "kept"), [(4, 4), (9, 5), (1, 4)])
def test_a_cut_row_keeps_at_least_one_trained_id(most, kept):
    cut = ROW.cut_to(most)
    assert cut.ids == ROW.ids[:kept]
    assert cut.ids + cut.dropped == ROW.ids
    assert len(cut.ids) > cut.first


def test_ids_before_a_prompt_are_not_trained():
    packed = ROW.with_prefix((8, 9))
    assert packed.ids == (8, 9, 1, 2, 3, 4, 5)
    assert packed.ids[packed.first :] == ROW.ids[ROW.first :]


def test_measures_of_an_answer_add_up():
    answer = CardAnswer(ASKED, "20").with_measures(recall=1.0).with_measures(copied=None)
    assert answer.measures == {"recall": 1.0, "copied": None}


@pytest.mark.parametrize(
    ("since", "until", "there"),
    [(None, None, True), ("2026-02-01", None, False), ("2026-01-01", None, True),
     (None, "2026-01-15", False), (None, "2026-01-16", True)],
)  # fmt: skip
def test_a_passage_is_in_force_from_its_first_day_to_the_day_before_its_end(since, until, there):
    assert Passage("d", "t", "x", since, until).in_force("2026-01-15") is there


def test_sampling_of_a_configuration():
    config = {"serve.temperature": None, "serve.schema": 1}
    assert Sampling.of(config) == Sampling(0.0, 1.0, True)


def test_examples_and_passages_come_before_the_question():
    shown = LabRow("r2", (Message(role="user", content="old?"),), "19")
    turns = with_examples(ASKED, [shown])
    assert [(turn.role, turn.content) for turn in turns] == [
        ("user", "old?"), ("assistant", "19"), ("user", "how much?")]  # fmt: skip
    (asked,) = with_passages(ASKED, [Passage("d", "Prices", "It costs 20.")])
    assert asked.content == "Passage (Prices): It costs 20.\n\nhow much?"
