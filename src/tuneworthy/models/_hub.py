"""A model of the hub by name, as a folder on disk. Only weights, config and tokenizer are taken."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from tuneworthy.core.errors import ModelError, NotInstalled, TaskError

_TAKEN = ("*.safetensors", "*.safetensors.index.json", "*.json", "*.jinja", "tokenizer.model")


def snapshot(name: str) -> Path:
    """Return the folder of ORG/NAME or ORG/NAME@COMMIT; what is on disk already is not asked for.

    Raises TaskError for a name that can't be one, ModelError where it can't be had.
    """
    repo, _, revision = name.partition("@")
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", repo):
        raise TaskError("this is no model name", got=name, fix="write hf:ORG/NAME or hf:./folder")
    try:
        from huggingface_hub import snapshot_download
    except ImportError as missing:
        raise NotInstalled(
            "models of the hub need the extra `train`", fix="pip install 'tuneworthy[train]'"
        ) from missing
    asked: dict[str, Any] = {
        "repo_id": repo,
        "revision": revision or None,
        "allow_patterns": list(_TAKEN),
    }
    with suppress(Exception):  # not on disk, or half of it: ask the hub
        return Path(snapshot_download(**asked, local_files_only=True))
    try:
        return Path(snapshot_download(**asked))
    except Exception as error:
        raise ModelError(
            "the model can't be had from the hub",
            where=repo,
            got=f"{type(error).__name__}: {error}",
            fix="check the name and the network; for a gated model accept its terms and log in; "
            "or download it and write hf:./folder",
        ) from error
