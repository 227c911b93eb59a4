"""Export the JSON Schema of an answer, or of its labels, for programs that parse it."""

from __future__ import annotations

import json
from pathlib import Path

from tuneworthy.handover.forms._parts import Parts
from tuneworthy.records.artefact import Artefact

FORM, NEEDED = "schema", False


def applies(artefact: Artefact) -> str:
    """Return "" if answers are labels or have a schema, else why this form does not apply."""
    output = artefact.task["output"]
    known = output.get("labels") or isinstance(output.get("schema"), dict)
    return "" if known else "answers are free text"


def write(parts: Parts, draft: Path) -> tuple[str, ...]:
    """Write schema.json: the task's own schema, or an enum of its labels; return notes."""
    output, grammar = parts.task.output, parts.artefact.pack.grammar
    schema = output.json_schema if isinstance(output.json_schema, dict) else {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "enum": list(output.labels or ()),
    }  # fmt: skip
    (draft / FORM).mkdir()
    text = json.dumps(schema, ensure_ascii=False, indent=2)
    (draft / FORM / "schema.json").write_text(text + "\n", "utf-8")
    return ("answers are decoded under it",) if grammar else ()
