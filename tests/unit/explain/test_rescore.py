"""Answers scored again: what is right in another writing, what a parser would find, and chance."""

import json
import random

import pytest

from tuneworthy.explain.answer_in_passage import cases_with_answer_in_passage
from tuneworthy.explain.rescore import (
    PLACEBO_DRAWS,
    contains_metric,
    leniently_parsed,
    passes,
    placebo_cases,
    rescore_interventions,
    tolerant_metric,
)
from tuneworthy.metrics import scorer
from tuneworthy.records.answer import Answer, Score, Unscored
from tuneworthy.records.case import Case, Message
from tuneworthy.records.task import Data, Output, Task

DATA = Data(file="rows.jsonl")


def task(kind, **more):
    metric = more.pop("metric", None)
    return Task(data=DATA, output=Output(type=kind, **more), success={"metric": metric})


def case(name, output, **more):
    return Case(id=name, messages=(Message(role="user", content=name),), output=output, **more)


def rows(pairs):
    """Return cases and answers from {id: (gold, said)}."""
    cases = [case(name, gold) for name, (gold, _) in pairs.items()]
    answers = {n: Answer(case=n, text=said, finish="stop") for n, (_, said) in pairs.items()}
    return cases, answers


def across(task, pairs, pass_at=1.0, seed=0):
    cases, answers = rows(pairs)
    found = rescore_interventions(task, scorer(task), cases, answers, pass_at, seed)
    return {one.remedy: one for one in found}


CITIES = {
    "case": ("Paris", "PARIS."),
    "wrong": ("Rome", "Berlin"),
    "number": ("1,000", "1000"),
    "date": ("5 March 2024", "2024-03-05"),
    "right": ("Oslo", "Oslo"),
    "empty": ("Lima", ""),
}


def test_the_tolerant_metric_rescues_other_writings_and_nothing_wrong():
    found = across(task("text", metric="exact"), CITIES)
    passed = found["metric"].passed
    assert {name for name, does in passed.items() if does} == {"case", "number", "date", "right"}
    assert set(found["metric"].placebo_passed) == set(passed)
    assert set(found["metric"].placebo_passed.values()) == {0.0}


def test_each_pair_of_label_and_answer_is_scored_once():
    labels = ("red", "green", "blue")
    pairs = {f"c{k}": (labels[k % 3], labels[k % 3 if k % 5 else (k + 1) % 3].upper())
             for k in range(60)}  # fmt: skip
    told = task("label", labels=labels, metric="accuracy")
    cases, answers = rows(pairs)
    own, asked = scorer(told), []

    def counted(case, answer):
        asked.append(case.id)
        return own(case, answer)

    found = rescore_interventions(told, counted, cases, answers, 1.0, 0)
    again = task(
        "label", labels=labels, metric="exact"
    )  # no metric that is known to read so little
    every = rescore_interventions(again, own, cases, answers, 1.0, 0)
    assert found == every
    assert len(asked) <= 3 * len(labels) ** 2


def test_a_free_text_is_searched_for_the_answer_and_chance_is_counted():
    cities = ("Oslo", "Rome", "Lima", "Bonn")
    pairs = {f"c{i}": (city, f"The capital, I think, is {city}.") for i, city in enumerate(cities)}
    pairs["all"] = ("Riga", "It is Oslo or Rome or Lima or Bonn or Riga.")
    pairs["no"] = ("Kyiv", "It is the city of Romeo.")
    one = across(task("text", metric="exact"), pairs)["format"]
    assert (one.name, one.passed["all"], one.passed["no"]) == ("answer within a text", True, False)
    assert all(one.passed[f"c{i}"] for i in range(4))
    assert one.placebo_passed["all"] == pytest.approx(4 / 5)
    assert {one.placebo_passed[f"c{i}"] for i in range(4)} == {0.0}


def test_a_text_that_was_cut_has_not_answered():
    metric = contains_metric(scorer(task("text", metric="exact")))
    said = Answer(case="c", text="1972 to 1973 to 1974", finish="length")
    assert metric(case("c", "1973"), said).value == 0
    assert metric(case("c", "1973"), said.model_copy(update={"finish": None})).value == 1


