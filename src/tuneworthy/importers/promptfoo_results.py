"""promptfoo results: what each provider answered to each test, with the test's assertions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tuneworthy.core.imported import ImportedRow, SourceRecord
from tuneworthy.importers._promptfoo import right_answers
from tuneworthy.importers._values import answer, inner, lines, said

FORMAT = "promptfoo results"
NEEDS = ("vars", "provider", "response.output", "testCase.assert")
TAKES = ("`vars`", "the values of `assert`")


def fits(record: SourceRecord) -> bool:
    """Return whether a record is the result of one test with one provider."""
    return isinstance(record.value.get("vars"), dict) and {"provider", "success"} <= set(
        record.value
    )


def rows(record: SourceRecord, notes: dict[str, Any]) -> Iterator[ImportedRow]:
    """Yield the row of the test with this provider's answer; a test is one row of the file."""
    value = record.value
    right = right_answers(inner(value, "testCase", "assert") or [])
    name = inner(value, "provider", "label") or inner(value, "provider", "id")
    name = str(name or value["provider"])
    if isinstance(prompt := value.get("promptIdx"), int) and prompt > 0:
        name += f"-prompt{prompt + 1}"
    response = value.get("response") or {}
    fresh = not inner(response, "cached")
    usage = inner(response, "tokenUsage") or {}
    found = answer(
        said(inner(response, "output")),
        seconds=value["latencyMs"] / 1000 if fresh and _number(value.get("latencyMs")) else None,
        usd=value.get("cost"),
        tokens_in=inner(usage, "prompt"),
        tokens_out=inner(usage, "completion"),
    )
    number = value.get("testIdx")
    key = f"test {number}" if isinstance(number, int) else json.dumps(value["vars"], sort_keys=True)
    fields = {"input": lines(value["vars"]), **right}
    yield ImportedRow(fields, {name: found} if found else {}, key)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
