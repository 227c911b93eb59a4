"""promptfoo results: each provider's answer to each test, with the test's assertions."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from tuneworthy.rows.bad_rows import ImportedRow, RawRow
from tuneworthy.rows.importers._promptfoo import (
    note_assertion_types,
    render_variables,
    revealing_variables,
    right_answers,
    without_revealing,
)
from tuneworthy.rows.importers._values import answer_fields, answer_text, nested_value, text_lines

FORMAT = "promptfoo results"
NEEDS = ("vars", "provider", "response.output", "testCase.assert")
TAKES = ("`vars`", "the values of `assert`")


def fits(record: RawRow) -> bool:
    """Return whether a record is the result of one test with one provider."""
    return isinstance(record.fields.get("vars"), dict) and {"provider", "success"} <= set(
        record.fields
    )


def learn(sample: Sequence[RawRow], notes: dict[str, Any]) -> None:
    """Write to `notes` the variables that reveal the answer, each provider's prompts, and repeats.

    With `--repeat` each repetition of a test has a number of its own: tests are repeated if all of
    them, but for the last one of the sample, were answered equally often by each prompt.
    """
    values = [record.fields for record in sample]
    notes["told"] = revealing_variables([(value["vars"], _assertions(value)) for value in values])
    prompts: dict[str, set[int]] = {}
    for value in values:
        if isinstance(number := value.get("promptIdx"), int):
            prompts.setdefault(_provider_name(value), set()).add(number)
    notes["prompts"] = {name: sorted(found) for name, found in prompts.items()}
    asked = Counter((_same_test(v), _provider_name(v), v.get("promptIdx")) for v in values)
    whole = {n for (test, *_), n in asked.items() if test != _same_test(values[-1])}
    times = whole or {*asked.values()}
    notes["asked"] = Counter() if len(times) == 1 and times != {1} else None


def rows(record: RawRow, notes: dict[str, Any]) -> Iterator[ImportedRow]:
    """Yield the row of the test with this provider's answer; a test is one row of the file."""
    value = record.fields
    given, name = value["vars"], _provider_name(value)
    note_assertion_types(_assertions(value), notes)
    right = right_answers(
        {**one, "value": render_variables(one.get("value"), given)}
        if isinstance(one, dict)
        else one
        for one in _assertions(value)
    )
    prompts = notes.get("prompts", {}).get(name, [])  # they are counted over all providers
    if value.get("promptIdx") in prompts[1:]:
        name += f"-prompt{prompts.index(value['promptIdx']) + 1}"
    response = value.get("response") or {}
    fresh = not nested_value(response, "cached")
    usage = nested_value(response, "tokenUsage") or {}
    found = answer_fields(
        answer_text(nested_value(response, "output")),
        seconds=value["latencyMs"] / 1000 if fresh and _is_number(value.get("latencyMs")) else None,
        usd=value.get("cost"),
        tokens_in=nested_value(usage, "prompt"),
        tokens_out=nested_value(usage, "completion"),
    )
    number = value.get("testIdx")
    key = f"test {number}" if isinstance(number, int) else _same_test(value)
    repeat = 1
    if (asked := notes.get("asked")) is not None:
        key = _same_test(value)
        asked[name, key] += 1
        repeat = asked[name, key]
    fields = {"input": text_lines(without_revealing(given, notes.get("told", ()))), **right}
    yield ImportedRow(fields, {name: found} if found else {}, key, repeat=repeat)


def _same_test(value: dict[str, Any]) -> str:
    return json.dumps([value["vars"], _assertions(value)], sort_keys=True)


def _assertions(value: dict[str, Any]) -> list[Any]:
    found = nested_value(value, "testCase", "assert")
    return found if isinstance(found, list) else []


def _provider_name(value: dict[str, Any]) -> str:
    name = nested_value(value, "provider", "label") or nested_value(value, "provider", "id")
    return str(name or value["provider"])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
