"""Examples: varied, deterministic, whatever the order of rows; the nearest last."""

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from tuneworthy.arms.prompt.shots import (
    Nearest,
    fixed_examples,
    pool,
    random_examples,
    shuffled_answers,
    why_unusable,
)
from tuneworthy.records.case import Case, Message


def case(name, text, output, *before):
    return Case(id=name, messages=(*before, Message(role="user", content=text)), output=output)


def labelled(n=120):
    labels = ["common"] * 20 + ["b", "c", "d", "rare"]
    return [case(f"i{at:03}", f"text {at * 37 % 101}", labels[at % 24]) for at in range(n)]


def by_id(cases):
    return {c.id: c for c in cases}


@pytest.mark.parametrize("seed", range(5))
def test_fixed_covers_every_label_evenly_though_most_rows_have_one(seed):
    cases = labelled()
    for k, most in ((5, 1), (10, 2)):
        ids = fixed_examples(cases, k, seed)
        assert max(Counter(by_id(cases)[i].output for i in ids).values()) <= most
        assert len(set(ids)) == k
    plain = Counter(c.output for c in cases[:5])
    assert plain["common"] == 5  # the first five would not have covered them


def test_fixed_covers_label_like_fields_and_keys_of_json():
    cases = []
    for at in range(60):
        answer = {
            "intent": ["play", "book", "rate"][at % 3 if at % 10 == 0 else 0],
            "name": f"n{at}",
        }
        if at % 20 == 7:
            answer["extra"] = {"deep": at}
        cases.append(case(f"j{at:03}", f"t{at}", json.dumps(answer)))
    for seed in range(5):
        shown = [json.loads(by_id(cases)[i].output) for i in fixed_examples(cases, 4, seed)]
        assert {one["intent"] for one in shown} == {"play", "book", "rate"}
    assert any("extra" in json.loads(by_id(cases)[i].output) for i in fixed_examples(cases, 8, 0))


def test_fixed_ignores_the_order_of_rows_and_depends_on_the_seed():
    cases = labelled()
    assert (
        fixed_examples(cases, 6, 3)
        == fixed_examples(cases[::-1], 6, 3)
        == fixed_examples(cases, 6, 3)
    )
    assert len({fixed_examples(cases, 6, seed) for seed in range(6)}) > 1
    assert fixed_examples([], 4, 0) == ()
    assert len(fixed_examples(cases[:3], 8, 0)) == 3


def test_fixed_prefers_the_short_of_equals():
    cases = [case(f"x{at:02}", "word " * (4 if at < 20 else 900), "same") for at in range(40)]
    assert all(int(i[1:]) < 20 for i in fixed_examples(cases, 8, 0))


def test_what_can_be_no_example_is_left_out_with_its_reason():
    user, assistant = (Message(role=role, content="x") for role in ("user", "assistant"))
    tool = Message(role="tool", content="x")
    bad = [
        case("a", "t", "y", user, tool),
        case("b", "t", "y", user),
        case("c", "t", "y", assistant),
        Case(id="d", messages=(user, assistant), output="y"),
        case("e", "t", " "),
        Case(id="f", messages=(), output="y"),
    ]
    good = [case("g", "t", "y", Message(role="system", content="s"), user, assistant)]
    assert all(why_unusable(one) for one in bad)
    assert fixed_examples(bad + good, 9, 0) == ("g",)
    assert Nearest(bad + good).ids(case("q", "t", "y").query(), 9) == ("g",)


def test_nearest_is_the_cosine_of_tf_idf_nearest_last():
    cases = labelled(60)
    query = case("q", "some text 37 of 101", "b").query()
    texts = [c.input for c in cases]
    total = np.zeros(len(cases))
    for options in (
        {"ngram_range": (1, 2), "token_pattern": r"\w+"},
        {"analyzer": "char_wb", "ngram_range": (2, 4)},
    ):
        part = TfidfVectorizer(sublinear_tf=True, **options).fit(texts)
        total += (part.transform(texts) @ part.transform([query.input]).T).toarray().ravel()
    got = Nearest(cases).ids(query, 60)
    likeness = [round(float(total[int(i[1:])]), 9) for i in got]
    assert likeness == sorted(likeness)
    assert likeness[-1] > likeness[0]
    assert got[-5:] == Nearest(cases[::-1]).ids(query, 5)


def test_nearest_never_returns_the_querys_own_case_and_survives_odd_inputs():
    cases = [case(f"i{at}", text, "y") for at, text in enumerate(["same", "same", "!!", "", "ß"])]
    assert Nearest(cases).ids(cases[0].query(), 2)[-1] == "i1"
    assert "i0" not in Nearest(cases).ids(cases[0].query(), 9)
    blank = Nearest([case("a", "", "y"), case("b", " ", "y")])
    assert blank.ids(case("q", "", "y").query(), 5) == ("b", "a")
    assert Nearest([]).ids(cases[0].query(), 3) == ()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from("abcd"), max_size=30), st.integers(0, 5))
def test_dealt_answers_are_the_same_ones_and_as_few_as_can_be_stay(answers, seed):
    found = shuffled_answers(answers, seed)
    assert sorted(found) == sorted(answers)
    assert found == shuffled_answers(answers, seed)
    most = max(Counter(answers).values(), default=0)
    unavoidable = max(0, 2 * most - len(answers))
    assert sum(one == other for one, other in zip(found, answers, strict=True)) == unavoidable


def test_a_random_draw_depends_on_the_seed_and_not_on_the_order_of_rows():
    cases = [*labelled(40), case("empty", "text", "")]
    one = random_examples(cases, 8, "0.1")
    assert one == random_examples(cases[::-1], 8, "0.1")
    assert len(set(one)) == 8
    assert one != random_examples(cases, 8, "0.2")
    assert "empty" not in random_examples(cases, 40, "0.1")


def test_lists_of_the_very_same_cases_share_a_pool_and_others_do_not():
    """Each unit of a study gets a list of its own; the index of neighbours is built once a fold."""
    train = [case(f"c{i}", f"input number {i}", "yes") for i in range(6)]
    first = pool(train)
    assert pool(list(train)) is first
    assert pool(train[:5]) is not first
    assert pool([*train[:5], train[5].model_copy(update={"output": "no"})]) is not first
    assert pool(train) is first
