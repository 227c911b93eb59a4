"""What the issue asks of each task, the shipped examples, and the writer's refusals."""

import json
import re
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from tuneworthy.records.errors import TaskError
from tuneworthy.records.plugins import catalogue
from tuneworthy.rows.load import load
from tuneworthy.rows.taskfile import read_task
from tuneworthy.suite import _made, clause_type, policy_faq, support_tickets, write
from tuneworthy.suite.__main__ import main
from tuneworthy.suite._made import load_words

EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.mark.parametrize("name", sorted(catalogue("suite")))
def test_the_examples_are_what_the_generators_write(name, tmp_path):
    write(name, tmp_path)
    kept = {path.name: path.read_bytes() for path in (EXAMPLES / name).iterdir() if path.is_file()}
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert kept == made


@pytest.mark.parametrize("name", sorted(catalogue("suite")))
def test_an_example_loads_without_a_row_left_out(name):
    loaded = load(read_task(EXAMPLES / name / "task.yaml"))
    assert (len(loaded.cases), len(loaded.test or ()), loaded.excluded) == (240, 120, {})
    assert [o for o in loaded.observations if o.level != "note"] == []


def test_support_messages_have_shapes_slips_two_issues_nulls_and_unseen_names():
    made = support_tickets.make(0)
    records = [json.loads(row["output"]) for row in made.rows]
    assert len(load_words("support").message_shapes) >= 15
    assert not set(load_words("support").names) & set(load_words("support").unseen_names)
    seen, new = ({r["name"] for r in part} - {None} for part in (records[:240], records[240:]))
    assert seen <= set(load_words("support").names)
    assert new
    assert new <= set(load_words("support").unseen_names)
    share = Counter(len(r["issues"]) for r in records)
    assert share[2] > 60
    assert all(sum(r[key] is None for r in records) > 60 for key in ("name", "order"))
    for row, record in zip(made.rows, records, strict=True):
        said = [record["name"], record["order"], *(i["item"] for i in record["issues"])]
        assert all(part in row["input"] for part in said if part)


def test_support_messages_are_short():
    made = support_tickets.make(0)
    words = [len(re.findall(r"\w+|[^\w\s]", row["input"])) for row in made.rows]
    assert max(words) <= 50
    assert max(len(row["output"]) for row in made.rows) <= 130


def split(made):
    texts, labels = [r["input"] for r in made.rows], [r["output"] for r in made.rows]
    return texts[: made.split], labels[: made.split], texts[made.split :], labels[made.split :]


def test_clauses_are_learnt_by_a_plain_classifier_and_not_by_one_word():
    train, gold, test, right = split(clause_type.make(0))
    words = TfidfVectorizer(sublinear_tf=True)
    plain = make_pipeline(words, LogisticRegression(C=10)).fit(train, gold)
    assert plain.score(test, right) >= 0.9
    counts = CountVectorizer(binary=True)
    seen = counts.fit_transform(train).toarray()
    for label in clause_type.LABELS:
        mine = seen[[g == label for g in gold]].sum(0)
        best = (2 * mine / (seen.sum(0) + gold.count(label))).max()
        assert best < 0.75, f"one word gives {label} away"


def test_clauses_learn_nothing_from_shuffled_labels():
    train, gold, test, right = split(clause_type.make(0))
    Random(0).shuffle(gold)
    plain = make_pipeline(TfidfVectorizer(), LogisticRegression(C=10)).fit(train, gold)
    assert plain.score(test, right) < 0.25


def test_policy_facts_stand_in_the_document_in_force_and_in_no_training_row():
    made = policy_faq.make(0)
    docs = {doc["id"]: doc for doc in made.docs}
    for row in made.rows:
        doc = docs[row["context"]["doc"]]
        assert row["output"] in doc["text"]
        assert doc["from"] <= row["time"] < (doc["to"] or "9999")
    asked = [row["context"]["doc"][:8] for row in made.rows]
    assert len(set(asked)) == len(asked)
    assert sum(doc["to"] is not None for doc in made.docs) > 100
    with pytest.raises(TaskError, match="no more rules"):
        policy_faq.make(0, 1501)


def test_a_generator_that_runs_dry_says_so():
    with pytest.raises(TaskError, match="no more rows"):
        _made.draw_distinct(2, lambda i: {"input": "always the same"})


def test_the_index_finds_the_near_copies_that_comparing_all_pairs_finds():
    rng, seen, kept = Random(3), _made.SeenInputs(), []
    words = ("the", "bank", "will", "move", "your", "late", "box", "back", "to", "our", "desk")
    for _ in range(400):
        text = " ".join(rng.choice(words) for _ in range(rng.choice((1, 4, 9))))
        own = _made.shingles(text)
        near = any(len(own & other) >= 0.8 * len(own | other) for other in kept)
        assert seen.add(text) is not near
        kept += [] if near else [own]
    assert 100 < len(kept) < 390


def test_a_slip_spares_the_words_that_carry_the_answer():
    rng = Random(0)
    assert _made.add_typo(rng, "kettle", frozenset({"kettle"})) == "kettle"
    assert all(_made.add_typo(rng, "delivery", frozenset()) != "delivery" for _ in range(3))


def test_the_module_writes_a_task_or_says_how(tmp_path, capsys):
    assert main(["clause_type", str(tmp_path), "5"]) == 0
    assert (tmp_path / "task.yaml").exists()
    assert main([]) == 2
    assert "support_tickets" in capsys.readouterr().err
    assert main(["clause_typ", str(tmp_path)]) == 2
    assert "clause_type" in capsys.readouterr().err
