"""Other words for a task: what the answers say about themselves, and nothing of other rows."""

import json

import pytest

from tuneworthy.arms.prompt.messages import specification
from tuneworthy.arms.prompt.notes import (
    field_notes,
    json_skeleton,
    label_notes,
    style_samples,
    text_notes,
)
from tuneworthy.arms.prompt.wordings import irrelevant, reminders, wordings
from tuneworthy.records.case import Case, Message
from tuneworthy.records.task import Data, Output, Task


def case(at, text, answer):
    output = answer if isinstance(answer, str) else json.dumps(answer)
    return Case(id=f"c{at:03}", messages=(Message(role="user", content=text),), output=output)


def task(kind, **output):
    return Task(data=Data(file="rows.jsonl"), instruction="Read it.",
                output=Output(type=kind, **output))  # fmt: skip


CITIES = tuple(f"{city} {at}" for at in range(3)
               for city in ("Rome", "Oslo", "Lima", "Bern", "Cork", "Nice"))  # fmt: skip
TRIPS = [
    case(at, f"book {city} for {at % 3 + 1} on may {at}", {
        "kind": "book", "place": {"city": city}, "day": f"2026-05-{at:02}", "seats": at % 3 + 1})
    for at, city in enumerate(CITIES)
] + [case(50 + at, f"is it cold in {city}", {"kind": "weather", "place": {"city": city}})
     for at, city in enumerate(CITIES[:6])]  # fmt: skip


def test_fields_are_described_by_what_their_values_are():
    lines = dict(line[2:].split(": ", 1) for line in field_notes(TRIPS) if "with" not in line)
    assert lines["kind"] == 'one of "book", "weather"'
    assert lines["place.city"].startswith("copied from the input, as")
    assert lines["day (optional)"].startswith("a date as YYYY-MM-DD, as")
    assert lines["seats (optional)"] == "one of 1, 2, 3"


def test_which_keys_go_with_which_value_is_said():
    lines = [line for line in field_notes(TRIPS) if line.startswith("- with")]
    assert lines == ['- with kind "book": day, seats', '- with kind "weather": no other key']


def test_no_keys_are_told_apart_where_all_answers_have_the_same():
    assert not [line for line in field_notes(TRIPS[:18]) if line.startswith("- with")]


def test_a_value_that_is_not_in_the_input_is_not_called_copied():
    rows = [case(at, "where", {"city": city}) for at, city in enumerate(CITIES)]
    assert not any("copied" in line for line in field_notes(rows))


def test_the_order_of_rows_is_nothing():
    assert field_notes(TRIPS[::-1]) == field_notes(TRIPS)
    assert wordings(task("json"), TRIPS[::-1]) == wordings(task("json"), TRIPS)


def test_the_outline_has_the_keys_that_most_answers_have():
    assert json.loads(json_skeleton(TRIPS)) == {
        "kind": "…", "place": {"city": "…"}, "day": "…", "seats": "…"}  # fmt: skip
    assert "day" not in json.loads(json_skeleton(TRIPS[13:]))
    assert json_skeleton([case(0, "x", "no json")]) == ""


BILLS = [case(at, f"my invoice number {at} is wrong", "bill") for at in range(4)]
FAULTS = [case(9 + at, f"the router number {at} is broken", "fault") for at in range(4)]


def test_labels_have_their_own_words_and_a_typical_input():
    words = label_notes([*BILLS, *FAULTS], ("bill", "fault", "other"), words=True)
    assert "invoice" in words[0]
    assert "router" in words[1]
    assert "number" not in words[0] + words[1], "a word of both tells nothing"
    typical = label_notes([*BILLS, *FAULTS], ("bill", "fault", "other"), words=False)
    assert typical[0].startswith('- bill: "my invoice')
    assert words[2] == typical[2] == "- other", "no training row: named alone"


def test_text_is_described_where_nine_in_ten_agree():
    texts = [case(at, "x", "Dear guest, we are open today and tomorrow. Come by at noon, please.")
             for at in range(9)]  # fmt: skip
    lines = text_notes([*texts, case(9, "x", "Dear guest, closed\nsorry")])
    assert 'It begins with "Dear".' in lines
    assert "It is one line." in lines
    assert "It ends with a full stop." in lines
    mixed = text_notes([*texts[:5], *[case(20 + at, "x", "closed\nsorry") for at in range(5)]])
    assert not {"It is one line.", "It ends with a full stop."} & set(mixed)
    assert text_notes([]) == style_samples([], 2) == ()


@pytest.mark.parametrize(
    ("kind", "rows", "output"),
    [
        ("json", TRIPS, {"schema": {"type": "object", "properties": {"kind": {"type": "string"}}}}),
        ("label", [*BILLS, *FAULTS], {"labels": ("bill", "fault")}),
        ("text", TRIPS, {}),
        ("number", [case(at, "how many", str(at)) for at in range(9)], {}),
    ],
)
def test_wordings_differ_from_each_other_and_keep_the_instruction(kind, rows, output):
    job = task(kind, **output)
    texts = [wording.text for wording in wordings(job, rows)]
    assert len(texts) >= 3
    assert len(set(texts)) == len(texts)
    assert specification(job) not in texts
    assert all("Read it." in text for text in texts)
    assert reminders(job)[0].text.endswith("and nothing else.")
    for label in output.get("labels", ()):
        assert all(label in text for text in texts), "a label is described, never renamed"


def test_filler_is_as_long_as_what_it_stands_for_and_says_nothing_of_the_task():
    text = wordings(task("json"), TRIPS)[0].text
    empty = irrelevant("Read it.", text)
    assert len(empty.split()) == len(text.split())
    assert empty.startswith("Read it.\n")
    assert "city" not in empty
    assert irrelevant("Read it.", "short") == "Read it."
