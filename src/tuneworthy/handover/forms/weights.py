"""Export all weights after full fine-tuning, with config and tokenizer, as transformers reads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tuneworthy.handover.artefact_folder import WEIGHTS_FOLDER
from tuneworthy.handover.forms._parts import Parts, write_template
from tuneworthy.handover.parity import Engine
from tuneworthy.models.train.adapter import read_sealed, seal
from tuneworthy.records.artefact import Artefact

FORM, NEEDED = WEIGHTS_FOLDER, True


def applies(artefact: Artefact) -> str:
    """Return "" if all weights were trained, else why this form does not apply."""
    if artefact.pack.weights:
        return ""
    trained = artefact.pack.adapter
    return "an adapter was trained, not all weights" if trained else "nothing was trained"


def size(parts: Parts) -> int:
    """Return the size in bytes of the file of trained tensors."""
    from tuneworthy.models.local.tuned_weights import WEIGHTS

    assert parts.adapter is not None
    return (parts.adapter / WEIGHTS).stat().st_size


def write(parts: Parts, draft: Path) -> tuple[str, ...]:
    """Copy the trained weights, bound to their base by hash, and its other files; return a note."""
    from tuneworthy.models.local.tuned_weights import WEIGHTS as WEIGHTS_FILE
    from tuneworthy.models.train.merge import copy_whole

    assert parts.weights is not None
    assert parts.adapter is not None
    copy_whole(parts.adapter, parts.weights, draft / FORM)
    about = read_sealed(draft / FORM, WEIGHTS_FILE) or {}
    if told := write_template(parts, draft / FORM):
        seal(draft / FORM, {k: value for k, value in about.items() if k not in ("files", "schema")})
    return ("the tensors are those that were evaluated, byte for byte", *told)


def exact(parts: Parts) -> bool:
    """Return True: the weights are those that were evaluated, in the same precision."""
    return parts.artefact.pack.weights


def open_for_parity(parts: Parts, draft: Path) -> Iterator[tuple[str, Engine | str]]:
    """Yield (form, engine): the written weights, opened with plain transformers."""
    from tuneworthy.models.local.exported import PlainEngine

    yield FORM, PlainEngine(draft / FORM, precision=parts.base.fingerprint["precision"])
