"""A key that is not set is said by plan and check, and stops a run before it spends a look."""

import json

import pytest
from tests import studies

import tuneworthy
from tuneworthy.cli._frame import run
from tuneworthy.core.errors import ModelError, TaskError, TuneworthyError
from tuneworthy.models import lacks_key
from tuneworthy.models.scripted import Scripted
from tuneworthy.study import check, plan

HOSTED = {"model": "openai:gpt-4o-mini", "present": None, "budget": {"usd": 1}}


@pytest.fixture
def no_key(monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def rewritten(path, **keys):
    path.write_text(json.dumps(json.loads(path.read_text()) | keys), "utf-8")
    return path


def test_a_run_without_the_key_ends_before_it_scores_and_spends_no_look(tmp_path, no_key):
    path = studies.write(tmp_path, arms=["majority", "tfidf", "zero_shot"], **HOSTED)
    with pytest.raises(TaskError, match="there is no key for this endpoint") as caught:
        tuneworthy.run(path)
    assert "no look was spent" in caught.value.kept
    rewritten(path, arms=["majority", "tfidf"])
    assert plan(path).looks == 1
    assert tuneworthy.run(path).verdict.looks == 1


def test_plan_and_check_say_that_the_key_is_not_set(tmp_path, no_key, capsys):
    path = studies.write(tmp_path, arms=["majority", "zero_shot"], **HOSTED)
    assert run(["plan", str(path)]) == 0
    assert "OPENAI_API_KEY is not set" in capsys.readouterr().err
    assert run(["check", str(path)]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "can't ask openai:gpt-4o-mini, and ends before anything is asked" in text


def test_a_model_that_no_arm_asks_and_one_with_a_key_are_not_spoken_of(
    tmp_path, no_key, monkeypatch
):
    path = studies.write(tmp_path, arms=["majority", "tfidf"], **HOSTED)
    assert "no_key" not in [seen.kind for seen in check(path).observations]
    rewritten(path, arms=["majority", "zero_shot", "bigger"], model=studies.MODEL,
              bigger="openai:gpt-4o-mini")  # fmt: skip
    (seen,) = [seen for seen in check(path).observations if seen.kind == "no_key"]
    assert "skips the arms that ask it" in seen.text
    assert not lacks_key("openai:m@http://127.0.0.1:9/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    assert "no_key" not in [seen.kind for seen in check(path).observations]


def test_a_look_is_counted_only_once_an_arm_is_scored(tmp_path, monkeypatch):
    path = studies.write(tmp_path, arms=["zero_shot", "few_shot"], present=None)

    def broken(self, prompts, limits):
        raise ModelError("out of order")

    monkeypatch.setattr(Scripted, "reply", broken)
    with pytest.raises(TuneworthyError):
        tuneworthy.run(path)
    monkeypatch.undo()
    rewritten(path, instruction="Sort the mail.")
    assert plan(path).looks == 1
    assert tuneworthy.run(path).verdict.looks == 1
    assert plan(rewritten(path, instruction="Sort.")).looks == 2
