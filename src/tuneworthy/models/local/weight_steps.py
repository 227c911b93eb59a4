"""Find what an export did to the weights: merge, scale, precision, quantisation, another base.

The change that the adapter makes is a known direction for each layer. Least squares along it tells
how many times the change is in the file (0: not merged, 1: once, 2: twice), and what remains is
compared with the rounding of the number formats that the file and the base have.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from tuneworthy.models.local.exported_weights import ExportedModel
from tuneworthy.models.local.rounded_weights import nominal_error, rounding_of
from tuneworthy.records.build_report import ExportStep
from tuneworthy.records.counting import count_noun

_step = ExportStep.of
Delta = Callable[[str, torch.Tensor], torch.Tensor | None]
"""Return the change of a weight by name and base value; None where the adapter changes nothing."""

_COARSE = ("INT8", "F8_E4M3", "NF4", "Q4_0", "BF16", "F16")  # roundings of a base that is loaded
# By which an error may exceed the computed rounding. A merge that is computed in the file's format
# rounds twice, the base and the sum: √2.
_SLACK = 1.5
_EXPLAINED = 0.5  # a rounding explains an error that it brings below this share
_FACTOR_TOLERANCE = 0.03
_OTHER = 0.5  # share of a tensor's size above which its error is no rounding
_EMBEDDINGS, _HEAD = "model.embed_tokens.weight", "lm_head.weight"
_LEAST_TELLING = 0.1  # standard error of the factor above which the rounding hides the change
_NAMED_KIND = re.compile(r"(?:^|[-_.])(f16|f32|bf16|q[0-9]_[0-9a-z]+(?:_[sml])?)(?=$|[-_.])", re.I)


@dataclass
class _Errors:
    """Sums of squares over the weights of some layers."""

    target: float = 0.0  # the weights as they should be
    found: float = 0.0  # found less target
    allowed: float = 0.0  # the rounding of the file and of the base
    numbers: int = 0
    coarse: dict[str, float] = field(default_factory=dict)  # found less target of a rounded base

    def add(
        self, base: torch.Tensor, delta: torch.Tensor | None, found: torch.Tensor,
        kinds: tuple[str, str], *, coarse: bool,
    ) -> None:  # fmt: skip
        """Add one weight; `kinds` are the number formats of the base and of the file."""
        target = base if delta is None else base + delta
        self.target += _square(target)
        error = _square(found - target)
        self.found += error
        self.allowed += max(_rounding_error(target, kind) for kind in kinds)
        self.numbers += target.numel()
        for kind in _COARSE if coarse and base.ndim > 1 else ():
            rounded = rounding_of(kind)
            assert rounded is not None  # all of _COARSE are known
            from_coarse = rounded(base) if delta is None else rounded(base) + delta
            left = min(error, _square(found - from_coarse))  # not every weight is rounded
            self.coarse[kind] = self.coarse.get(kind, 0.0) + left

    @property
    def share(self) -> float:
        """Return the error relative to the weights (RMS over RMS)."""
        return math.sqrt(self.found / self.target) if self.target else 0.0

    @property
    def is_sound(self) -> bool:
        """Return whether the error is no more than the formats' own rounding."""
        return self.found <= _SLACK**2 * self.allowed + 1e-12 * self.target

    @property
    def coarse_base(self) -> str:
        """Return the rounding of the base that explains the error, "" if none does or need be."""
        best = "" if self.is_sound else min(self.coarse, key=self.coarse.__getitem__, default="")
        return best if best and self.coarse[best] < _EXPLAINED**2 * self.found else ""


@dataclass
class _Factor:
    """How many times the adapter's change is in the file, by layer and in all."""

    products: dict[str, tuple[float, float]] = field(default_factory=dict)  # (x·D, D·D)
    kept: float = 0.0  # D-part of the change that the sound rounding keeps
    noise: float = 0.0
    strange: int = 0  # layers that hold something else than the change, beyond the rounding

    @property
    def size(self) -> float:
        return sum(own for _, own in self.products.values())

    @property
    def value(self) -> float:
        return sum(product for product, _ in self.products.values()) / self.size

    @property
    def expected(self) -> float:
        """Return the factor that the rounding of the file leaves of the change (1 if all of it)."""
        return self.kept / self.size

    @property
    def standard_error(self) -> float:
        """Return the error by rounding, whose mean square a number is `noise`."""
        return math.sqrt(self.noise / self.size)

    def layers_with(self, value: float) -> int:
        """Return how many layers have the change `value` times."""
        return sum(abs(x / own - value) < 0.25 for x, own in self.products.values() if own)


