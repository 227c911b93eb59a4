"""Formats of other tools that only name their fields otherwise: each is a mapping of field paths.

A path such as `output.usage.cost` leads into objects; of several paths the first that is filled is
read. A format that needs more than paths is a plug-in of its own beside this file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tuneworthy.rows.bad_rows import BadRow, ImportedRow, RawRow
from tuneworthy.rows.chat import are_turns
from tuneworthy.rows.importers._values import (
    answer_fields,
    answer_text,
    input_fields,
    right_answer_fields,
)
from tuneworthy.rows.rows import as_text
from tuneworthy.rows.table_columns import value_of

_Paths = tuple[str, ...]


@dataclass(frozen=True)
class _PathFormat:
    """A format as field paths.

    A record has the format if it has one field of each group of `needs` and none of `lacks`.
    `input` is a text, turns or an object of texts; with `turns` it must be turns. `joined` is put
    below it, `prompt` is a system prompt in front of it. `right` may be a list: each of its texts
    is right, unless it is turns. `system` names who gave the `answer`. `only` maps a path to the
    values that a record must have there, if it has any, and the reason why others are left out.
    `refused`: no record of this format is a row, for this reason.
    """

    name: str
    takes: tuple[str, str]
    needs: tuple[_Paths, ...]
    lacks: _Paths = ()
    input: _Paths = ("input",)
    turns: bool = False
    joined: str = ""
    prompt: str = ""
    right: _Paths = ()
    answer: str = ""
    system: _Paths = ()
    measured: Mapping[str, _Paths] = field(default_factory=dict)
    id: _Paths = ("id",)
    only: Mapping[str, tuple[frozenset[str], str]] = field(default_factory=dict)
    refused: str = ""

    def fits(self, record: RawRow) -> bool:
        """Return whether a record has this format."""
        own = record.fields
        if not all(any(_has(own, path) for path in group) for group in self.needs):
            return False
        other = any(path in own for path in self.lacks)
        return not other and (not self.turns or are_turns(_first(own, self.input)))

    def rows(self, record: RawRow, _notes: dict[str, Any]) -> Iterator[ImportedRow]:
        """Yield the row of a record. Raises BadRow for one that makes none."""
        own = record.fields
        if self.refused:
            raise BadRow(self.refused)
        for path, (kept, why) in self.only.items():
            value = value_of(own, path)
            if value is not None and str(value).upper() not in kept:
                raise BadRow(why, str(value), "")
        fields = input_fields(_first(own, self.input)) or {}
        if (more := value_of(own, self.joined)) and "input" in fields:
            fields["input"] = "\n\n".join(filter(None, (fields["input"], as_text(more).strip())))
        system, turns = value_of(own, self.prompt), fields.get("messages")
        if isinstance(system, str) and system.strip() and fields:
            turns = turns or [{"role": "user", "content": fields.pop("input")}]
            if turns[0].get("role") != "system":
                fields["messages"] = [{"role": "system", "content": system}, *turns]
        right = _first(own, self.right)
        if are_turns(right) or not isinstance(right, list):
            right = answer_text(right)
        found = answer_fields(answer_text(value_of(own, self.answer)),
                              **{ours: _first(own, at) for ours, at in self.measured.items()}
                              )  # fmt: skip
        name = str(_first(own, self.system) or "model")
        fields |= right_answer_fields(right) | {"id": _first(own, self.id)}
        yield ImportedRow(fields, {name: found} if found else {})


def _has(own: Mapping[str, Any], path: str) -> bool:
    head, _, last = path.rpartition(".")
    inside = value_of(own, head) if head else own
    return isinstance(inside, Mapping) and last in inside


def _first(own: Mapping[str, Any], paths: _Paths) -> Any:
    found = (value_of(own, path) for path in paths)
    return next((one for one in found if one not in (None, "", [], {})), None)


_LANGFUSE_KEYS = ("datasetId", "dataset_id", "datasetName", "dataset_name", "sourceTraceId",
                  "source_trace_id", "sourceObservationId", "traceId", "trace_id", "sessionId",
                  "session_id", "htmlPath", "observations")  # fmt: skip
BY_PATHS: Mapping[str, _PathFormat] = {
    "alpaca": _PathFormat(
        "Alpaca rows", ("`instruction` and `input`", "`output`"),
        needs=(("instruction",), ("output",)), input=("instruction",), joined="input",
        prompt="system", right=("output",),
    ),
    "langfuse": _PathFormat(
        "a Langfuse export", ("`input`", "`expectedOutput`"),
        needs=(("input",), ("expectedOutput", "expected_output", "output"), _LANGFUSE_KEYS),
        lacks=("function_name",),
        right=("expectedOutput", "expected_output"), answer="output",
        system=("provided_model_name", "providedModelName", "model", "name"),
        measured={
            "seconds": ("latency",), "usd": ("total_cost", "totalCost", "calculatedTotalCost"),
            "tokens_in": ("usage_details.input", "usageDetails.input", "usage.input"),
            "tokens_out": ("usage_details.output", "usageDetails.output", "usage.output"),
        },
        only={"status": (frozenset({"ACTIVE"}), "an archived item"),
              "type": (frozenset({"GENERATION", "TRACE"}), "an observation that asks no model")},
    ),
    "openai_batch": _PathFormat(
        "OpenAI Batch API requests",
        ("`body.messages` of a request", "no right answer stands in such a file"),
        needs=(("custom_id",), ("url",), ("body",)), input=("body.messages",), id=(),
    ),
    "openai_batch_output": _PathFormat(
        "OpenAI Batch API responses", ("no input stands in such a file", "no right answer either"),
        needs=(("custom_id",), ("response",), ("error",)),
        refused="a response of the Batch API, without its input (give the file of rows first,"
        " and this one as --answers NAME=FILE)",
    ),
    "openai_evals": _PathFormat(
        "OpenAI Evals samples", ("`input`", "`ideal`"),
        needs=(("input",), ("ideal",)), right=("ideal",), id=(),
    ),
    "openai_preference": _PathFormat(
        "OpenAI preference rows", ("`input`", "`preferred_output`"),
        needs=(("input.messages",), ("preferred_output",)), right=("preferred_output",), id=(),
    ),
    "sharegpt": _PathFormat(
        "ShareGPT rows",
        ("the turns of `conversations` before the last", "the last turn"),
        needs=(("conversations", "conversation"),), input=("conversations", "conversation"),
        turns=True, prompt="system",
    ),
}  # fmt: skip
"""The formats by name."""
