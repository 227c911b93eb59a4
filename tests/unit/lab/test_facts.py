"""The facts of a run, each from rows, steps or answers for which the right figure is known."""

import pytest
from rows_kit import END, config, drawn, row, tokenizer

from tuneworthy.lab import facts
from tuneworthy.lab.encode import encode_rows
from tuneworthy.records.failure import LabRows

ROWS = drawn(8)


def of_rows(train=ROWS, new=(), **changes):
    rows = LabRows(tuple(train), tuple(new) or tuple(drawn(4, seed=9)))
    return facts.row_facts(rows, encode_rows(tokenizer(), train, config(**changes)), tokenizer())


def test_a_clean_run_trains_every_end_and_all_of_the_answers():
    found = of_rows()
    assert (found["end_trained"], found["cut_rows"], found["answer_share"]) == (1, 0, 1)
    assert (found["leaked"], found["answer_seen"]) == (0, 0)
    answers = [tokenizer()(r.output + END, add_special_tokens=False)["input_ids"] for r in ROWS]
    assert found["answer_tokens"] == sum(map(len, answers))


def test_ends_that_are_padding_are_not_trained():
    assert of_rows(pad_token=END)["end_trained"] == 0
    assert of_rows(pad_token=END)["cut_rows"] == 0


def test_cut_rows_are_counted_and_have_no_end():
    sizes = sorted(len(each.clean_row.ids) for each in encode_rows(tokenizer(), ROWS, config()))
    found = of_rows(max_length=sizes[-1] - 1)  # the longest row loses its end alone
    assert found["cut_rows"] == found["end_trained"] - 6 / 8 == 1 / 8
    assert of_rows(max_length=1)["cut_rows"] == 1


@pytest.mark.parametrize("packing", [False, True])
def test_the_share_of_the_loss_on_answers(packing):
    assert of_rows(loss="answer", packing=packing)["answer_share"] == 1
    assert of_rows(loss="prompt", packing=packing)["answer_share"] == 0
    whole = [each.used_row for each in encode_rows(tokenizer(), ROWS, config(packing=packing))]
    answers = sum(len(ids.ids) - ids.first for ids in whole)
    every = sum(len(ids.ids) - 1 for ids in whole)
    assert of_rows(loss="all", packing=packing)["answer_share"] == pytest.approx(answers / every)


def test_an_answer_is_seen_where_the_row_before_holds_the_same():
    labels = ["late", "late", "broken", "late"]  # the first row stands behind the last
    rows = [row(k, f"case {k}", label) for k, label in enumerate(labels)]
    assert of_rows(rows, packing=True)["answer_seen"] == 2 / 4
    assert of_rows(rows)["answer_seen"] == 0
    longer = [row(0, "it is late", "late"), row(1, "x", "late payment")]
    assert of_rows(longer, packing=True)["answer_seen"] == 0, "the end belongs to an answer"


def test_new_rows_with_a_near_copy_in_training_are_leaked():
    text = "the laptop that I bought last week does not turn on and I want my money back"
    train = [row(0, text, "x"), row(1, "where is my phone", "y")]
    new = [row(2, text + " please", "x"), row(3, "where is my router now", "y")]
    assert of_rows(train, new)["leaked"] == 1 / 2


def test_the_prior_compares_the_commonest_answer_with_new_rows():
    train = [row(k, f"a {k}", "no" if k < 6 else f"yes {k}") for k in range(10)]
    rare = [row(k, f"b {k}", "no" if k < 2 else f"yes {k}") for k in range(40)]
    same = [row(k, f"b {k}", "no" if k < 24 else f"yes {k}") for k in range(40)]
    assert of_rows(train, rare)["prior"] == pytest.approx(0.6 / (5 / 40))
    assert of_rows(train, same)["prior"] == pytest.approx(0.6 / (27 / 40))
    assert of_rows([row(k, f"a {k}", f"yes {k}") for k in range(10)], rare)["prior"] is None


def test_a_rare_label_that_new_rows_lack_by_chance_is_no_shift():
    """Nine of 64 rows have the commonest of twelve labels; one of 40 new rows has it."""
    train = [row(k, f"a {k}", "tax" if k < 9 else f"label {k % 11}") for k in range(64)]
    new = [row(k, f"b {k}", "tax" if k < 1 else f"label {k % 11}") for k in range(40)]
    assert of_rows(train, new)["prior"] < 3


def test_shapes_are_keys_in_order_or_form():
    one, two = '{"name":"Ann","late":true}', '{"late":false,"name":null}'
    assert facts.shape_of(one) == facts.shape_of('{"name": 1, "late": 2}') == "json name late"
    assert facts.shape_of(one) != facts.shape_of(two)
    assert facts.shape_of("12 May") == facts.shape_of("3 June") == "0 a"
    assert facts.shape_of("it came late") == "a"
    rows = [row(k, f"a {k}", one if k < 6 else two) for k in range(8)]
    assert of_rows(rows)["shapes"] == 1 / 4


def steps(*losses, clipped=()):
    return [{"loss": loss, "clipped": k in clipped} for k, loss in enumerate(losses)]


def test_the_training_curve():
    found = facts.step_facts(steps(3.0, 1.0, 2.0, 4.0, clipped=(0,)), [])
    assert found == {
        "steps": 4,
        "loss_first": 3,
        "loss_last": 4,
        "loss_least": 1,
        "loss_peak": 4,
        "clip_rate": 0.25,
    }
    found = facts.step_facts(steps(*range(16)), [])
    assert found["loss_last"] == 14.5, "the mean of the last eighth"
    assert facts.step_facts([], []) == {"steps": 0}


def test_outliers_are_rows_over_three_times_the_median_loss():
    assert facts.step_facts(steps(1.0), [0.1, 0.1, 0.2, 0.31, 0.9])["outliers"] == 1 / 5
    assert "outliers" not in facts.step_facts(steps(1.0), [0.0, 0.0])


def test_answers_that_copy_eight_words_which_their_own_gold_lacks():
    said = "the van comes on Friday and you may keep the old one"
    rows = LabRows((row(0, "a", said),), (row(1, "b", "no"), row(2, "c", said), row(3, "d", "no")))
    texts = [f"well, {said}", said, "the van comes on Friday and that is all"]
    assert facts.answer_facts(rows, texts, None) == {"copied": 1 / 3, "same_as_base": None}
    assert facts.answer_facts(rows, texts, ["x", said, "y"])["same_as_base"] == 1 / 3