def test_the_placebo_passes_where_an_answer_is_another_cases_gold():
    pairs = {f"c{i}": (name, "a") for i, name in enumerate("abcdefghijk")}
    chance = across(task("text", metric="exact"), pairs)["metric"].placebo_passed
    assert chance["c0"] == 0.0  # its own gold is no placebo
    assert all(value == pytest.approx(0.1) for name, value in chance.items() if name != "c0")


def test_with_one_right_answer_for_all_there_is_no_placebo_and_it_says_why():
    found = across(task("text", metric="exact"), {"a": ("yes", "Yes."), "b": ("Yes", "no")})
    one = found["metric"]
    assert (one.placebo, one.placebo_passed) == (None, None)
    assert "no other one" in one.because
    assert one.passed == {"a": True, "b": False}


def test_a_guess_gains_nothing_beyond_its_placebo_and_a_sound_answer_does():
    labels = tuple("abcde")
    rng = random.Random(3)
    guess, sound = {}, {}
    for number in range(200):
        gold, said = rng.choice(labels), rng.choice(labels)
        guess[f"c{number}"] = (gold, f"I say {said}!")
        sound[f"c{number}"] = (gold, f"I say {gold if rng.random() < 0.7 else said}!")
    lifts = []
    for pairs in (guess, sound):
        one = across(task("label", labels=labels), pairs)["format"]
        rate = sum(one.passed.values()) / len(one.passed)
        lifts.append(rate - sum(one.placebo_passed.values()) / len(one.placebo_passed))
    assert abs(lifts[0]) < 0.08
    assert lifts[1] > 0.5


def test_a_lenient_parse_reads_json_out_of_prose_and_leaves_valid_answers_alone():
    gold = {"a": 1, "b": "x"}
    fenced = f"Here it is:\n```json\n{json.dumps(gold)}\n```"
    pairs = {
        "fence": (json.dumps(gold), fenced),
        "valid": (json.dumps({"a": 2}), json.dumps({"a": 2})),
        "wrong": (json.dumps({"a": 3}), 'Sure: {"a": 4}'),
        "cut": (json.dumps({"a": 5}), '{"a": 5'),
    }
    found = across(task("json"), pairs)
    assert found["format"].passed == {"fence": True, "valid": True, "wrong": False, "cut": False}
    assert found["metric"].passed["fence"] is False


def test_a_parser_does_not_see_what_is_right():
    """An invalid answer that passes may be spoilt: that harm is real."""

    def lax(case, answer):
        return Score(value=float(case.output in answer.text), valid=False)

    one = task("json")
    said = Answer(case="c", text='[1] {"a": 1}', finish="stop")
    assert leniently_parsed(one, lax, case("c", "[1]"), said).text == '{"a": 1}'
    assert (
        leniently_parsed(one, scorer(one), case("c", "[1]"), Answer(case="c", text="no")).text
        == "no"
    )


def test_json_leaves_in_another_writing_raise_the_score_in_part():
    one = task("json")
    gold = case("c", json.dumps({"a": "Paris", "b": 1, "c": "x", "d": "y"}))
    said = Answer(case="c", text=json.dumps({"a": "PARIS.", "b": "1", "c": "x", "d": "wrong"}))
    strict, loose = (
        metric(gold, said).value for metric in (scorer(one), tolerant_metric(one, scorer(one)))
    )
    assert (strict, loose) == (0.25, 0.75)


def test_labels_that_one_writing_would_merge_stay_apart():
    one = task("label", labels=("Plan-A", "plan a", "b"))
    metric = tolerant_metric(one, scorer(one))
    wrong = Answer(case="c", text="plan a", finish="stop")
    assert metric(case("c", "Plan-A"), wrong).value == 0
    assert metric(case("c", "b"), Answer(case="c", text="B.", finish="stop")).value == 1
    free = task("label", labels=("Plan-A", "b"))
    assert tolerant_metric(free, scorer(free))(case("c", "Plan-A"), wrong).value == 1


