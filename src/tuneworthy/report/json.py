"""The verdict as JSON, and its JSON schema."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tuneworthy.core.record import canonical
from tuneworthy.core.verdict import Verdict

if TYPE_CHECKING:  # the report computes no statistics, so it must not import them
    from tuneworthy.compare.two_studies import Repetition


def verdict_json(verdict: Verdict) -> str:
    """Return verdict.json: public names, indent 2, deterministic. Raise ValueError for NaN."""
    plain = verdict.plain()
    text = json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # a lone surrogate in a row can't be written as UTF-8
        text = json.dumps(plain, indent=2, ensure_ascii=True, allow_nan=False)
    return text


def repeated_json(repeated: Repetition) -> str:
    """Return a repeated verdict as JSON: both verdicts, and the differences now minus before."""
    return canonical(
        {
            "verdict": repeated.now.plain(),
            "before": repeated.before.plain(),
            "arm_changed": repeated.changed,
            "difference": "now - before",
            "pairs": [pair.plain() for pair in repeated.pairs],
            "left_out": repeated.left_out,
            "because": repeated.because,
            **({"caution": repeated.caution} if repeated.caution else {}),
        }
    )


def verdict_schema() -> dict[str, Any]:
    """Return the JSON schema of verdict.json, generated from the record."""
    schema = Verdict.model_json_schema(by_alias=True, mode="serialization")
    about = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "verdict.json"}
    return {**about, **{key: value for key, value in schema.items() if key != "title"}}


def schema_text() -> str:
    """Return the text of `verdict.schema.json`, which is shipped in this folder."""
    return json.dumps(verdict_schema(), indent=2, sort_keys=True) + "\n"
