"""Export the adapter in the PEFT format with its base's hash: for peft, vLLM and this package."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from tuneworthy.handover.artefact_folder import ADAPTER_FOLDER
from tuneworthy.handover.forms._parts import Parts, write_template
from tuneworthy.handover.parity import Engine
from tuneworthy.models.train.adapter import MANIFEST, read_sealed, seal
from tuneworthy.records.artefact import Artefact

FORM, NEEDED = ADAPTER_FOLDER, True
_FILES = ("adapter_model.safetensors", "adapter_config.json")


def applies(artefact: Artefact) -> str:
    """Return "" if an adapter was trained, else why this form does not apply."""
    if artefact.pack.weights:
        return "all weights were trained: the folder `weights` is the whole model"
    return "" if artefact.pack.adapter else "nothing was trained"


def size(parts: Parts) -> int:
    """Return the bytes of the adapter."""
    assert parts.adapter is not None
    return sum((parts.adapter / name).stat().st_size for name in _FILES)


def write(parts: Parts, draft: Path) -> tuple[str, ...]:
    """Copy the adapter, set its base's name for other tools, seal it anew; return a note."""
    assert parts.adapter is not None
    out, manifest = draft / FORM, read_sealed(parts.adapter)
    out.mkdir()
    for name in _FILES:
        shutil.copyfile(parts.adapter / name, out / name)
    config = json.loads((out / _FILES[1]).read_text("utf-8"))
    config["base_model_name_or_path"] = _base_name(parts)
    (out / _FILES[1]).write_text(json.dumps(config, indent=2, sort_keys=True), "utf-8")
    about = {
        key: value for key, value in (manifest or {}).items() if key not in ("files", "schema")
    }
    about.setdefault("base", {**parts.base.fingerprint, "spec": parts.artefact.model})
    told = write_template(parts, out)
    seal(out, about)
    weights = str(about["base"]["weights"])[:12]
    return (f"its base has the SHA-256 {weights}…, noted in {MANIFEST}", *told)


def exact(parts: Parts) -> bool:
    """Return True: the weights are those that were evaluated, in the same precision."""
    return parts.artefact.pack.adapter


def open_for_parity(parts: Parts, draft: Path) -> Iterator[tuple[str, Engine | str]]:
    """Yield (form, engine): the adapter opened with transformers and peft, or why it can't be."""
    from tuneworthy.models.local.exported import PlainEngine

    assert parts.weights is not None
    if parts.artefact.pack.every > 1:
        yield FORM, "its base lacks layers, which other tools do not leave out: use `merged`"
        return
    yield FORM, PlainEngine(parts.weights, draft / FORM, parts.base.fingerprint["precision"])


def _base_name(parts: Parts) -> str:
    """Return the base model's repository on the hub, or its folder as task.yaml writes it.

    For a base that is not `hf:` it is the whole model spec.
    """
    kind, _, rest = parts.artefact.model.partition(":")
    local = rest.startswith((".", "/", "~"))
    return parts.artefact.model if kind != "hf" else rest if local else rest.partition("@")[0]
