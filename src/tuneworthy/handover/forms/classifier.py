"""Export the scikit-learn classifier as a skops file: no pickle, only known types are opened."""

from __future__ import annotations

from pathlib import Path

from tuneworthy.handover.artefact_folder import CLASSIFIER_FILE
from tuneworthy.handover.forms._parts import Parts
from tuneworthy.handover.system import save_classifier
from tuneworthy.records.artefact import Artefact

FORM, NEEDED = "classifier", True


def applies(artefact: Artefact) -> str:
    """Return "" if the arm is a classifier, else why this form does not apply."""
    if (part := artefact.pack.classifies) is None:
        return "the arm answers with a language model"
    return "the arm answers with a tuned encoder" if part.encoder else ""


def write(parts: Parts, draft: Path) -> tuple[str, ...]:
    """Write the fitted estimator; return a note if it reads sentence vectors, else ()."""
    (draft / FORM).mkdir()
    save_classifier(parts.classifier, draft / CLASSIFIER_FILE)
    part = parts.artefact.pack.classifies
    return ("it reads sentence vectors of MiniLM",) if part and part.vectors else ()
