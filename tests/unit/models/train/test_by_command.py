"""`trainer: {command: …}`: our rows go out; an adapter of the same base comes in, or none."""

import json
import shutil
import sys
from pathlib import Path

import pytest
from tests import studies
from tests.in_time import ends_within

from tuneworthy.arms import distil, lora
from tuneworthy.measure.model_roles import base_failed, unavailable_note
from tuneworthy.records.errors import DoesNotApply, TaskError, TrainerFailed
from tuneworthy.records.reason import Why
from tuneworthy.records.specs import specs
from tuneworthy.records.task import Data, Task
from tuneworthy.rows.taskfile import read_task

SCRIPT = """
import json, pathlib, shutil, sys, time
given = json.loads(pathlib.Path(sys.argv[1]).read_text())
here = pathlib.Path(__file__).parent
with (here / "calls").open("a") as calls:
    calls.write(json.dumps(sys.argv[1:]) + "\\n")
shutil.copy(given["rows"], here / "rows.jsonl")
shutil.copy(sys.argv[1], here / "options.json")
print("step 1: loss 2.5")
what = (here / "what").read_text()
if what == "fails":
    print("CUDA out of memory")
    sys.exit(3)
if what == "hangs":
    time.sleep(60)
if what != "nothing":
    shutil.copytree(here / "made", given["adapter"], dirs_exist_ok=True)
"""
full = pytest.mark.full


@pytest.fixture
def command(engine, tiny, tmp_path, monkeypatch):
    """Returns a function that fits by a command which leaves an adapter made here beforehand."""
    import torch

    from tuneworthy.models.train.by_command import CommandRun
    from tuneworthy.models.train.loop import TrainingSchedule
    from tuneworthy.models.train.lora import LoraSettings
    from tuneworthy.models.train.training_data import TrainingData
    from tuneworthy.models.train.twin import LoraShape, lora_twin

    monkeypatch.chdir(tmp_path)  # the unit's folder is relative, and the command starts elsewhere
    home = tmp_path / "home"
    home.mkdir()
    (home / "train.py").write_text(SCRIPT)
    (home / "what").write_text("trains")
    wrapped = lora_twin(engine.module, LoraShape(rank=4, alpha=8), 0)
    with torch.no_grad():
        for name, weight in wrapped.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.05)
    wrapped.save_pretrained(home / "made")
    data = TrainingData(tiny.examples(12), tiny.examples(3, seed=9), None)
    settings = LoraSettings(rank=4, alpha=8, pace=TrainingSchedule(epochs=2, batch=4, rate=5e-3))

    def fit(words="{options}", adapter=".", seconds=100.0, lessons=data):
        line = f"{sys.executable} train.py {words}"
        return CommandRun(line, adapter, home, seconds).fit(
            engine, lessons, settings, 5, Path("unit")
        )

    fit.home, fit.data, fit.engine, fit.unit = home, data, engine, tmp_path / "unit"
    return fit


def calls(command):
    path = command.home / "calls"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@full
def test_the_rows_are_those_of_our_own_loop_and_the_options_name_all_places(command, tiny):
    from tuneworthy.models.train.training_data import EncodedRows

    command(words="{options} {seed} '{ \"a\": 1 }' $HOME;x")
    rows = [json.loads(line) for line in (command.home / "rows.jsonl").read_text().splitlines()]
    ours = EncodedRows.of(command.engine, command.data.train)
    assert [row["input_ids"] for row in rows] == [list(one.ids) for one in ours.rows]
    for row, one, example in zip(rows, ours.rows, ours.used, strict=True):
        trained = [label for label in row["labels"] if label != -100]
        assert trained == list(one.ids[one.first :])
        assert row["messages"][-1] == {"role": "assistant", "content": example.answer}
        assert [turn["role"] for turn in row["messages"]] == ["system", "user", "assistant"]
    told = json.loads((command.home / "options.json").read_text())
    assert (told["rank"], told["epochs"], told["batch"], told["seed"]) == (4, 2, 4, 5)
    assert told["targets"] == "all-linear"
    assert len(told["rates"]) == 2 * -(-len(rows) // 4)
    assert 0 < min(told["rates"]) <= max(told["rates"]) == told["rate"]
    assert (told["base_name"], told["context"]) == (command.engine.spec, command.engine.context)
    assert calls(command)[0][1:] == ["5", '{ "a": 1 }', "$HOME;x"]  # no shell


@full
def test_its_adapter_answers_here_and_is_not_trained_twice(command, tiny):
    done = command()
    assert command().adapter == done.adapter
    assert len(calls(command)) == 1
    assert not (command.unit / "command").exists()
    told = json.loads((done.adapter / "tuneworthy.json").read_text())
    assert told["base"]["weights"] == command.engine.fingerprint["weights"]
    tuned = command.engine.with_adapter(done.adapter)
    texts = [e.answer for e in tiny.examples(2)]
    prompts = [e.messages for e in tiny.examples(2)]
    given = [[text] for text in texts]
    assert tuned.logprobs(prompts, given) != command.engine.logprobs(prompts, given)


@full
def test_dev_rows_score_the_adapter_and_a_folder_below_the_output_is_read(command, tiny):
    from dataclasses import replace

    done = command(adapter="last", lessons=replace(command.data, dev_score=lambda folder: 0.75))
    assert done.trace["evaluations"][0]["dev_score"] == 0.75
    assert done.trace["chosen"] == 2


@full
def test_what_a_killed_run_left_counts_for_nothing(command):
    left = command.unit / "command" / "output"
    shutil.copytree(command.home / "made", left)
    (command.home / "what").write_text("nothing")
    with pytest.raises(TrainerFailed, match="left no adapter_model"):
        command()
    assert len(calls(command)) == 1


@full
def test_a_command_that_fails_is_told_with_its_last_line_and_runs_again(command):
    (command.home / "what").write_text("fails")
    with pytest.raises(TrainerFailed, match="exit code 3") as caught:
        command()
    assert caught.value.got == "CUDA out of memory"
    assert "step 1: loss 2.5" in caught.value.where
    (spec,) = specs(Task(data=Data(file="rows.jsonl"), arms=["lora"]))
    assert not base_failed({}, spec, caught.value)
    because = unavailable_note(caught.value)
    assert because.why == Why.MODEL_UNAVAILABLE  # not stored: the next run starts it again
    assert str(because).startswith("it was not trained: the command ended with exit code 3")
    (command.home / "what").write_text("trains")
    assert command().adapter.is_dir()


@full
def test_a_command_that_takes_too_long_is_ended(command):
    (command.home / "what").write_text("hangs")
    with ends_within(40), pytest.raises(TrainerFailed, match="still ran after"):
        command(seconds=5.0)


def changed(command, **config):
    path = command.home / "made" / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | config))


