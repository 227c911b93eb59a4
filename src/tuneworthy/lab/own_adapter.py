"""Read a PEFT adapter without torch: its shape, its size, and how much it changes the base."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Mapping
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

WEIGHTS = "adapter_model.safetensors"
_BASE_MOST = 20_000_000_000  # bytes of a base whose weights are read
_PAIR = re.compile(r"(?:base_model\.model\.)?(.+)\.lora_([AB])(?:\.\w+)?\.weight")


@dataclass
class AdapterFacts:
    """An adapter's shape, the facts that detectors read, and why others are missing."""

    info: AdapterInfo | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Change:
    """The square of the Frobenius norm of each changed matrix, by its name in the base."""

    squares: dict[str, float]
    why_unknown: str = ""


def of_adapter(folder: RunFolder, base: Path | None) -> AdapterFacts:
    """Return the facts of the folder's adapter; `base` is a folder with the base's weights."""
    file = folder.newest("adapter_config.json")
    if file is None:
        why = "the folder has no PEFT adapter (adapter_config.json)"
        return AdapterFacts(missing=dict.fromkeys(("change", "parameters"), why))
    config = folder.object(file)
    weights = f"{file.rpartition('/')[0]}/{WEIGHTS}".lstrip("/")
    info = _info(config, file)
    if not folder.has(weights):
        pickled = folder.has(weights.replace(".safetensors", ".bin"))
        why = f"{WEIGHTS} is missing" + (
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
    change = _changes(path, table, config)
    norm = math.sqrt(sum(change.squares.values())) if change.squares else None
    made: dict[str, Any] = {"matrices": len(change.squares), "parameters": count}
    if norm is not None and math.isfinite(norm):
        made["norm"] = norm
    facts: dict[str, Any] = {"parameters": count}
    ratio = _relative(change, base or _known_base(info.base))
    missing = {}
    if isinstance(ratio, str):
        missing["change"] = ratio
    else:
        facts["change"] = made["change"] = ratio
    return AdapterFacts(info.model_copy(update=made), facts, missing)


def _info(config: Mapping[str, Any], file: str) -> AdapterInfo:
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


def _changes(file: Path, table: Mapping[str, Tensor], config: Mapping[str, Any]) -> _Change:
    """Return the squared norms of scaling * B A, which is trace((B'B)(AA')) and needs no B A."""
    if config.get("peft_type") != "LORA":
        return _Change({}, f"the adapter is {config.get('peft_type')}, not LoRA")
    if config.get("use_dora"):
        return _Change({}, "the adapter is DoRA, whose change needs the base's weights in full")
    if config.get("rank_pattern") or config.get("alpha_pattern"):
        return _Change({}, "the adapter has ranks or scales of their own for some matrices")
    pairs: defaultdict[str, dict[str, Tensor]] = defaultdict(dict)
    for name, tensor in table.items():
        if (match := _PAIR.fullmatch(name)) and len(tensor.shape) == 2 and readable(tensor):
            pairs[match[1]][match[2]] = tensor
    squares = {}
    for name, pair in pairs.items():
        if set(pair) != {"A", "B"} or pair["A"].shape[0] != pair["B"].shape[1]:
            return _Change({}, f"{name} has no matching pair of matrices")
        rank, alpha = pair["A"].shape[0], config.get("lora_alpha")
        if alpha is None or not _is_number(alpha) or not rank:
            return _Change({}, "adapter_config.json names no lora_alpha")
        scale = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
        a, b = values_of(file, pair["A"]), values_of(file, pair["B"])
        squares[name] = max(float(np.vdot(b.T @ b, a @ a.T)), 0.0) * scale**2
    return _Change(squares, "" if squares else "the adapter has no LoRA matrices")


def _relative(change: _Change, base: Path | None) -> float | str:
    """Return the largest change of a layer relative to its weights, or why it is not known."""
    if not change.squares:
        return change.why_unknown
    if not all(map(math.isfinite, change.squares.values())):
        return "the adapter holds values that are not finite"
    if base is None:
        return "the base's weights are not at hand (--base FOLDER)"
    files = sorted(base.glob("*.safetensors"))
    if sum(file.stat().st_size for file in files) > _BASE_MOST:
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


def _known_base(name: str) -> Path | None:
    """Return the folder of a base that is on this machine; makes no request."""
    if name == embedded.NAME:
        return embedded.locate()
    given = Path(name)
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
