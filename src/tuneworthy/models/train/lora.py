"""Train a low-rank adapter (LoRA) on a local model and keep the epoch that scores best on dev.

The base is never changed (see `twin`). An interrupted run resumes from its last checkpoint and
keeps its saved and scored epochs. Full tuning shares `fit`. Knows no metric: `dev_score` of the
training data returns an adapter's score on dev.
"""

from __future__ import annotations

import gc
import json
import math
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Protocol
from weakref import WeakKeyDictionary

from pydantic import Field
from safetensors import SafetensorError

from tuneworthy.models.train.adapter import publish, read_sealed, seal
from tuneworthy.models.train.checkpoint import Checkpoints, Run, TrainingCallbacks
from tuneworthy.models.train.figures import check_learned, summary, update_ratio
from tuneworthy.models.train.loop import TrainingSchedule, train
from tuneworthy.models.train.loss import Net, evaluate, open_net
from tuneworthy.models.train.memory_fit import fit_memory
from tuneworthy.models.train.training_data import EncodedExample, EncodedRows, TrainingData
from tuneworthy.models.train.twin import LoraShape, lora_twin, save_adapter, weights_hash
from tuneworthy.records.errors import StoreError
from tuneworthy.records.freed_memory import trim_heap
from tuneworthy.records.record import digest

# Results of `open_net`'s checks (`Net.proof`) by model and digest of the settings.
_PROOFS: WeakKeyDictionary[Any, dict[str, tuple[bool, bool, bool]]] = WeakKeyDictionary()
ADAPTER = "adapter_model.safetensors"
# Steps between memory releases: each step's threads leave some 20 MB in their heaps.
_STEPS_PER_RELEASE = 8


class LoraSettings(LoraShape):
    """LoRA shape and training options; `share` reads a shared prompt once a step.

    `prompt_loss` is the weight of a prompt token's loss (see `render.EncodedExample`); above 0 no
    prompt is shared and autograd finds the gradient.

    `checkpointing` recomputes activations in the backward pass: less memory, the same gradients,
    about a third more work. None: only if training does not fit otherwise. `patience` stops
    training once the dev score has not risen for so many epochs, or is 1; it does not change the
    rate schedule.
    """

    LATER = LoraShape.LATER | {"prompt_loss"}

    pace: TrainingSchedule = TrainingSchedule()
    share: bool = True
    checkpointing: bool | None = None
    patience: Annotated[int, Field(ge=1)] | None = None
    prompt_loss: Annotated[float, Field(ge=0, le=1)] = 0.0


@dataclass(frozen=True)
class Trained:
    """The folder of a trained adapter, or of whole weights, and its trace (JSON-ready)."""

    adapter: Path
    trace: dict[str, Any]


@dataclass(frozen=True)
class Opened:
    """What a run trains: the model `wrapped`, opened as `net`; and the bytes it takes, by part."""

    wrapped: Any
    net: Net
    memory: dict[str, Any]


class Method(Protocol):
    """What differs between training an adapter and all weights.

    The result is the folder `name` with the tensors in `file`. `keeps_best_only`: a beaten epoch's
    tensors are removed at once, and one checkpoint is kept, as each takes several times the model's
    size.
    """

    name: str
    file: str
    keeps_best_only: bool

    def open(self, rows: Sequence[EncodedExample], settings: Any, seed: int) -> Opened:
        """Return the model to train, opened. Raises DoesNotFit if free memory is too small."""
        ...

    def save(self, wrapped: Any, folder: Path, about: dict[str, Any]) -> None:
        """Write the trained tensors to a sealed folder, with `about` in its manifest."""
        ...

    def update_ratios(self, wrapped: Any) -> dict[str, float]:
        """Return the relative size of the weight change by layer (see figures.update_ratio)."""
        ...

    def saved_facts(self, folder: Path) -> dict[str, Any]:
        """Return facts about the saved result, which are added to the trace."""
        ...


