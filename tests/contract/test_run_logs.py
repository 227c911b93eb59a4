"""What every form of a training log keeps: one run is read alike from each, and nothing crashes."""

import json
import math
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
import run_folder_kit as kit
from tuneworthy.records.errors import DataError, SecurityError
from tuneworthy.records.run_report import TrainingLog
from tuneworthy.rows.run_folder import open_run_folder
from tuneworthy.rows.run_logs import LOG_FORMS, find_logs, read_training_log


def lines(folder, kind):
    folder.mkdir(parents=True, exist_ok=True)
    text = "\n".join(map(json.dumps, kit.entries(kind)))
    (folder / "train_log.jsonl").write_text(text)


def trace(folder, kind):
    folder.mkdir(parents=True, exist_ok=True)
    down, _ = kit.losses(kind)
    steps = [{"epoch": 1, "loss": loss, "rate": 2e-4, "norm": 0.4 + step % 3, "clipped": False}
             for step, loss in enumerate(down, 1)]  # fmt: skip
    (folder / "trace.json").write_text(json.dumps({"steps": steps}))


def array(folder, kind):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "history.json").write_text(json.dumps(kit.entries(kind)))


WRITERS = {
    "json_export": array,
    "trainer_state": kit.trainer_state,
    "lines": lines,
    "trace": trace,
}


def read(form, folder):
    opened = open_run_folder(folder)
    (name,) = find_logs(opened, form)
    return read_training_log(opened, form, name)


def test_every_form_has_a_writer_here():
    assert set(WRITERS) == set(LOG_FORMS)


@pytest.mark.parametrize("form", WRITERS)
@pytest.mark.parametrize("kind", ["clean", "explodes", "breaks"])
def test_one_run_is_read_alike_from_every_form(form, kind, tmp_path):
    WRITERS[form](tmp_path, kind)
    log = read(form, tmp_path)
    down, held = kit.losses(kind)
    assert [step.step for step in log.steps] == list(range(1, 49))
    for step, loss in zip(log.steps, down, strict=True):
        assert step.loss == pytest.approx(loss, rel=1e-6, nan_ok=True)
        assert step.norm == pytest.approx(0.4 + step.step % 3)
        assert step.rate == pytest.approx(2e-4)
    if form != "trace":  # ours keeps the loss on held-out rows by epoch, elsewhere
        seen = {step.step: step.held_out for step in log.steps if step.held_out is not None}
        assert seen == pytest.approx({8 * k: loss for k, loss in enumerate(held, 1)})


@pytest.mark.parametrize("form", WRITERS)
def test_damage_gives_a_log_or_a_clear_error(form, tmp_path):
    """Every cut and many changed bytes: what stands before the damage is read, or it is refused."""
    WRITERS[form](tmp_path, "clean")
    (name,) = find_logs(open_run_folder(tmp_path), form)
    whole = (tmp_path / name).read_bytes()
    outcomes = {True: 0, False: 0}
    damaged = [whole[: len(whole) * k // 23] for k in range(23)]
    damaged += [
        whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :]
        for at in range(3, len(whole), max(1, len(whole) // 60))
        for flip in (1, 0x80, 0xFF)
    ]
    for data in damaged:
        (tmp_path / name).write_bytes(data)
        try:
            log = read_training_log(open_run_folder(tmp_path), form, name)
        except (DataError, SecurityError):
            outcomes[False] += 1
            continue
        assert isinstance(log, TrainingLog)
        assert all(isinstance(step.loss, float | None) for step in log.steps)
        outcomes[True] += 1
    assert outcomes[False] > 0
    assert outcomes[True] > 0


JUNK = (None, True, -1, 1e300, 10**400, "", "x", "NaN", [], [1], {}, {"a": {}}, "9" * 50)


def test_no_value_in_an_entry_crashes(tmp_path):
    for key in ("loss", "eval_loss", "grad_norm", "learning_rate", "step"):
        for junk in JUNK:
            history = [{"loss": 1.0, "step": 1}, {"loss": 0.9, "step": 2, key: junk}]
            (tmp_path / "trainer_state.json").write_text(json.dumps({"log_history": history}))
            log = read("trainer_state", tmp_path)
            assert log.steps[0].loss == 1.0
            assert all(step.step >= 0 for step in log.steps)
            assert not any(isinstance(step.rate, bool) for step in log.steps)


def test_text_that_says_nan_is_not_a_number(tmp_path):
    (tmp_path / "log.csv").write_text("step,loss\n1,2.5\n2,NaN\n")
    log = read("lines", tmp_path)
    assert log.steps[0].loss == 2.5
    assert math.isnan(log.steps[1].loss)
