"""Read a PEFT adapter without torch: its shape, its size, and how much it changes the base."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tuneworthy.core.errors import TuneworthyError
from tuneworthy.core.run_report import AdapterInfo
from tuneworthy.data.run_folder import RunFolder
from tuneworthy.models.local import embedded
from tuneworthy.models.local.tensor_values import readable, square_of, values_of
from tuneworthy.models.local.tensors import Tensor, header_of

WEIGHTS_FILE = "adapter_model.safetensors"
_MOST_BASE_BYTES = 20_000_000_000  # the most bytes of a base whose weights are read
_LORA_WEIGHT = re.compile(r"(?:base_model\.model\.)?(.+)\.lora_([AB])(?:\.\w+)?\.weight")


@dataclass
class AdapterFacts:
    """An adapter's shape (None without one), its facts, and why other facts are missing."""

    info: AdapterInfo | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _WeightChange:
    """Squared Frobenius norms of the changes, by the matrix's name in the base."""

    squares: dict[str, float]
    why_unknown: str = ""


def adapter_facts(folder: RunFolder, base: Path | None) -> AdapterFacts:
    """Return the facts of a folder's adapter; `base` is a folder with the base's weights."""
    file = folder.newest("adapter_config.json")
    if file is None:
        why = "the folder has no PEFT adapter (adapter_config.json)"
        return AdapterFacts(missing=dict.fromkeys(("change", "parameters"), why))
    config = folder.object(file)
    weights = f"{file.rpartition('/')[0]}/{WEIGHTS_FILE}".lstrip("/")
    info = _adapter_info(config, file)
    if not folder.has(weights):
        pickled = folder.has(weights.replace(".safetensors", ".bin"))
        why = f"{WEIGHTS_FILE} is missing" + (
            "; adapter_model.bin is a pickle, which is never opened" if pickled else ""
        )
        return AdapterFacts(info, missing=dict.fromkeys(("change", "parameters"), why))
    path = folder.root / weights
    try:
        table = header_of(path)
    except TuneworthyError as error:
        why = f"{weights}: {error.what} ({error.got})" if error.got else f"{weights}: {error.what}"
        return AdapterFacts(info, missing=dict.fromkeys(("change", "parameters"), why))
    count = sum(math.prod(tensor.shape) for tensor in table.values())
    change = _weight_change(path, table, config)
    norm = math.sqrt(sum(change.squares.values())) if change.squares else None
    made: dict[str, Any] = {"matrices": len(change.squares), "parameters": count}
    if norm is not None and math.isfinite(norm):
        made["norm"] = norm
    facts: dict[str, Any] = {"parameters": count}
    ratio = _relative_change(change, base or _local_base(info.base))
    missing = {}
    if isinstance(ratio, str):
        missing["change"] = ratio
    else:
        facts["change"] = made["change"] = ratio
    return AdapterFacts(info.model_copy(update=made), facts, missing)


def _adapter_info(config: Mapping[str, Any], file: str) -> AdapterInfo:
    targets = config.get("target_modules")
    named = [targets] if isinstance(targets, str) else targets if isinstance(targets, list) else []
    rank, alpha = config.get("r"), config.get("lora_alpha")
    return AdapterInfo(
        file=file,
        kind=str(config.get("peft_type", "unknown")),
        rank=rank if isinstance(rank, int) else None,
        alpha=float(alpha) if alpha is not None and _is_number(alpha) else None,
        targets=tuple(sorted(map(str, named))),
        matrices=0,
        parameters=0,
        norm=None,
        change=None,
        base=str(config.get("base_model_name_or_path") or ""),
    )


def _weight_change(
    file: Path, table: Mapping[str, Tensor], config: Mapping[str, Any]
) -> _WeightChange:
    """Return the squared norm of scale * B A for each matrix, as trace((B'B)(AA')) without B A."""
    if config.get("peft_type") != "LORA":
        return _WeightChange({}, f"the adapter is {config.get('peft_type')}, not LoRA")
    if config.get("use_dora"):
        return _WeightChange(
            {}, "the adapter is DoRA, whose change needs the base's weights in full"
        )
    if config.get("rank_pattern") or config.get("alpha_pattern"):
        return _WeightChange({}, "the adapter has ranks or scales of their own for some matrices")
    pairs: defaultdict[str, dict[str, Tensor]] = defaultdict(dict)
    for name, tensor in table.items():
        if (match := _LORA_WEIGHT.fullmatch(name)) and len(tensor.shape) == 2 and readable(tensor):
            pairs[match[1]][match[2]] = tensor
    squares = {}
    for name, pair in pairs.items():
        if set(pair) != {"A", "B"} or pair["A"].shape[0] != pair["B"].shape[1]:
            return _WeightChange({}, f"{name} has no matching pair of matrices")
        rank, alpha = pair["A"].shape[0], config.get("lora_alpha")
        if alpha is None or not _is_number(alpha) or not rank:
            return _WeightChange({}, "adapter_config.json names no lora_alpha")
        scale = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
        a, b = values_of(file, pair["A"]), values_of(file, pair["B"])
        squares[name] = max(float(np.vdot(b.T @ b, a @ a.T)), 0.0) * scale**2
    return _WeightChange(squares, "" if squares else "the adapter has no LoRA matrices")


def _relative_change(change: _WeightChange, base: Path | None) -> float | str:
    """Return the largest relative change (norm) of a layer's weights, or why it is unknown."""
    if not change.squares:
        return change.why_unknown
    if not all(map(math.isfinite, change.squares.values())):
        return "the adapter holds values that are not finite"
    if base is None:
        return "the base's weights are not at hand (--base FOLDER)"
    files = sorted(base.glob("*.safetensors"))
    if sum(file.stat().st_size for file in files) > _MOST_BASE_BYTES:
        return "the base has more than 20 GB of weights, which are not read"
    try:
        tables = {file: header_of(file) for file in files}
    except TuneworthyError as error:
        return f"the base's weights can't be read: {error.what}"
    weights: defaultdict[str, float] = defaultdict(float)
    changed: defaultdict[str, float] = defaultdict(float)
    for name, square in change.squares.items():
        home = next((file for file in files if f"{name}.weight" in tables[file]), None)
        if home is None or not readable(tables[home][f"{name}.weight"]):
            return f"the base in {base.name} has no readable weights {name}.weight"
        layer = found[1] if (found := re.search(r"\.(\d+)\.", name)) else name
        weights[layer] += square_of(home, tables[home][f"{name}.weight"])
        changed[layer] += square
    ratios = [math.sqrt(changed[layer] / weights[layer]) for layer in changed if weights[layer]]
    if not all(map(math.isfinite, ratios)):
        return "the base holds values that are not finite"
    return max(ratios) if ratios else "the base's weights are all zero"


def _is_number(value: Any) -> bool:
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return plain and abs(value) < 1e9


def _local_base(name: str) -> Path | None:
    """Return the folder of a base model on this machine, None if it is not here; no request."""
    if name == embedded.NAME:
        return embedded.locate()
    given = Path(name)
    with suppress(OSError, ValueError):  # too long for a path, or unreadable
        if given.is_absolute() and (given / "config.json").is_file():
            return given
    try:
        from huggingface_hub import try_to_load_from_cache
        from huggingface_hub.errors import HFValidationError
    except ImportError:
        return None
    try:
        found = try_to_load_from_cache(name.removeprefix("hf:"), "config.json")
    except HFValidationError:  # not the name of a repository
        return None
    return Path(found).parent if isinstance(found, str) else None
