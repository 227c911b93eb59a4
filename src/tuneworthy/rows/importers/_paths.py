"""Formats of other tools that only name their fields otherwise: each is a mapping of field paths.

A path such as `output.usage.cost` leads into objects, and into the columns of a table whose names
begin so; of several paths the first that is filled is read. A format that needs more than paths is
a plug-in of its own beside this file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tuneworthy.rows.bad_rows import BadRow, ImportedRow, RawRow
from tuneworthy.rows.chat import are_turns
from tuneworthy.rows.copies import normalised_text
from tuneworthy.rows.import_files import input_of
from tuneworthy.rows.importers._values import (
    answer_fields,
    answer_text,
    input_fields,
    parted_example,
    right_answer_fields,
    unwrapped,
)
from tuneworthy.rows.measures import measured_values
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
    Without `input` the format is one of answers alone, which `id` leads to their rows.

    `named`: inputs and answers are objects of named values, as evaluation tools keep them: an
    answer is the only value or the one called so, and `input` holds the right answer too where
    `right` names none. Such a record is one of an experiment: those of one `id` and input are
    answers to one row, and without a `system` the file's name is that of the system. `example`
    says why one is left out whose input is no such object. A record whose `answer` is null, or with
    a text under `failed`, is an answer that did not come.
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
    named: bool = False
    example: str = ""
    failed: str = ""

    def fits(self, record: RawRow) -> bool:
        """Return whether a record has this format."""
        own = record.fields
        if not all(any(_has(own, path) for path in group) for group in self.needs):
            return False
        other = any(path in own for path in self.lacks)
        return not other and (not self.turns or are_turns(_first(own, self.input)))

    def rows(self, record: RawRow, notes: dict[str, Any]) -> Iterator[ImportedRow]:
        """Yield the row of a record. Raises BadRow for one that makes none."""
        own = record.fields
        for path, (kept, why) in self.only.items():
            value = value_of(own, path)
            if value is not None and str(value).upper() not in kept:
                raise BadRow(why, str(value), "")
        asked, right = _first(own, self.input), _first(own, self.right)
        if self.named:
            if self.example and not isinstance(asked, Mapping):
                raise BadRow(self.example, as_text(asked), "")
            asked, found = (asked, None) if self.right else parted_example(asked)
            right = unwrapped(right if self.right else found)
        fields = input_fields(asked) or {}
        if (more := value_of(own, self.joined)) and "input" in fields:
            fields["input"] = "\n\n".join(filter(None, (fields["input"], as_text(more).strip())))
        system, turns = value_of(own, self.prompt), fields.get("messages")
        if isinstance(system, str) and system.strip() and fields:
            turns = turns or [{"role": "user", "content": fields.pop("input")}]
            if turns[0].get("role") != "system":
                fields["messages"] = [{"role": "system", "content": system}, *turns]
        if are_turns(right) or not isinstance(right, list):
            right = answer_text(right)
        said = _value_at(own, self.answer)
        columns = {ours: path for ours, paths in self.measured.items() for path in reversed(paths)
                   if value_of(own, path) is not None}  # fmt: skip
        found = answer_fields(answer_text(unwrapped(said) if self.named else said),
                              **measured_values(own, columns))  # fmt: skip
        if self.named and (_has(own, self.answer) or own.get(self.failed)):
            found = found or {"answer": None}
        name = _first(own, self.system) or (notes["path"].stem if self.named else "model")
        fields |= right_answer_fields(right) | {"id": _first(own, self.id)}
        key, repeat = _asked_before(fields, notes) if self.named else ("", 1)
        answers = {_plain_name(str(name)): found} if found else {}
        yield ImportedRow(fields, answers, key, repeat=repeat)


def _asked_before(fields: Mapping[str, Any], notes: dict[str, Any]) -> tuple[str, int]:
    """Return (key of a record's row, how often it was asked so far); "" for a row of its own.

    Two ids or two right answers with one input are two rows.
    """
    key, own = normalised_text(input_of(fields)), (fields["id"], fields.get("output"))
    rows, counts = notes.setdefault("rows", {}), notes.setdefault("counts", Counter())
    if not key or rows.setdefault(key, own) != own:
        return "", 1
    counts[key] += 1
    return key, counts[key]


def _plain_name(name: str) -> str:
    """Return a system's name; of a Weave reference (`weave:///…/op/NAME:DIGEST`) its name."""
    return name.rpartition("/")[2].partition(":")[0] if name.startswith("weave:///") else name


def _has(own: Mapping[str, Any], path: str) -> bool:
    head, _, last = path.rpartition(".")
    inside = value_of(own, head) if head else own
    if isinstance(inside, Mapping) and last in inside:
        return True
    return any(name == path or name.startswith(f"{path}.") for name in own)


def _value_at(own: Mapping[str, Any], path: str) -> Any:
    """Return the value at a path; columns `path.a` and `path.b` of a table as {"a", "b"}."""
    value = value_of(own, path)
    columns = {name.removeprefix(f"{path}."): one for name, one in own.items()
               if path and name.startswith(f"{path}.")} if value is None else {}  # fmt: skip
    return columns or value


def _first(own: Mapping[str, Any], paths: _Paths) -> Any:
    found = (_value_at(own, path) for path in paths)
    return next((one for one in found if one not in (None, "", [], {})), None)


_LANGFUSE_KEYS = ("datasetId", "dataset_id", "datasetName", "dataset_name", "sourceTraceId",
                  "source_trace_id", "sourceObservationId", "traceId", "trace_id", "sessionId",
                  "session_id", "htmlPath", "observations")  # fmt: skip
_GIVEN = "the values of `inputs`"
BY_PATHS: Mapping[str, _PathFormat] = {
    "alpaca": _PathFormat(
        "Alpaca rows", ("`instruction` and `input`", "`output`"),
        needs=(("instruction",), ("output",)), input=("instruction",), joined="input",
        prompt="system", right=("output",),
    ),
    "braintrust": _PathFormat(
        "a Braintrust evaluation", ("`input`", "`expected`"),
        needs=(("input",), ("output",), ("expected",), ("scores",)), right=("expected",),
        answer="output", measured={
            "seconds": ("metrics.duration",), "tokens_in": ("metrics.prompt_tokens",),
            "tokens_out": ("metrics.completion_tokens",), "usd": ("metrics.estimated_cost",),
        }, id=(), named=True,
    ),
    "deepeval": _PathFormat(
        "a DeepEval test run", ("`input`", "`expectedOutput`"),
        needs=(("input",), ("actualOutput",), ("expectedOutput",)),
        right=("expectedOutput",), answer="actualOutput",
        measured={"usd": ("tokenCost",), "seconds": ("completionTime",),
                  "tokens_in": ("inputTokenCount",), "tokens_out": ("outputTokenCount",)},
        id=(), named=True,
    ),
    "langfuse": _PathFormat(
        "a Langfuse export", ("`input`", "`expectedOutput`"),
        needs=(("input",), ("expectedOutput", "expected_output", "output"), _LANGFUSE_KEYS),
        lacks=("function_name", "ttft", "run_type", "example_id"),
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
    "langsmith_examples": _PathFormat(
        "LangSmith examples", (_GIVEN, "`outputs`"),
        needs=(("inputs",), ("outputs",), ("dataset_id",)), lacks=("run_type",),
        input=("inputs",), right=("outputs",), named=True,
    ),
    "langsmith_results": _PathFormat(
        "LangSmith experiment results", (_GIVEN, "the columns `reference.…`"),
        needs=(("inputs",), ("outputs", "error"), ("example_id",)),
        input=("inputs",), right=("reference",), answer="outputs",
        measured={"seconds": ("execution_time",)}, id=("example_id",), named=True,
        failed="error",
    ),
    "langsmith_runs": _PathFormat(
        "LangSmith runs", (_GIVEN, "nothing: the examples hold it"),
        needs=(("inputs",), ("outputs",), ("run_type",)), input=("inputs",),
        right=("reference_outputs",), answer="outputs", system=("session_name",),
        measured={"usd": ("total_cost",), "tokens_in": ("prompt_tokens",),
                  "tokens_out": ("completion_tokens",)},
        id=("reference_example_id",), named=True,
        only={"parent_run_id": (frozenset(), "a run inside another one")},
    ),
    "openai_batch": _PathFormat(
        "OpenAI Batch API requests",
        ("`body.messages` of a request", "no right answer stands in such a file"),
        needs=(("custom_id",), ("url",), ("body",)), input=("body.messages",), id=(),
    ),
    "openai_batch_output": _PathFormat(
        "OpenAI Batch API responses", ("no input stands in such a file", "no right answer either"),
        needs=(("custom_id",), ("response",), ("error",)), input=(),
        answer="response.body.choices.0.message.content", id=("custom_id",), named=True,
        measured={"tokens_in": ("response.body.usage.prompt_tokens",),
                  "tokens_out": ("response.body.usage.completion_tokens",)},
    ),
    "openai_evals": _PathFormat(
        "OpenAI Evals samples", ("`input`", "`ideal`"),
        needs=(("input",), ("ideal",)), right=("ideal",), id=(),
    ),
    "openai_preference": _PathFormat(
        "OpenAI preference rows", ("`input`", "`preferred_output`"),
        needs=(("input.messages",), ("preferred_output",)), right=("preferred_output",), id=(),
    ),
    "opik_experiment": _PathFormat(
        "an Opik experiment", ("`dataset_item_data`", "its expected output"),
        needs=(("dataset_item_data",), ("evaluation_task_output",)),
        input=("dataset_item_data",), answer="evaluation_task_output", id=("dataset_item_id",),
        named=True,
    ),
    "opik_trace": _PathFormat(
        "an Opik trace", ("the values of `input`", "nothing: traces hold what was said"),
        needs=(("input",), ("output",), ("project_id",), ("ttft",)), lacks=("trace_id",),
        right=("expected_output",), answer="output", system=("name",), id=(), named=True,
        measured={"usd": ("total_estimated_cost",), "tokens_in": ("usage.prompt_tokens",),
                  "tokens_out": ("usage.completion_tokens",)},
    ),
    "phoenix_dataset": _PathFormat(
        "a Phoenix data set", ("the values of `input`", "`output`"),
        needs=(("input",), ("output",), ("node_id",)), right=("output",), named=True,
    ),
    "phoenix_experiment": _PathFormat(
        "a Phoenix experiment", ("the values of `input`", "`reference_output`"),
        needs=(("input",), ("reference_output",), ("example_id",)), right=("reference_output",),
        answer="output", measured={
            "seconds": ("latency_ms",), "tokens_in": ("prompt_token_count",),
            "tokens_out": ("completion_token_count",),
        }, id=("example_id",), named=True, failed="error",
    ),
    "pydantic_evals": _PathFormat(
        "pydantic-evals cases", ("`inputs`", "`expected_output`"),
        needs=(("inputs",), ("expected_output", "output"),
               ("evaluators", "assertions", "error_message")),
        input=("inputs",), right=("expected_output",), answer="output",
        measured={"seconds": ("task_duration",)}, id=("source_case_name", "name"), named=True,
        failed="error_message",
    ),
    "sharegpt": _PathFormat(
        "ShareGPT rows",
        ("the turns of `conversations` before the last", "the last turn"),
        needs=(("conversations", "conversation"),), input=("conversations", "conversation"),
        turns=True, prompt="system",
    ),
    "weave": _PathFormat(
        "W&B Weave evaluation calls", ("`inputs.example`", "its expected value"),
        needs=(("op_name",), ("inputs.example",), ("output",)), input=("inputs.example",),
        answer="output.output", system=("inputs.model",),
        measured={"seconds": ("output.model_latency",)}, id=("inputs.example.id",), named=True,
        example='a reference to its example (get the calls with expand_columns=["inputs.example"])',
    ),
}  # fmt: skip
"""The formats by name."""
