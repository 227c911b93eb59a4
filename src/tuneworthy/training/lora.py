"""Train a low-rank adapter (LoRA) on a local model and keep the epoch that scores best on dev.

The base is never changed (see `twin`). An interrupted run resumes from its last checkpoint and
keeps its saved and scored epochs. Knows no metric: `dev_score` rates an adapter.
"""

from __future__ import annotations

import gc
import json
import math
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any
from weakref import WeakKeyDictionary

from pydantic import Field
from safetensors import SafetensorError

from tuneworthy.core.errors import DataError, ModelError, StoreError
from tuneworthy.core.free_memory import trim_heap
from tuneworthy.core.record import digest
from tuneworthy.models.local.chat_template import prompt_ids
from tuneworthy.training.adapter import publish, read_sealed, seal
from tuneworthy.training.checkpoint import Checkpoints, Run, TrainingCallbacks
from tuneworthy.training.figures import check_learned, summary, update_ratio
from tuneworthy.training.loop import TrainingSchedule, train
from tuneworthy.training.loss import Net, evaluate, open_net
from tuneworthy.training.memory_fit import fit_memory
from tuneworthy.training.objective import Example, Objective
from tuneworthy.training.render import EncodedExample, Excluded, render
from tuneworthy.training.twin import LoraShape, lora_twin, save_adapter, weights_hash

_PROOFS: WeakKeyDictionary[Any, dict[str, tuple[bool, bool, bool]]] = WeakKeyDictionary()
_BREATH = 8  # steps between memory releases: each step's threads leave some 20 MB in their heaps


class LoraSettings(LoraShape):
    """LoRA shape and training options; `share` reads a shared prompt once a step.

    `checkpointing` recomputes activations in the backward pass: less memory, the same gradients,
    about a third more work. None: only if training does not fit otherwise. `patience` stops
    training once the dev score has not risen for so many epochs, or is 1; it does not change the
    rate schedule.
    """

    pace: TrainingSchedule = TrainingSchedule()
    share: bool = True
    checkpointing: bool | None = None
    patience: Annotated[int, Field(ge=1)] | None = None


@dataclass(frozen=True)
class TrainingData:
    """The training data of a run and the dev data that select its epoch.

    `dev_score(folder)` returns the task metric (higher is better) of the adapter in `folder`.
    Without it, or without dev examples, the last epoch is kept. `objective` replaces the likelihood
    of the training answers; the loss of dev rows is always their likelihood.
    """

    train: Sequence[Example]
    dev: Sequence[Example]
    dev_score: Callable[[Path], float] | None
    say: Callable[[str], None] = lambda text: None
    objective: Objective | None = None


@dataclass(frozen=True)
class Trained:
    """An adapter folder and its trace (JSON-ready)."""

    adapter: Path
    trace: dict[str, Any]


def fit_lora(
    model: Any, lessons: TrainingData, settings: LoraSettings, seed: int, folder: Path
) -> Trained:
    """Train an adapter in `folder/adapter`, or return the complete one that is there.

    `model` has `.module` (a transformers causal LM), `.tokenizer`, `.context`, `.fingerprint`,
    `.spec`, `.count_tokens`. The epoch with the best dev score is kept, ties by lower dev loss.
    Raises DataError if no row can be trained on, NumericError if training is not finite or does not
    learn, ModelError if training and inference would render a prompt differently or the run does
    not fit in memory, StoreError if the adapter cannot be written.
    """
    if kept := load_trained(folder / "adapter"):
        return kept
    try:
        return _fit(model, lessons, settings, seed, folder)
    finally:
        gc.collect()  # modules form reference cycles: without this the run's memory stays (.8 GB)
        trim_heap()  # the inference that follows needs as much again


