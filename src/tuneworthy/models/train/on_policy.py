"""On-policy distillation: train a student on answers it samples, scored by a teacher.

Each step samples answers from the current student at temperature 1 and lowers KL(student | teacher)
at their tokens, over the whole vocabulary; no gradient flows through the sampling (Agarwal et al.
2024, arXiv 2306.13649; the same loss as TRL's DistillationTrainer at beta 1). Both models run here
and cut text into the same tokens. Knows no task and no metric.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from tuneworthy.models.local.adapter_hooks import adapter_applied
from tuneworthy.models.local.chat_template import Refused, answer_ids
from tuneworthy.models.train.adapter import publish, seal
from tuneworthy.models.train.checkpoint import Checkpoints, Run
from tuneworthy.models.train.figures import check_learned, summary, update_ratio
from tuneworthy.models.train.loop import rate_at
from tuneworthy.models.train.lora import AdapterMethod, LoraSettings, Trained, load_trained
from tuneworthy.models.train.loss import Net, answer_logits, open_plain
from tuneworthy.models.train.schedule import order
from tuneworthy.models.train.top_k_loss import PART_TOKENS, reverse_divergence
from tuneworthy.models.train.training_data import EncodedExample
from tuneworthy.models.train.twin import lora_twin, save_adapter, weights_hash
from tuneworthy.records.case import Message
from tuneworthy.records.errors import ModelError, NumericError
from tuneworthy.records.record import digest
from tuneworthy.records.tokens import parts
from tuneworthy.store import signals


@dataclass(frozen=True)
class PromptPair:
    """The prompts of one input: the student's and the teacher's."""

    id: str
    student: Sequence[Message]
    teacher: Sequence[Message]


@dataclass(frozen=True)
class OnPolicySetup:
    """Student and teacher engines, prompts, and the most tokens (`room`) of a sampled answer."""

    student: Any
    teacher: Any
    prompts: Sequence[PromptPair]
    room: int
    say: Any = lambda text: None


def fit_on_policy(setup: OnPolicySetup, settings: LoraSettings, seed: int, folder: Path) -> Trained:
    """Train an adapter into `folder/adapter`; return the new one, or a complete old one.

    The last epoch is kept. An interrupted run resumes from its last checkpoint. Raises NumericError
    if a loss is not finite or the adapter did not learn, ModelError if no input can be trained on.
    """
    if kept := load_trained(folder / AdapterMethod.name, AdapterMethod.file):
        return kept
    student, inputs = setup.student, _Inputs.of(setup)
    wrapped = lora_twin(student.module, settings, seed)
    about = {
        "base": {**student.fingerprint, "spec": student.spec, "weights": weights_hash(student)},
        "settings": settings.plain(),
        "seed": seed,
        "rows": digest([[a.id, _as_data(a.student), _as_data(a.teacher)] for a in inputs.used]),
        "objective": {"loss": "on_policy", "room": setup.room,
                      "teacher": digest(dict(setup.teacher.fingerprint), 16)},
    }  # fmt: skip
    net = open_plain(wrapped.base_model.model)
    training = _OnPolicyRun(setup, settings, seed, wrapped, net, inputs)
    history = training.run(Checkpoints(folder / "checkpoints", about, setup.say))
    check_learned(
        history, update_ratio(wrapped), student.module.config.get_text_config().vocab_size
    )
    trace = training.trace(history)
    built = folder / "built"
    shutil.rmtree(built, ignore_errors=True)
    save_adapter(wrapped, built, about)
    (built / "trace.json").write_text(json.dumps(trace, allow_nan=False), "utf-8")
    seal(built, {**about, "epoch": settings.pace.epochs})
    final = publish(built, folder / "adapter")
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    return Trained(final, trace)


@dataclass
class _Inputs:
    """Prompts to train on with their token ids for student and teacher; excluded ids by reason."""

    used: list[PromptPair] = field(default_factory=list)
    heads: list[list[int]] = field(default_factory=list)
    teacher_heads: list[list[int]] = field(default_factory=list)
    excluded: dict[str, list[str]] = field(default_factory=dict)

    @staticmethod
    def of(setup: OnPolicySetup) -> _Inputs:
        """Return the usable prompts. Raises ModelError if there is none."""
        inputs, both = _Inputs(), (setup.student, setup.teacher)
        for pair in setup.prompts:
            try:
                heads = [
                    answer_ids(model.tokenizer, prompt)
                    for model, prompt in zip(both, (pair.student, pair.teacher), strict=True)
                ]
            except Refused as refusal:
                inputs.excluded.setdefault(str(refusal), []).append(pair.id)
                continue
            for whose, model, head in zip(("model", "teacher"), both, heads, strict=True):
                if model.context is not None and len(head) + setup.room > model.context:
                    why = f"longer than the {whose}'s context, with room for an answer"
                    inputs.excluded.setdefault(why, []).append(pair.id)
                    break
            else:
                inputs.used.append(pair)
                inputs.heads.append(heads[0])
                inputs.teacher_heads.append(heads[1])
        if not inputs.used:
            raise ModelError(
                "no row can be trained on",
                got="; ".join(f"{len(ids)}: {why}" for why, ids in inputs.excluded.items()),
                fix="look at the excluded rows, or choose models with a longer context",
            )
        return inputs

    def account(self) -> dict[str, Any]:
        """Return the number of inputs given and used, and the excluded ids by reason."""
        given = len(self.used) + sum(map(len, self.excluded.values()))
        return {"given": given, "used": len(self.used), "excluded": self.excluded}


@dataclass
class _OnPolicyRun:
    """One training run: samples answers, scores them with the teacher, takes optimizer steps."""

    setup: OnPolicySetup
    settings: LoraSettings
    seed: int
    wrapped: Any
    net: Net
    inputs: _Inputs

    def __post_init__(self) -> None:
        self.teacher_net = open_plain(self.setup.teacher.module)
        self.heads, self.teacher_heads = self.inputs.heads, self.inputs.teacher_heads

    def run(self, kept: Checkpoints) -> dict[str, Any]:
        """Train, resuming from `kept`; return what `loop.train` returns."""
        pace, rows = self.settings.pace, len(self.heads)
        named = {n: w for n, w in self.wrapped.base_model.model.named_parameters()
                 if w.requires_grad}  # fmt: skip
        optimizer = torch.optim.AdamW(
            list(named.values()), lr=pace.rate, weight_decay=0.0, fused=True
        )
        total, run, number = pace.epochs * math.ceil(rows / pace.batch), Run(named, optimizer), 0
        kept.restore(run, lambda step: True)
        for epoch in range(pace.epochs):
            row_order = order(rows, self.seed, epoch)
            if epoch == len(run.by_row):
                run.by_row.append([0.0] * rows)
            for start in range(0, rows, pace.batch):
                number += 1
                if number <= len(run.steps):
                    continue  # done before an interruption
                kept.save_if_due(run, False)
                signals.check()
                begun = time.perf_counter()
                chosen = row_order[start : start + pace.batch]
                step = self._step(run, chosen, epoch, rate_at(number - 1, total, pace))
                run.steps.append(step)
                run.seconds += time.perf_counter() - begun
                self.setup.say(f"step {number} of {total}: loss {step['loss']:.3f}")
            kept.save_if_due(run, True)
        first = order(rows, self.seed, 0)[: pace.batch]
        return {"steps": run.steps, "by_row": run.by_row, "first": first, "seconds": run.seconds}

    def _step(self, run: Run, chosen: Sequence[int], epoch: int, rate: float) -> dict[str, Any]:
        pace, weights = self.settings.pace, list(run.weights.values())
        written = self._sampled_answers(chosen, len(run.steps))
        own = [_row(self.heads[at], ids) for at, ids in zip(chosen, written, strict=True)]
        theirs = [
            _row(self.teacher_heads[at], ids) for at, ids in zip(chosen, written, strict=True)
        ]
        tokens, loss = sum(row.trained for row in own), 0.0
        for group in parts(own, PART_TOKENS):
            apart = self._divergence([own[i] for i in group], [theirs[i] for i in group])
            (apart.sum() / tokens).backward()
            by_row = apart.detach().split([own[i].trained for i in group])
            for i, values in zip(group, by_row, strict=True):
                run.by_row[epoch][chosen[i]] = float(values.mean())
                loss += float(values.sum()) / tokens
        norm = float(torch.nn.utils.clip_grad_norm_(weights, pace.clip))
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise NumericError(
                "the loss or its gradient is not finite",
                where=f"epoch {epoch + 1}, step {len(run.steps) + 1}",
                got=f"loss {loss}, gradient norm {norm}",
                fix="lower the option `rate`",
            )
        for options in run.optimizer.param_groups:
            options["lr"] = rate
        run.optimizer.step()
        run.optimizer.zero_grad(set_to_none=True)
        read = sum(len(row.ids) for row in own)
        return {"epoch": epoch + 1, "loss": loss, "rate": rate, "norm": norm,
                "clipped": norm > pace.clip, "tokens": tokens, "read": read}  # fmt: skip

    def _divergence(self, own: Sequence[EncodedExample], theirs: Sequence[EncodedExample]) -> Any:
        """Return KL(student | teacher) at each token that the student sampled (nats)."""
        with adapter_applied(self.setup.teacher), torch.no_grad():
            teacher = answer_logits(self.teacher_net, theirs, None)
        student = answer_logits(self.net, own, None)
        width = min(teacher.shape[-1], student.shape[-1])  # padding of a vocabulary differs
        return reverse_divergence(student[:, :width], teacher[:, :width].to(student.device))

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def _sampled_answers(self, chosen: Sequence[int], step: int) -> list[list[int]]:
        """Return the ids the student samples for each chosen input, its end of turn included."""
        module, ends = self.wrapped.base_model.model, list(self.setup.student.ends)
        heads = [self.heads[at] for at in chosen]
        longest = max(map(len, heads))
        ids = torch.tensor([[ends[0]] * (longest - len(head)) + head for head in heads])
        mask = torch.tensor([[0] * (longest - len(head)) + [1] * len(head) for head in heads])
        with torch.random.fork_rng():
            # the seed depends on run and step alone, so that a resumed run samples the same answers
            torch.manual_seed(int(digest([self.seed, step], 8), 16))
            made = module.generate(
                input_ids=ids.to(module.device), attention_mask=mask.to(module.device),
                do_sample=True, temperature=1.0, top_k=0, top_p=1.0, eos_token_id=ends,
                pad_token_id=ends[0], max_new_tokens=self.setup.room,
            )  # fmt: skip
        return [_ended(row.tolist(), ends) for row in made[:, longest:].cpu()]

    def trace(self, history: dict[str, Any]) -> dict[str, Any]:
        """Return the run's trace, with the keys of other training runs."""
        ids, pace = [prompts.id for prompts in self.inputs.used], self.settings.pace
        rows = [_row(head, [0]) for head in self.heads]  # the answers differ from step to step
        last = {"epoch": pace.epochs, "dev_score": None, "dev_loss": None, "p_end": None,
                "update_ratio": update_ratio(self.wrapped)}  # fmt: skip
        parameters = sum(p.numel() for p in self.wrapped.parameters() if p.requires_grad)
        figures = summary(history, ids, rows)
        written = {"answer_tokens": sum(step["tokens"] for step in history["steps"])}
        return {**figures, **written, "mask_share": None, "evaluations": [last],
                "chosen": pace.epochs, "stopped_early": None, "rows": self.inputs.account(),
                "gradient": "autograd", "parameters": parameters, "seed": self.seed}  # fmt: skip


def _row(head: Sequence[int], written: Sequence[int]) -> EncodedExample:
    return EncodedExample((*head, *written), (False,) * len(head) + (True,) * len(written))


def _ended(ids: list[int], ends: Sequence[int]) -> list[int]:
    """Return the ids up to and including the first end token, all if there is none."""
    stop = next((at for at, token in enumerate(ids) if token in ends), len(ids) - 1)
    return ids[: stop + 1]


def _as_data(messages: Sequence[Message]) -> list[Any]:
    return [message.plain() for message in messages]