def change_of(
    matrices: Mapping[str, tuple[torch.Tensor, torch.Tensor, float]], gains: Mapping[str, Any]
) -> Delta:
    """Return the change that an adapter makes to each weight.

    `matrices` are those of its file, {weight name: (A, B, scale)}, since an engine may hold them in
    a lower precision; `gains` are the magnitudes of DoRA by layer.
    """

    def delta(name: str, weight: torch.Tensor) -> torch.Tensor | None:
        if name not in matrices:
            return None
        first, second, scale = matrices[name]
        added = scale * (second @ first)
        if (gain := gains.get(name.removesuffix(".weight"))) is None:
            return added
        return torch.as_tensor(gain.cpu().float()[:, None] * (weight + added) - weight)  # DoRA

    return delta


def weight_steps(
    base: ExportedModel, delta: Delta, changed: Collection[str], export: ExportedModel
) -> list[ExportStep]:
    """Return the steps base, merge, precision and quantisation of an export.

    `delta` gives the change of each of the `changed` weights; for an export that should be the base
    itself there is none.
    """
    measured = _measured(base, delta, export, coarse=False)
    rest, inside, factor, met = measured
    needed = [*changed, *([_EMBEDDINGS] if base.tensor(_EMBEDDINGS) else [])]
    if lost := [name for name in needed if name not in met]:
        text = (
            f"{count_noun(len(lost), 'layer')} of the base are not in the export, or have another"
            f" shape there: it is of another model ({lost[0]})"
        )
        return [_step("base", False, text)]
    if odd := [name for name, why in met.items() if why]:
        text = (
            f"{len(odd)} of {count_noun(len(met), 'tensor')} are not those of the base, whatever"
            f" the adapter adds: {met[odd[0]]} ({odd[0]})"
        )
        return [_step("base", False, text)]
    if not rest.is_sound or factor.strange:  # ask what rounded the base before
        rest, inside, factor, _ = _measured(base, delta, export, coarse=True)
    return [*_judged(rest, inside, factor), _quantisation(export)]


def _measured(
    base: ExportedModel, delta: Delta, export: ExportedModel, *, coarse: bool
) -> tuple[_Errors, _Errors, _Factor, dict[str, str]]:
    """Return the errors of unchanged and of changed weights, the factor, and the names compared.

    Each name has "", or what its tensor has in place of the base's numbers.
    """
    rest, inside, factor, met = _Errors(), _Errors(), _Factor(), dict[str, str]()
    for name, found, kind in export.tensors():
        # An output layer that the base's file does not have is tied to the embeddings.
        known = base.tensor(name) or (base.tensor(_EMBEDDINGS) if name == _HEAD else None)
        if known is None or known[0].shape != found.shape:
            continue
        (value, own), change = known, delta(name, known[0])
        kinds = own, kind
        if change is None:
            rest.add(value, None, found, kinds, coarse=coarse)
            met[name] = _other_numbers(value, value, found)
            continue
        allowed = inside.allowed
        inside.add(value, change, found, kinds, coarse=coarse)
        sound = _rounded(value + change, own if _error_bits(own) > _error_bits(kind) else kind)
        product, size = factor.products[name] = _dot(found - value, change), _square(change)
        factor.kept += _dot(sound - value, change)
        held = value + product / size * change if size else value
        layer = _Errors(_square(held), _square(found - held), inside.allowed - allowed)
        factor.strange += not layer.is_sound
        met[name] = _other_numbers(held, value + change, found)
    if inside.numbers:
        factor.noise = max(inside.found, inside.allowed) / inside.numbers
    return rest, inside, factor, met


def _other_numbers(held: torch.Tensor, target: torch.Tensor, found: torch.Tensor) -> str:
    """Return what a tensor has in place of the numbers of `target`, "" if it has them.

    `held` is the base with the change as many times as it is found, which is not at fault here.
    """
    if _square(found - held) <= _OTHER**2 * _square(held):
        return ""
    same_rows = found.ndim > 1 and torch.allclose(
        *(torch.linalg.vector_norm(w, dim=-1).sort().values for w in (found, target)), rtol=0.02
    )
    return "the rows are in another order" if same_rows else "other numbers, damaged or replaced"


