"""The three types that the atlas added: what each row says follows from its text or documents."""

import json
import re

import pytest

from tuneworthy.records.plugins import load
from tuneworthy.suite import changing_facts, clinic_notes, word_sums
from tuneworthy.suite._made import load_words

FREQUENCIES = load_words("clinic").frequencies
ATTRIBUTES = load_words("sheets").attributes


def replayed(text):
    """Return the answer of a sum by reading its sentences, apart from the generator."""
    first, *rest = re.split(r"(?<=[.?]) ", text)
    if not re.search(r"\d", first):
        first, rest = f"{first} {rest[0]}", rest[1:]
    numbers = list(map(int, re.findall(r"\d+", first)))
    value = numbers[0] * (numbers[1] if len(numbers) > 1 else 1)
    for sentence in rest[:-1]:
        kinds = [
            (name, int(found[1]))
            for name, texts in load_words("sums").step_sentences.items()
            for said in texts
            if (found := re.fullmatch(re.escape(said).replace(r"\{k\}", r"(\d+)"), sentence))
        ]
        ((name, k),) = kinds
        if name == "share":
            assert value % k == 0
        after = {"add": value + k, "take": value - k, "times": value * k, "share": value // k,
                 "if_more": value - 10 if value > k else value}  # fmt: skip
        value = after[name]
        assert value > 0
    return value


def test_a_sum_read_sentence_by_sentence_gives_its_answer():
    made = word_sums.make(2, 300)
    assert [str(replayed(row["input"])) for row in made.rows] == [r["output"] for r in made.rows]
    assert {row["meta"]["steps"] for row in made.rows} == {2, 3, 4}


def test_a_note_says_what_its_record_holds():
    for row in clinic_notes.make(2, 300).rows:
        record, text = json.loads(row["output"]), row["input"].lower()
        for key in ("age", "days", "drug", "mg", "allergy", "review_days"):
            assert record[key] is None or str(record[key]) in text, (key, row)
        assert any(said in text for said in load_words("clinic").complaints[record["complaint"]])
        if record["drug"]:
            assert any(said in text for said in FREQUENCIES[str(record["per_day"])])
        else:
            assert (record["mg"], record["per_day"]) == (None, None)


def test_only_the_newest_sheet_of_a_product_gives_the_answer():
    made = changing_facts.make(2, 300)
    sheets = {}
    for doc in made.docs:
        sheets.setdefault(doc["title"].split(",")[0], []).append(doc)
    changed = 0
    for row in made.rows:
        value, unit = row["output"].split()
        ((name, editions),) = [(n, s) for n, s in sheets.items() if n in row["input"]]
        assert [doc["to"] for doc in editions[:-1]] == [doc["from"] for doc in editions[1:]]
        assert editions[-1]["to"] is None
        assert row["context"]["doc"] == editions[-1]["id"]
        said = [ATTRIBUTES[key][3] for key in ATTRIBUTES if ATTRIBUTES[key][0] == unit]
        assert said[0].format(v=value) in editions[-1]["text"], name
        changed += any(said[0].format(v=value) not in doc["text"] for doc in editions[:-1])
    assert changed > 60  # else an old sheet would do


@pytest.mark.full
@pytest.mark.parametrize(
    "name", ["clinic_notes", "changing_facts", "word_sums", "policy_faq", "support_tickets"]
)
def test_a_type_has_rows_enough_for_the_atlas(name):
    made = load("suite", name).make(0, 1200)
    assert len({row["input"] for row in made.rows}) == 1200
