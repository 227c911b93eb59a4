"""A fact is changed in the documents alone; who says the new one, and who the old."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuneworthy.matrix.design import Design
from tuneworthy.measure.further.freshness_rate import (
    Fact,
    change_facts,
    count_stated_facts,
    stated_fact,
)
from tuneworthy.records.answer import Answer
from tuneworthy.records.case import Case, Message
from tuneworthy.rows.docs import Doc
from tuneworthy.suite import policy_faq

FACT = Fact(case="a", old="19 days", new="9 days")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("9 days", "new"),
        ("It is 9.", "new"),
        ("19 days", "old"),
        ("Nineteen days", "other"),
        ("It was 19 days and is 9 days now", "other"),
        ("days", "other"),
        ("", "other"),
    ],
)
def test_an_answer_says_the_new_fact_the_old_one_or_something_else(answer, said):
    assert stated_fact(answer, FACT) == said


def test_facts_that_no_word_tells_apart_are_refused():
    with pytest.raises(ValueError, match="told apart"):
        stated_fact("9", Fact(case="a", old="9", new="9 days"))


def policy():
    made = policy_faq.make(0, 120)
    docs = tuple(Doc.model_validate(doc) for doc in made.docs)
    rows = [
        Case(
            id=f"q{at}",
            messages=(Message(role="user", content=row["input"]),),
            output=row["output"],
            time=row["time"],
            meta={"doc_id": row["context"]["doc"]},
        )
        for at, row in enumerate(made.rows)
    ]
    return docs, rows


def test_each_asked_document_states_the_new_fact_and_no_longer_the_old_one():
    docs, rows = policy()
    after = change_facts(docs, rows, 0)
    texts, before = ({doc.id: doc.text for doc in found} for found in (after.docs, docs))
    names = {case.id: case.meta["doc_id"] for case in rows}
    assert len(after.facts) >= 110
    for fact, case in zip(after.facts, after.cases, strict=True):
        assert (case.id, case.output) == (fact.case, fact.new)
        text = texts[names[fact.case]]
        assert case.context == text
        assert stated_fact(text, fact) == "new"
        assert stated_fact(before[names[fact.case]], fact) == "old"
        assert fact.old.split()[1] == fact.new.split()[1], "the unit stays"
    asked = {names[fact.case] for fact in after.facts}
    assert all(texts[one] == before[one] for one in before if one not in asked)
    assert change_facts(docs, rows, 0) == after
    assert change_facts(docs[::-1], rows[::-1], 0).facts == after.facts
    assert change_facts(docs, rows, 1).facts != after.facts


def answers(facts, say):
    return [Answer(case=fact.case, text=say(fact)) for fact in facts]


def test_a_reader_is_fresh_and_a_memory_is_stale():
    facts = change_facts(*policy(), 0).facts
    n = len(facts)
    reader = count_stated_facts("reader", answers(facts, lambda f: f.new), facts, Design())
    memory = count_stated_facts("memory", answers(facts, lambda f: f.old), facts, Design())
    assert [share.k for share in reader.shares.values()] == [n, 0, 0]
    assert [share.k for share in memory.shares.values()] == [0, n, 0]
    assert reader.shares["new"].share == 1
    assert reader.shares["new"].low > 0.96
    assert reader.shares["old"].high < 0.04


def test_what_cannot_be_changed_takes_no_part():
    docs = (Doc(id="d", text="The town has 5 gates."),)
    turn = (Message(role="user", content="?"),)

    def case(name, output, **meta):
        return Case(id=name, messages=turn, output=output, meta=meta)

    known = case("a", "5 gates", doc_id="d")
    assert change_facts(docs, [known], 0).facts == (), "there is no other answer of its form"
    rivals = [known, case("b", "7 gates"), case("c", "seven gates", doc_id="d")]
    after = change_facts(docs, rivals, 0)
    assert after.facts == (Fact(case="a", old="5 gates", new="7 gates"),)
    assert after.docs[0].text == "The town has 7 gates."
    far = [known.model_copy(update={"meta": {"doc_id": "x"}}), *rivals[1:]]
    assert change_facts(docs, far, 0).facts == ()


@given(st.lists(st.sampled_from(["9 days", "19 days", "none", "9 and 19 days"]), max_size=30))
def test_the_three_kinds_add_up(said):
    facts = [FACT.model_copy(update={"case": f"{n}"}) for n in range(len(said))]
    told_of = count_stated_facts(
        "x", [Answer(case=f"{n}", text=t) for n, t in enumerate(said)], facts, Design()
    )
    assert sum(share.k for share in told_of.shares.values()) == told_of.n == len(said)
    if said:
        assert sum(share.share for share in told_of.shares.values()) == pytest.approx(1, abs=1e-5)
        assert told_of.shares["new"].k == said.count("9 days")
