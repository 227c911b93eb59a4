"""Files of OpenAI's Batch API: requests without right answers, or responses without inputs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tuneworthy.data.raw import BadRow, ImportedRow, RawRow
from tuneworthy.importers._values import plain_turn

FORMAT = "OpenAI Batch API requests or responses"
NEEDS = ("custom_id",)
TAKES = ("`body.messages` of a request", "no right answer stands in such a file")


def fits(record: RawRow) -> bool:
    """Return whether a record is a request of the Batch API, or a response."""
    own = record.fields.keys()
    return "custom_id" in own and (own >= {"url", "body"} or own >= {"response", "error"})


def rows(record: RawRow, notes: dict[str, Any]) -> Iterator[ImportedRow]:
    """Yield a request's turns, a row without a right answer. Raises BadRow for a response."""
    body = record.fields.get("body")
    if "body" not in record.fields:
        raise BadRow("a response of the Batch API, without its input (give the file of rows first,"
                     " and this one as --answers NAME=FILE)")  # fmt: skip
    turns = body.get("messages") if isinstance(body, dict) else None
    if not isinstance(turns, list) or not turns or not all(isinstance(t, dict) for t in turns):
        raise BadRow("a request of the Batch API without `body.messages`")
    yield ImportedRow({"messages": [plain_turn(turn) for turn in turns]})
