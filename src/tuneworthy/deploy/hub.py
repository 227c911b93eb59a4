"""Upload an artefact folder to a model hub; a new repository is private."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tuneworthy.core.errors import ProviderError, TaskError


def upload(folder: Path, repository: str, api: Any = None) -> str:
    """Upload a folder to a hub repository as one commit; return the commit's address.

    `huggingface_hub` finds the token, which appears in no message. `api` is its HfApi (None: a new
    one). Raises TaskError for a name that is no ORG/NAME, ProviderError if the hub refuses.
    """
    if repository.count("/") != 1 or not all(repository.split("/")):
        raise TaskError("a repository is named ORG/NAME", where="--push", got=repository,
                        fix="write --push ORG/NAME")  # fmt: skip
    if api is None:
        from huggingface_hub import HfApi

        api = HfApi()
    try:
        api.create_repo(repository, repo_type="model", private=True, exist_ok=True)
        done = api.upload_folder(
            repo_id=repository,
            folder_path=str(folder),
            repo_type="model",
            commit_message=f"Add {folder.name}",
        )
    except Exception as error:  # its error classes differ between versions
        raise ProviderError(
            "the hub did not take the artefact",
            where=repository,
            got=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
            fix="log in (`hf auth login`) or correct the name, then push again",
            kept=f"the artefact, {folder}",
        ) from None
    return str(getattr(done, "commit_url", "") or repository)