def _fit(
    model: Any, lessons: TrainingData, settings: LoraSettings, seed: int, folder: Path
) -> Trained:
    rows, dev = _Rows.of(model, lessons.train), _Rows.of(model, lessons.dev)
    rows.check(model)
    wrapped = lora_twin(model.module, settings, seed)
    net = _opened(model, wrapped, rows.rows[0].ids, settings)
    if aim := lessons.objective:  # the hand-written gradient is that of the likelihood
        net = replace(net, hand=None, objective=aim.prepared(rows.used, rows.rows))
    net, room = fit_memory(net, rows.rows, settings, settings.pace, settings.checkpointing)
    base = {**model.fingerprint, "spec": model.spec, "weights": weights_hash(model)}
    about = {"base": base, "settings": settings.plain(), "seed": seed, "rows": rows.digest(dev)}
    about |= {"objective": aim.about} if aim else {}
    watch = _Watch(lessons, wrapped, net, (rows, dev), folder, about)
    trace_data = train(net, rows.rows, settings.pace, seed, watch.after, watch)
    check_learned(trace_data, wrapped, model.module.config.get_text_config().vocab_size)
    trace = {
        **summary(trace_data, [example.id for example in rows.used], rows.rows),
        "evaluations": watch.seen,
        "chosen": watch.best(),
        "stopped_early": watch.stopped,
        "rows": rows.account(),
        "dev_rows": dev.account(),
        "dev_seconds": watch.seconds,
        "parameters": sum(p.numel() for p in wrapped.parameters() if p.requires_grad),
        "shared_prompt": net.shares,
        "gradient": "written out" if net.hand else "autograd",
        "memory": room,
        "seed": seed,
    }
    return _keep(folder, trace, about)


def _opened(model: Any, wrapped: Any, probe: Sequence[int], settings: LoraSettings) -> Net:
    """Open the twin of a model; run its checks once per process."""
    proofs = _PROOFS.setdefault(model, {})
    name = digest(settings.model_copy(update={"pace": TrainingSchedule()}))
    net = open_net(wrapped.base_model.model, probe, settings.share, proofs.get(name))
    proofs[name] = net.proof
    return net


def load_trained(folder: Path) -> Trained | None:
    """Return the adapter and trace of a complete folder, else None."""
    manifest = read_sealed(folder)
    if manifest is None or "trace.json" not in manifest["files"]:
        return None
    return Trained(folder, json.loads((folder / "trace.json").read_text("utf-8")))


@dataclass
class _Rows:
    """Examples as token ids: the usable ones, and the ids of the others by reason."""

    used: list[Example] = field(default_factory=list)
    rows: list[EncodedExample] = field(default_factory=list)
    excluded: dict[str, list[str]] = field(default_factory=dict)

    @staticmethod
    def of(model: Any, examples: Sequence[Example]) -> _Rows:
        result = _Rows()
        for example in examples:
            row = render(model.tokenizer, example.messages, example.answer, model.context)
            if isinstance(row, Excluded):
                result.excluded.setdefault(row.reason, []).append(example.id)
            else:
                result.used.append(example)
                result.rows.append(row)
        return result

    def account(self) -> dict[str, Any]:
        given = len(self.used) + sum(map(len, self.excluded.values()))
        return {"given": given, "used": len(self.used), "excluded": self.excluded}

    def digest(self, dev: _Rows) -> str:
        """Return the hash of all training and dev data: ids, texts and tokens."""
        given = [
            (e.id, [m.plain() for m in e.messages], e.answer, row.ids, row.first)
            for part in (self, dev)
            for e, row in zip(part.used, part.rows, strict=True)
        ]
        return digest([given, self.excluded, dev.excluded])

    def check(self, model: Any) -> None:
        """Raise on empty training data, or prompts that the engine counts differently."""
        if not self.rows:
            raise DataError(
                "no row can be trained on",
                got="; ".join(f"{len(ids)}: {reason}" for reason, ids in self.excluded.items()),
                fix="look at the excluded rows, or choose a model with a longer context",
            )
        for example in self.used[:32]:
            ours = len(prompt_ids(model.tokenizer, example.messages))
            if ours != (counted := model.count_tokens(example.messages)):
                raise ModelError(
                    "training and asking would render the same prompt differently",
                    where=example.id,
                    got=f"{ours} tokens in training, {counted} when asked",
                    fix="report this model's chat template; until then `tune` another model",
                )


