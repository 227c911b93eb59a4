"""`check_run`: what a training folder shows, what it does not and why, and what is refused."""

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))
import run_folder_kit as kit
from tuneworthy.lab import own_run
from tuneworthy.lab.cases import LabCase, all_cases
from tuneworthy.lab.own_run import REPAIR_ADVICE, OwnFiles, check_run, repair_advice
from tuneworthy.records.errors import DataError, TaskError
from tuneworthy.records.failure import Detection, judged
from tuneworthy.records.record import canonical
from tuneworthy.records.run_report import NEEDS_ANSWERS


def finding(report, cause):
    return next(each for each in report.findings if each.cause == cause)


@pytest.fixture
def folder(tmp_path):
    """A folder of a plain Trainer, with a tokenizer that has a padding token of its own."""
    return kit.tokenizer(kit.trainer_state(tmp_path / "out"))


def test_every_case_is_asked(folder):
    report = check_run(folder)
    assert [each.case for each in report.findings] == list(all_cases())
    canonical(report)


def test_the_curve_is_measured(folder):
    facts = check_run(folder).facts
    assert facts.steps == 48
    assert facts.loss_first == pytest.approx(2.35)
    assert facts.loss_last == pytest.approx(0.3, abs=0.1)
    assert (facts.new_loss_first, facts.new_loss_last, facts.new_loss_least) == (2.0, 0.78, 0.78)
    assert facts.refused is None


def test_an_explosion_a_flat_curve_and_overfitting_show_in_the_facts(tmp_path):
    facts = {kind: check_run(kit.trainer_state(tmp_path / kind, kind)).facts
             for kind in ("clean", "explodes", "flat", "overfits")}  # fmt: skip
    rise = {kind: each.loss_last - each.loss_least for kind, each in facts.items()}
    assert rise["explodes"] > 0.5 > 0.1 > max(rise["clean"], rise["flat"], rise["overfits"])
    fall = {kind: 1 - each.loss_last / each.loss_first for kind, each in facts.items()}
    assert fall["flat"] < 0.05 < min(fall["clean"], fall["overfits"])
    gap = {kind: each.new_loss_last - each.new_loss_least for kind, each in facts.items()}
    assert gap["overfits"] > 0.3 > 0.01 > max(gap["clean"], gap["flat"])


@pytest.mark.parametrize(
    ("kind", "causes"),
    [
        ("clean", set()),
        ("explodes", {"rate_too_high", "too_many_epochs"}),
        ("flat", {"rate_too_low"}),
        ("overfits", {"too_many_epochs"}),
        ("breaks", {"rate_too_high"}),
    ],
)
def test_the_detectors_of_a_curve_find_what_was_planted(tmp_path, kind, causes):
    report = check_run(kit.trainer_state(tmp_path, kind))
    found = {each.cause for each in report.of_state("found")}
    assert found <= causes
    assert bool(found) == bool(causes)
    assert report.exit_code == (3 if causes else 0)
    assert all(each.fix for each in report.of_state("found"))


def test_every_number_stands_beside_its_limit(folder, tmp_path):
    rows = kit.rows(tmp_path / "rows.jsonl")
    kit.adapter(folder)
    judged_ones = [one for one in check_run(folder, OwnFiles(rows, rows)).findings if one.because
                   and one.state != "not measured"]  # fmt: skip
    assert len(judged_ones) >= 7
    assert all("a failure" in one.limit and one.limit in one.says for one in judged_ones)


@pytest.mark.parametrize(
    ("kind", "cause", "why"),
    [
        ("overfits", "rank_too_low", "the training loss ends at 0.0"),
        ("explodes", "rank_too_low", "see rate too high"),
        ("explodes", "too_many_epochs", "the training loss ends as high"),
    ],
)
def test_a_number_beyond_its_limit_is_never_clean(tmp_path, kind, cause, why):
    """The same small adapter in a run that learnt and in one that broke: neither proves it."""
    folder = kit.tokenizer(kit.trainer_state(tmp_path / "out", kind, columns=kit.TRL))
    kit.adapter(folder, rank=1)
    rows = kit.rows(tmp_path / "rows.jsonl")
    if kind == "explodes" and cause == "too_many_epochs":
        state = json.loads((folder / "trainer_state.json").read_text())
        for entry in state["log_history"]:
            entry |= {"loss": entry["loss"] + 0.3} if "loss" in entry else {}
        (folder / "trainer_state.json").write_text(json.dumps(state))
    told = finding(check_run(folder, OwnFiles(rows)), cause)
    assert told.state == "explained"
    assert why in told.explained
    assert told.explained in told.says


