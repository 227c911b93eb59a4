"""Answers of 200 kB are scored in seconds, and no score changes by it."""

import json
import random
import time

import pytest

from tuneworthy.metrics import _leaves, rouge_l
from tuneworthy.records.answer import Answer
from tuneworthy.records.case import Case, Message
from tuneworthy.records.plugins import load

LONG = 200_000
ENDS = 30  # seconds: many times what is needed; quadratic work takes minutes


def words(seed, size=LONG):
    draw, out, length = random.Random(seed), [], 0
    while length < size:
        out.append(f"w{draw.randrange(30_000)}")
        length += len(out[-1]) + 1
    return " ".join(out)


def objects(seed, size=LONG):
    draw, out, length = random.Random(seed), [], 0
    while length < size:
        out.append({"name": f"n{draw.randrange(30_000)}", "kind": "a", "q": draw.randrange(100)})
        length += 40
    return json.dumps({"items": out})


def case(gold, **fields):
    return Case(id="c", messages=(Message(role="user", content="q"),), output=gold, **fields)


@pytest.mark.parametrize("metric", ["exact", "token_f1", "rouge_l", "style_match"])
def test_a_long_text_is_scored_in_seconds(metric):
    said = Answer(case="c", text=words(1))
    started = time.process_time()
    found = load("metrics", metric).score(case(words(0)), said, {})
    assert 0 <= found.value <= 1
    assert time.process_time() - started < ENDS


def test_many_demands_on_a_long_text_are_looked_for_in_seconds():
    text = words(0)
    demands = tuple(f"{word} nowhere" for word in text.split()[:40])
    started = time.process_time()
    found = load("metrics", "must_say").score(
        case("x", must_say=demands), Answer(case="c", text=text), {}
    )
    assert found.value == 0
    assert time.process_time() - started < ENDS


@pytest.mark.long
def test_long_lists_of_objects_are_scored_in_seconds():
    gold = objects(0)
    items = json.loads(gold)["items"]
    mixed = random.Random(1).sample(items, len(items))
    score = load("metrics", "fields_f1").score
    started = time.process_time()
    assert score(case(gold), Answer(case="c", text=json.dumps({"items": mixed})), {}).value == 1
    changed = [one | {"q": -1} for one in mixed]
    near = score(case(gold), Answer(case="c", text=json.dumps({"items": changed})), {})
    assert near.value == pytest.approx(2 / 3, abs=0.01)  # names and kinds agree, no q
    assert score(case(gold), Answer(case="c", text=objects(7)), {}).value < 0.8
    assert time.process_time() - started < 3 * ENDS


def test_bits_count_what_rapidfuzz_counts(monkeypatch):
    draw = random.Random(0)
    for _ in range(200):
        one, other = ([draw.choice("abcde") for _ in range(draw.randrange(40))] for _ in range(2))
        monkeypatch.setattr(rouge_l, "MOST_PAIRS_FOR_RAPIDFUZZ", 10**9)
        slow = rouge_l.lcs_length(one, other)
        monkeypatch.setattr(rouge_l, "MOST_PAIRS_FOR_RAPIDFUZZ", -1)
        assert rouge_l.lcs_length(one, other) == slow


def plain(gold, said):
    """Pair as before: each element set beside each other, all at once."""
    from scipy.optimize import linear_sum_assignment

    shared = [[_leaves.common_leaves(one, other) for other in said] for one in gold]
    rows, columns = linear_sum_assignment(shared, maximize=True)
    return sum(shared[r][c] for r, c in zip(rows, columns, strict=True))


def test_equal_elements_first_loses_no_leaf_and_greedy_pairs_lose_few(monkeypatch):
    draw = random.Random(3)

    def some():
        return [
            {"a": draw.randrange(3), "b": draw.choice("xyz"), "c": [draw.randrange(2), {"d": 1.0}]}
            for _ in range(draw.randrange(2, 9))
        ]

    for _ in range(300):
        gold, said = some(), some()
        best = plain(gold, said)
        assert _leaves.common_leaves(gold, said) == best
        with monkeypatch.context() as patch:
            patch.setattr(_leaves, "MOST_PAIRS", 0)
            assert best / 2 <= _leaves.common_leaves(gold, said) <= best


def test_1_and_1_0_are_one_value_and_true_is_another():
    assert _leaves.common_leaves([{"a": 1}, {"a": 2}], [{"a": 2.0}, {"a": 1.0}]) == 2
    assert _leaves.common_leaves([{"a": 1}, {"a": 0}], [{"a": True}, {"a": False}]) == 0
