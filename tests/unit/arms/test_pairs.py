"""A teacher's pairs: what the filter keeps and rejects; no request is sent twice."""

import json

import pytest
from arms_kit import label_cases, setup

from tuneworthy.arms import _pairs
from tuneworthy.arms._pairs import PairOptions, TeacherInput, write_pairs
from tuneworthy.models.scripted import Scripted
from tuneworthy.records.answer import LOST_WORDS, Score
from tuneworthy.records.errors import ProviderError, Unanswered
from tuneworthy.records.model import Reply
from tuneworthy.records.specs import specs
from tuneworthy.records.task import Data, Task

JSON = '{"kind": "refund", "n": 1}'


def sources(n=4, rows=False):
    cases = label_cases()[22 : 22 + n]
    return [TeacherInput(c.query(), c if rows else None) for c in cases]


def teacher(say, seen=None):
    def respond(prompt, limits):
        if seen is not None:
            seen.append((prompt, limits))
        return say(prompt, limits)

    return Scripted("scripted:teacher", respond)


def write(folder, say, options=None, kind="label", rows=False, n=4, **more):
    parts = setup(lambda p, k: "x", folder, kind, **more)
    return write_pairs(parts, teacher(say), sources(n, rows), options or PairOptions())


def cycle(*texts):
    return lambda prompt, limits: texts[limits.sample % len(texts)]


@pytest.mark.parametrize(
    ("texts", "kind", "outcome"),
    [
        (["refund"], "label", ("refund",)),
        ([" Refund ", "REFUND", "delivery", "refund", "refund"], "label", ("refund",)),
        (["refund", "delivery", "warranty", "refund", "delivery"], "label",
         _pairs.SAMPLES_DISAGREE),
        (["a refund it is"], "label", _pairs.WRONG_FORM),
        ([JSON, '{"n":1,"kind":"refund"}', "{", JSON, JSON], "json", (JSON,)),
        (['{"kind": "refund"}'], "json", _pairs.WRONG_FORM),
        (["one two three four five six seven eight nine"], "label", _pairs.UNENDED_ANSWER),
        (["so it is", "it is so", "so it is", "yes", "so it is"], "text",
         ("so it is", "it is so", "yes")),
        (["7", "8", "7.0", "7", "9"], "number", ("7",)),
    ],
)  # fmt: skip
def test_the_filter_keeps_valid_answers_that_samples_agree_on(tmp_path, texts, kind, outcome):
    written = write(tmp_path, cycle(*texts), kind=kind, n=1)
    if isinstance(outcome, tuple):
        assert [pair.texts for pair in written.pairs] == [outcome]
        assert not written.rejected
    else:
        assert written.pairs == []
        assert written.rejected == {outcome: ["r22"]}
    told = written.summary()
    assert told["inputs"] == told["kept"] + sum(told["rejected"].values()) == 1
    assert told["written"] == 5


def test_an_answer_must_be_right_where_the_right_one_is_known(tmp_path):
    written = write(tmp_path, cycle("refund"), rows=True, n=8)
    right = {c.id for c in label_cases() if c.output == "refund"}
    assert {pair.query.id for pair in written.pairs} == right & {s.query.id for s in sources(8)}
    assert set(written.rejected) == {_pairs.DROPPED_AS_WRONG}
    free = write(tmp_path, cycle("refund"), n=8)
    assert len(free.pairs) == 8, "the control: without its row nothing is known"


def test_failed_requests_are_told_apart_from_cut_answers(tmp_path):
    def fails(prompt, limits):
        raise ValueError("refused")

    written = write(tmp_path, fails, n=2)
    assert written.rejected == {_pairs.NO_ANSWER: ["r22", "r23"]}
    assert written.summary()["tokens_in"] is None


def failing(inputs, error=LOST_WORDS["for now"] + "busy", samples=5):
    """Return a teacher whose server fails on the first `samples` requests of some inputs."""
    bad = {source.query.messages for source in sources(inputs)}

    class Flaky(Scripted):
        def reply(self, prompts, limits):
            return [Reply(text="", finish="error", error=error)
                    if prompt[-1:] in bad and limits.sample < samples else Reply(text="refund")
                    for prompt in prompts]  # fmt: skip

    return Flaky("scripted:teacher", None)


def test_a_student_is_not_trained_without_rows_that_a_later_run_may_bring(tmp_path):
    """A student is stored once trained: rows missing after an outage would never be used."""
    parts = setup(lambda p, k: "x", tmp_path)

    def inputs_written(*how, **more):
        told = write_pairs(parts, failing(*how, **more), sources(8), PairOptions()).summary()
        return told["kept"]

    with pytest.raises(Unanswered, match="3 of 8 inputs"):
        inputs_written(3)
    assert inputs_written(3, "refused") == 5, "the control: a refusal is final"
    assert inputs_written(3, samples=1) == 8, "the other samples agree"
    assert inputs_written(0) == 8


