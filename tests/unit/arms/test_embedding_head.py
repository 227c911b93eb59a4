"""embedding_head: a head on vectors. Quick: vectors of a tiny encoder; full: MiniLM itself."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
from arms_kit import label_cases, queries, setup

from tuneworthy.arms import _classified, embedding_head
from tuneworthy.metrics import scorer
from tuneworthy.models.encoder import vectors as _vectors
from tuneworthy.models.encoder.encoder import locate
from tuneworthy.records.case import Case, Message
from tuneworthy.records.errors import DoesNotApply
from tuneworthy.records.task import Data, Output, Task

BANKING = Path(__file__).parents[4] / "shared" / "data" / "banking77"


class Words:
    """Vectors that count words, hashed into 64 places; a stand-in for MiniLM."""

    def __init__(self):
        self.read = []

    def encode(self, texts, *, keep=False):
        self.read.append((len(texts), keep))
        table = np.zeros((len(texts), 64), np.float32)
        for row, text in enumerate(texts):
            for word in text.split():
                table[row, sum(map(ord, word)) % 64] += 1
        return table / np.linalg.norm(table, axis=1, keepdims=True)

    def cut(self, texts):
        return sum(len(text) > 40 for text in texts)


@pytest.fixture
def words(monkeypatch):
    made = Words()
    monkeypatch.setattr(_vectors, "encode", made.encode)
    monkeypatch.setattr(_vectors, "encoder", lambda: made)
    monkeypatch.setattr(_classified, "missing", lambda: "")
    return made


def never(prompt, limits):
    raise AssertionError("no language model is asked")


def accuracy(parts, cases):
    fitted = embedding_head.fit(parts, embedding_head.Options(), 0)
    answers = fitted.answer([case.query() for case in cases])
    return sum(a.text == c.output for a, c in zip(answers, cases, strict=True)) / len(cases)


def test_it_learns_from_vectors_and_says_how_sure_it_is(tmp_path, words):
    parts = setup(never, tmp_path)
    fitted = embedding_head.fit(parts, embedding_head.Options(), 0)
    answers = fitted.answer(queries())
    assert [a.case for a in answers] == [q.id for q in queries()]
    for answer in answers:
        assert sum(answer.labels.values()) == pytest.approx(1)
        assert answer.text == max(answer.labels, key=answer.labels.get)
        assert answer.seconds >= 0
    assert fitted.learned
    assert fitted.answer([]) == []


def test_it_needs_the_link_from_input_to_answer(tmp_path, words):
    rows = label_cases(120)
    train, test = rows[:80], rows[80:]
    assert accuracy(setup(never, tmp_path, train=train), test) > 0.85
    outputs = [case.output for case in train]
    random.Random(1).shuffle(outputs)
    pairs = zip(train, outputs, strict=True)
    wrong = [case.model_copy(update={"output": output}) for case, output in pairs]
    assert accuracy(setup(never, tmp_path, train=wrong), test) < 0.6


def test_scored_inputs_are_read_anew_so_that_their_time_is_true(tmp_path, words):
    embedding_head.fit(setup(never, tmp_path), embedding_head.Options(), 0).answer(queries())
    assert words.read == [(18, True), (8, False)]


def test_what_it_does_not_read_is_said(tmp_path, words):
    fitted = embedding_head.fit(setup(never, tmp_path), embedding_head.Options(), 0)
    long = sum(len(c.input) > 40 for c in setup(never, tmp_path).train)
    told = f"{long} training inputs are longer than the 256 tokens it reads"
    assert fitted.notes == (told,)
    short = [c for c in setup(never, tmp_path).train if len(c.input) <= 40]
    parts = setup(never, tmp_path, train=short)
    assert embedding_head.fit(parts, embedding_head.Options(), 0).notes == ()


def test_one_label_is_nothing_to_classify(tmp_path, words):
    rows = [c for c in label_cases() if c.output == "refund"]
    with pytest.raises(DoesNotApply, match="single label"):
        embedding_head.fit(setup(never, tmp_path, train=rows), embedding_head.Options(), 0)


def test_without_minilm_the_command_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNEWORTHY_CACHE", str(tmp_path))
    with pytest.raises(DoesNotApply, match="models get minilm"):
        embedding_head.fit(setup(never, tmp_path), embedding_head.Options(), 0)


@pytest.mark.full
@pytest.mark.skipif(locate() is None, reason="tuneworthy models get minilm")
@pytest.mark.skipif(not BANKING.exists(), reason="no banking77 here")
def test_on_real_intents_it_is_far_above_chance(tmp_path):
    def read(name, n):
        lines = (BANKING / name).read_text("utf-8").splitlines()[:n]
        rows = [json.loads(line) for line in lines]
        return [
            Case(
                id=f"{name}{i}",
                messages=(Message(role="user", content=r["input"]),),
                output=r["output"],
            )
            for i, r in enumerate(rows)
        ]

    train, test = read("train.jsonl", 400), read("test.jsonl", 200)
    labels = tuple(sorted({c.output for c in train}))
    job = Task(data=Data(file="x"), output=Output(type="label", labels=labels))
    parts = setup(never, tmp_path, task=job, train=train, score=scorer(job))
    assert accuracy(parts, test) > 0.6


def test_a_student_of_a_teacher_may_be_a_head_on_vectors(tmp_path, words):
    from arms_kit import label_cases

    from tuneworthy.arms import distil
    from tuneworthy.models.scripted import Scripted

    def right(prompt, limits):
        return next(c.output for c in label_cases() if c.input == prompt[-1].content)

    parts = setup(never, tmp_path, unlabelled=[c.query() for c in label_cases()[:18]], train=[])
    parts.models["teacher"] = Scripted("scripted:teacher", right)
    options = distil.Options(student="classifier", head="vectors", samples=1)
    fitted = distil.fit(parts, options, 0)
    own = embedding_head.fit(setup(never, tmp_path), embedding_head.Options(), 0)
    pairs = zip(fitted.answer(queries()), own.answer(queries()), strict=True)
    same = sum(a.text == b.text for a, b in pairs)
    assert same >= len(queries()) - 1, "one row is held back, the others are the labelled ones"
    assert ("embedding_head", {}) in distil.companions(options, parts.task)
