"""Merge a LoRA adapter into its base file by file: W + scale · B A, computed in fp32.

The result is a model folder with the base's own files, names and precision. Written tensors are
read back and compared bit for bit with base + delta.
"""

from __future__ import annotations

import copy
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from tuneworthy.models.local.forward import open_net
from tuneworthy.models.local.tuned_weights import WEIGHTS
from tuneworthy.models.local.weights import check_folder
from tuneworthy.models.train.adapter import read_sealed, seal
from tuneworthy.models.train.gguf_file import merged_weights
from tuneworthy.models.train.twin import twin
from tuneworthy.records.errors import ModelError, TaskError
from tuneworthy.store import signals

_PEFT_PREFIX = "base_model.model."

_COPIED_FILES = ("*.json", "*.jinja", "tokenizer.model", "*.txt")

_NEVER_COPIED = {"adapter_config.json", "tuneworthy.json"}


def merge_adapter(base: Path, adapter: Path, changes: Mapping[str, Any], out: Path) -> str:
    """Write the merged model to the folder `out`; return the precision it is saved in.

    `changes` are those of the opened adapter, {layer: (A, B, scale)}: only names and scales are
    read, the matrices come from the adapter's file in full precision. Raises ModelError if a
    changed layer is not in the base's files under its own name, or if a written tensor is not
    base + delta.
    """
    out.mkdir(parents=True)
    deltas = adapter_matrices(adapter, changes)
    files, kinds, left = check_folder(base), set[str](), set(deltas)
    for file in files:
        tensors = dict(_merged(file, deltas))
        left -= set(tensors)
        kinds |= {str(tensors[name].dtype).removeprefix("torch.") for name in deltas
                  if name in tensors}  # fmt: skip
        save_file(tensors, out / file.name, metadata={"format": "pt"})
        del tensors
    if left:
        raise ModelError(
            "the base's files hold a tuned layer under another name, so it can't be merged here",
            where=str(base),
            got=", ".join(sorted(left)[:3]),
            fix="use the PEFT folder, or merge with peft's merge_and_unload",
        )
    _copy_others(base, out)
    check_merged(base, adapter, changes, out)
    return " and ".join(sorted(kinds))


def write_merged(engine: Any, base: Path, out: Path) -> str:
    """Write an engine's weights with its adapter merged in to `out`; return their precision.

    For adapters whose change is no sum (DoRA) and models with fewer layers than the base: the
    config is the engine's. Raises ModelError if a tensor that is read back differs.
    """
    out.mkdir(parents=True)
    kinds = {name: weight.dtype for name, weight in engine.module.named_parameters()}
    file = out / "model.safetensors"
    whole = {name: weight.to(kinds[name]).contiguous() for name, weight in merged_weights(engine)}
    save_file(whole, file, metadata={"format": "pt"})
    written = load_file(file)
    if wrong := [name for name in whole if not torch.equal(whole[name], written[name])]:
        raise ModelError("a merged tensor was not written as it is", where=str(file), got=wrong[0],
                         fix="build again; if it comes back, report it as a bug")  # fmt: skip
    _copy_others(base, out)
    engine.module.config.to_json_file(out / "config.json")
    return " and ".join(sorted({str(kind).removeprefix("torch.") for kind in kinds.values()}))


def copy_whole(trained: Path, base: Path, out: Path) -> None:
    """Write trained weights, their manifest and the base's tokenizer files to the folder `out`."""
    out.mkdir(parents=True)
    _copy_others(base, out)
    for name in (WEIGHTS, "config.json"):
        shutil.copyfile(trained / name, out / name)
    about = read_sealed(trained, WEIGHTS) or {}
    seal(out, {key: value for key, value in about.items() if key not in ("files", "schema")})


def _copy_others(base: Path, out: Path) -> None:
    """Copy config, tokenizer and template files from the folder `base` to `out`."""
    for pattern in _COPIED_FILES:
        for path in base.glob(pattern):
            if path.name not in _NEVER_COPIED:
                shutil.copyfile(path, out / path.name)


