"""Advice of a model behind an endpoint: refused without a cap, paid once, kept beside the file."""

import json

import pytest
from bench.atlas import advising
from bench.atlas.answer_file import read_advice
from bench.atlas.asking import ANSWER_SCHEMA
from models_kit import says
from tests.advice_kit import prompt_task, task

from tuneworthy.records.errors import TaskError

TASKS = [task("a"), prompt_task("b")]
TOLD = json.dumps({"because": "rows", "tune": 0.9, "prompt": 0.1})


def test_an_endpoint_is_asked_once_a_task_and_only_with_consent(serve, tmp_path, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    bodies = []

    def turn(body):
        bodies.append(body)
        return says(TOLD, usage={"prompt_tokens": 500, "completion_tokens": 40})

    model, path = f"openai:m@{serve(turn).url}", tmp_path / "advice.jsonl"

    def ask(**how):
        options = advising.AskOptions(model, **how)
        return advising.ask_for_advice(options, TASKS, path, lambda text: None)

    with pytest.raises(TaskError, match="no cap"):
        ask()
    assert not bodies
    assert ask(pay=True) == 2
    assert len(bodies) == 1, "both tasks send one prompt, which is asked once"
    assert (
        bodies[0]["response_format"]["json_schema"]["schema"]["required"]
        == ANSWER_SCHEMA["required"]
    )
    assert bodies[0]["temperature"] == 0
    assert [each.probabilities["tune"] for each in read_advice(path)] == [0.9, 0.9]
    assert {each.adviser for each in read_advice(path)} == {model}
    assert ask(pay=True) == 0
    path.unlink()  # the ledger keeps what was paid for
    assert ask(pay=True) == 2
    assert len(bodies) == 1
    assert len(read_advice(path)) == 2
