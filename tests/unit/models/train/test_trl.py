"""The same rows, model and rates through TRL's SFTTrainer: loss, gradient, trajectory (N1-N3)."""

import numpy as np
import pytest

pytestmark = pytest.mark.full


@pytest.fixture
def trl():
    return pytest.importorskip("trl", reason="TRL is not installed: pip install '.[dev]'")


def pace_of(**changes):
    from tuneworthy.models.train.loop import TrainingSchedule

    return TrainingSchedule(
        **{"epochs": 5, "batch": 4, "rate": 5e-3, "part_tokens": 120, **changes}
    )


def fresh(tiny, what, dtype):
    """Return the PEFT model, with only its adapter or all weights trainable."""
    from tuneworthy.models.train.twin import LoraShape, lora_twin

    whole = lora_twin(tiny.model("llama", 1, dtype), LoraShape(rank=4, alpha=8), 0)
    if what == "full":
        whole.requires_grad_(True)
    return whole


def ours(tiny, what, rows, pace, seed, dtype):
    """Return the losses of our loop, and the gradient of its first step."""
    from torch.optim.optimizer import register_optimizer_step_pre_hook

    from tuneworthy.models.train.loop import train
    from tuneworthy.models.train.loss import open_net

    module = fresh(tiny, what, dtype).base_model.model
    grads = []

    def keep(optimizer, args, kwargs):
        grads.append(
            {n: p.grad.clone() for n, p in module.named_parameters() if p.grad is not None}
        )

    hook = register_optimizer_step_pre_hook(keep)
    try:
        net = open_net(module, rows[0].ids, True)
        told = train(net, rows, pace, seed, lambda epoch: None)
    finally:
        hook.remove()
    return [step["loss"] for step in told["steps"]], grads[0]


def theirs(trl, tiny, what, rows, pace, folder, dtype, *, late=0, seed=3):
    """Return SFTTrainer's losses and first gradient, with our order and rates."""
    import torch
    from datasets import Dataset
    from transformers import TrainerCallback

    from tuneworthy.models.train.loop import rate_at

    class Trainer(trl.SFTTrainer):
        def _get_train_sampler(self, *args, **kwargs):
            return torch.utils.data.SequentialSampler(self.train_dataset)

    class Keep(TrainerCallback):
        def __init__(self):
            self.losses, self.grads = [], []

        def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
            inner = model.base_model.model
            self.grads.append(
                {n: p.grad.clone() for n, p in inner.named_parameters() if p.grad is not None}
            )

        def on_log(self, args, state, control, logs=None, **kwargs):
            if "loss" in logs:
                self.losses.append(logs["loss"])

    turns = [np.random.default_rng([seed, e]).permutation(len(rows)) for e in range(pace.epochs)]
    data = Dataset.from_list(
        [
            {
                "input_ids": list(rows[i].ids),
                "completion_mask": [int(m) for m in rows[i].mask],
            }
            for turn in turns
            for i in turn
        ]
    )
    config = trl.SFTConfig(
        output_dir=str(folder),
        per_device_train_batch_size=pace.batch,
        num_train_epochs=1,
        max_grad_norm=pace.clip,
        logging_steps=1,
        report_to="none",
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        save_strategy="no",
        completion_only_loss=True,
        max_length=None,
        disable_tqdm=True,
    )
    model = fresh(tiny, what, dtype)
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=pace.rate, weight_decay=0.0)
    total = pace.epochs * -(-len(rows) // pace.batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: rate_at(max(step - late, 0), total, pace) / pace.rate
    )
    kept = Keep()
    trainer = Trainer(
        model=model,
        args=config,
        train_dataset=data,
        processing_class=tiny.tokenizer(),
        optimizers=(optimizer, schedule),
        callbacks=[kept],
    )
    trainer.train()
    return kept.losses, kept.grads[0]


@pytest.mark.parametrize(
    ("what", "dtype"), [("lora", "float32"), ("lora", "float64"), ("full", "float64")]
)
def test_n1_n2_n3_loss_gradient_and_twenty_steps_equal_those_of_trl(
    trl, tiny, what, dtype, tmp_path
):
    rows, pace = tiny.rows(tiny.tokenizer(), 16), pace_of()
    losses, gradient = ours(tiny, what, rows, pace, 3, dtype)
    same, reference = theirs(trl, tiny, what, rows, pace, tmp_path / "same", dtype)
    assert len(losses) == len(same) == 20
    assert losses[0] == pytest.approx(same[0], rel=1e-6)
    assert losses == pytest.approx(same, rel=1e-5)
    assert gradient.keys() == reference.keys()
    for name, value in reference.items():
        assert float((gradient[name] - value).norm()) <= 1e-5 * float(value.norm()) + 1e-12, name
    other, _ = theirs(trl, tiny, what, rows, pace, tmp_path / "late", dtype, late=1)
    assert losses != pytest.approx(other, rel=1e-5)  # the control: a rate off by one step
