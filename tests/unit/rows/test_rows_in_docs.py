"""Rows that stand in the documents with their answers are reported: retrieval would copy them."""

import pytest

from tuneworthy.arms.retrieval.index import index
from tuneworthy.records.case import Case, Message
from tuneworthy.rows.docs import Doc
from tuneworthy.rows.leaks import rows_in_documents

ROWS = [
    Case(id=f"c{k}", messages=(Message(role="user", content=f"How long is {name} leave, please?"),),
         output=f"{k} days")
    for k, name in enumerate(("exam", "parental", "relocation", "volunteer"), 3)
]  # fmt: skip


@pytest.mark.parametrize(
    "form", ["Q: {asked} A: {right}.", "{right} - {asked}", "{asked}\n{right}"]
)
def test_past_rows_as_documents_hold_the_answer_that_retrieval_then_finds(form):
    docs = [Doc(id=c.id, text=form.format(asked=c.input, right=c.output)) for c in ROWS[:3]]
    (seen,) = rows_in_documents(ROWS, docs)
    assert (seen.kind, seen.level, seen.count, seen.ids) == (
        "rows_in_docs", "warning", 3, ("c3", "c4", "c5"),
    )  # fmt: skip
    assert seen.text == "3 rows stand in the documents, with the answer beside it"
    found = index(docs).search([(case.input, None) for case in ROWS[:3]], 1)
    assert [chunks[0].doc for chunks in found] == ["c3", "c4", "c5"]


def test_a_title_that_asks_and_a_text_that_answers_hold_the_row():
    doc = Doc(id="d", title=ROWS[0].input, text=f"It is {ROWS[0].output} for everybody.")
    assert [one.count for one in rows_in_documents(ROWS, [doc])] == [1]


@pytest.mark.parametrize(
    "text",
    [
        "Exam leave is 3 days, and parental leave 4 days.",  # a document, as there should be
        f"Many ask: {ROWS[0].input} It depends.",
        f"{ROWS[0].input} {'It is a long story. ' * 9} 3 days",
        f"{ROWS[0].input} 13 days",
        "How long is exam leave, tell me please: 3 days",
        "How long is exam leave, pleased to ask: 3 days",
    ],
)
def test_documents_that_only_treat_the_subject_hold_no_row(text):
    assert not list(rows_in_documents(ROWS, [Doc(id="d", text=text)]))


def test_short_inputs_empty_answers_and_no_documents_say_nothing():
    short = Case(id="s", messages=(Message(role="user", content="exam leave"),), output="3 days")
    blank = ROWS[0].model_copy(update={"output": "?"})
    assert not list(rows_in_documents([short], [Doc(id="d", text="exam leave 3 days")]))
    assert not list(rows_in_documents([blank.model_copy(update={"output": " "})],
                                      [Doc(id="d", text=f"{blank.input} 3 days")]))  # fmt: skip
    assert not list(rows_in_documents(ROWS, []))
    assert not list(rows_in_documents([short], [Doc(id="d", text="How long is exam leave? 3")]))
