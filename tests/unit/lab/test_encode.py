"""Every configuration key that changes tokens: what is trained, what is dropped, what is served."""

from itertools import product

import pytest
from rows_kit import END, SYSTEM, config, drawn, row, tokenizer

from tuneworthy.lab.encode import SERVED_TEMPLATES, clean_row, encode_rows, serving_template
from tuneworthy.models.local.chat_template import prompt_ids
from tuneworthy.records.case import Message
from tuneworthy.records.errors import DataError

ROWS = drawn()


def encoded(rows=ROWS, own=None, **changes):
    return encode_rows(tokenizer(), rows, config(**changes), own)


def trained(each):
    return each.used_row.ids[each.used_row.first :]


def test_a_clean_row_is_the_prompt_of_inference_then_the_answer_with_its_end():
    for each in encoded():
        assert each.used_row == each.clean_row == clean_row(tokenizer(), each.row)
        assert list(each.clean_row.ids[: each.clean_row.first]) == prompt_ids(
            tokenizer(), each.row.messages
        )
        assert tokenizer().decode(trained(each)) == each.row.output + END
        assert each.used_row.dropped == ()
        assert (each.cut, each.on_prompt) == (False, False)


def test_the_example_of_the_loop_masks_what_is_not_trained():
    for each in encoded():
        example = each.example
        assert example.ids == each.used_row.ids
        assert example.first == each.used_row.first
        assert example.trained == len(trained(each))
        assert example.total_weight == example.trained


def test_a_row_that_cannot_be_trained_on_is_refused_by_name():
    with pytest.raises(DataError, match="cannot be trained on") as refused:
        encoded([row(7, "hello", " ")])
    assert refused.value.where == "row 7"
    assert refused.value.got == "the answer is empty"


def test_loss_on_the_prompt_trains_the_users_turn_and_nothing_of_the_answer():
    for each in encoded(loss="prompt"):
        said = tokenizer().decode(trained(each))
        assert said.startswith(each.row.input), "it starts with the user's text"
        assert said == f"{each.row.input}{END}\n<|im_start|>assistant\n", "and ends with the prompt"
        assert (*each.used_row.ids, *each.used_row.dropped) == each.clean_row.ids
        assert tokenizer().decode(each.used_row.dropped) == each.row.output + END
        assert each.on_prompt


def test_loss_on_the_prompt_finds_the_last_user_turn_of_a_longer_conversation():
    turns = (
        Message(role="user", content="late"),
        Message(role="assistant", content="which order"),
        Message(role="user", content="late"),  # the same text again
    )
    asked = row(0, "x", "yes")
    (each,) = encoded([type(asked)("row 0", turns, "yes")], loss="prompt")
    assert tokenizer().decode(trained(each)) == f"late{END}\n<|im_start|>assistant\n"
    assert "which order" in tokenizer().decode(each.used_row.ids[: each.used_row.first])


def test_loss_on_all_weighs_the_prompt_like_the_answer():
    for each, clean in zip(encoded(loss="all"), encoded(), strict=True):
        assert each.used_row == clean.used_row
        assert each.example.loss_start == 1
        assert each.example.total_weight == len(each.used_row.ids) - 1
    assert {each.example.prompt_weight for each in encoded()} == {0.0}


def test_padding_that_is_the_end_drops_exactly_the_end():
    for each in encoded(pad_token=END):
        assert each.used_row.ids == each.clean_row.ids[:-1]
        assert each.used_row.dropped == each.clean_row.ids[-1:]
        assert tokenizer().decode(trained(each)) == each.row.output
        assert not each.cut
    for other in ("<|pad|>", None):
        assert [each.used_row for each in encoded(pad_token=other)] == [
            e.clean_row for e in encoded()
        ]


def test_a_row_is_cut_at_max_length_and_keeps_one_trained_id():
    for most in (1, 40, 55, 80, 500):
        for each in encoded(max_length=most):
            size = max(most, each.clean_row.first + 1)
            assert each.used_row.ids == each.clean_row.ids[:size]
            assert each.used_row.dropped == each.clean_row.ids[size:]
            assert each.cut == (len(each.clean_row.ids) > size) == bool(each.used_row.dropped)
            assert trained(each)


def test_a_row_that_loses_its_end_alone_is_cut_too():
    size = len(encoded()[0].clean_row.ids)
    (each,) = encoded(ROWS[:1], max_length=size - 1)
    assert each.cut
    assert each.used_row.dropped == each.clean_row.ids[-1:]
    (each,) = encoded(ROWS[:1], max_length=size)
    assert not each.cut


def test_packing_puts_the_row_before_in_front_and_trains_the_same_ids():
    packed, clean = encoded(packing=True), encoded()
    for at, each in enumerate(packed):
        left, own = clean[at - 1].used_row, clean[at].used_row
        assert each.used_row.ids == (*left.ids, *own.ids)
        assert each.used_row.first == len(left.ids) + own.first
        assert trained(each) == trained(clean[at])


def test_a_case_renders_its_rows_in_a_way_of_its_own():
    def own(ids, settings):
        assert settings["rate"] == 0.5
        return ids.without_last()

    assert [each.used_row for each in encoded(own=own, rate=0.5)] == [
        each.clean_row.without_last() for each in encoded()
    ]


@pytest.mark.parametrize(
    ("loss", "pad", "most", "packing"),
    list(product(("answer", "all", "prompt"), (END, "<|pad|>"), (None, 30, 60), (False, True))),
)
def test_no_id_is_lost_or_made_up(loss, pad, most, packing):
    """A row is its neighbour, its own ids, then the dropped ones; trained ids are never others'."""
    given = encoded(loss=loss, pad_token=pad, max_length=most, packing=packing)
    alone = encoded(loss=loss, pad_token=pad, max_length=most)
    for at, (each, plain) in enumerate(zip(given, alone, strict=True)):
        before = alone[at - 1].used_row.ids if packing else ()
        assert (*each.used_row.ids, *each.used_row.dropped) == (*before, *each.clean_row.ids)
        assert trained(each) == trained(plain)
        assert trained(each) == each.clean_row.ids[plain.used_row.first :][: len(trained(each))]
        assert plain.used_row.first <= each.clean_row.first


@pytest.mark.parametrize("name", sorted(SERVED_TEMPLATES))
def test_a_served_template_holds_the_same_words_and_is_taken_back(name):
    made, (row_, *_) = tokenizer(), ROWS
    before, trained_ids = made.chat_template, prompt_ids(made, row_.messages)
    with serving_template(made, name):
        text = made.decode(prompt_ids(made, row_.messages))
        same = prompt_ids(made, row_.messages) == trained_ids
    assert SYSTEM in text
    assert row_.input in text
    assert same == (name == "chat")
    assert made.chat_template == before


def test_without_its_header_a_prompt_ends_with_the_users_turn():
    made = tokenizer()
    with serving_template(made, "no reply header"):
        text = made.decode(prompt_ids(made, ROWS[0].messages))
    assert text == made.decode(prompt_ids(made, ROWS[0].messages)).removesuffix(
        "<|im_start|>assistant\n"
    )


def test_the_template_is_taken_back_after_an_error_and_an_unknown_one_is_refused():
    made = tokenizer()
    before = made.chat_template

    def fails():
        with serving_template(made, "brackets"):
            raise KeyError("x")

    with pytest.raises(KeyError):
        fails()
    assert made.chat_template == before
    with (
        pytest.raises(DataError, match="no template has this name"),
        serving_template(made, "curly"),
    ):
        pass