def test_a_number_metric_of_ones_own_is_only_helped_where_the_answer_is_the_same():
    one = task("text", metric="./score.py:score")

    def own(case, answer):
        return Score(value=0.4, valid=True)

    metric = tolerant_metric(one, own)
    assert metric(case("c", "1,000"), Answer(case="c", text="1000")).value == 1
    assert metric(case("c", "1,000"), Answer(case="c", text="1001")).value == 0.4


def test_what_could_not_be_scored_stays_unscored_and_fails():
    one = task("text", metric="exact")
    failed = Answer(case="c", text="x", error="timeout", finish="error")
    assert isinstance(tolerant_metric(one, scorer(one))(case("c", "X"), failed), Unscored)
    assert not passes(Unscored(reason="x"), 0.0)
    assert passes(Score(value=0.3), 0.1 + 0.2)


def test_accepted_answers_count_and_are_no_placebo_for_each_other():
    one = task("text", metric="exact")
    cases = [
        case("a", "one", accepted=("1",)),
        case("b", "1"),
        case("c", "two"),
    ]
    donors = placebo_cases(one, cases, 0)
    assert {name: {d.id for d in found} for name, found in donors.items()} == {
        "a": {"c"}, "b": {"c"}, "c": {"a", "b"},
    }  # fmt: skip


def test_draws_depend_on_the_case_and_the_seed_alone():
    one = task("text")
    cases = [case(f"c{i}", str(i)) for i in range(60)]
    drawn = placebo_cases(one, cases, 1)
    assert drawn == placebo_cases(one, cases[::-1], 1) != placebo_cases(one, cases, 2)
    assert {len(found) for found in drawn.values()} == {PLACEBO_DRAWS}


def test_a_rare_other_answer_is_found_though_nearly_all_are_one():
    cases = [case(f"c{i}", "same" if i else "rare") for i in range(300)]
    donors = placebo_cases(task("text"), cases, 0)
    assert all([d.id for d in donors[f"c{i}"]] == ["c0"] for i in range(1, 300))


def test_a_worked_solution_is_told_from_another_by_its_last_number():
    cases = [case("a", "2+2\n#### 4"), case("b", "8/2 is\n#### 4"), case("c", "#### 5")]
    donors = placebo_cases(task("number"), cases, 0)
    assert {d.id for d in donors["a"]} == {"c"}


@pytest.mark.parametrize(
    ("kind", "gold", "passage", "stands"),
    [
        ("text", "Henry VIII", "It was king Henry VIII, who …", True),
        ("text", "2016", "an early program (2016) came", True),
        ("text", "1,000 km", "some 1000km of road", True),
        ("text", "Rome", "Romeo and Juliet", False),
        ("text", "16", "in 2016", False),
        ("text", "?", "what?", False),
        ("number", "so\n#### 1,500", "about 1500 people", True),
        ("number", "#### 15", "about 1500 people", False),
        ("json", '{"who": "Ada", "age": 36, "ok": true}', "Ada, aged 36.", True),
        ("json", '{"who": "Ada", "age": 37}', "Ada, aged 36.", False),
        ("json", '{"ok": null}', "nothing", False),
    ],
)
def test_literal_answers_stand_word_for_word_in_their_passage(kind, gold, passage, stands):
    one = case("c", gold, context=passage)
    assert cases_with_answer_in_passage(task(kind), [one], ["c"]) == (("c",) if stands else ())


def test_literal_asks_failed_cases_with_a_passage_only():
    cases = [case("a", "x", context="x"), case("b", "x", context="x"), case("c", "x")]
    assert cases_with_answer_in_passage(task("text"), cases, ["a"]) == ("a",)
    assert cases_with_answer_in_passage(task("text"), cases, ["c"]) is None
    accepted = case("d", "y", accepted=("x",), context="an X.")
    assert cases_with_answer_in_passage(task("text"), [accepted], ["d"]) == ("d",)
