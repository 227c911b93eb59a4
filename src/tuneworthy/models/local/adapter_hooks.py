"""Apply a LoRA adapter to a model by forward hooks, which leave the base weights unchanged.

Two adapters and the base share one set of weights without affecting each other. Reads the PEFT
format (safetensors): LoRA, rsLoRA (another scale) and DoRA (a magnitude per output, Liu et al.
2024, arXiv 2402.09353, equation 5). Knows no training.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from tuneworthy.models.local.device import exact
from tuneworthy.models.local.model_files import check_files, read_json
from tuneworthy.models.local.weights import check_safetensors
from tuneworthy.records.errors import ModelError, NumericError

MANIFEST, ADAPTER = "tuneworthy.json", "adapter_model.safetensors"
# Options that change an adapter's outputs and are not supported here.
_UNREAD = (
    "modules_to_save", "fan_in_fan_out", "layer_replication", "auto_map", "alora_invocation_tokens",
    "use_qalora", "use_bdlora", "arrow_config", "kasa_config", "monteclora_config",
)  # fmt: skip
_HEAD, _MAGNITUDE = "base_model.model.", ".lora_magnitude_vector"


@dataclass(frozen=True)
class Adapter:
    """An opened adapter: low-rank changes (A, B, scale) by layer name, and its file's SHA-256.

    `gains` (DoRA) has for each layer m / ‖W + scale · B A‖, one number per output: the layer's
    weight is then gain · (W + scale · B A).
    """

    changes: dict[str, tuple[Any, Any, float]]
    hash: str
    gains: dict[str, Any] = field(default_factory=dict)

    @contextmanager
    def applied(self, module: Any) -> Iterator[None]:
        """Add the changes to the outputs of the module's layers inside the `with` block."""
        layers = dict(module.named_modules())
        hooks = [
            layers[name].register_forward_hook(_adapter_hook(*change, self.gains.get(name)))
            for name, change in self.changes.items()
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()


def adapter_applied(model: Any) -> AbstractContextManager[None]:
    """Return a context in which a local engine's adapter, if it has one, is applied to its module.

    An engine with an adapter shares the module of its base: without this context the module gives
    the base's logits.
    """
    adapter = getattr(model, "adapter", None)
    return adapter.applied(model.module) if adapter else nullcontext()


def _adapter_hook(first: Any, second: Any, scale: float, gain: Any = None) -> Any:
    def hook(layer: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        low, bias = inputs[0].flatten(0, -2) @ first.t(), getattr(layer, "bias", None)
        output_ = output if gain is None or bias is None else output - bias
        added = torch.addmm(output_.flatten(0, -2), low, second.t(), alpha=scale)
        if gain is not None:  # the gain scales the weight, so never the bias
            scaled = added * gain if bias is None else added * gain + bias
            added = scaled.to(output.dtype)
        return added.view(output.shape)

    return hook


def read_adapter(folder: Path, module: Any, weights: str, *, idle: bool = False) -> Adapter:
    """Return the adapter in `folder`, checked to belong to `module`, whose hash is `weights`.

    Raises ModelError for another base, for tensors that don't match or are left over, for adapter
    kinds that can't be applied exactly, and (unless `idle`) for an adapter that changes nothing;
    NumericError for values that are not finite.
    """
    file = folder / ADAPTER
    if not file.exists():
        raise ModelError("the folder has no adapter_model.safetensors", where=str(folder))
    check_files(folder)
    check_safetensors(file)
    with file.open("rb") as opened:
        file_hash = hashlib.file_digest(opened, "sha256").hexdigest()
    check_manifest(folder, weights, file, file_hash)
    config = _read_lora_config(folder)
    tensors = load_file(file)
    norms = _pop_magnitudes(tensors) if config.get("use_dora") else None
    changes = _paired_changes(tensors, config, module, folder)
    gains = {} if norms is None else _gains(norms, changes, module, folder)
    numbers = [t for a, b, _ in changes.values() for t in (a, b)] + list(gains.values())
    if not all(bool(torch.isfinite(t).all()) for t in numbers):
        raise NumericError("the adapter holds values that are not finite", where=str(file))
    moved = any(bool((gain != 1).any()) for gain in gains.values())
    if not idle and not moved and not any(bool(b.any()) for _, b, _ in changes.values()):
        raise ModelError(
            "the adapter changes nothing: every B matrix is zero",
            where=str(file),
            fix="train it (a fresh adapter is the base itself)",
        )
    return Adapter(changes, file_hash, gains)


def check_manifest(folder: Path, weights: str, file: Path, file_hash: str) -> None:
    """Raise ModelError if the manifest has another base hash, or another hash of `file`.

    Without a manifest nothing is checked.
    """
    what = "adapter" if file.name == ADAPTER else "tuned model"
    manifest = read_json(folder / MANIFEST)
    if not manifest and not (folder / MANIFEST).exists():
        return  # written by another tool: only its shapes can be checked
    try:
        base = manifest["base"]["weights"]
        kept = manifest.get("files", {}).get(file.name, {}).get("sha256")
    except (KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"the {what}'s manifest can't be read", where=str(folder / MANIFEST), got=str(error)
        ) from error
    if base != weights:
        raise ModelError(
            f"the {what} was trained on another base",
            where=str(folder),
            got=f"trained on {str(base)[:12]}…, opened on {weights[:12]}…",
            fix="open it on the model it was trained on, or train it again on this one",
        )
    if kept and kept != file_hash:
        raise ModelError(
            f"the {what}'s bytes are not those that were saved",
            where=str(file),
            fix="train it again, or copy it again from where it was built",
        )


def _read_lora_config(folder: Path) -> dict[str, Any]:
    config = read_json(folder / "adapter_config.json", "the adapter has no adapter_config.json")
    odd = [key for key in _UNREAD if config.get(key)]
    if config.get("peft_type") != "LORA" or odd or config.get("bias", "none") != "none":
        raise ModelError(
            "this kind of adapter can't be applied exactly",
            where=str(folder / "adapter_config.json"),
            got=f"{config.get('peft_type')} {', '.join(odd)} bias={config.get('bias')}",
            fix="train a LoRA, rsLoRA or DoRA, or merge it with the tool that made it",
        )
    return config


def _paired_changes(
    tensors: dict[str, Any], config: dict[str, Any], module: Any, folder: Path
) -> dict[str, tuple[Any, Any, float]]:
    layers = dict(module.named_modules())
    changes: dict[str, tuple[Any, Any, float]] = {}
    left = set(tensors)
    for key in sorted(tensors):
        name = key.removeprefix(_HEAD).removesuffix(".lora_A.weight")
        other = key.replace(".lora_A.", ".lora_B.")
        if not key.endswith(".lora_A.weight") or other not in tensors or name not in layers:
            continue
        weight = getattr(layers[name], "weight", None)
        a, b = tensors[key], tensors[other]
        if weight is None or not _matches_layer(a, b, weight):
            continue
        left -= {key, other}
        where = {"device": weight.device, "dtype": weight.dtype}
        changes[name] = (a.to(**where), b.to(**where), _scale(config, name, a.shape[0]))
    if left or not changes:
        raise ModelError(
            "tensors of the adapter match no layer of this model",
            where=str(folder),
            got=", ".join(sorted(left)[:3]) or "no tensor at all",
            fix="open it on the model it was trained on",
        )
    if lacking := sorted(_targeted_layers(config, layers) - changes.keys()):
        raise ModelError(
            "the adapter lacks tensors of layers that its config says it changes",
            where=str(folder),
            got=f"{', '.join(lacking[:3])} ({len(lacking)} in all)",
            fix="copy it again from where it was made",
        )
    return changes


def _pop_magnitudes(tensors: dict[str, Any]) -> dict[str, Any]:
    """Remove DoRA's magnitudes from `tensors`; return them by layer name."""
    keys = [key for key in tensors if key.endswith(_MAGNITUDE)]
    return {key.removeprefix(_HEAD).removesuffix(_MAGNITUDE): tensors.pop(key) for key in keys}


def _gains(
    norms: dict[str, Any],
    changes: dict[str, tuple[Any, Any, float]],
    module: Any,
    folder: Path,
) -> dict[str, Any]:
    """Return DoRA's gains m / ‖W + scale · B A‖ by layer, computed in double precision.

    Raises ModelError unless each changed layer has one magnitude per output.
    """
    layers = dict(module.named_modules())
    sizes = {name: tuple(second.shape[:1]) for name, (_, second, _) in changes.items()}
    if {name: tuple(norm.shape) for name, norm in norms.items()} != sizes:
        raise ModelError(
            "the adapter's magnitudes (DoRA) are not those of the layers that it changes",
            where=str(folder),
            got=f"{len(norms)} magnitudes, {len(sizes)} layers",
            fix="copy it again from where it was made",
        )
    gains: dict[str, Any] = {}
    for name, (first, second, scale) in changes.items():
        weight = layers[name].weight
        whole = exact(weight) + scale * (exact(second) @ exact(first))
        gain = exact(norms[name].to(weight.device)) / torch.linalg.vector_norm(whole, dim=1)
        kind = torch.promote_types(weight.dtype, torch.float32)  # half precision loses small gains
        gains[name] = gain.to(weight.device, kind)
    return gains


def _matches_layer(first: Any, second: Any, weight: Any) -> bool:
    """Return whether A and B are floats of one rank and their product has the layer's shape."""
    if not (first.ndim == second.ndim == 2 and first.is_floating_point()):
        return False
    same = first.shape[0] == second.shape[1] > 0 and second.is_floating_point()
    return bool(same and (second.shape[0], first.shape[1]) == tuple(weight.shape))


def _targeted_layers(config: dict[str, Any], layers: dict[str, Any]) -> set[str]:
    """Return the linear layers that `target_modules` lists, none if other options select."""
    ends, chosen = config.get("target_modules"), ("layers_to_transform", "exclude_modules")
    if not isinstance(ends, list) or any(config.get(key) for key in chosen):
        return set()
    return {
        name
        for name, layer in layers.items()
        if isinstance(layer, torch.nn.Linear)
        and any(name == end or name.endswith(f".{end}") for end in ends)
    }


def _scale(config: dict[str, Any], name: str, rank: int) -> float:
    pattern = config.get("alpha_pattern") or {}
    try:
        given = next((v for key, v in pattern.items() if name.endswith(key)), config["lora_alpha"])
        alpha = float(given)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise ModelError(
            "the adapter's config names no scale (lora_alpha)", got=f"{type(error).__name__}"
        ) from error
    if not math.isfinite(alpha):
        raise ModelError("the adapter's scale is no number", got=f"lora_alpha: {alpha}")
    return float(alpha / rank**0.5 if config.get("use_rslora") else alpha / rank)
