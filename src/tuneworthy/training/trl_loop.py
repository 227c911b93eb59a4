"""Train with TRL's `SFTTrainer` instead of `loop.train`: same rows, masks, order and rates.

TRL gets token ids and labels, so nothing is rendered, cut or packed again. Only the order of sums
may differ. There are no checkpoints: an interrupted run begins anew. Knows no task, no metric and
no adapter format.
"""

from __future__ import annotations

import copy
import math
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PrinterCallback, TrainerCallback

from tuneworthy.core.errors import NotInstalled, NumericError
from tuneworthy.ledger import signals
from tuneworthy.training.batches import order
from tuneworthy.training.checkpoint import Run, TrainingCallbacks
from tuneworthy.training.loop import TrainingSchedule, rate_at
from tuneworthy.training.loss import Net
from tuneworthy.training.render import EncodedExample

IGNORED = -100  # the label of a token whose loss does not count


def labelled(rows: Sequence[EncodedExample]) -> list[dict[str, list[int]]]:
    """Return rows in TRL's form: `input_ids`, and `labels` with IGNORED at tokens not trained.

    Raises ValueError for a row with a weight on prompt tokens, which labels can't express.
    """
    if any(row.prompt_weight for row in rows):
        raise ValueError("labels have no weights: prompt_loss must be 0")
    return [
        {
            "input_ids": list(row.ids),
            "labels": [
                token if trained else IGNORED
                for token, trained in zip(row.ids, row.mask, strict=True)
            ],
        }
        for row in rows
    ]


class EpochOrder:
    """A sampler that yields each epoch's row indexes in the order of `loop.train`."""

    def __init__(self, count: int, seed: int) -> None:
        self.count, self.seed, self.epoch = count, seed, 0

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        self.epoch += 1
        return iter(order(self.count, self.seed, self.epoch - 1))


def rows_at_once(rows: Sequence[EncodedExample], pace: TrainingSchedule) -> int:
    """Return the largest divisor of the batch size whose rows fit in `part_tokens`, at least 1."""
    longest = max(len(row.ids) for row in rows)
    fitting = [n for n in range(1, pace.batch + 1) if pace.batch % n == 0]
    return max((n for n in fitting if n * longest <= pace.part_tokens), default=1)


@dataclass(frozen=True)
class TrlLoop:
    """TRL's training loop; TRL gets a copy of the tokenizer and uses only its padding."""

    tokenizer: Any
    name = "trl"

    def __call__(
        self,
        net: Net,
        rows: Sequence[EncodedExample],
        pace: TrainingSchedule,
        seed: int,
        after_epoch: Callable[[int], bool | None],
        watch: TrainingCallbacks | None = None,
    ) -> dict[str, Any]:
        """Train the weights that require a gradient; see `loop.train` for what is returned.

        Raises NotInstalled without the extra `trl`, NumericError on a loss or gradient that is not
        finite.
        """
        watch = watch or TrainingCallbacks()
        named = {name: w for name, w in net.module.named_parameters() if w.requires_grad}
        optimizer = torch.optim.AdamW(list(named.values()), lr=pace.rate, weight_decay=0.0)
        run = Run(named, optimizer)
        total = pace.epochs * math.ceil(len(rows) / pace.batch)
        rates = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: rate_at(min(step, total - 1), total, pace) / pace.rate
        )
        with tempfile.TemporaryDirectory() as folder:
            trainer = trl_trainer(
                net, rows, (pace, seed, folder), copy.deepcopy(self.tokenizer), (optimizer, rates)
            )
            trainer.add_callback(_Recorder(trainer, run, (rows, pace, seed), after_epoch, watch))
            trainer.train()
        first = order(len(rows), seed, 0)[: pace.batch]
        return {"steps": run.steps, "by_row": run.by_row, "first": first, "seconds": run.seconds}


def trl_trainer(
    net: Any,
    rows: Sequence[EncodedExample],
    how: tuple[TrainingSchedule, int, str],
    tokenizer: Any,
    optimizers: Any,
) -> Any:
    """Return TRL's trainer for (schedule, seed, folder) `how`.

    Its `row_losses` collects the summed loss of each row read.
    """
    try:
        from datasets import Dataset
        from trl import SFTConfig, SFTTrainer
    except ImportError as missing:
        raise NotInstalled(
            "`trainer: trl` needs the extra `trl`",
            got=str(missing),
            fix="pip install 'tuneworthy[trl]'",
        ) from missing
    seed = how[1]

    class Trainer(SFTTrainer):  # type: ignore[misc]
        def _get_train_sampler(self, *_: Any, **__: Any) -> Any:
            return EpochOrder(len(rows), seed)

        def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
            seen: list[Any] = []
            hook = model.register_forward_hook(lambda module, given, made: seen.append(made))
            try:
                loss = super().compute_loss(model, inputs, *args, **kwargs)
            finally:
                hook.remove()
            self.row_losses += _row_losses(seen[0], inputs["labels"])
            return loss

    trainer = Trainer(
        model=net.module,
        args=_config(SFTConfig, net, rows, how),
        train_dataset=Dataset.from_list(labelled(rows)),
        processing_class=tokenizer,
        optimizers=optimizers,
    )
    trainer.remove_callback(PrinterCallback)  # it would print every step
    trainer.row_losses = []
    return trainer


