"""`plan --show-prompts`: the first prompt of every arm is the one a run sends; nothing is sent."""

import json

import pytest
from tests import studies

import tuneworthy
from tuneworthy.cli._frame import run
from tuneworthy.flows.prompt_preview import first_prompts

ARMS = ["majority", "present", "zero_shot", {"few_shot": {"k": 2, "draws": 1}}, "nearest_shots",
        "constrained", "lora", "rag"]  # fmt: skip


@pytest.fixture
def path(tmp_path):
    return studies.write(tmp_path, arms=ARMS)


def test_each_prompt_is_the_first_one_that_a_run_sends(path):
    shown = {one.arm: one for one in first_prompts(path)}
    runs = tuneworthy.run(path).results.runs
    checked = 0
    for name in ("zero_shot", "few_shot(k=2, draws=1)"):
        first = next(run for run in runs if run.spec.name == name and run.fold == 0)
        if first.answers and first.answers[0].prompt:
            case = min(answer.case for answer in first.answers)
            sent = next(a.prompt for a in first.answers if a.case == case)
            assert shown[name].messages == sent
            checked += 1
    assert checked == 2


def test_arms_that_send_nothing_or_learn_first_say_so(path):
    shown = {one.arm: one for one in first_prompts(path)}
    assert shown["present"].note == "recorded answers: nothing is sent"
    assert shown["majority"].note == "asks no model: nothing is sent"
    assert shown["rag"].note.startswith("not asked: needs data.docs")
    assert not shown["rag"].messages
    lora = shown["lora"].note
    assert "before it asks" in lora or "not asked" in lora
    assert "it takes the best of the prompts before it" in shown["constrained"].note
    assert shown["constrained"].same_as == "zero_shot"
    assert shown["zero_shot"].messages[-1].role == "user"


def test_the_command_prints_every_message_and_stores_no_answer(path, capsys):
    assert run(["plan", str(path), "--show-prompts"]) == 0
    screen = capsys.readouterr().out
    first = next(one for one in first_prompts(path) if one.arm == "zero_shot")
    assert "zero_shot  → scripted:" in screen
    assert "[user]" in screen
    assert first.messages[-1].content.split("\n")[0][:40] in screen
    assert "Nothing was sent." in screen
    assert max(map(len, screen.splitlines())) <= 80
    assert run(["plan", str(path), "--show-prompts", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["arm"] for one in found] == [one.arm for one in first_prompts(path)]
    assert tuneworthy.run(path).verdict.looks == 1


def test_a_field_that_an_inferred_schema_closes_is_said(tmp_path, capsys):
    names = ("Ada Berg", "Max Holm", "Ida Voss")
    rows = [{"id": f"r{i}", "input": f"Call {i} with {names[i % 3]} took {i} minutes",
             "output": json.dumps({"who": names[i % 3], "minutes": i})}
            for i in range(60)]  # fmt: skip
    path = studies.write(tmp_path, arms=["majority", "zero_shot", "constrained"], present=None)
    studies.lines(tmp_path / "rows.jsonl", rows)
    said = "`who` (3 values) may hold only values seen in your rows, scored ones too"
    shown = {one.arm: one for one in first_prompts(path)}
    assert said in shown["constrained"].note
    assert run(["check", str(path)]) == 0
    assert said in " ".join(capsys.readouterr().out.split())
