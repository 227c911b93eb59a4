"""Write and read sealed folders (adapter, weights or checkpoint): complete or absent.

The manifest `tuneworthy.json` lists the size and SHA-256 of every file and is written last; the
folder gets its name only when all of it is on disk. Knows no torch.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tuneworthy.models.local.chat_template import Refused, answer_ids, prompt_ids, text_ids
from tuneworthy.models.local.score import token_logprobs
from tuneworthy.models.remote.adapter_proofs import MOST_PROOF_ROWS, ProofRow, write_proofs
from tuneworthy.models.train.training_data import Example
from tuneworthy.records.errors import ModelError
from tuneworthy.records.record import canonical, file_sha256
from tuneworthy.store.blobs import sync
from tuneworthy.store.failpoint import failpoint

MANIFEST = "tuneworthy.json"


def seal(folder: Path, about: Mapping[str, Any]) -> None:
    """Write the folder's manifest: `about` (base, options, …), other files' SHA-256 and size."""
    files = {
        path.name: {"sha256": file_sha256(path), "size": path.stat().st_size}
        for path in sorted(folder.iterdir())
        if path.name != MANIFEST
    }
    (folder / MANIFEST).write_text(canonical({"schema": 1, **about, "files": files}), "utf-8")


def read_sealed(folder: Path, needed: str = "adapter_model.safetensors") -> dict[str, Any] | None:
    """Return the folder's manifest; None if a file is damaged or `needed` ("": none) is missing."""
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text("utf-8"))
        files: dict[str, dict[str, Any]] = manifest["files"]
        whole = manifest["schema"] == 1 and all(
            Path(name).name == name
            and (folder / name).stat().st_size == facts["size"]
            and file_sha256(folder / name) == facts["sha256"]
            for name, facts in files.items()
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return manifest if whole and (not needed or needed in files) else None


def publish(built: Path, folder: Path, what: str = "adapter") -> Path:
    """Sync the sealed folder `built` to disk, rename it to `folder`, and return `folder`."""
    for path in sorted(built.iterdir()):
        failpoint(f"{what}.sync")
        sync(path)
    sync(built)
    if folder.exists():  # an incomplete leftover: a complete one would have been used
        shutil.rmtree(folder)
    failpoint(f"{what}.before")
    os.replace(built, folder)
    failpoint(f"{what}.after")
    sync(folder.parent)
    return folder


def write_proof_rows(model: Any, adapter: Path, examples: Sequence[Example]) -> None:
    """Write an adapter's proof rows beside its folder, from the first training examples.

    `model` is the local base (`models.hf.HF`). Raises ModelError if no example can be rendered.
    """
    usable = [example for example in examples if _renders(model, example)][:MOST_PROOF_ROWS]
    if not usable:
        raise ModelError(
            "no training row can prove the adapter behind the server",
            fix="look at the rows that training left out",
        )
    prompts = [example.messages for example in usable]
    texts = [example.answer for example in usable]
    base = token_logprobs(model, prompts, texts)
    tuned = token_logprobs(model.with_adapter(adapter, idle=True), prompts, texts)
    rows = []
    for example, before, after in zip(usable, base, tuned, strict=True):
        head = answer_ids(model.tokenizer, example.messages)
        ids = (*head, *text_ids(model.tokenizer, example.answer), model.ends[0])
        rows.append(
            ProofRow(
                prompt=tuple(example.messages),
                read=len(prompt_ids(model.tokenizer, example.messages)),
                ids=ids,
                first=len(head),
                base=tuple(before),
                tuned=tuple(after),
            )
        )
    write_proofs(adapter, rows)


def _renders(model: Any, example: Example) -> bool:
    """Return whether the template takes an example and the model's context has room for it."""
    try:
        ids = answer_ids(model.tokenizer, example.messages)
    except Refused:
        return False
    more = len(text_ids(model.tokenizer, example.answer)) + 2
    return model.context is None or len(ids) + more <= model.context