def fit_lora(
    model: Any,
    lessons: TrainingData,
    settings: LoraSettings,
    seed: int,
    folder: Path,
) -> Trained:
    """Train an adapter into `folder/adapter`; return the new one, or a complete old one.

    `model` has `.module` (a transformers causal LM), `.tokenizer`, `.context`, `.fingerprint`,
    `.spec`, `.count_tokens`. The epoch with the best dev score is kept, ties by lower dev loss.
    Raises NumericError if training is not finite or does not learn, ModelError if no row can be
    trained on, if training and inference would render a prompt differently or the run does not fit
    in memory, StoreError if the adapter cannot be written.
    """
    # the hand-written gradient is that of the likelihood
    method = AdapterMethod(model, by_hand=lessons.objective is None)
    return fit(model, lessons, settings, (seed, folder), method)


def fit(
    model: Any, lessons: TrainingData, settings: Any, where: tuple[int, Path], method: Method
) -> Trained:
    """Train by `method`, `where` (seed, folder); return the new result or the complete one there.

    Raises the errors of `fit_lora`.
    """
    seed, folder = where
    if kept := load_trained(folder / method.name, method.file):
        return kept
    try:
        return _fit(model, lessons, settings, (seed, folder), method)
    finally:
        gc.collect()  # modules form reference cycles: without this the run's memory stays (.8 GB)
        trim_heap()  # the inference that follows needs as much again


def _fit(
    model: Any, lessons: TrainingData, settings: Any, where: tuple[int, Path], method: Method
) -> Trained:
    seed, folder = where
    rows = EncodedRows.of(model, lessons.train, settings.prompt_loss)
    # prompt tokens of replayed rows and dev rows have no weight
    dev, old = (EncodedRows.of(model, part) for part in (lessons.dev, lessons.replay))
    rows.check(model)
    mixed = [*rows.rows, *old.rows]
    opened = method.open(mixed, settings, seed)
    wrapped, net, aim = opened.wrapped, opened.net, lessons.objective
    if aim:
        net = replace(net, objective=aim.prepared(rows.used, rows.rows))
    base = {**model.fingerprint, "spec": model.spec, "weights": weights_hash(model)}
    given = rows.digest(dev)
    given = digest([given, old.digest(EncodedRows())]) if old.rows else given
    about = {"base": base, "settings": settings.plain(), "seed": seed, "rows": given}
    about |= {"objective": aim.about} if aim else {}
    watch = _EpochSaver(lessons, opened, method, (mixed, dev.rows), folder, about)
    trace_data = train(net, mixed, settings.pace, seed, watch.after, watch)
    vocabulary = model.module.config.get_text_config().vocab_size
    check_learned(trace_data, method.update_ratios(wrapped), vocabulary)
    trace = {
        **summary(trace_data, [example.id for example in (*rows.used, *old.used)], mixed),
        "evaluations": watch.evaluations,
        "chosen": watch.best(),
        "stopped_early": watch.stopped,
        "rows": rows.account(),
        "dev_rows": dev.account(),
        "dev_seconds": watch.seconds,
        "parameters": sum(p.numel() for p in wrapped.parameters() if p.requires_grad),
        "shared_prompt": net.shares,
        "gradient": "written out" if net.trainer else "autograd",
        "memory": opened.memory,
        "seed": seed,
        **({"replay": old.account()} if lessons.replay else {}),
    }
    return _publish_chosen(folder, trace, about, method)


@dataclass(frozen=True)
class AdapterMethod:
    """Train a low-rank adapter on a twin of the model, which shares its weights."""

    model: Any
    by_hand: bool = True
    name = "adapter"
    file = ADAPTER
    keeps_best_only = False

    def open(self, rows: Sequence[EncodedExample], settings: LoraSettings, seed: int) -> Opened:
        """Return a PEFT model with a fresh adapter, opened."""
        wrapped = lora_twin(self.model.module, settings, seed)
        net = open_once(self.model, wrapped.base_model.model, rows[0].ids, settings, self.by_hand)
        net, room = fit_memory(net, rows, settings, settings.pace, settings.checkpointing)
        return Opened(wrapped, net, room)

    def save(self, wrapped: Any, folder: Path, about: dict[str, Any]) -> None:
        """Write the adapter in the PEFT format."""
        save_adapter(wrapped, folder, about)

    def update_ratios(self, wrapped: Any) -> dict[str, float]:
        """Return the relative size of the adapter's change by layer (see figures)."""
        return update_ratio(wrapped)

    def saved_facts(self, folder: Path) -> dict[str, Any]:  # noqa: ARG002
        """Return no facts: an adapter is small."""
        return {}


