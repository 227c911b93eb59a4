"""Export the documents that passages are retrieved from, and their chunks."""

from __future__ import annotations

import json
from pathlib import Path

from tuneworthy.arms.retrieval.chunks import ChunkOptions, chunked
from tuneworthy.handover.artefact_folder import DOCS_FILE
from tuneworthy.handover.forms._parts import Parts
from tuneworthy.records.artefact import Artefact
from tuneworthy.records.counting import count_noun

FORM, NEEDED = "index", True


def applies(artefact: Artefact) -> str:
    """Return "" if the arm retrieves passages, else why this form does not apply."""
    return "" if artefact.pack.passages else "the arm looks nothing up"


def write(parts: Parts, draft: Path) -> tuple[str, ...]:
    """Write docs.jsonl, which `serve` indexes, and chunks.jsonl for other tools; return counts."""
    assert parts.artefact.pack.passages is not None
    chunks = chunked(parts.docs, ChunkOptions(size=parts.artefact.pack.passages.size))
    (draft / FORM).mkdir()
    for path, records in ((draft / DOCS_FILE, parts.docs), (draft / FORM / "chunks.jsonl", chunks)):
        lines = (json.dumps(record.plain(), ensure_ascii=False) for record in records)
        path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return (f"{count_noun(len(parts.docs), 'document')}, {count_noun(len(chunks), 'chunk')}",)