def test_a_small_adapter_whose_loss_stays_high_is_found(tmp_path):
    folder = kit.tokenizer(kit.trainer_state(tmp_path / "out", "flat", columns=kit.TRL))
    kit.adapter(folder, rank=1)
    told = finding(check_run(folder, OwnFiles(kit.rows(tmp_path / "rows.jsonl"))), "rank_too_low")
    assert (told.state, told.explained) == ("found", "")


def test_a_loss_that_falls_by_a_tenth_alone_shows_no_low_rate(tmp_path):
    """Chats often begin near their end. Without the change of the weights that proves nothing."""
    history = [{"loss": 1.2 - 0.15 * k / 47, "step": k + 1} for k in range(48)]
    (tmp_path / "trainer_state.json").write_text(json.dumps({"log_history": history}))
    assert finding(check_run(tmp_path), "rate_too_low").state == "clean"


def test_a_single_lucky_step_is_not_the_least_loss(tmp_path):
    folder = kit.trainer_state(tmp_path)
    state = json.loads((folder / "trainer_state.json").read_text())
    next(e for e in state["log_history"] if e["step"] == 30)["loss"] = 1e-6
    (folder / "trainer_state.json").write_text(json.dumps(state))
    facts = check_run(folder).facts
    assert facts.loss_last - facts.loss_least < 0.06


def test_a_loss_that_is_not_finite_is_said(tmp_path):
    report = check_run(kit.trainer_state(tmp_path, "breaks"))
    assert report.facts.refused == "the loss is not finite at step 21"
    assert report.facts.loss_last is not None
    canonical(report)


def test_losses_too_large_to_average_are_left_out_with_the_reason(tmp_path):
    history = [{"loss": 1.7e308, "step": step} for step in range(1, 40)]
    (tmp_path / "trainer_state.json").write_text(json.dumps({"log_history": history}))
    report = check_run(tmp_path)
    assert report.facts.loss_last is None
    assert "too large" in report.missing["loss_last"]
    canonical(report)


def test_clipping_needs_the_limit(folder):
    assert check_run(folder).facts.clip_rate is None
    assert "max_grad_norm" in check_run(folder).missing["clip_rate"]
    (folder / "training_args.json").write_text('{"max_grad_norm": 1.0, "max_length": 9}')
    assert check_run(folder).facts.clip_rate == pytest.approx(2 / 3)


def test_what_is_missing_has_its_reason(tmp_path):
    report = check_run(kit.trainer_state(tmp_path))
    for name, value in report.facts:
        if value is None and name != "refused":
            assert report.missing[name], name
        elif value is not None:
            assert name not in report.missing


def test_without_rows_the_end_is_not_measured(folder):
    found = finding(check_run(folder), "end_not_trained")
    assert found.state == "not measured"
    assert found.missing == {"end_trained": "no training rows are given (--data FILE)",
                             "p_end": NEEDS_ANSWERS}  # fmt: skip
    assert found.rows == ()
    assert found.fix == ""


def test_padding_by_the_end_of_turn_is_found_with_a_plain_trainer(tmp_path):
    folder = kit.tokenizer(kit.trainer_state(tmp_path / "out"), pad="<|im_end|>")
    report = check_run(folder, OwnFiles(kit.rows(tmp_path / "rows.jsonl")))
    found = finding(report, "end_not_trained")
    assert (found.state, found.value) == ("found", 0.0)
    assert found.rows[0] == "rows.jsonl:1"
    assert (len(found.rows), found.row_count) == (5, 32)
    assert "padding" in found.fix
    assert any("DataCollatorForLanguageModeling" in text for text in report.assumed)
    assert report.exit_code == 3


def test_a_padding_token_of_its_own_is_clean(folder, tmp_path):
    report = check_run(folder, OwnFiles(kit.rows(tmp_path / "rows.jsonl")))
    assert finding(report, "end_not_trained").state == "clean"
    assert report.facts.end_trained == 1.0


