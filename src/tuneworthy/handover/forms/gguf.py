"""The tuned model as GGUF (F16 and Q8_0) with an Ollama Modelfile, for the Llama family."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from tuneworthy.handover.forms._modelfile import modelfile
from tuneworthy.handover.forms._parts import Parts
from tuneworthy.handover.parity import Engine
from tuneworthy.records.artefact import Artefact

FORM, NEEDED = "gguf", False
_FILE_PATTERN = "model-{kind}.gguf"
_BYTES_PER_NUMBER = {"f16": 2.0, "q8_0": 34 / 32}  # q8_0: 32 bytes and a 2-byte scale a block


def applies(artefact: Artefact) -> str:
    """Return "" if weights or an adapter were trained, else why this form does not apply."""
    return "" if artefact.pack.trained else "nothing was trained"


def cannot(parts: Parts) -> str:
    """Return why this model can't be written here, with the command that can; "" if it can."""
    from tuneworthy.models.train.gguf_file import refusal

    if not (why := refusal(parts.model)):
        return ""
    command = ["python", "convert_hf_to_gguf.py", "merged", "--outfile", "model-f16.gguf",
               "--outtype", "f16"]  # fmt: skip
    return f"{why}; llama.cpp's own converter writes it: {shlex.join(command)}"


def size(parts: Parts) -> int:
    """Return the estimated bytes of both files."""
    count: int = sum(weight.numel() for weight in parts.base.module.parameters())
    return round(count * sum(_BYTES_PER_NUMBER.values()))


def write(parts: Parts, draft: Path) -> tuple[str, ...]:
    """Write the model as GGUF in f16 and in q8_0, and a Modelfile; return the Modelfile's notes."""
    from tuneworthy.models.train.gguf_file import KINDS, write_gguf

    (draft / FORM).mkdir()
    for kind in KINDS:
        parts.say(f"writing {_FILE_PATTERN.format(kind=kind)}")
        write_gguf(parts.model, draft / FORM / _FILE_PATTERN.format(kind=kind), kind)
    text, notes = modelfile(parts, _FILE_PATTERN.format(kind="q8_0"))
    (draft / FORM / "Modelfile").write_text(text, "utf-8")
    return notes


def open_for_parity(parts: Parts, draft: Path) -> Iterator[tuple[str, Engine | str]]:
    """Yield (form and kind, llama.cpp engine, or a text: why there is none) for each file."""
    from tuneworthy.models.local.llama_cpp import LlamaCpp, missing
    from tuneworthy.models.train.gguf_file import KINDS

    why = missing()
    for kind in KINDS:
        file = draft / FORM / _FILE_PATTERN.format(kind=kind)
        yield f"{FORM} {kind}", why or LlamaCpp(file, parts.room)