def foreign(command):
    changed(command, base_model_name_or_path="org/other")


def unapplied(command):
    from safetensors.torch import load_file, save_file

    path = command.home / "made" / "adapter_model.safetensors"
    save_file({k: t * ("lora_A" in k) for k, t in load_file(path).items()}, path)


def of_another_shape(command):
    from safetensors.torch import load_file, save_file

    path = command.home / "made" / "adapter_model.safetensors"
    save_file({k: t[:, :-1].clone() for k, t in load_file(path).items()}, path)


def broken(command):
    (command.home / "made" / "adapter_config.json").write_text("{")


@full
@pytest.mark.parametrize(
    ("plant", "says"),
    [
        (foreign, "names another base model"),
        (unapplied, "changes nothing"),
        (of_another_shape, "match no layer"),
        (broken, "no JSON"),
    ],
)
def test_an_adapter_that_is_not_of_this_base_fails_the_arm(command, plant, says):
    plant(command)
    with pytest.raises(TrainerFailed, match=says):
        command()
    assert not (command.unit / "adapter").exists()


@full
def test_a_program_that_is_not_here_is_named(command):
    from tuneworthy.models.train.by_command import CommandRun

    run = CommandRun("no-such-trainer {options}", ".", command.home, 9.0)
    with pytest.raises(TrainerFailed, match="program is not here"):
        run._run(["no-such-trainer"], command.home, print)


@pytest.mark.parametrize("left", ["own", "trl", "https://training.example/v1"])
def test_the_trainers_that_left_are_refused_with_what_replaces_them(left, tmp_path):
    path = studies.write(tmp_path, arms=["majority", {"lora": {"trainer": left}}])
    with pytest.raises(TaskError, match="train by a command") as caught:
        specs(read_task(path))
    assert "docs/how-to/train-by-a-command.md" in caught.value.what


@pytest.mark.parametrize(
    "wrong", [{"command": "python train.py"}, {"command": "a {output}", "adapter": "../x"},
              {"command": "a {output}", "adapter": "/x"}, {"command": "'a {output}"}]
)  # fmt: skip
def test_a_command_that_could_not_hand_its_adapter_over_is_refused(wrong):
    with pytest.raises(ValueError, match="trainer"):
        lora.Options(trainer=wrong)


def test_options_that_a_command_is_not_asked_for_are_refused(tmp_path):
    from tuneworthy.arms._trainers import check_command

    trainer = {"command": "a {output}"}
    for more in ({"prompt_loss": 0.1}, {"patience": 2}):
        with pytest.raises(DoesNotApply, match="leave it out"):
            check_command(lora.Options(trainer=trainer, **more), None)
    with pytest.raises(DoesNotApply, match="likelihood"):
        check_command(lora.Options(trainer=trainer), object())
    with pytest.raises(ValueError, match="leave `trainer` out"):
        distil.Options(trainer=trainer)


def test_a_study_runs_no_command_before_it_is_allowed(tmp_path):
    import tuneworthy
    from tuneworthy.flows.study import plan
    from tuneworthy.report.plans import plan_screen

    arms = ["majority", {"lora": {"trainer": {"command": "python train.py {options} --fast"}}}]
    path = studies.write(tmp_path, arms=arms, budget={"usd": 5})
    assert specs(read_task(path))[-1].name == "lora(trainer=python train.py --fast)"
    with pytest.raises(TaskError, match="this study runs commands") as caught:
        tuneworthy.run(path)
    assert caught.value.got == "python train.py {options} --fast"
    assert "--pay" in caught.value.fix
    assert "Your command trains" in plan_screen(plan(path), width=200).plain


def test_the_plan_says_how_often_a_command_runs_and_that_its_cost_is_not_counted(tmp_path):
    from types import SimpleNamespace

    from tuneworthy.measure.price_notes import command_notes

    arms = [{"lora": {"trainer": {"command": "python train.py {options}"}}}]
    spec = specs(read_task(studies.write(tmp_path, arms=arms, present=None)))[0]
    arm = SimpleNamespace(spec=spec, folds=(0, 1), seeds=(0, 1, 2), because=None)
    (told,) = command_notes([arm])
    assert told.startswith(f"your command trains `{spec.name}` 6 times")
    assert told.endswith("not counted: python train.py {options}")
    arm.because = "no room"
    assert command_notes([arm]) == ()
