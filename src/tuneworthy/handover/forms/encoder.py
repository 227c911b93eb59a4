"""Export a tuned text encoder with its head: safetensors and JSON, as transformers reads."""

from __future__ import annotations

from pathlib import Path

from tuneworthy.handover.artefact_folder import ENCODER_FOLDER
from tuneworthy.handover.forms._parts import Parts
from tuneworthy.records.artefact import Artefact

FORM, NEEDED = ENCODER_FOLDER, True


def applies(artefact: Artefact) -> str:
    """Return "" if the arm tuned a text encoder, else why this form does not apply."""
    part = artefact.pack.classifies
    return "" if part and part.encoder else "no text encoder was tuned"


def write(parts: Parts, draft: Path) -> tuple[str, ...]:
    """Write the encoder, its tokenizer and the head; return a note on how the head reads it."""
    parts.classifier.save(draft / FORM)
    return ("its head reads the mean of the token vectors, scaled to length 1",)
