"""Write and read sealed folders (adapter, weights or checkpoint): complete or absent.

The manifest `tuneworthy.json` lists the size and SHA-256 of every file and is written last; the
folder gets its name only when all of it is on disk. Knows no torch.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
