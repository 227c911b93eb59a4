"""What the audit saw of recorded answers that the first screen must say: it can turn a verdict."""

from __future__ import annotations

from tuneworthy.core.results import Results

FIRST = ("answers_are_gold", "matched_by_order", "inputs_differ")


def cautions(results: Results) -> list[str]:
    """Return one sentence for each such thing, the gravest first; their data is quoted."""
    seen = {kind: [o.text for o in results.audit.observations if o.kind == kind] for kind in FIRST}
    return [_sentence(text) for kind in FIRST for text in seen[kind]]


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(("?", ".")) else ".")