@pytest.mark.parametrize(
    ("columns", "card", "state"),
    [
        (kit.TRL, None, "clean"),  # from 0.16 on it pads labels by position
        ({"mean_token_accuracy": 0.5}, None, "found"),
        ({}, ("trl", "TRL: 1.16.0"), "clean"),
        ({}, ("trl", "TRL: 0.15.2"), "found"),
        ({}, ("trl", "PEFT 0.21.2"), "not measured"),
        (kit.TRL, ("unsloth", "PEFT 0.21.2"), "found"),
        ({}, ("axolotl", "PEFT 0.21.2"), "clean"),
    ],
)
def test_whether_the_end_is_masked_depends_on_the_trainer(tmp_path, columns, card, state):
    folder = kit.trainer_state(tmp_path / "out", columns=columns)
    kit.tokenizer(folder, pad="<|im_end|>")
    if card:
        kit.card(folder, (card[0], "sft"), (card[1],))
    report = check_run(folder, OwnFiles(kit.rows(tmp_path / "rows.jsonl")))
    assert finding(report, "end_not_trained").state == state, report.trainer


def test_rows_cut_by_the_tokenizer_are_found(tmp_path):
    folder = kit.tokenizer(kit.trainer_state(tmp_path / "out"), cut=64)
    report = check_run(folder, OwnFiles(kit.rows(tmp_path / "rows.jsonl")))
    assert report.facts.cut_rows == 1.0
    assert report.facts.end_trained == 0.0
    assert any("64" in text for text in report.assumed)
    assert "max_length" in finding(report, "end_not_trained").fix  # no row is left with its end


def test_rows_cut_by_an_argument_are_found(folder, tmp_path):
    rows = kit.rows(tmp_path / "rows.jsonl", answer=lambda k: "yes" if k % 4 else "n" * 200)
    (folder / "training_args.json").write_text('{"max_length": 128}')
    report = check_run(folder, OwnFiles(rows))
    assert report.facts.cut_rows == 0.25
    assert report.facts.end_trained == 0.75
    assert report.named_by["max_length"] == "training_args.json"


def test_no_limit_cuts_nothing_and_an_unknown_one_is_said(folder, tmp_path):
    files = OwnFiles(kit.rows(tmp_path / "rows.jsonl"))
    assert "the longest row has" in check_run(folder, files).missing["cut_rows"]
    (folder / "training_args.json").write_text('{"max_length": null}')
    assert check_run(folder, files).facts.cut_rows == 0.0


def test_the_limit_of_generation_in_a_logs_config_is_not_the_rows(folder, tmp_path):
    """A log's config may hold the model's own, with a max_length of 20 tokens to generate."""
    (folder / "trainer_state.json").unlink()
    log = {"config": {"max_length": 20, "max_grad_norm": 1.0}, "history": kit.entries("clean")}
    (folder / "history.json").write_text(json.dumps(log))
    report = check_run(folder, OwnFiles(kit.rows(tmp_path / "rows.jsonl")))
    assert "max_length" not in report.settings
    assert report.settings["max_grad_norm"] == 1.0


def test_the_share_of_answers_needs_to_know_the_mask(folder, tmp_path):
    files = OwnFiles(kit.rows(tmp_path / "rows.jsonl"))
    assert check_run(folder, files).facts.answer_share is None
    kit.trainer_state(folder, columns=kit.TRL)
    share = check_run(folder, files).facts.answer_share
    assert 0.1 < share < 0.6  # whole rows, as TRL does with chats
    (folder / "training_args.json").write_text('{"assistant_only_loss": true}')
    assert check_run(folder, files).facts.answer_share == 1.0


def test_the_pickle_is_never_opened_and_said_to_be(folder, monkeypatch):
    def refuse(*given, **more):
        raise AssertionError("a pickle was opened")

    monkeypatch.setattr("pickle.load", refuse)
    monkeypatch.setattr("pickle.loads", refuse)
    before = os.stat(folder / "training_args.bin").st_atime_ns
    assert "never opened" in check_run(folder).not_read["training_args.bin"]
    assert os.stat(folder / "training_args.bin").st_atime_ns == before


def test_nothing_is_written_in_the_folder(folder, tmp_path):
    before = sorted((p.name, p.stat().st_mtime_ns) for p in folder.rglob("*"))
    check_run(folder, OwnFiles(kit.rows(tmp_path / "rows.jsonl")))
    assert sorted((p.name, p.stat().st_mtime_ns) for p in folder.rglob("*")) == before


