"""Read the output file of OpenAI's Batch API as answers by id.

A line is {"custom_id", "response": {"body"}, "error"}, where `body` is a chat completion. Source:
"Batch API", platform.openai.com.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from tuneworthy.data.raw import RawRow, RowFault


def is_batch_output(row: RawRow | RowFault) -> bool:
    """Return whether a record is a line of a Batch API output file."""
    return isinstance(row, RawRow) and {"custom_id", "response", "error"} <= row.fields.keys()


def batch_answers(rows: Iterable[RawRow | RowFault]) -> Iterator[RawRow | RowFault]:
    """Yield a batch output's answers as {"id", "answer", "tokens_in"?, "tokens_out"?}.

    A request that failed has no answer and is left out; records of another form stay as they are.
    """
    for row in rows:
        if isinstance(row, RowFault) or not is_batch_output(row):
            yield row
        elif (answer := _answer_fields(row.fields)) is not None:
            yield RawRow(row.where, {"id": row.fields["custom_id"], **answer})


def _answer_fields(fields: dict[str, Any]) -> dict[str, Any] | None:
    """Return the answer and token counts of a chat completion, None if it has no text."""
    try:
        body = fields["response"]["body"]
        said = body["choices"][0]["message"]["content"]
    except (TypeError, KeyError, IndexError):
        return None
    if not isinstance(said, str):
        return None
    used = body.get("usage") or {}
    counts = {"tokens_in": used.get("prompt_tokens"), "tokens_out": used.get("completion_tokens")}
    return {"answer": said} | {key: n for key, n in counts.items() if isinstance(n, int)}
