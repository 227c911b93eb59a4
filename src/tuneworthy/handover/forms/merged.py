"""Export the base with the adapter merged in, as safetensors that load wherever the base does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tuneworthy.handover.forms._parts import Parts, write_template
from tuneworthy.handover.parity import Engine
from tuneworthy.models.local.config import read_config
from tuneworthy.records.artefact import Artefact

FORM, NEEDED = "merged", False


def applies(artefact: Artefact) -> str:
    """Return "" if an adapter was trained, else why this form does not apply."""
    if artefact.pack.weights:
        return "all weights were trained: the folder `weights` is the whole model"
    return "" if artefact.pack.adapter else "nothing was trained"


def size(parts: Parts) -> int:
    """Return the bytes of the base's weights, which the merged ones take too."""
    assert parts.weights is not None
    return sum(path.stat().st_size for path in parts.weights.glob("*.safetensors"))


def write(parts: Parts, draft: Path) -> tuple[str, ...]:
    """Merge in fp32, save in the base's precision, check each tensor's bits; return a note."""
    from tuneworthy.models.train.merge import merge_adapter, write_merged

    assert parts.weights is not None
    assert parts.adapter is not None
    if parts.artefact.pack.every > 1 or parts.model.adapter.gains:
        kept = write_merged(parts.model, parts.weights, draft / FORM)
        proof = "every tensor was read back and compared"
    else:
        changes = parts.model.adapter.changes
        kept = merge_adapter(parts.weights, parts.adapter, changes, draft / FORM)
        proof = "every tensor equals base + delta bit for bit"
    told = write_template(parts, draft / FORM)
    return (f"merged in float32, saved in {kept}; {proof}", *told)


def exact(parts: Parts) -> bool:
    """Return whether the merged weights are stored and computed in fp32."""
    assert parts.weights is not None
    stored = read_config(parts.weights)
    kept = stored.get("dtype", stored.get("torch_dtype"))
    return bool(kept == "float32" == parts.base.fingerprint["precision"])


def open_for_parity(parts: Parts, draft: Path) -> Iterator[tuple[str, Engine | str]]:
    """Yield (form, engine): the written weights, opened with plain transformers."""
    from tuneworthy.models.local.exported import PlainEngine

    yield FORM, PlainEngine(draft / FORM, precision=parts.base.fingerprint["precision"])
