"""What bench/exports.py makes: trained adapters, another base, and exports of any weights."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from lora import texts
from safetensors.torch import load_file, save_file

from tuneworthy.models import open_model
from tuneworthy.models.local.device import Placement
from tuneworthy.models.local.wheel import NAME, fetch
from tuneworthy.models.train import gguf_file
from tuneworthy.models.train.adapter import MANIFEST
from tuneworthy.models.train.full import trainable_copy
from tuneworthy.models.train.loop import TrainingSchedule, train
from tuneworthy.models.train.loss import open_net
from tuneworthy.models.train.merge import merge_adapter
from tuneworthy.models.train.training_data import EncodedExample, render
from tuneworthy.models.train.twin import LoraShape, lora_twin, save_adapter
from tuneworthy.records.case import Case, Message

FP32 = Placement(device="cpu", precision="float32")
STEPS, BATCH = 30, 4
SHAPES = {
    "support": LoraShape(rank=16, alpha=32),
    "sums": LoraShape(rank=4, alpha=8, targets=("q_proj", "v_proj")),
}
Weights = dict[str, torch.Tensor]


def rows_of(name: str) -> list[tuple[str, str]]:
    """Return the training rows (user's text, answer) of an adapter."""
    if name == "support":
        return texts(STEPS * BATCH)
    draw = random.Random(1)
    pairs = [(draw.randint(1, 99), draw.randint(1, 99)) for _ in range(STEPS * BATCH)]
    return [(f"How much is {a} plus {b}?", f"{a} + {b} = {a + b}") for a, b in pairs]


class Kit:
    """The base, the adapters `support` and `sums`, an empty one and another base, in a folder.

    What is trained stays there, so that a later run goes on with it.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.base = folder, fetch()

    @cached_property
    def plain(self) -> Any:
        """Return the base in fp32, without an adapter."""
        return open_model(NAME, folder=Path(), place=FP32)

    @cached_property
    def weights(self) -> Weights:
        """Return the base's weights by name."""
        return load_file(self.base / "model.safetensors")

    def encoded(self, name: str) -> list[EncodedExample]:
        """Return the rows of an adapter as token ids."""
        out = []
        for user, answer in rows_of(name):
            row = render(self.plain.tokenizer, (Message(role="user", content=user),), answer)
            assert isinstance(row, EncodedExample)
            out.append(row)
        return out

    def cases(self, name: str, count: int) -> list[Case]:
        """Return rows of an adapter to be asked."""
        return [
            Case(id=f"r{at}", messages=(Message(role="user", content=user),), output=answer)
            for at, (user, answer) in enumerate(rows_of(name)[:count])
        ]

    def adapter(self, name: str) -> Path:
        """Return the folder of an adapter; train it first if it is missing."""
        folder = self.folder / name
        if folder.exists():
            return folder
        wrapped = lora_twin(self.plain.module, SHAPES.get(name, LoraShape()), 0)
        if name != "empty":
            self._train(wrapped.base_model.model, name, 1e-3)
        save_adapter(wrapped, folder, {"base": {"spec": NAME}})
        (folder / MANIFEST).unlink()  # as an adapter of another tool: its base has one precision
        return folder

    def on_other_base(self, name: str) -> Weights:
        """Return an adapter merged into another checkpoint: the base tuned for STEPS steps."""
        file = self.folder / "other.safetensors"
        if not file.exists():
            module = trainable_copy(self.plain.module)
            self._train(module, "sums", 1e-4)
            save_file({key: w.detach().contiguous() for key, w in module.named_parameters()}, file)
        return self.merged(name, load_file(file))

    def _train(self, module: Any, name: str, rate: float) -> None:
        rows = self.encoded(name)
        net = open_net(module, rows[0].ids, share=False, by_hand=False)
        pace = TrainingSchedule(epochs=1, batch=BATCH, rate=rate)
        train(net, rows, pace, 0, lambda epoch: None)

    def tuned(self, name: str) -> Any:
        """Return the base in fp32 with an adapter."""
        return self.plain.with_adapter(self.adapter(name))

    def merged(
        self, name: str, base: Weights | None = None, factor: Callable[[str], float] | None = None
    ) -> Weights:
        """Return `base` with an adapter merged in, `factor(layer)` times (once, unless said)."""
        out = dict(self.weights if base is None else base)
        for layer, (first, second, scale) in self.tuned(name).adapter.changes.items():
            times = 1.0 if factor is None else factor(layer)
            change = second.float() @ first.float()
            out[f"{layer}.weight"] = out[f"{layer}.weight"] + times * scale * change
        return out

    def gguf(self, out: Path, kind: str, weights: Mapping[str, Any], **patched: Any) -> Path:
        """Write weights as the GGUF file `out`; `patched` replaces functions of the writer."""
        given = {"merged_weights": lambda *given: iter(weights.items()), **patched}
        with mock.patch.multiple(gguf_file, **given):
            return gguf_file.write_gguf(self.plain, out, kind)

    def written(self, out: Path, kind: str, name: str) -> Path:
        """Write the GGUF file of an adapter as `build` does."""
        return gguf_file.write_gguf(self.tuned(name), out, kind)

    def folder_of(self, out: Path, weights: Weights, dtype: torch.dtype) -> Path:
        """Write a model folder of some weights."""
        out.mkdir()
        for pattern in ("*.json", "*.jinja"):
            for path in self.base.glob(pattern):
                shutil.copy(path, out)
        (out / "tuneworthy-model.json").unlink(missing_ok=True)
        kept = {name: weight.to(dtype).contiguous() for name, weight in weights.items()}
        save_file(kept, out / "model.safetensors", metadata={"format": "pt"})
        return out

    def merged_by_us(self, out: Path, name: str) -> Path:
        """Write the merged folder with our own merge."""
        merge_adapter(self.base, self.adapter(name), self.tuned(name).adapter.changes, out)
        return out

    def merged_by_peft(self, out: Path, name: str, dtype: torch.dtype) -> Path:
        """Write the merged folder as users of peft do."""
        from peft import PeftModel
        from transformers import AutoModelForCausalLM, AutoTokenizer

        base = AutoModelForCausalLM.from_pretrained(self.base, dtype=dtype)
        merged = PeftModel.from_pretrained(base, str(self.adapter(name))).merge_and_unload()
        merged.save_pretrained(out)
        AutoTokenizer.from_pretrained(self.base).save_pretrained(out)
        return out

    def opened(self, folder: Path) -> Any:
        """Return a model folder in fp32."""
        return open_model(f"hf:{folder}", folder=Path(), place=FP32)


def changed_json(path: Path, **new: Any) -> None:
    """Set some keys of a JSON file; a file that is missing stays so."""
    if path.exists():
        path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | new), "utf-8")
