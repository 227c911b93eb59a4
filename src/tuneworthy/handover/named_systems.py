"""Read the names of systems on the command line: what kind of thing a reference is. Opens none."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from tuneworthy.handover.artefact_folder import find_artefact
from tuneworthy.models.local import wheel
from tuneworthy.records.errors import DataError, TaskError
from tuneworthy.records.plugins import catalogue

SystemKind = Literal["log", "model", "adapter", "gguf", "artefact", "prompt"]

FORMS = (
    "a file of answers, hf:MODEL, a folder with a model or an adapter, a .gguf file, ollama:NAME,"
    " openai:NAME@URL, a built artefact, a prompt file (.txt, .md) with --model"
)
_NAMED = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]{0,40})=(?P<ref>.+)")
_PROMPT_ENDINGS = {".md", ".prompt"}  # and .txt, which may be a table too
_OLLAMA = "http://127.0.0.1:11434"


@dataclass(frozen=True)
class SystemName:
    """A system as it was named on the command line: `name=reference`, and the kind of reference.

    `name` is the reference itself where no name was given.
    """

    name: str
    kind: SystemKind
    ref: str

    @property
    def path(self) -> Path:
        """Return the path of a system that is a file or a folder."""
        return Path(self.ref)


def parse_system(text: str, prompts: bool = False) -> SystemName:
    """Return the system that `REFERENCE` or `NAME=REFERENCE` names; a path that exists is one.

    `prompts`: a model for prompt files is named, so a .txt file is one; else it is a log. Raises
    DataError for a path that does not exist, TaskError for an address without a model.
    """
    named = None if Path(text).exists() else _NAMED.fullmatch(text)
    name, ref = (named["name"], named["ref"]) if named else (text, text)
    if ref.startswith(("http://", "https://")):
        raise TaskError("an address alone names no model", where="command line", got=ref,
                        fix=f"write openai:MODEL@{ref}", kept="your files")  # fmt: skip
    if ref.startswith("ollama:"):
        ref = f"openai:{ref.removeprefix('ollama:')}@{_ollama_address()}/v1"
    kind = ref.partition(":")[0]
    if ref == wheel.NAME or (kind in {"hf", "openai", "scripted", *catalogue("servers")}
                             and not Path(ref).exists()):  # fmt: skip
        return SystemName(name, "model", ref)
    return SystemName(name, _kind_of_path(Path(ref), ref, prompts), ref)


def _ollama_address() -> str:
    """Return the address of Ollama's server: OLLAMA_HOST, as Ollama reads it, or its default."""
    host = os.environ.get("OLLAMA_HOST", "")
    if not host:
        return _OLLAMA
    address = host if "://" in host else f"http://{host}"
    return address.rstrip("/") if urlsplit(address).port else f"{address.rstrip('/')}:11434"


def _kind_of_path(path: Path, shown: str, prompts: bool) -> SystemKind:
    if not path.exists():
        raise DataError(
            "there is no such file", where=shown, got=f"looked in {path.absolute().parent}",
            fix=f"correct the path; it starts at the folder you are in. A system is {FORMS}",
            kept="your files; nothing was written",
        )  # fmt: skip
    if path.is_file():
        if path.suffix.lower() == ".gguf":
            return "gguf"
        endings = _PROMPT_ENDINGS | ({".txt"} if prompts else set())
        return "prompt" if path.suffix.lower() in endings else "log"
    if (path / "adapter_config.json").exists():
        return "adapter"
    if (path / "config.json").exists():
        return "model"
    try:
        find_artefact(path)
    except TaskError:
        return "log"  # a folder of logged answers, or of a study: their readers say what it is
    return "artefact"
