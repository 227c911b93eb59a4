"""Special cases of log forms: checkpoints, several runs, half records, arguments."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))
import run_folder_kit as kit
from tuneworthy.lab.own_trainer import read_trainer
from tuneworthy.records.errors import DataError
from tuneworthy.rows.run_folder import open_run_folder
from tuneworthy.rows.run_logs import find_logs, read_training_log


def test_of_checkpoints_the_newest_is_read(tmp_path):
    for step in (8, 40, 16):
        kit.trainer_state(tmp_path, name=f"checkpoint-{step}/trainer_state.json")
    assert find_logs(open_run_folder(tmp_path), "trainer_state") == [
        "checkpoint-40/trainer_state.json"
    ]


def test_the_state_of_the_run_itself_is_read_too(tmp_path):
    kit.trainer_state(tmp_path)
    kit.trainer_state(tmp_path, name="checkpoint-16/trainer_state.json")
    found = find_logs(open_run_folder(tmp_path), "trainer_state")
    assert "trainer_state.json" in found


def test_the_summary_at_the_end_is_no_step(tmp_path):
    log = read_training_log(
        open_run_folder(kit.trainer_state(tmp_path)), "trainer_state", "trainer_state.json"
    )
    assert log.steps[-1].loss == pytest.approx(kit.losses("clean")[0][-1])
    assert "train_runtime" in log.columns


def test_a_state_without_a_history_is_refused(tmp_path):
    (tmp_path / "trainer_state.json").write_text('{"global_step": 3}')
    with pytest.raises(DataError, match="log_history"):
        read_training_log(open_run_folder(tmp_path), "trainer_state", "trainer_state.json")


def test_lines_without_a_loss_are_refused(tmp_path):
    (tmp_path / "train_log.jsonl").write_text('{"time": 3}\nno json\n')
    with pytest.raises(DataError, match="no line of this log has a loss"):
        read_training_log(open_run_folder(tmp_path), "lines", "train_log.jsonl")


def test_lines_without_a_step_are_counted(tmp_path):
    (tmp_path / "metrics.csv").write_text("loss,lr\n3.0,0.1\n2.0,0.1\n")
    log = read_training_log(open_run_folder(tmp_path), "lines", "metrics.csv")
    assert [(step.step, step.loss, step.rate) for step in log.steps] == [
        (1, 3.0, 0.1), (2, 2.0, 0.1),
    ]  # fmt: skip


def test_our_trace_has_the_loss_of_each_row(tmp_path):
    steps = [{"loss": 1.0, "norm": 2.0, "rate": 0.1, "clipped": True}] * 2
    by_row = {"ids": ["a", "b"], "epochs": [[2.0, 2.0], [0.5, 4.0]]}
    (tmp_path / "trace.json").write_text(json.dumps({"steps": steps, "loss_by_row": by_row}))
    log = read_training_log(open_run_folder(tmp_path), "trace", "trace.json")
    assert log.by_row == (0.5, 4.0)
    assert log.settings["clip_rate"] == 1.0


def test_the_values_of_one_metric_are_read_as_trackio_prints_them(tmp_path):
    values = [{"timestamp": "", "step": step, "value": 1 / step} for step in (1, 2, 4)]
    given = {"project": "p", "run": "r", "metric": "train/loss", "values": values}
    (tmp_path / "trackio.json").write_text(json.dumps(given))
    log = read_training_log(open_run_folder(tmp_path), "json_export", "trackio.json")
    assert [(step.step, step.loss) for step in log.steps] == [(1, 1.0), (2, 0.5), (4, 0.25)]


def test_the_log_of_llama_factory_is_read_and_told(tmp_path):
    entries = [{"current_steps": 10 * k, "total_steps": 30, "loss": 2.0 / k, "lr": 1e-4,
                "epoch": 0.1 * k} for k in (1, 2, 3)]  # fmt: skip
    (tmp_path / "trainer_log.jsonl").write_text("\n".join(map(json.dumps, entries)))
    opened = open_run_folder(tmp_path)
    log = read_training_log(opened, "lines", "trainer_log.jsonl")
    assert [step.step for step in log.steps] == [10, 20, 30]
    assert read_trainer(opened, [log]).label == "LLaMA-Factory"
