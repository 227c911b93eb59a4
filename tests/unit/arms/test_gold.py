"""Passages are inferred where the answer stands in one, and marked; answers without one listed."""

from retrieval_kit import case, cases, docs

from tuneworthy.arms.retrieval.gold import infer_passage, unsupported_ids, with_inferred_passages
from tuneworthy.arms.retrieval.index import index
from tuneworthy.records.task import Data, Output, Task
from tuneworthy.rows.docs import Doc
from tuneworthy.rows.load import Loaded


def loaded(rows, documents, kind="text", **more):
    task = Task(data=Data(file="rows.jsonl", docs="docs.jsonl"), output=Output(type=kind))
    return Loaded(task, tuple(rows), docs=tuple(documents), rows=len(rows), **more)


def kinds(made):
    return {seen.kind: seen for seen in made.observations}


def test_the_inferred_passage_is_the_right_one_and_marked():
    rows = [one.model_copy(update={"meta": {}}) for one in cases(100)]
    made = with_inferred_passages(loaded(rows, docs(100), test=(case("t", *asked(100, 3)),)))
    right = {one.id: doc.text for one, doc in zip(rows, docs(100), strict=True)}
    hits = [one.context == right[one.id] for one in made.cases]
    assert sum(hits) >= 95
    assert all(one.context_inferred for one in made.everyone)
    assert made.test[0].context == docs(100)[3].text
    assert kinds(made)["passage_inferred"].count == 101
    assert "unsupported" not in kinds(made)


def asked(n, at):
    one = cases(n)[at]
    return one.input, one.output


def test_a_given_passage_stays_and_an_answer_that_stands_nowhere_gets_none():
    given = cases(5)[0].model_copy(update={"context": "Mine."})
    nowhere = case("no", "How many units is parental leave in Alderwick?", "424242 units")
    made = with_inferred_passages(loaded([given, nowhere], docs(5)))
    assert made.cases == (given, nowhere)
    gone = kinds(made)["unsupported"]
    assert gone.ids == ("no",)
    assert gone.text == "1 gold answers are supported by no current passage"
    assert gone.level == "warning"


def test_labels_and_tasks_without_documents_are_left_alone():
    for made in (loaded(cases(3), docs(3), "label"), loaded(cases(3), ())):
        assert with_inferred_passages(made) is made


def test_an_answer_whose_passage_has_been_replaced_is_listed():
    first = docs(40)
    text = first[7].text.replace("49", "50")
    later = Doc(id="d007-2", title=first[7].title, since="2024-01-01", text=text)
    old = first[7].model_copy(update={"until": "2024-01-01"})
    current = (*first[:7], old, *first[8:], later)
    assert unsupported_ids(index(current), cases(40)) == ["c7"]
    assert unsupported_ids(index(first), cases(40)) == [], "the control: nothing was replaced"
    as_of = cases(40)[7].model_copy(update={"time": "2023-05-01"})
    assert infer_passage(index(current), as_of) == old.text
    assert infer_passage(index(current), cases(40)[7]) is None
