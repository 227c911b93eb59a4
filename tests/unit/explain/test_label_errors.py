"""Doubtful labels: planted flips are found, clean labels are left alone."""

import random
from functools import lru_cache

import numpy as np
import pytest

from tuneworthy.explain import label_errors
from tuneworthy.explain.label_errors import consensus_doubts, contradicted_failures, label_doubts
from tuneworthy.records.answer import Answer
from tuneworthy.records.case import Case, LabelDoubt, Message
from tuneworthy.records.task import Data, Output, Task
from tuneworthy.suite.clause_type import LABELS, make

DATA = Data(file="rows.jsonl")
CLAUSES = Task(data=DATA, output=Output(type="label", labels=LABELS))


def case(name, text, output, **more):
    turn = (Message(role="user", content=text),)
    return Case(id=name, messages=turn, output=output, **more)


generated = lru_cache(lambda seed, n: make(seed, n).rows)


def clauses(n, flips, seed=0):
    """Return generated cases with so many labels replaced by another, and the ids of those."""
    rng = random.Random(seed)
    rows = generated(seed, n)
    wrong = set(rng.sample(range(n), flips))
    cases = []
    for at, row in enumerate(rows):
        others = [label for label in LABELS if label != row["output"]]
        label = rng.choice(others) if at in wrong else row["output"]
        cases.append(case(f"c{at:03}", row["input"], label, where=f"rows.jsonl:{at + 1}"))
    return cases, {f"c{at:03}" for at in wrong}


def test_most_planted_flips_are_found_among_their_neighbours_and_few_sound_labels_doubted():
    found = sound = 0
    for seed in range(3):
        cases, wrong = clauses(240, 12, seed)
        ids = {doubt.case for doubt in label_doubts(CLAUSES, cases)}
        found, sound = found + len(ids & wrong), sound + len(ids - wrong)
    assert found >= 20  # of 36
    assert sound <= 4  # of 684


def test_clean_labels_are_left_alone():
    assert sum(len(label_doubts(CLAUSES, clauses(240, 0, seed)[0])) for seed in range(3)) <= 4


def test_random_labels_raise_no_flood_of_doubts():
    """The control of the control: where neighbours agree on nothing, nobody is outvoted."""
    cases, _ = clauses(240, 0)
    rng = random.Random(5)
    mixed = [c.model_copy(update={"output": rng.choice(LABELS)}) for c in cases]
    assert len(label_doubts(CLAUSES, mixed)) <= 5


def test_a_doubt_says_what_and_where():
    cases = [case(f"c{i}", f"please refund order {i}", "refund") for i in range(6)]
    cases += [case(f"d{i}", f"where does parcel {i} stay", "delivery") for i in range(6)]
    odd = case("odd", "please refund order 9", "delivery")
    (doubt,) = label_doubts(Task(data=DATA, output=Output(type="label")), [*cases, odd])
    assert (doubt.case, doubt.ground) == ("odd", "neighbours")
    assert "5 of the 5 nearest inputs have “refund” (c" in doubt.why
    assert doubt.why.endswith("this one has “delivery”")


def test_further_rows_are_compared_with_but_not_judged():
    cases, _ = clauses(240, 12)
    judged, rest = cases[:120], cases[120:]
    found = {doubt.case for doubt in label_doubts(CLAUSES, judged, rest)}
    assert found <= {c.id for c in judged}
    assert found == {d.case for d in label_doubts(CLAUSES, cases)} & {c.id for c in judged}


def test_an_accepted_label_is_no_doubt_and_rows_without_words_are_none():
    cases = [case(f"c{i}", f"please refund order {i}", "refund") for i in range(6)]
    open_ = case("odd", "please refund order 9", "delivery", accepted=("refund",))
    task = Task(data=DATA, output=Output(type="label"))
    assert label_doubts(task, [*cases, open_]) == []
    assert label_doubts(task, [case(f"x{i}", "…" * (i + 1), "a") for i in range(8)]) == []
    assert label_doubts(task, cases[:2]) == []


@pytest.mark.parametrize("kind", ["label", "json", "number"])
def test_one_input_with_two_answers_is_a_conflict_on_both_sides(kind):
    pair = [case("a", "Same  input", "1", where="r:1"), case("b", "same input", "2", where="r:2")]
    found = label_doubts(
        Task(data=DATA, output=Output(type=kind)), [*pair, case("c", "other", "1")]
    )
    assert [(d.case, d.ground) for d in found] == [("a", "conflict"), ("b", "conflict")]
    assert found[0].why == "the same input has “1” here and “2” in r:2"


