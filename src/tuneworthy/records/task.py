"""Records of task.yaml, checked; the task's content hash is fixed before any arm runs."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, model_validator

from tuneworthy.records.record import Record, digest

Tool = Literal["keep", "classifier", "prompt", "schema", "context", "bigger", "tune", "distil"]

TOOLS: tuple[Tool, ...] = (
    "keep", "classifier", "prompt", "schema", "context", "bigger", "tune", "distil",
)  # fmt: skip

TRAINED_TOOLS: tuple[Tool, ...] = ("tune", "distil")

"""The tools that train a model, which must be hosted and trained again."""

OutputType = Literal["json", "label", "text", "number"]

Match = Literal["id", "input", "order"]

ModelRole = Literal["model", "tune", "bigger", "decision", "teacher", "judge"]

VALID = "valid"
"""The metric of a validity study, inferred where no row has a right answer."""

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]

_Amount = Annotated[float, Field(ge=0, le=1e15, allow_inf_nan=False)]

Positive = Annotated[float, Field(gt=0, le=1e15, allow_inf_nan=False)]

CopyRule = Literal["off", "exact", "near"]


class Data(Record):
    """The files with rows: `file` (cross-fitted), or the user's own `train` and `test`.

    `locked` is the share of the scored rows that stay hidden until `run --unlock`. `corrected`:
    whether the right answers were written by correcting those of what runs today; None: not said.
    `copies`: which inputs count as one because their texts are alike (see `rows.copies`).
    """

    file: str | None = None
    train: str | None = None
    test: str | None = None
    dev: str | None = None
    dev_share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    locked: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    folds: Literal["auto"] | Annotated[int, Field(ge=2, le=20)] = "auto"
    unlabelled: str | None = None
    docs: str | None = None
    largest_group: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    corrected: bool | None = None
    copies: CopyRule = "near"


class Output(Record):
    """The form of an answer; `type`, `schema` and `labels` are inferred if missing."""

    type: OutputType | None = None
    json_schema: str | dict[str, Any] | None = Field(default=None, alias="schema")
    labels: tuple[str, ...] | None = None
    max_tokens: Annotated[int, Field(gt=0, le=1_000_000)] | None = None

    @property
    def token_limit(self) -> int:
        """Return the token limit of an answer, 256 where neither the user nor the rows gave one."""
        return self.max_tokens or 256


class HardLimits(Record):
    """Limits that an arm must keep; each is violated (shown), met (shown) or not shown."""

    valid: Share | None = None
    p95_ms: Positive | None = None
    general_drop: Share | None = None
    context_faithful: Share | None = None
    local_only: bool = False


class Judge(Record):
    """A judge model, and the human grades it is checked against."""

    model: str
    grades: str


class Success(Record):
    """The success criterion; `margin` is the smallest difference worth having.

    `finalists` names, before the run, the arm that represents a tool. `metric` is a name, names
    joined by `+` (the minimum counts), `./file.py:function` or `judge`; `options` are those of the
    named metrics. With `wrong_at_most` an arm answers only the rows it is sure of, so that at most
    this share of its answers is wrong, and its score is the share of rows that it answers. `costs`
    is what a mistake costs by its right label (see `records.mistake_costs`).
    """

    metric: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    target: Share | None = None
    margin: Annotated[float, Field(gt=0, lt=1)] = 0.05
    floor: Share | None = None
    pass_at: Share | None = None
    wrong_at_most: Annotated[float, Field(gt=0, lt=0.5)] | None = None
    costs: dict[str, _Amount] = Field(default_factory=dict)
    motive: Literal["quality", "cost"] = "quality"
    limits: HardLimits = HardLimits()
    judge: Judge | None = None
    finalists: dict[Tool, str] = Field(default_factory=dict)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Return the metric names joined in `metric`; none if it is a function of the user."""
        if self.metric is None or any(mark in self.metric for mark in ":/\\"):
            return ()
        return tuple(part.strip() for part in self.metric.split("+"))

    @property
    def passes_from(self) -> float:
        """Return the least score that passes: `pass_at`, else `target`, else .5."""
        thresholds = (value for value in (self.pass_at, self.target) if value is not None)
        return next(thresholds, 0.5)


class Present(Record):
    """The production system: model, prompt file and options, or logged answers (see `Recorded`)."""

    model: str | None = None
    prompt: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    answers: str | None = None
    match: Match | None = None
    tool: Tool | None = None


class Recorded(Record):
    """Recorded answers of another system; without `tool` its place on the ladder is unknown.

    `match` says how an answer is matched to its row. None: by id, else by input; never by order.
    """

    file: str
    match: Match | None = None
    tool: Tool | None = None


