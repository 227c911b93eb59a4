"""cascade: the first arm answers what it is sure of, the second the rest; costs are added."""

import pytest
from arms_kit import label_cases, setup

from tuneworthy.arms import cascade
from tuneworthy.arms._prompted import first_then
from tuneworthy.records.answer import Answer
from tuneworthy.records.arm import Sizes
from tuneworthy.records.case import Message, Query
from tuneworthy.records.errors import DoesNotApply, TaskError
from tuneworthy.records.run import Spec
from tuneworthy.records.specs import needs_of_arm, recorded_system

ASKED = [Query(id=i, messages=(Message(role="user", content=i),)) for i in "abc"]


def first(queries):
    p = {"a": 0.9, "b": 0.5, "c": 0.2}
    return [
        Answer(case=q.id, text="first", labels={"first": p[q.id]}, seconds=0.1) for q in queries
    ]


def then(queries):
    return [Answer(case=q.id, text="then", seconds=1.0, usd=0.002, tokens_in=9, tokens_out=2)
            for q in queries]  # fmt: skip


def test_each_query_goes_to_who_is_sure_and_both_times_count():
    asked = []
    found = first_then(ASKED, first, lambda qs: asked.extend(qs) or then(qs), 0.5, billed=True)
    assert [a.case for a in found] == ["a", "b", "c"]
    assert [a.text for a in found] == ["first", "first", "then"]
    assert [q.id for q in asked] == ["c"], "who is spared is not asked"
    assert [a.usd for a in found] == [0.0, 0.0, 0.002]
    assert [a.seconds for a in found] == [0.1, 0.1, 1.1]
    assert [a.tokens_in for a in found] == [0, 0, 9]


def test_nobody_is_asked_where_all_is_sure_and_no_price_is_invented():
    found = first_then(ASKED, first, lambda qs: pytest.fail("asked"), 0.0)
    assert {a.usd for a in found} == {None}


def right_model(prompt, limits):
    """Return the right label of the last message, as the rows of the tests tell it."""
    text = prompt[-1].content
    return next((c.output for c in label_cases(40) if c.messages[0].content in text), "refund")


def test_a_second_arm_that_is_always_right_gets_what_the_first_one_misses(tmp_path):
    made = setup(right_model, tmp_path)
    fitted = cascade.fit(made, cascade.Options(), 0)
    assert fitted.learned
    assert "answers from a probability of" in fitted.notes[0]
    queries = [case.query() for case in label_cases(40)[22:]]
    told = fitted.answer(queries)
    assert [a.case for a in told] == [q.id for q in queries]
    assert fitted.pack.first.role == ""
    assert fitted.pack.least == pytest.approx(
        float(fitted.notes[0].split(" of ")[1].split()[0]), rel=0.01)  # fmt: skip


def test_a_second_arm_that_is_always_wrong_is_never_asked(tmp_path):
    made = setup(lambda prompt, limits: "nothing", tmp_path)
    fitted = cascade.fit(made, cascade.Options(), 0)
    assert fitted.pack.least == 0.0
    told = fitted.answer([case.query() for case in label_cases(40)[22:]])
    assert "nothing" not in {a.text for a in told}


def test_a_threshold_of_your_own_is_kept_and_without_dev_rows_it_is_a_half(tmp_path):
    own = cascade.fit(setup(right_model, tmp_path), cascade.Options(least=0.7), 0)
    assert own.pack.least == 0.7
    none = cascade.fit(setup(right_model, tmp_path, dev=[]), cascade.Options(), 0)
    assert none.pack.least == 0.5


def test_a_first_arm_without_probabilities_is_refused(tmp_path):
    with pytest.raises(DoesNotApply, match="states no probability"):
        cascade.fit(setup(right_model, tmp_path), cascade.Options(first="majority"), 0)


def test_what_is_recorded_answers_the_rest_and_stands_with_the_classifiers(tmp_path):
    logged = {c.id: Answer(case=c.id, text=c.output) for c in label_cases(40)}
    made = setup(right_model, tmp_path, recorded=logged)
    options = cascade.Options(then="hosted", least=1.01 - 0.02)
    fitted = cascade.fit(made, options, 0)
    queries = [case.query() for case in label_cases(40)[22:]]
    gold = {c.id: c.output for c in label_cases(40)}
    assert [a.text for a in fitted.answer(queries)] == [gold[q.id] for q in queries]
    assert fitted.pack is None, "a log can't be deployed"
    assert cascade.place(options) == ("classifier", "candidate")
    spec = Spec(name="cascade", arm="cascade", options=options.plain())
    assert recorded_system(spec) == "hosted"
    assert recorded_system(Spec(name="tfidf", arm="tfidf")) == "tfidf"


def test_its_place_and_needs_are_those_of_the_dearer_arm():
    options = cascade.Options(first="embedding_head", then="bigger")
    assert cascade.place(options) == ("bigger", "candidate")
    needs = needs_of_arm(Spec(name="c", arm="cascade", options=options.plain()))
    assert {"labels", "vectors", "bigger"} <= needs


def test_a_first_arm_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(TaskError, match="no arm has this name"):
        cascade.fit(setup(right_model, tmp_path), cascade.Options(first="tfidff"), 0)


def test_the_plan_pays_for_both_arms():
    sizes = Sizes(cases=10, train=20, dev=5, shared=50, own=20, shot=40, answer=5, cap=8, labels=6)
    work = cascade.estimate(sizes, cascade.Options(first="embedding_head"))
    assert work.requests == 10
    assert work.encoded > 0
