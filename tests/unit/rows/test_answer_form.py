"""The output type is chosen by right and recorded answers together."""

import pytest

from tuneworthy.records.answer import Answer
from tuneworthy.records.case import Case, Message
from tuneworthy.records.plugins import load
from tuneworthy.rows.answer_form import choose_answer_form, pass_at_comment

PLACES = ("Shelf 4", "Hall B", "Shelf 9")


def cases(**more):
    return [
        Case(id=f"c{n}", messages=(Message(role="user", content=f"q{n}"),),
             output=PLACES[n % 3], **more)
        for n in range(30)
    ]  # fmt: skip


def test_sentences_that_contain_the_right_answer_are_no_labels():
    said = {case.id: [f"You will find them on {case.output.lower()}, I think."] for case in cases()}
    form = choose_answer_form(cases(), said, "label")
    assert (form.type, form.metric) == ("text", "contains")
    assert "30 of 30 recorded answers contain a right one, 0 equal one" in form.sentence


@pytest.mark.parametrize("kind", ["label", "text"])
@pytest.mark.parametrize("mark", ["", "."])
def test_one_system_of_two_that_answers_in_sentences_is_not_scored_0_for_it(kind, mark):
    said = {case.id: [f"On {case.output}, I think.", f"{case.output}{mark}"] for case in cases()}
    assert choose_answer_form(cases(), said, kind).metric == "contains"
    few = {case.id: [f"{case.output}{mark}"] * 6 for case in cases()}
    few |= {cases()[0].id: [f"On {cases()[0].output}, I think."]}
    form = choose_answer_form(cases(), few, kind)
    assert form is None or form.metric != "contains"


@pytest.mark.parametrize("kind", ["label", "text"])
def test_answers_that_are_labels_stay_what_the_rows_are(kind):
    said = {case.id: [PLACES[(n + n % 4) % 3]] for n, case in enumerate(cases())}
    assert choose_answer_form(cases(), said, kind) is None


def test_short_answers_with_others_accepted_are_compared_by_words():
    said = {case.id: ["shelf four"] for case in cases()}
    form = choose_answer_form(cases(accepted=("shelf four",)), said, "text")
    assert (form.type, form.metric) == ("text", "exact_words")


def test_the_shown_count_of_right_answers_is_the_one_that_the_metric_scores():
    """Of 1,200 answers, more than the form is chosen by, each is right but for case and a point."""
    many = [case.model_copy(update={"id": f"{n}/{case.id}", "accepted": ("shelf four",)})
            for n in range(20) for case in cases()]  # fmt: skip
    ends = ("", ".", " ")
    said = {case.id: [f"{case.output.lower()}{ends[n % 3]}", "no"] for n, case in enumerate(many)}
    seen = choose_answer_form(many, said, "text").sentence
    assert seen.startswith("600 of 1,200 recorded answers equal a right one")
    score = load("metrics", "exact_words").score
    answers = [(case, Answer(case=case.id, text=text)) for case in many for text in said[case.id]]
    assert sum(score(case, answer, {}).value for case, answer in answers) == 600
    inside = {case.id: [f"On {case.output.lower()}.", "no"] for case in many}
    assert choose_answer_form(many, inside, "text").sentence.startswith(
        "600 of 1,200 recorded answers contain"
    )


def test_rows_that_accept_other_spellings_are_texts_and_other_labels_are_none():
    spelt = choose_answer_form(cases(accepted=("shelf four",)), {}, "label")
    assert (spelt.type, spelt.metric) == ("text", "contains")
    assert "30 of 30 rows accept several answers" in spelt.sentence
    assert choose_answer_form(cases(accepted=("Hall B", "shelf 9")), {}, "label") is None


@pytest.mark.parametrize("kind", ["json", "number"])
def test_other_types_and_rows_without_answers_are_left_alone(kind):
    said = {case.id: ["a long text that says nothing of it"] for case in cases()}
    assert choose_answer_form(cases(), said, kind) is None
    assert choose_answer_form(cases(), {}, "text") is None


def test_long_right_answers_are_left_to_the_metrics_of_open_answers():
    long = [case.model_copy(update={"output": "word " * 40}) for case in cases()]
    assert choose_answer_form(long, {case.id: ["word " * 90] for case in long}, "text") is None


def test_pass_at_is_proposed_with_its_meaning():
    assert pass_at_comment("token_f1").endswith("half of its words are right")
    assert pass_at_comment("outline+must_say") == "# from this score on an answer counts as right"
