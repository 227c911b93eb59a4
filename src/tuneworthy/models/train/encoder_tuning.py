"""Tune a text encoder in full: with a linear head by cross-entropy, or on pairs of rows by SetFit.

The head starts at the mean vector of each label's rows (weight imprinting, Qi et al. 2018), so that
few steps suffice and a label with one row is no noise. Knows no task and no metric.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tuneworthy.models.encoder.text_encoder import TextEncoder, TunedEncoder
from tuneworthy.models.train.loop import TrainingSchedule, rate_at
from tuneworthy.models.train.schedule import order
from tuneworthy.records.errors import NumericError
from tuneworthy.store import signals

_HEAD_RATE = 1e-2  # of the head, whose weights are far larger than a step of the encoder's rate
_HEAD_SCALE = 8.0  # length of a label's weights at the start
_DROPOUT = 0.1
_DECAY = 0.01  # AdamW's weight decay, as encoders are usually tuned
_LOWER = "lower the rate, or check the encoder's weights"


def tune_with_head(
    encoder: TextEncoder,
    rows: tuple[Sequence[str], Sequence[str]],
    pace: TrainingSchedule,
    seed: int,
    origin: str,
    say: Callable[[str], None] = lambda text: None,
) -> tuple[TunedEncoder, list[dict[str, Any]]]:
    """Tune every weight on (texts, labels); return the tuned encoder and a record of each step.

    Raises NumericError on a loss or gradient that is not finite, before it reaches a weight.
    """
    texts, outputs = rows
    labels = sorted(set(outputs))
    wanted = torch.tensor([labels.index(label) for label in outputs])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = _imprinted_head(torch.from_numpy(encoder.encode(texts)), wanted, len(labels))
        net = encoder.module.requires_grad_(True).train()
        weights = [*net.parameters(), *head.parameters()]
        groups = [{"params": net.parameters(), "share": 1.0},
                  {"params": head.parameters(), "share": _HEAD_RATE / pace.rate}]  # fmt: skip
        optimizer = torch.optim.AdamW(groups, lr=pace.rate, weight_decay=_DECAY, fused=True)
        steps: list[dict[str, Any]] = []
        total = pace.epochs * math.ceil(len(texts) / pace.batch)
        for epoch in range(pace.epochs):
            row_order = order(len(texts), seed, epoch)
            for start in range(0, len(texts), pace.batch):
                signals.check()
                batch = row_order[start : start + pace.batch]
                vectors = encoder.vectors([texts[at] for at in batch])
                logits = head(torch.nn.functional.dropout(vectors, _DROPOUT))
                loss = torch.nn.functional.cross_entropy(logits, wanted[batch])
                loss.backward()
                norm = float(torch.nn.utils.clip_grad_norm_(weights, pace.clip))
                value = loss.item()
                where = f"epoch {epoch + 1}, step {len(steps) + 1} of {total}"
                _check_finite(value, norm, where)
                rate = rate_at(len(steps), total, pace)
                for group in optimizer.param_groups:
                    group["lr"] = rate * group["share"]
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
                steps.append({"epoch": epoch + 1, "loss": value, "rate": rate, "norm": norm})
                say(f"{where}: loss {value:.3f}")
    net.eval().requires_grad_(False)
    weight, bias = (part.detach().numpy() for part in (head.weight, head.bias))
    return TunedEncoder(encoder, tuple(labels), weight, bias, origin), steps


def _check_finite(loss: float, norm: float, where: str) -> None:
    """Raise NumericError unless the loss of a step and the norm of its gradient are finite."""
    if not (math.isfinite(loss) and math.isfinite(norm)):
        raise NumericError("the loss or its gradient is not finite", where=where,
                           got=f"loss {loss}, gradient norm {norm}", fix=_LOWER)  # fmt: skip


def _imprinted_head(vectors: Any, wanted: Any, labels: int) -> Any:
    """Return a linear head whose weights are the labels' mean directions, of one length."""
    head = torch.nn.Linear(vectors.shape[1], labels)
    means = torch.zeros(labels, vectors.shape[1]).index_add_(0, wanted, vectors)
    with torch.no_grad():
        head.weight.copy_(_HEAD_SCALE * torch.nn.functional.normalize(means))
        head.bias.zero_()
    return head


def tune_on_pairs(
    encoder: TextEncoder,
    rows: tuple[Sequence[str], Sequence[str]],
    pace: TrainingSchedule,
    steps: int,
    seed: int,
    head: Any,
    origin: str,
) -> tuple[TunedEncoder, list[dict[str, Any]]]:
    """Tune an encoder on pairs of rows by SetFit, then fit `head`, a logistic regression.

    At most `steps` steps of `pace.batch` pairs. Returns the tuned encoder and the losses that the
    library logged. Raises NumericError if they are not finite.
    """
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from setfit import SetFitModel, Trainer, TrainingArguments

    texts, outputs = rows
    with tempfile.TemporaryDirectory() as folder, torch.random.fork_rng(devices=[]):
        encoder.module.save_pretrained(folder)
        encoder.tokenizer.save_pretrained(folder)
        body = Transformer(folder, max_seq_length=encoder.most)
        pooled = Pooling(encoder.module.config.hidden_size)
        whole = SentenceTransformer(modules=[body, pooled, Normalize()], device="cpu")
        trainer = Trainer(
            model=SetFitModel(model_body=whole, model_head=head),
            args=TrainingArguments(
                output_dir=str(Path(folder) / "out"), batch_size=pace.batch, max_steps=steps,
                body_learning_rate=pace.rate, seed=seed, report_to="none", save_strategy="no",
                eval_strategy="no", logging_steps=1, show_progress_bar=False,
            ),
            train_dataset=Dataset.from_dict({"text": list(texts), "label": list(outputs)}),
        )  # fmt: skip
        trainer.train()
        logged = trainer.st_trainer.state.log_history
    found = [
        {"epoch": 1, "loss": one["embedding_loss"], "rate": one["learning_rate"],
         "norm": one["grad_norm"]} for one in logged if "embedding_loss" in one
    ]  # fmt: skip
    for number, step in enumerate(found):
        _check_finite(step["loss"], step["norm"], f"step {number + 1} of {len(found)}")
    tuned = TextEncoder(
        body.auto_model.eval().requires_grad_(False), encoder.tokenizer, encoder.most
    )
    weight, bias = (np.asarray(part, np.float32) for part in (head.coef_, head.intercept_))
    if len(head.classes_) == 2:  # one row of weights: the second label's log-odds
        weight, bias = np.vstack([0 * weight, weight]), np.concatenate([0 * bias, bias])
    return TunedEncoder(tuned, tuple(map(str, head.classes_)), weight, bias, origin), found
