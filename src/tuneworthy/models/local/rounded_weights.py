"""Round weights as the number formats of files and of quantised bases do.

The blocks of the GGUF formats are those of llama.cpp (package `gguf`). NF4 is that of Dettmers et
al. 2023 (arXiv 2305.14314, appendix E), in blocks of 64; INT8 has one scale a row.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from statistics import NormalDist

import torch

Rounding = Callable[[torch.Tensor], torch.Tensor]

# Relative error (RMS over the RMS of the weights) of GGUF formats that can't be computed here.
_NOMINAL_ERRORS = {"Q6_K": 0.02, "Q5_K": 0.037, "Q4_K": 0.075, "Q3_K": 0.15, "Q2_K": 0.3}
_BLOCK = 64
_FLOATS = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
           "F8_E4M3": torch.float8_e4m3fn}  # fmt: skip


def rounding_of(kind: str) -> Rounding | None:
    """Return the function that rounds a matrix to a number format, None if it is not known here."""
    if kind in _FLOATS:
        return lambda weight: weight.to(_FLOATS[kind]).float()
    if kind in ("NF4", "INT8"):
        return _nf4 if kind == "NF4" else _int8
    import gguf

    packed = getattr(gguf.GGMLQuantizationType, kind, None)
    if packed is None or not _can_quantise(packed):
        return None
    return lambda weight: _by_gguf(weight, packed)


def nominal_error(kind: str) -> float:
    """Return the usual relative error of a format without a rounding function (unknown: .3)."""
    return _NOMINAL_ERRORS.get(kind.removesuffix("_S").removesuffix("_M"), 0.3)


@cache
def _can_quantise(packed: int) -> bool:
    import gguf

    try:
        gguf.quants.quantize(torch.zeros(1, 256).numpy(), packed)
    except NotImplementedError:
        return False
    return True


def _by_gguf(weight: torch.Tensor, packed: int) -> torch.Tensor:
    """Return the weights after packing; a matrix whose rows fill no block is float16 instead."""
    import gguf

    block, _ = gguf.GGML_QUANT_SIZES[packed]
    if weight.shape[-1] % block:
        return weight.half().float()
    plain = weight.contiguous().numpy()
    return torch.from_numpy(
        gguf.quants.dequantize(gguf.quants.quantize(plain, packed), packed).copy()
    )


def _int8(weight: torch.Tensor) -> torch.Tensor:
    scale = weight.abs().amax(-1, keepdim=True).clamp_min(1e-12) / 127
    return (weight / scale).round() * scale


def _nf4(weight: torch.Tensor) -> torch.Tensor:
    levels = _nf4_levels()
    flat = weight.flatten()
    padded = torch.nn.functional.pad(flat, (0, -flat.numel() % _BLOCK)).view(-1, _BLOCK)
    scale = padded.abs().amax(-1, keepdim=True).clamp_min(1e-12)
    between = (levels[1:] + levels[:-1]) / 2
    nearest = levels[torch.bucketize(padded / scale, between)]
    return (nearest * scale).flatten()[: flat.numel()].view_as(weight)


@cache
def _nf4_levels() -> torch.Tensor:
    """Return the 16 levels: quantiles of the normal distribution, 0 among them, scaled to 1."""
    offset, normal = 0.9677083, NormalDist()
    above = [normal.inv_cdf(0.5 + (offset - 0.5) * k / 8) for k in range(1, 9)]
    below = [-normal.inv_cdf(0.5 + (offset - 0.5) * k / 7) for k in range(1, 8)]
    every = torch.tensor(sorted([0.0, *above, *below]))
    return every / every.abs().max()