class Knowledge(Record):
    """How fast facts change: `changed_share` of them within `over` (as 30d).

    `stale_ok` is the share of answers that may be outdated.
    """

    changed_share: Share | None = None
    over: str | None = None
    stale_ok: Share = 0.05


class Economics(Record):
    """Prices in one currency (USD), requests per month, hours; None is `not measured`."""

    requests_per_month: _Amount | None = None
    value_of_correct: _Amount | None = None
    engineer_hour: _Amount | None = None
    hours_to_build: _Amount | None = None
    hours_per_retrain: _Amount | None = None
    label_each: _Amount | None = None
    machine_hour: _Amount | None = None
    hosting_month: _Amount | None = None
    horizon_months: Positive = 12
    prices: dict[str, Any] = Field(default_factory=dict)

    @property
    def weighs_costs(self) -> bool:
        """Return whether a right answer has a value and a volume, so that costs decide as well."""
        return self.value_of_correct is not None and self.requests_per_month is not None


LEFT_KEYS = {
    "stop_early": "remove the line: the schedule (`budget.stages`, on by default) stops arms that"
    " cannot pay",
    "ledger": "remove the line: the ledger is .tuneworthy/ledger.sqlite in the study's folder;"
    " to go on elsewhere, copy the folder",
}

"""What replaces a key that is gone, as a fix."""


def without_left_keys(value: Any) -> Any:
    """Return task data without keys that are gone; ValueError, with the fix, for one that was set.

    Older versions stored them. One that was set made a difference: a bound was wider, for example.
    """
    left = LEFT_KEYS.keys() & value if isinstance(value, dict) else set()
    if used := [LEFT_KEYS[key] for key in sorted(left) if value[key]]:
        raise ValueError("; ".join(used))
    return {key: kept for key, kept in value.items() if key not in left} if left else value


class Budget(Record):
    """The budget of a study: `minutes`, `usd` and `tokens` are hard caps.

    `stages`: a schedule spends the minutes where they can change the verdict; false runs every arm
    on all its folds, whatever the minutes.
    """

    minutes: Positive = 60
    usd: _Amount | None = None
    tokens: Annotated[int, Field(ge=0, le=10**15)] | None = None
    stages: bool = True

    _read = model_validator(mode="before")(without_left_keys)