def test_an_outage_of_the_teacher_fails_its_student_and_no_study():
    from tuneworthy.measure.model_roles import base_failed

    same = {role: failing(0) for role in ("base", "teacher", "tune")}
    for error, whole in ((Unanswered("x"), False), (ProviderError("x"), True)):
        student = specs(Task(data=Data(file="r.jsonl"), arms=["distil"], teacher="s:x"))[0]
        assert base_failed(_IsBase(same), student, error) == whole


class _IsBase(dict):
    def is_base(self, role):
        return True


def test_the_spend_is_summed_and_unknown_where_a_reply_does_not_state_it():
    written = _pairs.WrittenPairs(replies=[Reply(text="a", usd=0.5, tokens_in=2), Reply(text="b")])
    assert written.summary()["usd"] is None
    written.replies[1] = Reply(text="b", usd=0.25, tokens_in=3)
    assert (written.summary()["usd"], written.summary()["tokens_in"]) == (0.75, 5)


def test_one_sample_is_greedy_and_needs_no_agreement(tmp_path):
    seen = []
    parts = setup(lambda p, k: "x", tmp_path)
    asked = teacher(cycle("refund"), seen)
    assert write_pairs(parts, asked, sources(2), PairOptions(samples=1)).summary()["kept"] == 2
    assert {limits.temperature for _, limits in seen} == {0.0}


def test_reasons_are_parted_from_answers_and_an_answer_without_one_is_rejected(tmp_path):
    say = cycle("It asks for its money back.\nAnswer: refund")
    pair = write(tmp_path, say, PairOptions(rationale=True), n=1).pairs[0]
    assert (pair.texts, pair.reason) == (("refund",), "It asks for its money back.")
    bare = write(tmp_path / "b", cycle("refund"), PairOptions(rationale=True), n=1)
    assert bare.rejected == {_pairs.NO_REASON: ["r22"]}


def test_p1_samples_of_a_local_teacher_are_kept_and_shared_by_folds(tmp_path):
    seen, said = [], []
    asked = teacher(cycle("refund"), seen)
    common = tmp_path / "common"
    for fold in ("a", "b"):
        parts = setup(lambda p, k: "x", tmp_path / fold, common=common, say=said.append)
        write_pairs(parts, asked, sources(), PairOptions())
    assert len(seen) == 4 * 5
    assert "4 of 4" in said[-1]
    other = teacher(cycle("refund"), seen)
    other.fingerprint = {"engine": "another"}
    write_pairs(parts, other, sources(), PairOptions())
    assert len(seen) == 2 * 4 * 5, "the control: another teacher is asked"


def test_p1_a_damaged_file_is_written_again(tmp_path):
    seen = []
    parts = setup(lambda p, k: "x", tmp_path)
    write_pairs(parts, teacher(cycle("refund"), seen), sources(2), PairOptions())
    (file,) = (tmp_path / "teacher").glob("*.json")
    file.write_text(file.read_text()[:-9])
    write_pairs(parts, teacher(cycle("refund"), seen), sources(2), PairOptions())
    assert len(seen) == 2 * 2 * 5
    assert len(json.loads(file.read_text())) == 2


def test_a_failed_sample_is_not_kept_so_a_later_run_asks_again(tmp_path):
    calls = []

    def flaky(prompt, limits):
        calls.append(limits.sample)
        if len(calls) == 1:
            raise ValueError("busy")
        return "refund"

    asked, parts = teacher(flaky), setup(lambda p, k: "x", tmp_path)
    assert write_pairs(parts, asked, sources(1), PairOptions()).summary()["kept"] == 1
    assert not list(tmp_path.rglob("*.json"))
    write_pairs(parts, asked, sources(1), PairOptions())
    assert len(calls) == 10


def test_a_graded_metric_decides_by_the_passing_score(tmp_path):
    half = setup(lambda p, k: "x", tmp_path, score=lambda case, answer: Score(value=0.6))
    kept = write_pairs(half, teacher(cycle("refund")), sources(2, rows=True), PairOptions())
    assert len(kept.pairs) == 2
    low = setup(lambda p, k: "x", tmp_path, score=lambda case, answer: Score(value=0.4))
    kept = write_pairs(low, teacher(cycle("refund")), sources(2, rows=True), PairOptions())
    assert len(kept.pairs) == 0
