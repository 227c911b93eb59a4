"""Cautions of the first screen: what can turn the verdict, of recorded answers and of cut ones."""

from __future__ import annotations

from tuneworthy.core.arm import LONGER
from tuneworthy.core.results import Results

FIRST = ("answers_are_gold", "matched_by_order", "inputs_differ")


def cautions(results: Results) -> list[str]:
    """Return one sentence for each caution, the gravest first; data in it is quoted."""
    seen = {kind: [o.text for o in results.audit.observations if o.kind == kind] for kind in FIRST}
    return _cut(results) + [_sentence(text) for kind in FIRST for text in seen[kind]]


def _cut(results: Results) -> list[str]:
    """Return a caution where the token limit may have cost the named arm more than the margin."""
    named = [arm for arm in results.evidence.arms if arm.name == results.verdict.arm]
    margin = results.task.success.margin
    return [
        f"The token limit ended {arm.cut.n:,} of its {arm.n:,} answers; of {arm.cut.asked:,} asked"
        f" again with {LONGER} times the tokens {arm.cut.gained:,} scored higher. Raise"
        " output.max_tokens before you trust this score."
        for arm in named
        if arm.cut and arm.cut.gain > margin
    ]


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(("?", ".")) else ".")
