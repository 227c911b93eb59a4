"""Check a model's config before transformers reads it: it requests no code, sizes are plausible.

A config is untrusted data: it may request its own code or misstate the model. Knows no torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tuneworthy.models.local.model_files import read_json
from tuneworthy.models.local.tensors import Tensor
from tuneworthy.records.errors import ModelError, SecurityError

_CONFIGS = ("config.json", "tokenizer_config.json", "generation_config.json")
_LAYERS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers")
_WIDTHS = ("hidden_size", "n_embd", "d_model", "num_attention_heads", "n_head",
           "num_key_value_heads", "head_dim", "vocab_size")  # fmt: skip
_UNCOMPARED_SIZES = ("intermediate_size", "n_inner", "ffn_dim", "moe_intermediate_size",
         "max_position_embeddings", "n_positions")  # fmt: skip
_EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "num_experts_per_tok")
_MOST_LAYERS, _MOST_EXPERTS, _LARGEST_SIZE = 2_000, 10_000, 2**40
_MOST_DEPTH = 100  # most levels of nesting: transformers traverses a config recursively


def read_config(folder: Path) -> dict[str, Any]:
    """Return config.json of a model folder.

    Raises ModelError if it is missing, no JSON object, or has implausible sizes.
    """
    config = read_json(folder / "config.json", "the folder has no config.json, so it is no model")
    for part in _config_and_text_config(config):
        for name, most in _bounds():
            _check_count(folder, name, part.get(name), most)
    return config


def refuse_code(folder: Path) -> None:
    """Raise SecurityError if a config requests code: its own, or a kernel from the hub."""
    for name in _CONFIGS:
        for key, value in _walk(read_json(folder / name), folder / name):
            if why := _requested_code(key, value):
                raise SecurityError(
                    f"the model wants to run {why}",
                    where=str(folder / name),
                    got=f"{key}: {value}",
                    fix="choose a model whose architecture transformers knows, or take this key "
                    "out of the file",
                )


def check_sizes(folder: Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Raise ModelError if the config describes a larger model than the weight files hold.

    transformers would fill the missing tensors with random numbers.
    """
    longest = max((max(t.shape, default=1) for t in tensors.values()), default=0)
    for part in _config_and_text_config(config):
        for name in (*_LAYERS, *_WIDTHS):
            most = len(tensors) if name in _LAYERS else longest
            if isinstance(value := part.get(name), int) and value > most:
                raise ModelError(
                    "the config is not that of the weights",
                    where=str(folder / "config.json"),
                    got=f"{name}: {value}; the weight files hold {len(tensors)} tensors, the "
                    f"longest side is {longest}",
                    fix="copy config.json of this very model into the folder",
                )
    packed = [name for name, t in tensors.items() if t.whole and len(t.shape) > 1
              and name.endswith(".weight")]  # fmt: skip
    if packed and not config.get("quantization_config"):
        raise ModelError(
            "weights are whole numbers, and the config says nothing of a quantisation",
            where=str(folder),
            got=", ".join(packed[:3]),
            fix="download the whole model again",
        )


def _config_and_text_config(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    inner = config.get("text_config")
    return [config, *([inner] if isinstance(inner, Mapping) else [])]


def _bounds() -> Iterator[tuple[str, tuple[int, int]]]:
    for name in _LAYERS:
        yield name, (1, _MOST_LAYERS)
    for name in (*_WIDTHS, *_UNCOMPARED_SIZES):
        yield name, (1, _LARGEST_SIZE)
    for name in _EXPERTS:
        yield name, (0, _MOST_EXPERTS)


def _check_count(folder: Path, name: str, value: Any, between: tuple[int, int]) -> None:
    low, high = between
    values = value if isinstance(value, list) and value else [value]  # some list one per layer
    if value is None or all(type(item) is int and low <= item <= high for item in values):
        return
    raise ModelError(
        "the config names a size that no model has",
        where=str(folder / "config.json"),
        got=f"{name}: {value}",
        fix="copy config.json of this very model into the folder",
    )


def _walk(value: Any, where: Path, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield (key, value) for each key of nested JSON, at every level."""
    if depth > _MOST_DEPTH:
        raise ModelError("a config is nested too deeply", where=str(where), fix="download again")
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield str(key), inner
            yield from _walk(inner, where, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _walk(inner, where, depth + 1)


def _requested_code(key: str, value: Any) -> str:
    """Return what code a config key would load (the model's own, a hub kernel), "" for none."""
    if not value:
        return ""
    if key in ("auto_map", "custom_generate", "custom_pipelines"):
        return "code of its own"
    if key in ("kernel_config", "use_kernels", "use_kernel_forward_from_hub"):
        return "kernels of the hub"
    # `org/name` is a kernel on the hub, which transformers would fetch and run
    if key.strip("_").startswith(("attn_implementation", "experts_implementation")):
        names = [value] if isinstance(value, str) else list(_texts(value))
        return "a kernel of the hub" if any("/" in text for text in names) else ""
    return ""


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        value = list(value.values())
    for inner in value if isinstance(value, list) else []:
        if isinstance(inner, str):
            yield inner
        else:
            yield from _texts(inner)
