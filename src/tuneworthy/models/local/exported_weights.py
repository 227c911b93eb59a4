"""Read what an exported model is made of: its weights, its chat template, the ends of its answers.

A model folder (safetensors) or a GGUF file. Nothing of it is run. Knows no task.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from tuneworthy.models.local.chat_template import TEMPLATE_FILE
from tuneworthy.models.local.gguf_header import check_gguf_header
from tuneworthy.models.local.model_files import read_json, size_of
from tuneworthy.models.local.tensors import header_of
from tuneworthy.models.local.weights import check_folder
from tuneworthy.records.errors import ModelError
from tuneworthy.store import signals

_ROTATED = {"attn_q": "attention.head_count", "attn_k": "attention.head_count_kv"}
_PERMUTED_FAMILIES = {"llama"}  # in their files the rows of q and k stand in another order
_FLOATS = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}


@dataclass(frozen=True)
class ExportedModel:
    """A model folder or a GGUF file, opened for reading.

    `kinds` counts the matrices of each number format (F16, BF16, Q8_0, …). `template` is "" where
    the export has none, `ends` are the token ids that end an answer. `reader` is the open GGUF
    file, None for a folder.
    """

    path: Path
    template: str
    ends: tuple[int, ...]
    kinds: Counter[str]
    reader: Any = None

    @property
    def kind(self) -> str:
        """Return the number format of most matrices."""
        return self.kinds.most_common(1)[0][0]

    def tensors(self) -> Iterator[tuple[str, torch.Tensor, str]]:
        """Yield (name as transformers has it, fp32 tensor, number format) for each weight.

        A tensor that has no name in transformers keeps that of the file.
        """
        if self.reader is not None:
            yield from _gguf_tensors(self.reader)
            return
        for name, file in self._files.items():
            signals.check()
            yield name, *_float_tensor(file, name)

    def tensor(self, name: str) -> tuple[torch.Tensor, str] | None:
        """Return (fp32 tensor, number format) of a folder's weight; None for a name without one."""
        file = self._files.get(name)
        return None if file is None else _float_tensor(file, name)

    @cached_property
    def _files(self) -> dict[str, Path]:
        """Return {weight name: file} of a folder."""
        found: dict[str, Path] = {}
        for file in check_folder(self.path):
            found |= dict.fromkeys(header_of(file), file)
        return found


def read_exported(path: Path) -> ExportedModel:
    """Open the model folder or GGUF file at `path`.

    Raises ModelError for a file that can't be read, SecurityError for weights that are pickles.
    """
    return _read_folder(path) if path.is_dir() else _read_gguf(path)


def _read_folder(folder: Path) -> ExportedModel:
    kinds: Counter[str] = Counter()
    for file in check_folder(folder):
        kinds.update(part.kind for part in header_of(file).values() if len(part.shape) > 1)
    config = read_json(folder / "tokenizer_config.json")
    template = folder / TEMPLATE_FILE
    own = template.read_text("utf-8") if template.is_file() else config.get("chat_template")
    return ExportedModel(folder, own if isinstance(own, str) else "", _folder_ends(folder), kinds)


def _folder_ends(folder: Path) -> tuple[int, ...]:
    """Return the ids of the tokenizer's end token and of those in generation_config.json."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False
    )
    more = read_json(folder / "generation_config.json").get("eos_token_id")
    ends = [tokenizer.eos_token_id, *(more if isinstance(more, list) else [more])]
    return tuple(dict.fromkeys(int(end) for end in ends if end is not None))


def _float_tensor(file: Path, name: str) -> tuple[torch.Tensor, str]:
    with safe_open(file, framework="pt") as opened:
        weight = opened.get_tensor(name)
    kind = str(weight.dtype).removeprefix("torch.")
    return weight.float(), _FLOATS.get(kind, kind)


def _read_gguf(path: Path) -> ExportedModel:
    import gguf

    if size_of(path) is None:  # it refuses a pipe, which would block
        raise ModelError("the GGUF file is missing", where=str(path), fix="give its path")
    try:
        check_gguf_header(path)
        reader = gguf.GGUFReader(str(path))
    except Exception as error:  # the library raises KeyError, IndexError and others
        raise ModelError("the file can't be read as GGUF", where=str(path),
                         got=f"{type(error).__name__}: {error}",
                         fix="copy it again, or write it again") from error  # fmt: skip
    kinds = Counter(part.tensor_type.name for part in reader.tensors if len(part.shape) > 1)
    told = [_value(reader, f"tokenizer.ggml.{name}_token_id") for name in ("eos", "eot", "eom")]
    ends = tuple(dict.fromkeys(end for end in told if end is not None))
    template = _value(reader, "tokenizer.chat_template")
    return ExportedModel(path, template or "", ends, kinds, reader)


def _value(reader: Any, key: str) -> Any:
    field = reader.get_field(key)
    return None if field is None else field.contents()


def _gguf_tensors(reader: Any) -> Iterator[tuple[str, torch.Tensor, str]]:
    import gguf

    family = _value(reader, "general.architecture")
    names = _names_of_gguf()
    for part in reader.tensors:
        signals.check()
        value = torch.from_numpy(gguf.quants.dequantize(part.data, part.tensor_type).copy()).float()
        stem, _, rest = part.name.removeprefix("blk.").partition(".")
        if not part.name.startswith("blk."):
            stem, rest = "", part.name
        inner, _, end = rest.rpartition(".")
        if inner in _ROTATED and family in _PERMUTED_FAMILIES:
            value = _in_order_of_transformers(
                value, int(_value(reader, f"{family}.{_ROTATED[inner]}"))
            )
        known = names.get(inner)
        name = (
            f"model.layers.{stem}.{known}.{end}" if stem and known else known and f"{known}.{end}"
        )
        yield name or part.name, value, part.tensor_type.name


def _names_of_gguf() -> dict[str, str]:
    """Return {name in GGUF: name in transformers}, within a layer and outside layers."""
    from tuneworthy.models.train.gguf_file import GGUF_NAMES_IN_LAYER, GGUF_NAMES_OUTSIDE_LAYERS

    both = {**GGUF_NAMES_IN_LAYER, **GGUF_NAMES_OUTSIDE_LAYERS}
    return {there: here for here, there in both.items()}


def _in_order_of_transformers(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """Return the rows of a q or k matrix in transformers' order (see `gguf_file.permuted`)."""
    rows, width = weight.shape
    return weight.view(heads, rows // heads // 2, 2, width).transpose(1, 2).reshape(rows, width)