def check_merged(base: Path, adapter: Path, changes: Mapping[str, Any], out: Path) -> None:
    """Raise ModelError if a tensor in `out` is not base + delta, bit for bit.

    Both are read from the disk again.
    """
    deltas = adapter_matrices(adapter, changes)
    for file in check_folder(base):
        written = load_file(out / file.name)
        for name, expected in _merged(file, deltas):
            found = written.pop(name, None)
            if found is None or found.dtype != expected.dtype or not torch.equal(found, expected):
                raise ModelError(
                    "a merged tensor is not base + delta",
                    where=str(out / file.name),
                    got=name,
                    fix="build again; if it comes back, report it as a bug",
                )
        if written:
            raise ModelError(
                "the merged file holds tensors that the base does not have",
                where=str(out / file.name),
                got=", ".join(sorted(written)[:3]),
            )


def adapter_matrices(
    adapter: Path, changes: Mapping[str, Any]
) -> dict[str, tuple[Any, Any, float]]:
    """Return {weight name: (A, B, scale)} of the adapter's file, in fp32."""
    stored = load_file(adapter / "adapter_model.safetensors")
    return {
        f"{name}.weight": (
            stored[f"{_PEFT_PREFIX}{name}.lora_A.weight"].float(),
            stored[f"{_PEFT_PREFIX}{name}.lora_B.weight"].float(),
            scale,
        )
        for name, (_, _, scale) in changes.items()
    }


def _merged(file: Path, deltas: Mapping[str, tuple[Any, Any, float]]) -> Iterator[tuple[str, Any]]:
    """Yield (name, tensor) for each tensor of a weight file, its delta added in fp32."""
    with safe_open(file, framework="pt") as opened:
        for name in opened.keys():  # noqa: SIM118  no mapping
            signals.check()
            weight = opened.get_tensor(name)
            if change := deltas.get(name):
                first, second, scale = change
                weight = (weight.float() + scale * (second @ first)).to(weight.dtype)
            yield name, weight.contiguous()


_GROUP_WEIGHTS = 32  # weights that share a scale

_LARGEST_STEP = 7  # the largest of the 16 steps -8 to 7

FORMS = ("bfloat16", "int4")


def merged_rounded(model: Any, form: str) -> Any:
    """Return a copy of the model with its adapter merged in and weights rounded to `form`.

    Embeddings, the output layer and layers without a change keep their weights. Raises TaskError
    for an unknown form.
    """
    if form not in FORMS:
        raise TaskError("no merged form has this name", got=form, fix=f"write {', '.join(FORMS)}")
    module = twin(model.module)
    layers = dict(module.named_modules())
    for name, (first, second, scale) in model.adapter.changes.items():
        layer = layers[name]
        merged = layer.weight.float() + scale * (second.float() @ first.float())
        layer.weight = torch.nn.Parameter(
            rounded(merged, form).to(layer.weight.dtype), requires_grad=False
        )
    other = copy.copy(model)
    other.module, other.adapter = module, None
    other.net = replace(open_net(module), fit=replace(model.net.fit))
    other.fingerprint = {**model.fingerprint, "merged": form}
    return other


def rounded(weight: Any, form: str) -> Any:
    """Return a matrix [outputs, inputs] rounded to the values that `form` can store."""
    if form == "bfloat16":
        return weight.to(torch.bfloat16).float()
    outputs, inputs = weight.shape
    padded = torch.nn.functional.pad(weight, (0, -inputs % _GROUP_WEIGHTS))
    groups = padded.view(outputs, -1, _GROUP_WEIGHTS)
    scale = groups.abs().amax(-1, keepdim=True).clamp_min(1e-12) / _LARGEST_STEP
    steps = (groups / scale).round().clamp(-_LARGEST_STEP - 1, _LARGEST_STEP)
    return (steps * scale).view(outputs, -1)[:, :inputs]
