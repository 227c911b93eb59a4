"""`repeats`: arms that draw their answers are asked several times a row, all else once."""

import json

import pytest
from tests import studies

import tuneworthy
from tuneworthy.flows.study import plan
from tuneworthy.records.errors import TaskError
from tuneworthy.records.specs import specs, times_asked
from tuneworthy.records.task import Task
from tuneworthy.report.plans import plan_screen
from tuneworthy.rows.taskfile import read_task
from tuneworthy.store.store import Ledger

WARM = {"model": "scripted:noisy", "options": {"temperature": 0.7}}


def study(folder, repeats=3, **more):
    """A study of texts: what runs today drops words at random, the prompt answers greedily."""
    path = studies.write(folder, n=40, **{
        "model": "scripted:noisy", "present": WARM, "arms": ["present", "majority", "zero_shot"],
        "success": {"metric": "token_f1"}, "output": {"type": "text", "max_tokens": 20},
        "repeats": repeats, **more})  # fmt: skip
    rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    studies.lines(folder / "rows.jsonl", [{**row, "output": row["input"]} for row in rows])
    return path


def runs_of(results, name):
    return [run for run in results.runs if run.spec.name == name]


def test_an_arm_that_draws_is_asked_three_times_and_a_greedy_one_once(tmp_path):
    results = tuneworthy.run(study(tmp_path)).results
    arm = next(one for one in results.evidence.arms if one.name == "present")
    assert (arm.n, arm.repeats.k) == (40, 3)
    for run in runs_of(results, "present"):
        for answer, score in zip(run.answers, run.scores, strict=True):
            assert len(answer.repeats) == 2
            assert score.value == pytest.approx(sum(score.repeats) / 3)
    assert any(len({a.text, *(b.text for b in a.repeats)}) > 1
               for run in runs_of(results, "present") for a in run.answers)  # fmt: skip
    assert not any(a.repeats for run in runs_of(results, "zero_shot") for a in run.answers)
    assert results.plan.again.startswith("Asked 3 times a row: present.")
    assert "Asked 3 times a row: present." in plan_screen(results.plan, 120).plain
    drawing = {"arms": ["present", "zero_shot", {"vote": {"m": 2}}]}
    thrice, once = (plan(study(tmp_path / str(n), n, **drawing)) for n in (3, 1))
    asked, alone = (next(a for a in made.arms if a.spec.arm == "vote").requests
                    for made in (thrice, once))  # fmt: skip
    assert asked == 3 * alone > 0
    assert once.again == ""


def test_a_study_that_was_interrupted_asks_only_what_is_missing(tmp_path, monkeypatch):
    path = study(tmp_path)
    put, kept, stored = Ledger.put, [], []

    def stopping(self, key, kind, *more, **named):
        done = put(self, key, kind, *more, **named)
        if kind == "answers":
            kept.append(key)
            if len(kept) == 2:
                raise KeyboardInterrupt
        return done

    def listed(self, key, *more, **named):
        stored.append(key)
        return put(self, key, *more, **named)

    monkeypatch.setattr(Ledger, "put", stopping)
    with pytest.raises(KeyboardInterrupt):
        tuneworthy.run(path)
    monkeypatch.setattr(Ledger, "put", listed)
    results = tuneworthy.run(path).results
    assert len(kept) == 2
    assert not set(kept) & set(stored)
    assert len({len(a.repeats) for run in runs_of(results, "present") for a in run.answers}) == 1


def test_answers_that_are_always_alike_count_once_and_say_so(tmp_path):
    warm = {"model": "scripted:echo", "options": {"temperature": 0.7}}
    results = tuneworthy.run(study(tmp_path, present=warm)).results
    arm = next(one for one in results.evidence.arms if one.name == "present")
    assert arm.repeats is None
    assert "3 answers to each row, always alike: they count once" in str(arm.because)


def test_which_arms_draw_their_answers():
    keys = {"data": {"file": "rows.jsonl"}, "repeats": 4, "bigger": "openai:large",
            "arms": ["present", "zero_shot", "vote", "bigger", "tfidf", "lora"]}  # fmt: skip

    def times(**more):
        task = Task.model_validate({**keys, **more})
        return {spec.arm: times_asked(task, spec) for spec in specs(task)}

    assert {arm for arm, n in times().items() if n == 4} == {"vote"}
    warm = times(present=WARM, options={"model": {"temperature": 1}})
    assert {arm for arm, n in warm.items() if n == 4} == {"present", "zero_shot", "vote"}
    cold = times(present={"answers": "log.jsonl"}, options={"bigger": {"temperature": 0.5}})
    assert {arm for arm, n in cold.items() if n == 4} == {"vote", "bigger"}


@pytest.mark.parametrize(("value", "words"), [(0, "1"), (21, "20"), ("often", "whole number")])
def test_a_bad_number_of_repeats_is_refused(tmp_path, value, words):
    with pytest.raises(TaskError, match="repeats") as caught:
        read_task(study(tmp_path, value))
    assert words in str(caught.value)


def test_a_judge_and_a_cluster_are_refused_with_repeats(tmp_path):
    judged = {"metric": "judge", "judge": {"model": "openai:j", "grades": "grades.jsonl"}}
    with pytest.raises(TaskError, match="a judge scores one answer a row"):
        read_task(study(tmp_path, success=judged))
    with pytest.raises(TaskError, match="on this machine alone"):
        read_task(study(tmp_path, executor="ray"))


def test_the_task_keeps_its_hash_without_repeats():
    keys = {"data": {"file": "rows.jsonl"}}
    plain = Task.model_validate(keys).hash
    assert Task.model_validate({**keys, "repeats": 1}).hash == plain
    assert Task.model_validate({**keys, "repeats": 2}).hash != plain
