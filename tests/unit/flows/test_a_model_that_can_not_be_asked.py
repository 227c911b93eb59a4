"""D4: a model of one role that can't be opened skips its arms; the study goes on without them."""

import json
from functools import partial

import pytest
from tests import studies

from tuneworthy.flows.study import RunOptions, run
from tuneworthy.models._roles import Models
from tuneworthy.models.remote.wire import RetryPolicy
from tuneworthy.models.scripted import Scripted
from tuneworthy.records.errors import ModelError, TaskError
from tuneworthy.records.reason import Why

BRIEF = RunOptions(brief=True)


def runs_of(study, arm):
    return [run_ for run_ in study.results.runs if run_.spec.arm == arm]


@pytest.mark.parametrize("spec", ["scripted:./none.jsonl", "hf:./nowhere", "scripted:nobody"])
def test_d4_a_bigger_model_that_can_not_be_opened_skips_its_arm(spec, tmp_path):
    path = studies.write(tmp_path, arms=["majority", "zero_shot", "bigger"], bigger=spec)
    said = []
    study = run(path, BRIEF, lambda event, data: said.append(data) if event == "say" else None)
    (skipped,) = runs_of(study, "bigger")
    assert skipped.state == "skipped"
    assert skipped.because.why is Why.MODEL_UNAVAILABLE
    assert any(str(line).startswith("bigger: its model can't be asked: ") for line in said)
    assert all(run_.state == "measured" for run_ in runs_of(study, "zero_shot"))
    shown = next(arm for arm in study.verdict.arms if arm.name == "bigger")
    assert shown.state == "skipped"
    assert shown.because == str(skipped.because)


def test_d4_once_the_model_is_there_the_arm_is_asked_and_nothing_else(tmp_path, monkeypatch):
    path = studies.write(
        tmp_path, arms=["majority", "zero_shot", "bigger"], bigger="scripted:./big.jsonl"
    )
    first = run(path, BRIEF)
    assert runs_of(first, "bigger")[0].state == "skipped"
    studies.lines(tmp_path / "big.jsonl", [{"when": "", "say": "refund"}])
    reply, asked = Scripted.reply, set()

    def noted(self, prompts, limits):
        asked.add(self.spec)
        return reply(self, prompts, limits)

    monkeypatch.setattr(Scripted, "reply", noted)
    second = run(path, BRIEF)
    assert {a.text for r in runs_of(second, "bigger") for a in r.answers} == {"refund"}
    assert asked == {"scripted:./big.jsonl"}
    assert second.folder == first.folder
    asked.clear()
    assert run(path, BRIEF).results == second.results
    assert not asked


def test_d4_an_endpoint_that_never_answers_fails_the_arm_of_its_role_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    hasty = partial(RetryPolicy, attempts=1)
    monkeypatch.setattr("tuneworthy.models.openai_compatible.RetryPolicy", hasty)
    path = studies.write(
        tmp_path,
        arms=["majority", "zero_shot", "bigger"],
        bigger="openai:m@http://127.0.0.1:9/v1",
        budget={"usd": 1},
        economics={"prices": {"m": {"in": 0, "out": 0}}},
    )
    study = run(path, BRIEF)
    (failed,) = runs_of(study, "bigger")
    assert failed.state == "failed"
    assert "does not answer for model `m`" in str(failed.because)
    assert study.verdict.status in {"firm", "provisional"}


def test_d4_the_base_model_that_can_not_be_opened_is_an_error(tmp_path):
    path = studies.write(tmp_path, model="scripted:nobody", bigger=studies.MODEL)
    with pytest.raises(TaskError, match="no scripted model has this name"):
        run(path, BRIEF)


def test_d4_where_no_arm_is_left_the_model_is_named(tmp_path):
    path = studies.write(tmp_path, arms=["majority", "bigger"], bigger="scripted:nobody",
                         model=studies.MODEL, present=None)  # fmt: skip
    with pytest.raises(ModelError, match="no candidate could be measured") as caught:
        run(path, BRIEF)
    assert "no scripted model has this name" in json.dumps(caught.value.plain())


def test_a_model_that_can_not_be_opened_is_tried_once():
    tried = []

    def start(spec, fields):
        assert fields == {}
        tried.append(spec)
        raise ModelError("no room")

    models = Models({"base": "a", "tune": "a", "bigger": "b"}, start)
    for _ in range(2):
        with pytest.raises(ModelError, match="no room"):
            _ = models["bigger"]
    assert tried == ["b"]
    assert [models.is_base(role) for role in ("base", "tune", "bigger")] == [True, True, False]
