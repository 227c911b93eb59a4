"""Train a low-rank adapter (LoRA) on a local model and keep the epoch that scores best on dev.

The base is never touched: training runs on a twin that shares the base's weights but not its
modules. Knows no metric: `dev_score` says how good an adapter folder is.
"""

from __future__ import annotations

import copy
import hashlib
import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from pydantic import Field
from safetensors.torch import save_file

from tuneworthy.core.case import Message
from tuneworthy.core.errors import DataError, ModelError
from tuneworthy.core.record import Record
from tuneworthy.ledger.failpoint import failpoint
from tuneworthy.models._template import prompt_ids
from tuneworthy.training.adapter import publish, read_sealed, seal
from tuneworthy.training.figures import check_learned, summary, update_ratio
from tuneworthy.training.forward import Net, evaluate, open_net
from tuneworthy.training.loop import Pace, train
from tuneworthy.training.render import Excluded, Rendered, render


class LoraSettings(Record):
    """What is trained (rank, alpha, target layers) and how (pace); `share` reads a prompt once."""

    rank: Annotated[int, Field(ge=1, le=1024)] = 16
    alpha: Annotated[float, Field(gt=0)] = 32
    targets: Literal["all-linear"] | tuple[str, ...] = "all-linear"
    pace: Pace = Pace()
    share: bool = True


@dataclass(frozen=True)
class Example:
    """A row to learn from: the prompt as it will be asked, and the answer."""

    id: str
    messages: Sequence[Message]
    answer: str


@dataclass(frozen=True)
class Lessons:
    """What a run learns from and is chosen by.

    `dev_score(folder)` returns the task metric (higher is better) of the adapter in `folder`.
    Without dev examples the last epoch is kept.
    """

    train: Sequence[Example]
    dev: Sequence[Example]
    dev_score: Callable[[Path], float]
    say: Callable[[str], None] = lambda text: None


@dataclass(frozen=True)
class Trained:
    """An adapter folder and its trace (JSON-ready)."""

    adapter: Path
    trace: dict[str, Any]


def fit_lora(
    model: Any, lessons: Lessons, settings: LoraSettings, seed: int, folder: Path
) -> Trained:
    """Train an adapter in `folder/adapter`, or return the whole one that lies there.

    `model` has `.module` (a transformers causal LM), `.tokenizer`, `.context`, `.fingerprint`,
    `.count_tokens`. The epoch with the best dev score is kept, ties by lower dev loss. Raises
    DataError where no row can be trained on, NumericError where training is not finite or does
    not learn, ModelError where training and asking would render a prompt differently.
    """
    if kept := load_trained(folder / "adapter"):
        return kept
    rows, excluded = _rendered(model, lessons.train)
    dev, dev_excluded = _rendered(model, lessons.dev)
    if not rows:
        raise DataError(
            "no row can be trained on",
            got="; ".join(f"{len(ids)}: {reason}" for reason, ids in excluded.items()),
            fix="look at the excluded rows: shorten them, or choose a model with a longer context",
        )
    _same_prompts(model, lessons.train)
    wrapped = lora_twin(model.module, settings, seed)
    net = open_net(wrapped.base_model.model, next(iter(rows.values())).ids, settings.share)
    about = {
        "base": {"spec": model.spec, "weights": weights_hash(model), **_plain(model.fingerprint)},
        "settings": settings.plain(),
        "seed": seed,
    }
    watch = _Watch(wrapped, net, lessons, list(dev.values()), folder / "epochs", about, settings)
    shutil.rmtree(folder / "epochs", ignore_errors=True)
    begun = time.perf_counter()
    told = train(net, list(rows.values()), settings.pace, seed, watch, lessons.say)
    seconds = time.perf_counter() - begun
    check_learned(told, wrapped, model.module.config.get_text_config().vocab_size)
    chosen = watch.best()
    trace = {
        **summary(told, list(rows), list(rows.values()), seconds - watch.seconds),
        "evaluations": watch.seen,
        "chosen": chosen,
        "rows": {"given": len(lessons.train), "used": len(rows), "excluded": excluded},
        "dev_rows": {"given": len(lessons.dev), "used": len(dev), "excluded": dev_excluded},
        "dev_seconds": watch.seconds,
        "parameters": sum(p.numel() for p in wrapped.parameters() if p.requires_grad),
        "shared_prompt": net.shares,
        "seed": seed,
    }
    return _kept(folder, chosen, trace, about)


def load_trained(folder: Path) -> Trained | None:
    """Return the adapter and trace of a whole folder; None where it is absent or not whole."""
    manifest = read_sealed(folder)
    if manifest is None or "trace.json" not in manifest["files"]:
        return None
    return Trained(folder, json.loads((folder / "trace.json").read_text("utf-8")))


def twin(module: Any) -> Any:
    """Return a model of the same weights in modules of its own: wrapping it leaves the base alone.

    No memory is spent on weights; the twin's are frozen.
    """
    shared = {
        id(weight): torch.nn.Parameter(weight.detach(), requires_grad=False)
        for weight in module.parameters()
    }
    return copy.deepcopy(module, shared).eval()  # eval: dropout would make the loss another one


