"""Write the files that an arm left on another machine into its folder of the ledger.

Each file appears whole or not at all. Arms read only what is complete (sealed folders, single
files), so a folder that was received in part is as if less had been done.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from tuneworthy.core.errors import ClusterError
from tuneworthy.ledger.blobs import sync
from tuneworthy.ledger.failpoint import failpoint
from tuneworthy.ledger.trouble import store_errors


def receive_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write these files to a folder and remove all others; an equal file is left as it is.

    Raises ClusterError for a path that leaves the folder, StoreError if the disk fails.
    """
    for name in files:
        inside = PurePosixPath(name)
        if inside.is_absolute() or ".." in inside.parts:
            raise ClusterError("a node returned a file outside of its folder", got=name)
    with store_errors(folder):
        for path in [path for path in folder.rglob("*") if not path.is_dir()]:
            if path.relative_to(folder).as_posix() not in files:
                path.unlink()
        for name, content in files.items():
            _write_once(folder / name, content)
    failpoint("received.after")


def _write_once(path: Path, content: bytes) -> None:
    if path.is_file() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    with open(part, "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    failpoint("received.before")
    os.replace(part, path)
    sync(path.parent)
