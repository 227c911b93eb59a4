"""Folders that transformers and TRL themselves write are read, and their masks are as concluded."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))
import run_folder_kit as kit
from tuneworthy.lab.own_run import OwnFiles, check_run

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A tiny model, and rows that it learns from."""
    from tests.tiny import tiny_llama

    root = tmp_path_factory.mktemp("real")
    return tiny_llama(root / "base"), kit.rows(root / "rows.jsonl", 16)


def opened(base, pad):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.pad_token = pad
    return AutoModelForCausalLM.from_pretrained(base), tokenizer


def read(rows):
    return [json.loads(line) for line in rows.read_text().splitlines()]


OPTIONS = {"num_train_epochs": 2, "per_device_train_batch_size": 4, "logging_steps": 1,
           "eval_strategy": "steps", "eval_steps": 4, "save_steps": 8, "report_to": [],
           "learning_rate": 1e-3, "use_cpu": True}  # fmt: skip


def with_trl(base, rows, out, pad, **more):
    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    model, tokenizer = opened(base, pad)
    data = Dataset.from_list(read(rows))
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(output_dir=str(out), **OPTIONS, **more),
        train_dataset=data,
        eval_dataset=data,
        processing_class=tokenizer,
        peft_config=LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"),
    )
    trainer.train()
    trainer.save_model()
    return trainer, tokenizer


def with_transformers(base, rows, out, pad):
    from datasets import Dataset
    from peft import LoraConfig, get_peft_model
    from transformers import DataCollatorForLanguageModeling, Trainer, TrainingArguments

    model, tokenizer = opened(base, pad)
    texts = [tokenizer.apply_chat_template(row["messages"], tokenize=False).rstrip("\n")
             for row in read(rows)]  # fmt: skip
    data = Dataset.from_list([{"input_ids": tokenizer(text)["input_ids"]} for text in texts])
    shape = LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")
    trainer = Trainer(
        model=get_peft_model(model, shape),
        args=TrainingArguments(output_dir=str(out), **OPTIONS),
        train_dataset=data,
        eval_dataset=data,
        processing_class=tokenizer,
        data_collator=DataCollatorForLanguageModeling(tokenizer, mlm=False),
    )
    trainer.train()
    trainer.save_model()
    return trainer, tokenizer


def ends_with_a_loss(trainer, tokenizer):
    """Return the share of a batch's rows in which an end of turn has a loss, by the labels."""
    batch = next(iter(trainer.get_train_dataloader()))
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    return sum(end in labels for labels in batch["labels"].tolist()) / len(batch["labels"])


@pytest.mark.parametrize("train", [with_trl, with_transformers])
@pytest.mark.parametrize("pad", ["<|pad|>", "<|im_end|>"])
def test_what_is_concluded_is_what_the_trainer_does(made, tmp_path, train, pad):
    base, rows = made
    trainer, tokenizer = train(base, rows, tmp_path / "out", pad)
    report = check_run(tmp_path / "out", OwnFiles(rows))
    assert report.trainer.startswith("TRL 1." if train is with_trl else "Hugging Face Trainer")
    assert report.facts.end_trained == ends_with_a_loss(trainer, tokenizer)
    assert report.facts.steps == 8
    assert report.facts.loss_first == pytest.approx(trainer.state.log_history[0]["loss"])
    held = [entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry]
    assert report.facts.new_loss_last == pytest.approx(held[-1])
    trained = sum(w.numel() for w in trainer.model.parameters() if w.requires_grad)
    assert report.facts.parameters == trained
    assert "training_args.bin" in report.not_read


def test_the_change_is_that_of_our_own_training(made, tmp_path):
    from tuneworthy.models.train.figures import update_ratio

    base, rows = made
    trainer, _ = with_trl(base, rows, tmp_path / "out", "<|pad|>")
    ratios = update_ratio(trainer.accelerator.unwrap_model(trainer.model))
    report = check_run(tmp_path / "out", OwnFiles(base=base))
    assert report.facts.change == pytest.approx(max(ratios.values()), rel=1e-4)


def test_trls_own_arguments_say_what_is_cut(made, tmp_path):
    base, rows = made
    trainer, _ = with_trl(base, rows, tmp_path / "out", "<|pad|>", max_length=48)
    (tmp_path / "out" / "training_args.json").write_text(trainer.args.to_json_string())
    report = check_run(tmp_path / "out", OwnFiles(rows))
    lengths = [len(row) for row in trainer.train_dataset["input_ids"]]
    assert max(lengths) == 48
    assert report.facts.cut_rows == 1.0
    assert report.settings["max_length"] == 48
    assert "pad_token" not in report.settings