def weights_hash(model: Any) -> str:
    """Return the SHA-256 of the base's weights: names, shapes and bytes."""
    if known := model.fingerprint.get("weights"):
        return str(known)
    found = hashlib.sha256()
    for name, tensor in sorted(model.module.state_dict().items()):
        found.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        found.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().data)
    return found.hexdigest()


def save_adapter(wrapped: Any, folder: Path, about: dict[str, Any]) -> None:
    """Write the adapter in the PEFT format (safetensors + adapter_config.json) and seal it."""
    failpoint("epoch.before")
    folder.mkdir(parents=True)
    state = get_peft_model_state_dict(wrapped, save_embedding_layers=False)
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in sorted(state.items())}
    save_file(state, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    config = wrapped.peft_config["default"].to_dict()
    config |= {"inference_mode": True, "base_model_name_or_path": about["base"]["spec"]}
    text = json.dumps(_sorted(config), indent=2, sort_keys=True)
    (folder / "adapter_config.json").write_text(text, "utf-8")
    seal(folder, about)
    failpoint("epoch.after")


class _Watch:
    """After each epoch: save the adapter, take its dev loss, let the caller score its answers."""

    def __init__(
        self, wrapped: Any, net: Net, lessons: Lessons, dev: list[Rendered], *rest: Any
    ) -> None:
        self.wrapped, self.net, self.lessons, self.dev = wrapped, net, lessons, dev
        self.folder, self.about, self.settings = rest
        self.seen: list[dict[str, Any]] = []
        self.seconds = 0.0

    def __call__(self, epoch: int) -> None:
        begun = time.perf_counter()
        folder = self.folder / str(epoch)
        save_adapter(self.wrapped, folder, {**self.about, "epoch": epoch})
        loss, end = evaluate(self.net, self.dev, self.settings.pace.part_tokens) or (None, None)
        score = float(self.lessons.dev_score(folder)) if self.lessons.dev else None
        self.seen.append(
            {
                "epoch": epoch,
                "dev_score": score,
                "dev_loss": loss,
                "p_end": end,
                "update_ratio": update_ratio(self.wrapped),
            }
        )
        self.seconds += time.perf_counter() - begun
        if score is not None:
            self.lessons.say(f"epoch {epoch}: dev score {score:.3f}")

    def best(self) -> int:
        """Return the epoch to keep: best dev score, then lower dev loss, then the earlier one."""
        if not self.lessons.dev:
            return int(self.seen[-1]["epoch"])
        ranked = min(
            self.seen,
            key=lambda e: (
                -e["dev_score"],
                e["dev_loss"] if e["dev_loss"] is not None else float("inf"),
                e["epoch"],
            ),
        )
        return int(ranked["epoch"])


def _rendered(
    model: Any, examples: Sequence[Example]
) -> tuple[dict[str, Rendered], dict[str, list[str]]]:
    """Return the usable rows by id, and the ids of the others by reason."""
    rows: dict[str, Rendered] = {}
    excluded: dict[str, list[str]] = {}
    for example in examples:
        found = render(model.tokenizer, example.messages, example.answer, model.context)
        if isinstance(found, Excluded):
            excluded.setdefault(found.reason, []).append(example.id)
        else:
            rows[example.id] = found
    return rows, excluded


def _same_prompts(model: Any, examples: Sequence[Example]) -> None:
    """Refuse to train where the engine counts other prompt tokens than those trained on."""
    for example in examples[:32]:
        ours = len(prompt_ids(model.tokenizer, example.messages))
        asked = model.count_tokens(example.messages)
        if ours != asked:
            raise ModelError(
                "training and asking would render the same prompt differently",
                where=example.id,
                got=f"{ours} tokens in training, {asked} when asked",
                fix="report this model's chat template; until then use another model for `tune`",
            )


def lora_twin(module: Any, settings: LoraSettings, seed: int) -> Any:
    """Return a PEFT model: a twin of the base with a fresh adapter, which changes nothing yet."""
    targets = settings.targets
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        target_modules=targets if isinstance(targets, str) else list(targets),
        lora_dropout=0.0,
        bias="none",
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng(devices=[]):  # the starting point depends on the seed alone
        torch.manual_seed(seed)
        return get_peft_model(twin(module), config).eval()


def _kept(folder: Path, epoch: int, trace: dict[str, Any], about: dict[str, Any]) -> Trained:
    built = folder / "epochs" / str(epoch)
    (built / "trace.json").write_text(json.dumps(trace, allow_nan=False), "utf-8")
    seal(built, {**about, "epoch": epoch})
    final = publish(built, folder / "adapter")
    shutil.rmtree(folder / "epochs", ignore_errors=True)
    return Trained(final, trace)


def _sorted(value: Any) -> Any:
    """Return plain data whose sets are sorted lists, so that the same run writes the same bytes."""
    if isinstance(value, dict):
        return {key: _sorted(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(value)
    return value if isinstance(value, str | int | float | bool | list | None) else str(value)


def _plain(fingerprint: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in fingerprint.items() if key not in {"spec", "weights"}}