def test_links_are_not_followed(tmp_path):
    secret = kit.trainer_state(tmp_path / "elsewhere")
    folder = kit.tokenizer(tmp_path / "out")
    (folder / "trainer_state.json").symlink_to(secret / "trainer_state.json")
    (folder / "checkpoint-9").symlink_to(secret)
    report = check_run(folder)
    assert report.logs == ()
    assert report.not_read == {"trainer_state.json": "a link, which is not followed",
                               "checkpoint-9": "a link, which is not followed"}  # fmt: skip


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda path: None, "there is no such folder"),
        (lambda path: path.write_text("x"), "this is a file"),
        (lambda path: path.mkdir(), "is empty"),
        (lambda path: (path.mkdir(), (path / "model.pt").write_text("x")), "nothing in this"),
    ],
)
def test_another_folder_is_refused_with_the_fix(tmp_path, make, what):
    make(tmp_path / "x")
    with pytest.raises(TaskError, match=what) as caught:
        check_run(tmp_path / "x")
    assert caught.value.exit_code == 2
    assert caught.value.fix


def test_pickled_weights_alone_are_named(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(TaskError) as caught:
        check_run(tmp_path)
    assert "never opened" in caught.value.fix


def test_half_a_folder_gives_what_is_there(folder):
    """A copy that broke off: half a trainer_state.json, half a tokenizer config."""
    whole = (folder / "trainer_state.json").read_bytes()
    (folder / "trainer_state.json").write_bytes(whole[:900])
    report = check_run(folder)
    assert report.facts.loss_first is None
    assert "no whole JSON" in report.logs[0].because
    assert not report.logs[0].used
    assert report.exit_code == 4


def test_half_a_tokenizer_is_refused(folder, tmp_path):
    whole = (folder / "tokenizer.json").read_bytes()
    (folder / "tokenizer.json").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="tokenizer of the folder") as caught:
        check_run(folder, OwnFiles(kit.rows(tmp_path / "rows.jsonl")))
    assert caught.value.exit_code == 5


def test_of_two_logs_the_fuller_is_used(folder):
    (folder / "log.csv").write_text("step,loss\n1,9.0\n2,9.0\n")
    report = check_run(folder)
    assert [(log.file, log.used) for log in report.logs] == [
        ("trainer_state.json", True), ("log.csv", False),
    ]  # fmt: skip


def test_a_detector_that_needs_a_twin_is_not_measured(folder, monkeypatch):
    """Whatever a detector reads and is not there is named, with its reason."""
    seen = {}

    def detect(runs):
        seen["twin"] = runs.twin
        return judged(runs.own.change, False, "small", missing="") if runs.twin else Detection(
            found=None, because=f"not measured: no twin ({runs.own.other.get('x')})"
        )  # fmt: skip

    module = SimpleNamespace(SLUG="s", TITLE="t", NUMBER=1, HARMLESS="", detect=detect)
    monkeypatch.setattr(own_run, "all_cases", lambda: {"s": LabCase("needs_a_twin", module)})
    (found,) = check_run(folder).findings
    assert seen["twin"] is None
    assert found.state == "not measured"
    assert set(found.missing) == {"other"}


def test_every_case_has_words_for_its_repair():
    for case in all_cases().values():
        assert repair_advice(case) == REPAIR_ADVICE[case.name]


def test_an_unknown_case_names_the_option_that_repairs_the_labs():
    case = all_cases()["never-stops"]
    said = repair_advice(LabCase("of_another_package", case.module))
    assert said == "the lab repairs it by pad_token = <|endoftext|>"


def test_rows_of_outliers_are_named_where_the_trace_has_their_losses(tmp_path):
    folder, count = tmp_path / "out", 20
    folder.mkdir()
    steps = [{"loss": 1.0, "norm": 1.0, "rate": 0.1, "clipped": False}] * 5
    last = [0.1] * (count - 2) + [2.0, 3.0]
    trace = {"steps": steps, "loss_by_row": {"ids": [], "epochs": [last]}}
    (folder / "trace.json").write_text(json.dumps(trace))
    report = check_run(folder, OwnFiles(kit.rows(tmp_path / "rows.jsonl", count)))
    assert report.facts.outliers == pytest.approx(0.1)
    assert report.trainer == "tuneworthy"
