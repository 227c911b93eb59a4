"""data.copies: which alike inputs count as one, in folds, groups, leaks, check and compare."""

import json

import pytest
from tests.studies import lines

from tuneworthy.cli._frame import run
from tuneworthy.records.case import Case, Message
from tuneworthy.records.errors import DataError
from tuneworthy.records.task import Data, Task
from tuneworthy.rows.audit import audit
from tuneworthy.rows.copies import copy_groups, find_copies
from tuneworthy.rows.folds import split
from tuneworthy.rows.leaks import free_of_copies
from tuneworthy.rows.load import load
from tuneworthy.rows.locked import locked_observation

TEMPLATE = "Classify the following message of a customer into one of the teams of the shop: {}"
RULES = ["near", "exact", "off"]


def templated(count):
    """Return rows of one template; the last two have one input."""
    words = [f"item {at % (count - 1)}" for at in range(count)]
    return [{"id": f"r{at:03}", "input": TEMPLATE.format(word), "output": "ab"[at % 2]}
            for at, word in enumerate(words)]  # fmt: skip


def cases(rows):
    return [Case(id=row["id"], messages=(Message(role="user", content=row["input"]),),
                 output=row["output"]) for row in rows]  # fmt: skip


def loaded(folder, rule, rows):
    lines(folder / "rows.jsonl", rows)
    return load(Task(data=Data(file="rows.jsonl", copies=rule)).at(folder))


@pytest.mark.parametrize(("rule", "groups"), [("near", 2), ("exact", 40), ("off", 41)])
def test_the_rule_says_which_rows_of_a_template_count_as_one(tmp_path, rule, groups):
    rows = templated(41)
    assert len(set(copy_groups(find_copies(cases(rows), rule)))) == groups
    found = loaded(tmp_path, rule, rows)
    made = split(found)
    assert len(set(made.groups.values())) == {"near": 2, "exact": 1, "off": 0}[rule]
    assert bool(made.copies) == (rule != "off")
    told = {seen.kind: seen for seen in audit(found, made).observations}
    assert ("copies_rule" in told) == (rule != "near")
    assert "near_copies" in told or rule != "near"
    if rule != "near":
        assert f"(data.copies: {rule})" in told["copies_rule"].text
    assert ("may learn from a row" in told["copies"].fix) == (rule == "off")


def test_rows_of_one_group_are_linked_by_any_rule():
    named = [case.model_copy(update={"group": "g"}) for case in cases(templated(5))]
    for rule in RULES:
        assert len(set(copy_groups(find_copies(named, rule)))) == 1


def test_unlabelled_inputs_of_the_template_may_be_learnt_from():
    rows = cases(templated(20))
    new = [case.model_copy(update={"id": f"n{at}", "messages": (Message(
        role="user", content=TEMPLATE.format(f"thing {at}")),)}).query()
        for at, case in enumerate(rows)]  # fmt: skip
    given = [*new, rows[0].query()]
    counts = [len(free_of_copies(given, rows, rule)) for rule in RULES]
    assert counts[0] < counts[1] == counts[2] == 20  # never the copy of a labelled row


@pytest.mark.parametrize("rule", RULES)
def test_a_copy_of_a_test_row_in_train_is_a_leak_by_any_rule(tmp_path, rule):
    rows = templated(20)
    lines(tmp_path / "train.jsonl", rows[:19])
    lines(tmp_path / "test.jsonl", rows[19:])
    task = Task(data=Data(train="train.jsonl", test="test.jsonl", copies=rule)).at(tmp_path)
    with pytest.raises(DataError, match="1 of 19 training rows stand in the test file"):
        load(task)


def test_locked_rows_follow_the_rule():
    rows = cases(templated(60))
    texts = [locked_observation(rows, 0, rule).text for rule in RULES]
    assert len(set(texts)) >= 2


def test_the_rule_counts_in_the_hash_only_where_it_is_written():
    found = [Task(data=Data(file="a", copies=rule)).hash for rule in RULES]
    assert found[0] == Task(data=Data(file="a")).hash
    assert len(set(found)) == 3


def test_compare_takes_the_rule_and_says_it(tmp_path, monkeypatch, capsys):
    rows = templated(101)[:100]
    monkeypatch.chdir(tmp_path)
    lines(tmp_path / "gold.jsonl", rows)
    for name, right in (("one", 3), ("two", 2)):
        said = [{"id": row["id"], "answer": row["output"] if at % 5 < right else "c"}
                for at, row in enumerate(rows)]  # fmt: skip
        lines(tmp_path / f"{name}.jsonl", said)
    words = ["compare", "one.jsonl", "two.jsonl", "--gold", "gold.jsonl", "--json"]
    found = {}
    for rule in RULES:
        assert run([*words, "--copies", rule]) == 0
        found[rule] = json.loads(capsys.readouterr().out)
    wide, narrow, alone = (found[rule]["high"] - found[rule]["low"] for rule in RULES)
    assert wide > 1.5 * narrow
    assert narrow == alone
    assert found["near"]["grouped"] is not None
    assert any("(data.copies: exact)" in note for note in found["exact"]["notes"])
    assert run(words[:-1]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "independent, say --copies exact; if equal inputs are: off." in told