def open_once(
    model: Any, module: Any, probe: Sequence[int], settings: Any, by_hand: bool = True
) -> Net:
    """Open a module made from `model` for training; its checks run once per process.

    `by_hand` False: autograd finds the gradient.
    """
    proofs = _PROOFS.setdefault(model, {})
    name = digest([settings.model_copy(update={"pace": TrainingSchedule()}).plain(), by_hand])
    lora = isinstance(settings, LoraSettings)
    by_hand = by_hand and lora and not settings.dora and not settings.prompt_loss
    share = settings.share and not settings.prompt_loss
    net = open_net(module, probe, share, proofs.get(name), by_hand)
    proofs[name] = net.proof
    return net


def load_trained(folder: Path, file: str = ADAPTER) -> Trained | None:
    """Return the result and the trace of a complete folder with the tensors `file`, else None."""
    manifest = read_sealed(folder, file)
    if manifest is None or "trace.json" not in manifest["files"]:
        return None
    return Trained(folder, json.loads((folder / "trace.json").read_text("utf-8")))


@dataclass
class _EpochSaver(TrainingCallbacks):
    """Saves checkpoints; saves the result of each epoch with its dev loss and dev score."""

    lessons: TrainingData
    opened: Opened
    method: Method
    rows: tuple[Sequence[EncodedExample], Sequence[EncodedExample]]
    folder: Path
    about: dict[str, Any]
    evaluations: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    stopped: str | None = None

    def __post_init__(self) -> None:
        most = 1 if self.method.keeps_best_only else 2
        self.kept = Checkpoints(self.folder / "checkpoints", self.about, self.say, most)

    def begin(self, run: Run) -> None:
        each = math.ceil(len(self.rows[0]) / self.about["settings"]["pace"]["batch"])

        def usable(step: int) -> bool:  # the results of earlier epochs cannot be recreated
            return all(self._stored_epoch(epoch) for epoch in range(1, (step - 1) // each + 1))

        self.kept.restore(run, usable)

    def safe_point(self, run: Run, epoch_over: bool = False) -> None:
        with as_store_error(self.folder):
            self.kept.save_if_due(run, epoch_over)
        if len(run.steps) % _STEPS_PER_RELEASE == 0:
            trim_heap()

    def say(self, text: str) -> None:
        self.lessons.say(text)

    def after(self, epoch: int) -> bool:
        """Save and score an epoch, or read its stored result; return False to end training."""
        kept = self._stored_epoch(epoch) or self._score_epoch(epoch)
        self.evaluations.append(kept["told"])
        self.seconds += kept["seconds"]
        if self.method.keeps_best_only:
            self._drop_beaten()
        if epoch < self.about["settings"]["pace"]["epochs"]:
            self.stopped = self._why_stop_early(epoch)
        return self.stopped is None

    def _stored_epoch(self, epoch: int) -> dict[str, Any] | None:
        """Return the stored figures of an epoch, None if its folder is not complete."""
        needed = "" if self.method.keeps_best_only else self.method.file
        manifest = read_sealed(self.folder / "epochs" / str(epoch), needed)
        same_run = manifest and manifest | self.about | {"epoch": epoch} == manifest
        return manifest.get("found") if manifest and same_run else None

    def _drop_beaten(self) -> None:
        """Remove the tensors of all epochs but the best so far; their figures stay."""
        best = self.best()
        for number in (seen["epoch"] for seen in self.evaluations if seen["epoch"] != best):
            folder = self.folder / "epochs" / str(number)
            if not (folder / self.method.file).exists():
                continue
            found, built = self._stored_epoch(number), folder.with_name("new")
            with as_store_error(folder):
                shutil.rmtree(built, ignore_errors=True)
                built.mkdir(parents=True)
                seal(built, {**self.about, "epoch": number, "found": found})
                publish(built, folder, "scored")

    def _score_epoch(self, epoch: int) -> dict[str, Any]:
        begun, folder = time.perf_counter(), self.folder / "epochs" / str(epoch)
        about, dev = {**self.about, "epoch": epoch}, self.rows[1]
        self._free_step_memory()
        built = folder.with_name("new")
        with as_store_error(folder):
            shutil.rmtree(built, ignore_errors=True)
            self.method.save(self.opened.wrapped, built, about)
        budget = self.about["settings"]["pace"]["part_tokens"]
        loss, end = evaluate(self.opened.net, dev, budget) or (None, None)
        self._free_step_memory()
        rate = self.lessons.dev_score if self.lessons.dev else None
        score = None if rate is None else float(rate(built))
        evaluation: dict[str, Any] = {
            "epoch": epoch,
            "dev_score": score,
            "dev_loss": loss,
            "p_end": end,
        }
        evaluation["update_ratio"] = self.method.update_ratios(self.opened.wrapped)
        result = {"told": evaluation, "seconds": time.perf_counter() - begun}
        with as_store_error(folder):
            seal(built, {**about, "found": result})
            publish(built, folder, "scored")
        if score is not None:
            self.say(f"epoch {epoch}: dev score {score:.3f}")
        return result

    def _free_step_memory(self) -> None:
        """Free the memory that training steps reuse: scoring needs it."""
        self.opened.net.free_step_memory()
        trim_heap()

    def _why_stop_early(self, epoch: int) -> str | None:
        """Return the reason to stop early, or None."""
        patience = self.about["settings"]["patience"]
        if patience is None or self.evaluations[0]["dev_score"] is None:
            return None
        scores = [evaluation["dev_score"] for evaluation in self.evaluations]
        if max(scores) >= 1:
            return "the dev score is 1"
        best = scores.index(max(scores)) + 1
        patience_over = epoch - best >= patience
        return f"the dev score has not risen since epoch {best}" if patience_over else None

    def best(self) -> int:
        """Return the epoch to keep: best dev score, then lower dev loss, then the earlier one."""
        if self.evaluations[0]["dev_score"] is None:
            return int(self.evaluations[-1]["epoch"])

        def rank(evaluation: dict[str, Any]) -> tuple[float, float, int]:
            loss = float("inf") if evaluation["dev_loss"] is None else evaluation["dev_loss"]
            return -evaluation["dev_score"], loss, evaluation["epoch"]

        return int(min(self.evaluations, key=rank)["epoch"])


def _publish_chosen(
    folder: Path, trace: dict[str, Any], about: dict[str, Any], method: Method
) -> Trained:
    """Copy the chosen epoch's result with the trace to its final folder; remove the others."""
    built = folder / "epochs" / "new"
    with as_store_error(folder):
        shutil.rmtree(built, ignore_errors=True)
        shutil.copytree(built.with_name(str(trace["chosen"])), built)
        trace |= method.saved_facts(built)
        (built / "trace.json").write_text(json.dumps(trace, allow_nan=False), "utf-8")
        seal(built, {**about, "epoch": trace["chosen"]})
        final = publish(built, folder / method.name)
    for name in ("epochs", "checkpoints"):
        shutil.rmtree(folder / name, ignore_errors=True)
    return Trained(final, trace)


@contextmanager
def as_store_error(folder: Path) -> Iterator[None]:
    """Raise StoreError for a file that can't be written in the block."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise StoreError(
            "what was trained could not be written",
            where=str(folder),
            got=str(error),
            fix="free some space on this disk, or make the folder writable",
        ) from error