class Task(Record):
    """The content of task.yaml, checked, with inferred values filled in from the rows.

    `inferred` names the keys that the rows supplied (`output.schema`, …); relative paths start at
    `folder`, which is not part of the hash. `thinking`: whether a model that can reason before it
    answers does so (`auto`: only if its template can't switch it off), in up to `thinking_tokens`
    tokens in addition to those of the answer. `options` are request fields of a model behind an
    endpoint, by role. `decision` is the address of a decision model, `[NAME@]URL`. `batch` is the
    largest number of rows in one batch. `repeats`: how often a case is asked of an arm that draws
    its answers.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")] = "task"
    instruction: str = ""
    data: Data
    output: Output = Output()
    success: Success = Success()
    present: Present | None = None
    answers: dict[str, Recorded] = Field(default_factory=dict)
    model: str = "smollm2-135m"
    tune: str | None = None
    bigger: str | None = None
    decision: str | None = None
    teacher: str | None = None
    thinking: Literal["auto", "off", "on"] = "auto"
    thinking_tokens: Annotated[int, Field(ge=0, le=1_000_000)] = 2048
    options: dict[ModelRole, dict[str, Any]] = Field(default_factory=dict)
    max_connections: Annotated[int, Field(ge=1, le=1000)] = 8
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    batch: Annotated[int, Field(ge=1, le=100_000)] | None = None
    arms: Literal["auto"] | tuple[str | dict[str, dict[str, Any]], ...] = "auto"
    knowledge: Knowledge | None = None
    economics: Economics = Economics()
    budget: Budget = Budget()
    seeds: Annotated[int, Field(ge=1, le=20)] = 2
    repeats: Annotated[int, Field(ge=1, le=20)] = 1
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    executor: Literal["local", "ray", "slurm"] = "local"
    inferred: tuple[str, ...] = ()

    _folder: Path = PrivateAttr(default=Path())

    @property
    def folder(self) -> Path:
        """Return the folder of task.yaml, the base of relative paths."""
        return self._folder

    @property
    def decider(self) -> str | None:
        """Return the spec of the decision model, None if neither `decision` nor `model` is one."""
        if self.decision:
            return f"decision:{self.decision}"
        return self.model if self.model.startswith("decision:") else None

    def within(self, minutes: float | None) -> Task:
        """Return the same task with this cap on minutes; None keeps its own."""
        budget = self.budget.model_copy(update={"minutes": minutes})
        return self if minutes is None else self.model_copy(update={"budget": budget})

    def at(self, folder: Path) -> Task:
        """Return the same task with its relative paths based on `folder`."""
        copy = self.model_copy()
        copy._folder = folder
        return copy

    @property
    def lacks_answers(self) -> bool:
        """Return whether no row has a right answer: then only validity is measured."""
        return self.success.metric == VALID

    @property
    def hash(self) -> str:
        """Return the content hash (64 hex digits), which leaves out caps, batch size and folders.

        A raised cap lets a stopped study go on, so caps are not part of its identity; nor is the
        path of the inputs to settle on. Keys added since then count only if they are set, so that
        older tasks keep their hash.
        """
        early = {"stages"} if self.budget.stages else set()
        data, success = self.data, self.success
        nothing = set() if data.locked else {"locked"}
        nothing |= set() if data.largest_group else {"largest_group"}
        nothing |= set() if data.corrected else {"corrected"}
        nothing |= {"copies"} if data.copies == "near" else set()
        unset = set() if success.finalists else {"finalists"}
        unset |= set() if success.costs else {"costs"}
        unset |= {"wrong_at_most"} if success.wrong_at_most is None else set()
        logs = {name for name, log in self.answers.items() if log.match is None}
        left_out: dict[str, Any] = {"budget": {"usd", "tokens"} | early, "executor": True,
                                    "answers": {name: {"match"} for name in logs},
                                    "data": {"unlabelled"} | nothing, "success": unset,
                                    "max_connections": True, "batch": True,
                                    "ledger": True}  # fmt: skip
        if self.present is not None and self.present.match is None:
            left_out["present"] = {"match"}
        for key in (
            "thinking",
            "thinking_tokens",
            "options",
            "device",
            "precision",
            "repeats",
            "decision",
        ):
            if getattr(self, key) == type(self).model_fields[key].get_default(
                call_default_factory=True
            ):
                left_out[key] = True
        return digest(self.model_dump(mode="json", by_alias=True, exclude=left_out))


def recorded_files(task: Task) -> dict[str, str]:
    """Return {name of a recorded system: its file}, by key "present" for what runs today."""
    files = {name: source.file for name, source in task.answers.items()}
    if task.present and task.present.answers:
        files["present"] = task.present.answers
    return files


def match_setting(task: Task, name: str) -> tuple[Match | None, str]:
    """Return the `match` setting of a recorded system, None if unset, and its task.yaml key."""
    if name in task.answers:
        return task.answers[name].match, f"answers.{name}"
    return task.present.match if task.present else None, "present"


_DAYS_PER_UNIT = {"h": 1 / 24, "d": 1.0, "w": 7.0, "m": 365.25 / 12, "y": 365.25}

CENTURY = 36_525.0

"""The longest duration that is accepted, in days."""


def duration_days(text: str) -> float:
    """Return the number of days in a duration such as `30d`, `6w`, `1y`.

    Raises ValueError, with the reason, for another text and for a duration that is not above 0 or
    exceeds a century.
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([hdwmy])", text.strip())
    if match is None:
        raise ValueError("this is no span of time")
    days = float(match[1]) * _DAYS_PER_UNIT[match[2]]
    if days <= 0:
        raise ValueError("the span of time must be above 0")
    if days > CENTURY:
        raise ValueError("the span of time must be at most a century")
    return days


PRICE_KEYS = ("in", "out", "cached_in", "cache_write", "prompt_tokens", "train")

PRICE_EXAMPLE = "{in: 0.4, out: 1.6}"

_MAX_PRICE = 1e6  # USD per million tokens; the most expensive model known costs a few hundred
# Request fields that tuneworthy sets itself: they decide what is measured, or what it can cost.
OWN_FIELDS = (
    "model", "messages", "n", "best_of", "stream", "stream_options", "max_tokens",
    "max_completion_tokens", "max_output_tokens", "response_format", "state", "questions",
)  # fmt: skip


def price_fault(key: str, value: Any) -> str:
    """Return what is wrong with one entry of a price, or ""."""
    if key not in PRICE_KEYS:
        return "a price has no such key"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "a price must be a number"
    if not math.isfinite(value) or value < 0:
        return "a price must be 0 or more"
    if key == "prompt_tokens":
        return "" if value >= 1 and value == int(value) else "this must be a whole number above 0"
    return "" if value <= _MAX_PRICE else "no model costs this much for a million tokens"
