"""Add an adapter to a copy of a model's modules that shares the base's weights; save its files.

The base's own modules stay unchanged. Knows no loop and no rows.
"""

from __future__ import annotations

import copy
import hashlib
import json
import warnings
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from pydantic import Field
from safetensors.torch import save_file

from tuneworthy.models.local.device import exact
from tuneworthy.models.train.adapter import seal
from tuneworthy.records.record import GrownRecord
from tuneworthy.store.failpoint import failpoint


class LoraShape(GrownRecord):
    """Shape of a LoRA adapter: rank, alpha (the change is scaled by alpha / rank), target layers.

    `rslora`: the scale is alpha / sqrt(rank) (Kalajdzievski 2023, arXiv 2312.03732). `dora`: every
    output of a layer also gets a magnitude of its own (Liu et al. 2024, arXiv 2402.09353).
    """

    LATER = frozenset({"dora", "rslora"})

    rank: Annotated[int, Field(ge=1, le=1024)] = 16
    alpha: Annotated[float, Field(gt=0)] = 32
    targets: Literal["all-linear"] | tuple[str, ...] = "all-linear"
    dora: bool = False
    rslora: bool = False


def twin(module: Any) -> Any:
    """Return a copy of a model's modules that shares its weights, frozen; wrap it, not the base.

    Never merge an adapter into a twin: that would write into the base's weights.
    """
    shared = {
        id(weight): torch.nn.Parameter(weight.detach(), requires_grad=False)
        for weight in module.parameters()
    }
    return copy.deepcopy(module, shared).eval()  # eval: no dropout


def lora_twin(module: Any, shape: LoraShape, seed: int) -> Any:
    """Return a twin of the base with a new PEFT adapter, which does not change its outputs yet.

    Embeddings and the output layer are never adapted: engines refuse such adapters.
    """
    config = LoraConfig(
        r=shape.rank,
        lora_alpha=shape.alpha,
        target_modules=shape.targets if isinstance(shape.targets, str) else list(shape.targets),
        lora_dropout=0.0,
        bias="none",
        task_type="CAUSAL_LM",
        use_dora=shape.dora,
        use_rslora=shape.rslora,
    )
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # PEFT warns about future names in transformers
        warnings.simplefilter("ignore", FutureWarning)
        torch.manual_seed(seed)  # the initial weights depend on the seed alone
        wrapped = get_peft_model(twin(module), config).eval()
    if shape.dora:
        _set_exact_magnitudes(wrapped)
    return wrapped


@torch.no_grad()  # type: ignore[untyped-decorator]
def _set_exact_magnitudes(wrapped: Any) -> None:
    """Set each DoRA magnitude to the exact norm of its weight row, which PEFT may have rounded.

    PEFT computes it in the base's precision: in half precision a new adapter changed every output
    by up to .4 %.
    """
    for layer in wrapped.modules():
        if "default" in getattr(layer, "lora_magnitude_vector", {}):
            norms = torch.linalg.vector_norm(exact(layer.get_base_layer().weight), dim=1)
            layer.lora_magnitude_vector["default"].weight.copy_(norms)


def weights_hash(model: Any) -> str:
    """Return the SHA-256 of a model's weights: names, shapes, types and bytes."""
    if known := model.fingerprint.get("weights"):
        return str(known)
    hasher = hashlib.sha256()
    for name, tensor in sorted(model.module.state_dict().items()):
        hasher.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        hasher.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().data)
    return hasher.hexdigest()


def save_adapter(wrapped: Any, folder: Path, about: dict[str, Any]) -> None:
    """Write the adapter to a sealed folder in PEFT's format (safetensors, adapter_config.json)."""
    failpoint("epoch.before")
    folder.mkdir(parents=True)
    state = get_peft_model_state_dict(wrapped, save_embedding_layers=False)
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in sorted(state.items())}
    save_file(state, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    config = wrapped.peft_config["default"].to_dict()
    config |= {"inference_mode": True, "base_model_name_or_path": about["base"]["spec"]}
    text = json.dumps(_with_sorted_sets(config), indent=2, sort_keys=True)
    (folder / "adapter_config.json").write_text(text, "utf-8")
    seal(folder, about)
    failpoint("epoch.after")


def _with_sorted_sets(value: Any) -> Any:
    """Return plain data with sets as sorted lists, so that the same run writes the same bytes."""
    if isinstance(value, dict):
        return {key: _with_sorted_sets(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(value)
    return value if isinstance(value, str | int | float | bool | list | None) else str(value)
