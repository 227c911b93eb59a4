"""One text in Unicode NFC and NFD is one answer: no metric scores it wrong for its form."""

import json
import unicodedata

import pytest

from tuneworthy.arms.prompt.lenient import lenient, normal_form
from tuneworthy.explain.rescore import normaliser
from tuneworthy.metrics import scorer
from tuneworthy.metrics._style import cosine, separate
from tuneworthy.metrics._writing import match_label
from tuneworthy.records.answer import Answer
from tuneworthy.records.case import Case
from tuneworthy.records.task import Data, Output, Success, Task
from tuneworthy.rows.infer import label_faults, label_key

TEXT = "Délai dépassé"
NFC, NFD = (unicodedata.normalize(form, TEXT) for form in ("NFC", "NFD"))
FORMS = [(NFC, NFD), (NFD, NFC)]


def score(gold, said, metric=None, **output):
    task = Task(
        instruction="Answer.", data=Data(file="r.jsonl"), output=Output(**output),
        success=Success(metric=metric),
    )  # fmt: skip
    return scorer(task)(Case(id="c", messages=(), output=gold), Answer(case="c", text=said))


@pytest.mark.parametrize(("gold", "said"), FORMS)
@pytest.mark.parametrize(
    "metric", ["exact", "exact_words", "contains", "token_f1", "rouge_l", "outline"]
)
def test_a_text_in_the_other_form_is_right(metric, gold, said):
    heading = "# {}\n\nwords" if metric == "outline" else "{}"
    found = score(heading.format(gold), heading.format(said), metric, type="text")
    assert found.value == 1


@pytest.mark.parametrize(("gold", "said"), FORMS)
@pytest.mark.parametrize("labels", [None, (NFC, "Autre"), (NFD, "Autre"), (NFC, NFD)])
def test_a_label_in_the_other_form_is_right_and_valid(gold, said, labels):
    found = score(gold, said, type="label", labels=labels)
    assert found.value == 1
    assert found.valid in (True, None)
    assert score(gold, "Delai depasse", type="label", labels=labels).value == 0


def test_where_labels_differ_in_case_case_counts_in_either_form():
    labels = (NFD, NFD.upper())
    assert score(NFD, NFC, type="label", labels=labels).value == 1
    assert score(NFD, NFC.upper(), type="label", labels=labels).value == 0
    assert match_label(NFC.upper(), labels) == NFD.upper()


@pytest.mark.parametrize(("gold", "said"), FORMS)
@pytest.mark.parametrize("metric", ["fields_f1", "exact"])
@pytest.mark.parametrize("escaped", [False, True])
def test_json_in_the_other_form_is_right_and_matches_its_schema(metric, gold, said, escaped):
    schema = {"type": "object", "required": [gold], "properties": {gold: {"enum": [gold]}}}
    right, other = (json.dumps({form: form}, ensure_ascii=escaped) for form in (gold, said))
    found = score(right, other, metric, type="json", json_schema=schema)
    assert (found.value, found.valid) == (1, True)


def test_a_key_in_both_forms_stands_twice():
    both = json.dumps({NFC: 1, NFD: 2})
    assert "a key stands twice" in score('{"a": 1}', both, type="json").why


def test_the_form_is_no_style():
    assert cosine(NFC, NFD) == 1
    right = [f"{NFC} {at}" for at in range(20)]
    other = [unicodedata.normalize("NFD", text) for text in right]
    assert separate(other, right).auc == separate(right, right).auc


def test_votes_and_diagnosis_take_both_forms_for_one_answer():
    assert normal_form(NFC, None) == normal_form(NFD, None)
    assert normal_form(json.dumps([NFC]), "json") == normal_form(json.dumps([NFD]), "json")
    assert lenient(f"La réponse : {NFC}.", "label", (NFD, "Autre")) == NFD
    task = Task(instruction="Answer.", data=Data(file="r.jsonl"),
                output=Output(type="label", labels=(NFD, NFD.upper())))  # fmt: skip
    assert normaliser(task)(NFC) == normaliser(task)(NFD)


def test_labels_in_two_forms_are_one_label_that_the_rows_must_spell_in_one_way():
    def row(at, label):
        return Case(id=f"c{at}", messages=(), output=label, where=f"r.jsonl:{at}")

    assert label_key(NFC) == label_key(NFD)
    mixed = [row(at, NFD if at else NFC) for at in range(4)]
    assert ["Unicode form" in fault.why for fault in label_faults(mixed, None)] == [True]
    (fault,) = label_faults([row(0, NFD)], (NFC,))
    assert "in this Unicode form" in fault.why
    (fault,) = label_faults([row(0, "Retard")], (NFC,))
    assert "form" not in fault.why
