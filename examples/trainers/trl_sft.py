"""Train an adapter with TRL's SFTTrainer, on the token ids, labels and schedule of tuneworthy.

In task.yaml:  arms: [{lora: {trainer: {command: "python trl_sft.py {options}"}}}]
Needs: pip install trl peft datasets. Tried with TRL 1.16 on a CPU.
"""

import json
import sys
from pathlib import Path

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTConfig, SFTTrainer

given = json.loads(Path(sys.argv[1]).read_text("utf-8"))
rows = [json.loads(line) for line in Path(given["rows"]).read_text("utf-8").splitlines()]
gpu = torch.cuda.is_available()
tokenizer = AutoTokenizer.from_pretrained(given["base"])
if tokenizer.pad_token is None:
    tokenizer.pad_token = tokenizer.eos_token


class Trainer(SFTTrainer):
    """Takes the rate of each step as given: a short run loses no step to a rate of 0."""

    def create_scheduler(self, num_training_steps, optimizer=None):  # noqa: ARG002
        """Return the schedule of the given rates."""
        rates, last = given["rates"], len(given["rates"]) - 1
        self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer or self.optimizer, lambda step: rates[min(step, last)] / given["rate"]
        )
        return self.lr_scheduler


trainer = Trainer(
    model=AutoModelForCausalLM.from_pretrained(
        given["base"], dtype="auto" if gpu else torch.float32
    ),
    args=SFTConfig(
        output_dir=given["output"],
        per_device_train_batch_size=given["batch"],
        num_train_epochs=given["epochs"],
        learning_rate=given["rate"],
        weight_decay=0.0,
        max_grad_norm=given["clip"],
        max_length=None,  # no row is cut
        packing=False,
        dataset_kwargs={"skip_prepare_dataset": True},  # the rows are token ids with labels
        gradient_checkpointing=False,
        save_strategy="no",
        report_to="none",
        logging_steps=1,
        use_cpu=not gpu,
        bf16=False,
        seed=given["seed"],
    ),
    train_dataset=Dataset.from_list(
        [{"input_ids": row["input_ids"], "labels": row["labels"]} for row in rows]
    ),
    processing_class=tokenizer,
    peft_config=LoraConfig(
        r=given["rank"],
        lora_alpha=given["alpha"],
        target_modules=given["targets"],
        lora_dropout=0.0,
        use_dora=given["dora"],
        use_rslora=given["rslora"],
        task_type="CAUSAL_LM",
    ),
)
trainer.train()
trainer.save_model(given["adapter"])
