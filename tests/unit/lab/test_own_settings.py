"""Settings and logs that mislead: TRL's defaults, odd values, an earlier run in the same folder."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))
import run_folder_kit as kit
from tuneworthy.lab.own_run import OwnFiles, check_run
from tuneworthy.records.run_report import ONLY_IN_LAB_RUNS

TRL_OPTIONS = {"completion_only_loss": None, "assistant_only_loss": False, "packing": False}


def pairs(path):
    """Write rows with a prompt and a completion, and return the path."""
    rows = [
        {
            "prompt": f"ticket {k}: the {k * 7 % 31} phones of order {k} are late",
            "completion": json.dumps({"kind": "refund", "number": k}),
        }
        for k in range(32)
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def checked(folder, options, rows=None):
    (folder / "training_args.json").write_text(json.dumps(options))
    return check_run(folder, OwnFiles(rows))


def state(report, cause):
    return next(each.state for each in report.findings if each.cause == cause)


@pytest.fixture
def folder(tmp_path):
    return kit.tokenizer(kit.trainer_state(tmp_path / "out", columns=kit.TRL))


def test_options_that_trl_writes_at_their_default_mean_its_default(folder, tmp_path):
    """SFTConfig writes both options; with null the loss is on the completion where there is one."""
    report = checked(folder, TRL_OPTIONS, pairs(tmp_path / "pairs.jsonl"))
    assert report.facts.answer_share == 1.0
    assert any("TRL's default" in text for text in report.assumed)
    chats = checked(folder, TRL_OPTIONS, kit.rows(tmp_path / "rows.jsonl"))
    assert chats.facts.answer_share < 0.5
    whole = {**TRL_OPTIONS, "completion_only_loss": False}
    assert checked(folder, whole, tmp_path / "pairs.jsonl").facts.answer_share < 0.5


def test_unsloth_can_mask_prompts_without_a_trace_in_the_options(folder, tmp_path):
    kit.card(folder, ("unsloth", "sft"))
    report = checked(folder, TRL_OPTIONS, kit.rows(tmp_path / "rows.jsonl"))
    assert report.facts.answer_share is None
    assert "train_on_responses_only" in report.missing["answer_share"]
    assert state(report, "loss_on_prompt") == "not measured"
    known = {**TRL_OPTIONS, "assistant_only_loss": True}
    assert checked(folder, known, tmp_path / "rows.jsonl").facts.answer_share == 1.0


@pytest.mark.parametrize("most", [-1, 0, None])
def test_a_limit_that_is_none_cuts_no_row(folder, tmp_path, most):
    report = checked(folder, {"max_length": most}, kit.rows(tmp_path / "rows.jsonl"))
    assert report.facts.cut_rows == 0.0
    assert report.facts.end_trained == 1.0


@pytest.mark.parametrize("most", ["auto", True, 10**400, float("inf")])
def test_a_limit_that_is_no_number_is_not_known(folder, tmp_path, most):
    report = checked(folder, {"max_length": most}, kit.rows(tmp_path / "rows.jsonl"))
    assert report.facts.cut_rows is None
    assert "max_length" in report.missing["cut_rows"]


@pytest.mark.parametrize("most", [0, -1, "auto", 10**400, float("nan")])
def test_without_a_limit_of_the_norm_no_step_is_clipped(folder, most):
    assert checked(folder, {"max_grad_norm": most}).facts.clip_rate is None


@pytest.mark.parametrize("value", ["auto", 7, [0.2]])
def test_an_option_named_as_a_fact_of_ours_is_no_fact(tmp_path, value):
    history = [{"step": k, "loss": 2.0 - k / 100} for k in range(1, 60)]
    log = {"config": {"clip_rate": value, "trainer": "mine"}, "history": history}
    (tmp_path / "log.json").write_text(json.dumps(log))
    report = check_run(tmp_path)
    assert report.facts.clip_rate is None
    assert report.missing["clip_rate"] != ONLY_IN_LAB_RUNS


def test_a_base_whose_name_is_no_path_is_not_at_hand(folder):
    kit.adapter(folder, base="/" + "x" * 5000)
    assert "not at hand" in check_run(folder).missing["change"]


def test_labels_need_not_have_one_form(tmp_path, folder):
    rows = kit.rows(
        tmp_path / "rows.jsonl", 60, answer=lambda k: ("tier 1", "tier 2", "none")[k % 3]
    )
    report = check_run(folder, OwnFiles(rows))
    assert state(report, "mixed_formats") == "not measured"
    assert "labels from a fixed list" in report.missing["shapes"]
    assert report.facts.answer_tokens is not None  # no free text, so a detector may count them


def write_state(path, losses):
    history = [{"loss": loss, "step": k} for k, loss in enumerate(losses, 1)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"log_history": history}))


def test_a_checkpoint_of_an_earlier_run_is_not_this_runs_log(tmp_path):
    kit.trainer_state(tmp_path, "explodes", name="checkpoint-48/trainer_state.json")
    write_state(tmp_path / "trainer_state.json", [2.0 * 0.8**k + 0.3 for k in range(30)])
    report = check_run(tmp_path)
    assert report.facts.steps == 30
    assert state(report, "rate_too_high") == "clean"
    used, other = report.logs
    assert (used.file, used.used) == ("trainer_state.json", True)
    assert "another run" in other.because


def test_a_checkpoint_that_goes_on_after_the_saved_state_is_the_log(tmp_path):
    losses = [2.0 * 0.9**k + 0.3 for k in range(60)]
    losses[20] = float("nan")
    write_state(tmp_path / "checkpoint-60" / "trainer_state.json", losses)
    write_state(tmp_path / "trainer_state.json", losses[:40])
    report = check_run(tmp_path)
    assert report.facts.steps == 60
    assert [log.because for log in report.logs] == ["", ""]


@pytest.mark.parametrize(
    ("options", "best", "last", "found"),
    [
        ({"load_best_model_at_end": True}, "out/checkpoint-24", 1.2, "clean"),
        ({"load_best_model_at_end": True}, None, None, "not measured"),
        ({"load_best_model_at_end": False}, "out/checkpoint-24", 2.4, "found"),
        ({}, "out\\checkpoint-24", None, "not measured"),
        ({}, None, 2.4, "found"),
    ],
)
def test_the_best_checkpoint_that_was_loaded_is_the_model(tmp_path, options, best, last, found):
    """The advice on too many epochs is to load it, and who did so was told again to do so."""
    kit.trainer_state(tmp_path, "overfits")
    path = tmp_path / "trainer_state.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "best_model_checkpoint": best}))
    report = checked(tmp_path, options)
    assert report.facts.new_loss_last == last
    assert state(report, "too_many_epochs") == found
    if last is None:
        assert "load_best_model_at_end" in report.missing["new_loss_last"]
