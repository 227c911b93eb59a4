"""lm-evaluation-harness samples: prompts, targets and responses, one file a model and task."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tuneworthy.rows.bad_rows import BadRow, ImportedRow, RawRow
from tuneworthy.rows.importers._values import answer_fields, right_answer_fields

FORMAT = "lm-eval samples"
NEEDS = ("doc_id", "target", "arguments", "filtered_resps")
TAKES = ("the first argument of the request", "`target`")


def fits(record: RawRow) -> bool:
    """Return whether a record is a logged sample."""
    return {"doc_id", "target", "arguments"} <= record.fields.keys()


def rows(record: RawRow, notes: dict[str, Any]) -> Iterator[ImportedRow]:
    """Yield the row of a sample with the model's response, by the first filter if several ran.

    The system has the name of the folder, which the harness names after the model.
    """
    value = record.fields
    kept = notes.setdefault("filter", value.get("filter"))
    if value.get("filter") != kept:
        raise BadRow("another filter of the same response", str(value.get("filter")), "")
    asked = _request_arguments(value["arguments"])
    if not asked:
        raise BadRow("a sample without a prompt", "arguments", "log samples with --log_samples")
    choices = [one[1].strip() for one in asked if len(one) > 1 and isinstance(one[1], str)]
    target, said = value["target"], value.get("filtered_resps") or value.get("resps")
    if choices and len(asked) > 1:
        if str(target).isdecimal() and int(target) < len(choices):  # the harness writes it as text
            target = choices[int(target)]
        said = _likeliest_choice(said, choices)
    elif isinstance(said, list):
        said = said[0] if said else None
        said = said[0] if isinstance(said, list) and said else said
    prompt = asked[0][0] if isinstance(asked[0][0], str) else ""
    found = answer_fields(said if isinstance(said, str) else None)
    name = notes["path"].absolute().parent.name or notes["path"].stem
    row = {"input": prompt, **right_answer_fields(target)}
    yield ImportedRow(row, {name: found} if found else {}, f"doc {value['doc_id']}")


def _request_arguments(value: Any) -> list[list[Any]]:
    """Return the arguments of each request; newer versions name them `gen_args_0`, `arg_0`."""
    found = list(value.values()) if isinstance(value, dict) else value
    found = found if isinstance(found, list) else []
    parts = [list(one.values()) if isinstance(one, dict) else one for one in found]
    return [one for one in parts if isinstance(one, list) and one]


def _likeliest_choice(said: Any, choices: list[str]) -> str | None:
    """Return the choice with the largest log-likelihood, None if these can't be read."""
    scores = []
    for one in said if isinstance(said, list) else []:
        while isinstance(one, list) and one:
            one = one[0]
        try:
            scores.append(float(one))
        except (TypeError, ValueError):
            return None
    if len(scores) != len(choices):
        return None
    return choices[max(range(len(scores)), key=scores.__getitem__)]