def _judged(rest: _Errors, inside: _Errors, factor: _Factor) -> Iterator[ExportStep]:
    coarse = (inside if inside.numbers else rest).coarse_base
    other = not rest.is_sound and not rest.coarse_base and rest.share > 1e-4
    if other:
        text = (
            f"weights that the adapter leaves alone differ too, by {rest.share:.1%} of their size:"
            " the export is made from another base"
        )
        yield _step("base", False, text)
        return
    yield _step("base", True, "the weights that the adapter leaves alone are those of the base")
    if inside.numbers:
        merge = _merge(factor, coarse)
        yield merge
        if merge.sound is False:
            return
    every = inside if inside.numbers else rest
    if every.is_sound and rest.is_sound:
        text = f"weights differ by {every.share:.2%} of their size, as their rounding does"
        yield _step("precision", True, text)
        return
    how = rest.coarse_base or coarse
    yield _step("precision", False,
                f"weights differ by {max(every.share, rest.share):.1%} of their size, more than"
                f" the formats of file and base explain ({_allowed_share(every):.2%})"
                + (f": the base was rounded to {how} before" if how else ""))  # fmt: skip


def _merge(factor: _Factor, coarse: str) -> ExportStep:
    if not factor.size:
        return _step("merge", False, "the adapter changes nothing")
    value, wanted = factor.value, factor.expected
    error = factor.standard_error
    times = f"the adapter's change is in the weights {value:.2f} times"
    if error > _LEAST_TELLING:
        return _step("merge", None,
                     "the rounding of the file is far larger than the adapter's change, so the"
                     " weights can't tell whether it was merged")  # fmt: skip
    tolerance = max(_FACTOR_TOLERANCE, 4 * error)
    layers = len(factor.products)
    if abs(value - wanted) <= tolerance:
        kept = f"; {wanted:.0%} of it is what this precision can hold" if wanted < 0.9 else ""
        return _step("merge", True, f"{times}, once in each of {count_noun(layers, 'layer')}{kept}")
    unexplained = factor.strange > 0 and not coarse
    if abs(value) <= tolerance:
        return _step("merge", False, f"{times}: " + (
            "the layers hold another change, so this is another adapter's export" if unexplained
            else "it was not merged; these are the base's weights"))  # fmt: skip
    if (once := factor.layers_with(1.0)) and once + factor.layers_with(0.0) == layers > once:
        return _step("merge", False, f"{times}: only {once} of {layers} layers have it")
    if abs(value - 2) <= 2 * tolerance:
        return _step("merge", False, f"{times}: it was merged twice")
    if unexplained:
        return _step("merge", False, f"{times}, and the layers hold another change beside it:"
                     " this is another adapter's export, or a mixture")  # fmt: skip
    return _step("merge", False, f"{times}: the scale (lora_alpha / r) is not that of the adapter")


def _quantisation(export: ExportedModel) -> ExportStep:
    """Return whether the matrices have the number format that the file's name says."""
    named = _NAMED_KIND.search(export.path.stem)
    listed = ", ".join(f"{count:,} {kind}" for kind, count in export.kinds.most_common())
    packed = {kind: count for kind, count in export.kinds.items() if kind.startswith("Q")}
    wanted = named[1].upper() if named else ""
    most = max(packed, key=packed.__getitem__, default="")
    if wanted and (most if wanted.startswith("Q") or packed else export.kind) not in (
        wanted, wanted.removesuffix("_M").removesuffix("_S").removesuffix("_L")
    ):  # fmt: skip
        text = f"the file's name says {wanted}, its matrices are {listed}"
        return _step("quantisation", False, text)
    return _step("quantisation", True, f"the matrices are {listed}")


def _rounded(weight: torch.Tensor, kind: str) -> torch.Tensor:
    rounding = rounding_of(kind)
    return weight if rounding is None else rounding(weight)


def _rounding_error(weight: torch.Tensor, kind: str) -> float:
    """Return the sum of squares that rounding to a format adds."""
    rounding = rounding_of(kind)
    if rounding is None:
        return nominal_error(kind) ** 2 * _square(weight)
    return _square(rounding(weight) - weight)


def _error_bits(kind: str) -> float:
    """Return the rough relative error of a format, to tell the coarser of two."""
    return {"F32": 0.0, "F16": 3e-4, "BF16": 2e-3}.get(kind, 1.0)


def _allowed_share(errors: _Errors) -> float:
    return math.sqrt(errors.allowed / errors.target) if errors.target else 0.0


def _square(weight: torch.Tensor) -> float:
    return float(torch.linalg.vector_norm(weight, dtype=torch.float64)) ** 2


def _dot(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one.double() * other.double()).sum())
