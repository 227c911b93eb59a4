"""Open the weights that full tuning saved, in a copy of the base's modules.

The base is never changed, and only its structure is shared. Knows no training.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from tuneworthy.models.local import memory as _memory
from tuneworthy.models.local.adapter_hooks import MANIFEST, check_manifest
from tuneworthy.models.local.device import free_memory
from tuneworthy.models.local.model_files import check_files
from tuneworthy.models.local.tensors import header_of
from tuneworthy.models.local.weights import sha256
from tuneworthy.records.errors import ModelError, NumericError

WEIGHTS = "model.safetensors"
_AGAIN = "train it again, or copy it again from where it was built"


def has_weights(folder: Path) -> bool:
    """Return whether a folder has whole weights, not an adapter."""
    return (folder / WEIGHTS).exists()


def copy_with_weights(module: Any, weights: Mapping[str, Any]) -> Any:
    """Return a copy of a model's modules with `weights` as its parameters (by name).

    Tied parameters stay tied. Buffers are copied.
    """
    new = {
        id(old): torch.nn.Parameter(weights[name], requires_grad=False)
        for name, old in module.named_parameters()
    }
    return copy.deepcopy(module, new).eval()


def read_tuned(folder: Path, module: Any, weights: str, *, idle: bool = False) -> tuple[Any, str]:
    """Return the module with the tuned weights in `folder`, and the SHA-256 of their file.

    `module` is the base, `weights` its hash. Raises ModelError for another base, for tensors that
    are not the base's by name, shape and precision, where it does not fit in memory beside the
    base, and (unless `idle`) for weights that equal the base's; NumericError for values that are
    not finite.
    """
    file = folder / WEIGHTS
    check_files(folder)
    if not (folder / MANIFEST).exists():
        raise ModelError("tuned weights need the manifest that says on which base they were "
                         "trained", where=str(folder), fix=_AGAIN)  # fmt: skip
    headers = header_of(file)
    _check_room(module, folder)
    file_hash = sha256(file)
    check_manifest(folder, weights, file, file_hash)
    own = dict(module.named_parameters())
    wrong = sorted({name for name, weight in own.items()
                    if name not in headers or headers[name].shape != tuple(weight.shape)}
                   | (headers.keys() - own.keys()))  # fmt: skip
    tensors = {} if wrong else load_file(file, device=str(module.device))
    wrong += [name for name, tensor in tensors.items() if tensor.dtype != own[name].dtype]
    if wrong:
        raise ModelError(
            "the tuned weights are not those of this model",
            where=str(file),
            got=f"{', '.join(wrong[:3])} ({len(wrong)} tensors in all)",
            fix="open them on the model they were trained on",
        )
    if bad := next((n for n, t in tensors.items() if not bool(torch.isfinite(t).all())), None):
        raise NumericError("the tuned weights hold values that are not finite", where=bad)
    if not idle and all(torch.equal(tensor, own[name]) for name, tensor in tensors.items()):
        raise ModelError("tuning changed nothing: the weights equal the base's", where=str(file),
                         fix="train longer, or at a higher rate")  # fmt: skip
    return copy_with_weights(module, tensors), file_hash


def _check_room(module: Any, folder: Path) -> None:
    size = sum(weight.nbytes for weight in module.parameters())
    _memory.refuse(
        "the tuned model does not fit in the free memory beside its base",
        {"weights": size},
        free_memory(module.device.type),
        where=str(folder),
        fix="free some memory, or choose a smaller model",
    )