@dataclass
class _Watch(TrainingCallbacks):
    """Saves the run; after each epoch saves the adapter and computes its dev loss and dev score."""

    lessons: TrainingData
    wrapped: Any
    net: Net
    rows: tuple[_Rows, _Rows]
    folder: Path
    about: dict[str, Any]
    seen: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    stopped: str | None = None

    def __post_init__(self) -> None:
        self.kept = Checkpoints(self.folder / "checkpoints", self.about, self.say)

    def begin(self, run: Run) -> None:
        each = math.ceil(len(self.rows[0].rows) / self.about["settings"]["pace"]["batch"])

        def usable(step: int) -> bool:  # the adapters of earlier epochs cannot be recreated
            return all(self._scored(epoch) for epoch in range(1, (step - 1) // each + 1))

        self.kept.restore(run, usable)

    def safe_point(self, run: Run, epoch_over: bool = False) -> None:
        with _writing(self.folder):
            self.kept.keep(run, epoch_over)
        if len(run.steps) % _BREATH == 0:
            trim_heap()

    def say(self, text: str) -> None:
        self.lessons.say(text)

    def after(self, epoch: int) -> bool:
        """Save and score an epoch, or read its stored result; return whether to continue."""
        kept = self._scored(epoch) or self._score(epoch)
        self.seen.append(kept["told"])
        self.seconds += kept["seconds"]
        if epoch < self.about["settings"]["pace"]["epochs"]:
            self.stopped = self._enough(epoch)
        return self.stopped is None

    def _scored(self, epoch: int) -> dict[str, Any] | None:
        """Return the result of an epoch before an interruption, if its adapter is complete."""
        manifest = read_sealed(self.folder / "epochs" / str(epoch))
        same_run = manifest and manifest | self.about | {"epoch": epoch} == manifest
        return manifest.get("found") if manifest and same_run else None

    def _score(self, epoch: int) -> dict[str, Any]:
        begun, folder = time.perf_counter(), self.folder / "epochs" / str(epoch)
        about, dev = {**self.about, "epoch": epoch}, self.rows[1].rows
        self._rest()
        built = folder.with_name("new")
        with _writing(folder):
            shutil.rmtree(built, ignore_errors=True)
            save_adapter(self.wrapped, built, about)
        budget = self.about["settings"]["pace"]["part_tokens"]
        loss, end = evaluate(self.net, dev, budget) or (None, None)
        self._rest()
        rate = self.lessons.dev_score if self.lessons.dev else None
        score = None if rate is None else float(rate(built))
        evaluation: dict[str, Any] = {
            "epoch": epoch,
            "dev_score": score,
            "dev_loss": loss,
            "p_end": end,
        }
        evaluation["update_ratio"] = update_ratio(self.wrapped)
        result = {"told": evaluation, "seconds": time.perf_counter() - begun}
        with _writing(folder):
            seal(built, {**about, "found": result})
            publish(built, folder, "scored")
        if score is not None:
            self.say(f"epoch {epoch}: dev score {score:.3f}")
        return result

    def _rest(self) -> None:
        """Free the memory that steps reuse: scoring needs it."""
        self.net.rest()
        trim_heap()

    def _enough(self, epoch: int) -> str | None:
        """Return the reason to stop early, or None."""
        patience = self.about["settings"]["patience"]
        if patience is None or self.seen[0]["dev_score"] is None:
            return None
        scores = [evaluation["dev_score"] for evaluation in self.seen]
        if max(scores) >= 1:
            return "the dev score is 1"
        best = scores.index(max(scores)) + 1
        tired = epoch - best >= patience
        return f"the dev score has not risen since epoch {best}" if tired else None

    def best(self) -> int:
        """Return the epoch to keep: best dev score, then lower dev loss, then the earlier one."""
        if self.seen[0]["dev_score"] is None:
            return int(self.seen[-1]["epoch"])

        def rank(evaluation: dict[str, Any]) -> tuple[float, float, int]:
            loss = float("inf") if evaluation["dev_loss"] is None else evaluation["dev_loss"]
            return -evaluation["dev_score"], loss, evaluation["epoch"]

        return int(min(self.seen, key=rank)["epoch"])


def _keep(folder: Path, trace: dict[str, Any], about: dict[str, Any]) -> Trained:
    """Copy the chosen adapter with the trace to its final folder; remove the rest."""
    built = folder / "epochs" / "new"
    with _writing(folder):
        shutil.rmtree(built, ignore_errors=True)
        shutil.copytree(built.with_name(str(trace["chosen"])), built)
        (built / "trace.json").write_text(json.dumps(trace, allow_nan=False), "utf-8")
        seal(built, {**about, "epoch": trace["chosen"]})
        final = publish(built, folder / "adapter")
    for name in ("epochs", "checkpoints"):
        shutil.rmtree(folder / name, ignore_errors=True)
    return Trained(final, trace)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise StoreError(
            "the adapter could not be written",
            where=str(folder),
            got=str(error),
            fix="free some space on this disk, or make the folder writable",
        ) from error