def test_free_text_and_equal_json_are_no_conflict():
    worded = [case("a", "q", "It is the red one"), case("b", "q", "the red one it is, yes")]
    assert label_doubts(Task(data=DATA, output=Output(type="text")), worded) == []
    keyed = [case("a", "q", '{"x": 1, "y": 2}'), case("b", "q", '{"y": 2, "x": 1}')]
    assert label_doubts(Task(data=DATA, output=Output(type="json")), keyed) == []


def arms(cases, wrong, accuracies, seed=0):
    """Return answers and passes of arms that know the true label with a chance each."""
    rng = random.Random(seed)
    truth = {f"c{at:03}": row["output"] for at, row in enumerate(generated(seed, len(cases)))}
    answers, passed = {}, {}
    for name, accuracy in accuracies.items():
        said = {c.id: truth[c.id] if rng.random() < accuracy else rng.choice(LABELS) for c in cases}
        answers[name] = {i: Answer(case=i, text=text) for i, text in said.items()}
        passed[name] = {c.id: said[c.id] == c.output for c in cases}
    return answers, passed


def test_arms_that_agree_against_the_gold_find_its_flips():
    cases, wrong = clauses(240, 12)
    answers, passed = arms(cases, wrong, {"tfidf": 0.93, "lora": 0.9, "weak": 0.3})
    found = consensus_doubts(CLAUSES, cases, answers, passed)
    ids = {doubt.case for doubt in found}
    assert len(ids & wrong) >= 9
    assert len(ids - wrong) <= 2
    assert "2 arms agree on “" in found[0].why
    assert "(lora, tfidf)" in found[0].why


def test_weak_or_lonely_arms_prove_nothing():
    cases, wrong = clauses(240, 12)
    assert (
        consensus_doubts(CLAUSES, cases, *arms(cases, wrong, {"a": 0.5, "b": 0.6, "c": 0.5})) == []
    )
    assert consensus_doubts(CLAUSES, cases, *arms(cases, wrong, {"a": 0.95, "b": 0.5})) == []
    assert consensus_doubts(CLAUSES, cases, {}, {"never": {}}) == []


def test_arms_that_say_nothing_or_different_things_do_not_agree():
    cases = [case(f"c{i}", f"t{i}", "x") for i in range(8)]
    passed = {arm: {c.id: c.id != "c0" for c in cases} for arm in ("one", "two")}

    def found(one, other):
        said = {"one": one, "two": other}
        answers = {
            arm: {c.id: Answer(case=c.id, text="x" if c.id != "c0" else text) for c in cases}
            for arm, text in said.items()
        }
        return consensus_doubts(Task(data=DATA, output=Output(type="text")), cases, answers, passed)

    assert [d.case for d in found("Y.", "y")] == ["c0"]
    assert found("y", "z") == []
    assert found(" ", " ") == []


def test_what_arms_agree_on_is_shown_but_counts_as_no_contradiction():
    found = [
        LabelDoubt(case="a", ground="consensus", why=""),
        LabelDoubt(case="b", ground="conflict", why=""),
        LabelDoubt(case="c", ground="neighbours", why=""),
        LabelDoubt(case="d", ground="conflict", why=""),
    ]
    assert contradicted_failures(found, ["a", "b", "c"]) == ("b", "c")


@pytest.mark.parametrize("size", [0, 1, 4, 5, 6, 60])
def test_the_highest_are_those_of_a_stable_sort(size):
    draw = np.random.default_rng(size)
    for _ in range(20):
        row = np.round(draw.normal(size=size + 1), 1)  # with ties
        sorted_ = [at for at in np.argsort(-row, kind="stable")[:5] if row[at] > 0]
        assert label_errors._highest_positions(row).tolist() == sorted_


def test_of_many_rows_some_are_compared_with_whatever_their_order(monkeypatch):
    cases, wrong = clauses(240, 12)
    monkeypatch.setattr(label_errors, "MOST_COMPARED", 200)
    found = {doubt.case for doubt in label_doubts(CLAUSES, cases)}
    assert found == {doubt.case for doubt in label_doubts(CLAUSES, cases[::-1])}
    assert len(found & wrong) >= 4
    assert len(found - wrong) <= 4
