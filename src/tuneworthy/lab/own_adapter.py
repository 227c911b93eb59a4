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

from tuneworthy.models.local import wheel
from tuneworthy.models.local.tensors import Tensor, header_of, read_square_sum, readable, values_of
from tuneworthy.records.errors import DataError, TuneworthyError
from tuneworthy.records.record import well_formed
from tuneworthy.records.run_report import AdapterInfo
from tuneworthy.rows.run_folder import KEPT, RunFolder

WEIGHTS_FILE = "adapter_model.safetensors"

_MOST_BASE_BYTES = 20_000_000_000  # the most bytes of a base whose weights are read

_LORA_WEIGHT = re.compile(r"(?:base_model\.model\.)?(.+)\.lora_([AB])(?:\.\w+)?\.weight")


@dataclass
class _AdapterFacts:
    """An adapter's shape (None without one), its facts, and why other facts are missing."""

    info: AdapterInfo | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _WeightChange:
    """Squared Frobenius norms of the changes, by the matrix's name in the base."""

    squares: dict[str, float]
    why_unknown: str = ""


def adapter_facts(folder: RunFolder, base: Path | None) -> _AdapterFacts:
    """Return the facts of a folder's adapter; `base` is a folder with the base's weights."""
    file = folder.newest("adapter_config.json")
    if file is None:
        why = "the folder has no PEFT adapter (adapter_config.json)"
        return _AdapterFacts(missing=dict.fromkeys(("change", "parameters"), why))
    config = folder.object(file)
    weights = f"{file.rpartition('/')[0]}/{WEIGHTS_FILE}".lstrip("/")
    info = _adapter_info(config, file)
    if not folder.has(weights):
        pickled = folder.has(weights.replace(".safetensors", ".bin"))
        why = f"{WEIGHTS_FILE} is missing" + (
            "; adapter_model.bin is a pickle, which is never opened" if pickled else ""
        )
        return _AdapterFacts(info, missing=dict.fromkeys(("change", "parameters"), why))
    path = folder.root / weights
    try:
        table = header_of(path)
    except TuneworthyError as error:
        why = f"{weights}: {error.what} ({error.got})" if error.got else f"{weights}: {error.what}"
        return _AdapterFacts(info, missing=dict.fromkeys(("change", "parameters"), why))
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
    return _AdapterFacts(info.model_copy(update=made), facts, missing)


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
    """Return the largest relative change of a layer's weights (ratio of norms), or why unknown."""
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
        weights[layer] += read_square_sum(home, tables[home][f"{name}.weight"])
        changed[layer] += square
    ratios = [math.sqrt(changed[layer] / weights[layer]) for layer in changed if weights[layer]]
    if not all(map(math.isfinite, ratios)):
        return "the base holds values that are not finite"
    return max(ratios) if ratios else "the base's weights are all zero"


def _is_number(value: Any) -> bool:
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return plain and abs(value) < 1e9


def _local_base(name: str) -> Path | None:
    """Return the folder of a base model on this machine, else None; make no request."""
    if name == wheel.NAME:
        return wheel.locate()
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


_SPECIAL_TOKENS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token",
            "mask_token")  # fmt: skip

_MOST_BYTES = 256_000_000  # bytes of a tokenizer.json


@dataclass(frozen=True)
class _AddedToken:
    content: str
    special: bool


@dataclass
class FolderTokenizer:
    """A tokenizer with the part of transformers' interface that rendering a row needs."""

    file: str
    core: Any
    chat_template: str | None
    special_tokens_map: dict[str, str]
    added_tokens_decoder: dict[int, _AddedToken]
    cut_at: int | None = None
    name_or_path: str = ""

    @property
    def eos_token(self) -> str | None:
        """Return the token that ends a text, None if the tokenizer has none."""
        return self.special_tokens_map.get("eos_token")

    @property
    def pad_token(self) -> str | None:
        """Return the padding token, None if the tokenizer has none."""
        return self.special_tokens_map.get("pad_token")

    def __call__(
        self, text: str, add_special_tokens: bool = False, split_special_tokens: bool = False
    ) -> dict[str, list[int]]:
        """Return the ids of a text as {"input_ids": ids}, like transformers."""
        self.core.encode_special_tokens = split_special_tokens
        ids = self.core.encode(text, add_special_tokens=add_special_tokens).ids
        return {"input_ids": list(ids)}

    def decode(self, ids: list[int]) -> str:
        """Return the text of some ids, with special tokens."""
        return str(self.core.decode(list(ids), skip_special_tokens=False))

    def convert_tokens_to_ids(self, token: str) -> int | None:
        """Return the id of a token, None if it is not in the vocabulary."""
        found: int | None = self.core.token_to_id(token)
        return found


def read_tokenizer(folder: RunFolder) -> FolderTokenizer | str:
    """Return the folder's tokenizer, or why there is none. Raises DataError if it is damaged."""
    file = folder.newest("tokenizer.json")
    if file is None:
        return "the folder has no tokenizer.json: save the tokenizer beside the model"
    try:
        from tokenizers import Tokenizer
    except ImportError:
        return "the package `tokenizers` is not installed: pip install 'tuneworthy[train]'"
    with folder.opened(file, _MOST_BYTES) as opened:
        raw = opened.read(_MOST_BYTES)
    try:
        core = Tokenizer.from_buffer(raw)
    except Exception as error:  # the library raises plain Exception
        raise DataError("the tokenizer of the folder can't be read", where=file, got=str(error),
                        fix="copy tokenizer.json again", kept=KEPT) from error  # fmt: skip
    cut = core.truncation or {}
    core.no_truncation()
    core.no_padding()
    beside = file.rpartition("/")[0]
    config = folder.object(f"{beside}/tokenizer_config.json".lstrip("/"))
    special = {name: token for name in _SPECIAL_TOKENS if (token := _token_text(config.get(name)))}
    added = {number: _AddedToken(token.content, token.special)
             for number, token in core.get_added_tokens_decoder().items()}  # fmt: skip
    limit = cut.get("max_length")
    return FolderTokenizer(
        file, core, _chat_template(folder, beside, config), special, added,
        limit if isinstance(limit, int) else None,
    )  # fmt: skip


def _chat_template(folder: RunFolder, beside: str, config: dict[str, Any]) -> str | None:
    file = f"{beside}/chat_template.jinja".lstrip("/")
    if folder.has(file):
        return folder.text(file)
    template = config.get("chat_template")
    if isinstance(template, list):  # several, each with its name
        named = {str(one.get("name")): one.get("template") for one in template
                 if isinstance(one, dict)}  # fmt: skip
        template = named.get("default")
    return well_formed(template) if isinstance(template, str) and template else None


def _token_text(token: Any) -> str | None:
    """Return a special token's text from a config's text or object; None if it has none."""
    if isinstance(token, dict):
        token = token.get("content")
    return well_formed(token) if isinstance(token, str) and token else None