def _config(
    config_class: Any,
    net: Any,
    rows: Sequence[EncodedExample],
    how: tuple[TrainingSchedule, int, str],
) -> Any:
    """Return TRL's options, a `config_class`: our schedule, nothing cut, packed or saved."""
    pace, seed, folder = how
    once = rows_at_once(rows, pace)
    with warnings.catch_warnings():
        # transformers warns about the future name of gradient_checkpointing
        warnings.simplefilter("ignore", FutureWarning)
        return config_class(
            output_dir=folder,
            per_device_train_batch_size=once,
            gradient_accumulation_steps=pace.batch // once,
            num_train_epochs=pace.epochs,
            max_grad_norm=pace.clip,
            logging_steps=1,
            report_to="none",
            use_cpu=str(net.module.device) == "cpu",
            bf16=False,  # the module keeps its own precision
            gradient_checkpointing=False,
            save_strategy="no",
            max_length=None,
            packing=False,
            dataset_kwargs={"skip_prepare_dataset": True},
            disable_tqdm=True,
            seed=seed,
        )


def _row_losses(output: Any, labels: Any) -> list[float]:
    """Return the summed loss (nats) of each row from a model output and its labels.

    TRL's fused head gives log-probabilities, which are 0 for ignored tokens.
    """
    fused = getattr(output, "log_probs", None)
    if fused is not None:
        return [-float(value) for value in fused.detach().double().sum(1)]
    logits, targets = output.logits[:, :-1].detach().float(), labels[:, 1:]
    losses = torch.nn.functional.cross_entropy(
        logits.transpose(1, 2), targets, ignore_index=IGNORED, reduction="none"
    )
    return [float(value) for value in losses.double().sum(1)]


class _Recorder(TrainerCallback):  # type: ignore[misc]
    """Records steps as `loop.train` does, and calls `after_epoch` after every epoch."""

    def __init__(
        self,
        trainer: Any,
        run: Run,
        data: tuple[Sequence[EncodedExample], TrainingSchedule, int],
        after_epoch: Callable[[int], bool | None],
        watch: TrainingCallbacks,
    ) -> None:
        self.trainer, self.run, self.after, self.watch = trainer, run, after_epoch, watch
        self.rows, self.pace, self.seed = data
        self.epoch, self.begun = 0, 0.0

    def on_epoch_begin(self, *_: Any, **__: Any) -> None:
        """Begin the list of the epoch's row losses."""
        self.epoch += 1
        self.run.by_row.append([0.0] * len(self.rows))

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        """Raise if the user requested a stop; start the step's clock."""
        signals.check()
        self.trainer.row_losses.clear()
        self.begun = time.perf_counter()

    def on_log(self, *_: Any, logs: Any = None, **__: Any) -> None:
        """Record the step that was logged."""
        if "loss" not in (logs or {}):
            return
        spent, number = time.perf_counter() - self.begun, len(self.run.steps) + 1
        each = math.ceil(len(self.rows) / self.pace.batch)
        at = (number - 1) % each * self.pace.batch
        chosen = order(len(self.rows), self.seed, self.epoch - 1)[at : at + self.pace.batch]
        batch = [self.rows[index] for index in chosen]
        values = self.trainer.row_losses
        tokens = sum(row.total_weight for row in batch)
        loss, norm = sum(values) / tokens, float(logs["grad_norm"])
        where = f"epoch {self.epoch}, step {number} of {each * self.pace.epochs}"
        if len(values) != len(batch):
            raise NumericError(
                "TRL read other rows than it was given for a step",
                where=where,
                got=f"{len(values)} rows for {len(batch)}",
                fix="leave `trainer: trl` out, and report the version of TRL",
            )
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise NumericError(
                "the loss or its gradient is not finite",
                where=where,
                got=f"loss {loss}, gradient norm {norm}",
                fix="lower the rate, or check the model's weights with `tuneworthy doctor`",
            )
        for index, value in zip(chosen, values, strict=True):
            self.run.by_row[self.epoch - 1][index] = value / self.rows[index].total_weight
        total = each * self.pace.epochs
        self.run.steps.append(
            {"epoch": self.epoch, "loss": loss, "rate": rate_at(number - 1, total, self.pace),
             "norm": norm, "clipped": norm > self.pace.clip, "tokens": tokens,
             "read": sum(len(row.ids) for row in batch)}
        )  # fmt: skip
        self.run.seconds += spent
        self.watch.say(f"{where}: loss {loss:.3f}")

    def on_epoch_end(self, _: Any, __: Any, control: Any, **___: Any) -> None:
        """Call `after_epoch`, which saves and scores; end training if it returns False."""
        self.trainer.model.eval()  # a step sets it back to training mode
        if self.after(self.epoch) is False:
            control.should_training_stop = True
