"""The record of verdict.json, the machine contract. A breaking change raises `schema`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from tuneworthy.records.arm import Role
from tuneworthy.records.causes import Wrong as Wrong
from tuneworthy.records.confidence import ClassScores, Confidence, Coverage
from tuneworthy.records.evidence import ArmResult, Figure, Latency, Tokens
from tuneworthy.records.interval import Interval
from tuneworthy.records.record import Record
from tuneworthy.records.run import State
from tuneworthy.records.task import Tool


@dataclass(frozen=True)
class Standing:
    """What the rule would name now, how much better another arm may be (or None), and the arms."""

    use: str
    arm: str | None
    left: float | None
    arms: tuple[ArmResult, ...]

    def plain(self) -> dict[str, Any]:
        """Return the standing as a dict for an event of the ledger; placebos are left out."""
        arms = [
            {
                "name": arm.name,
                "tool": arm.tool,
                "role": arm.role,
                "n": arm.n,
                "score": arm.score.plain() if arm.score else None,
                "because": str(arm.because or ""),
            }
            for arm in self.arms
            if arm.role != "placebo"
        ]
        return {"use": self.use, "arm": self.arm, "left": self.left, "arms": arms}


class Finding(Record):
    """One answered question; `value`, `low`, `high` are None where not measured."""

    name: str = Field(description="The question, as `enough_data`.")
    answer: Literal["yes", "no", "not_measured"] = Field(description="The answer.")
    because: str = Field(description="The reason, in a sentence.")
    value: float | None = Field(
        default=None, description="The number that decides; the question's page says which one."
    )
    low: float | None = Field(default=None, description="The lower end of its interval.")
    high: float | None = Field(default=None, description="The upper end of its interval.")
    next: str = Field(default="", description="What to do about it; empty if nothing.")
    prior: str | None = Field(
        default=None, description="What is published without your rows; it decides nothing."
    )


SCHEMA = 1

Use = Literal[
    "keep", "classifier", "prompt", "schema", "context", "bigger", "tune", "distil", "other", "none"
]

"""`other` is a recorded system whose tool is not given (`answers.NAME.tool`)."""

Status = Literal["firm", "provisional", "blocked"]


class TaskName(Record):
    """Name and content hash of the task."""

    name: str = Field(description="The `name` of task.yaml.")
    hash: str = Field(description="Hash of the task's content, 64 hex digits.")


class LeftOnTable(Record):
    """The most that another measured arm may be better by, in score points (0 to 1)."""

    points: float = Field(description="The bound: no compared arm is better by more than this.")
    level: float = Field(description="How sure the bound is, 0 to 1.")
    arm: str | None = Field(None, description="The arm that may be better; null if none can be.")
    versus: str | None = Field(
        None, description="Better than which: the named arm, or a reference if none is named."
    )


class ByMargin(Record):
    """The verdict that the decision rule gives at another margin."""

    margin: float = Field(description="The margin, in score points from 0 to 1.")
    use: Use = Field(description="The tool named at this margin.")
    arm: str | None = Field(description="The arm named at this margin.")
    status: Status = Field(description="The status at this margin.")


class Next(Record):
    """The cheapest next step and its size.

    `minutes` are whole ones of the machine, for a step that runs it and whose time was planned.
    """

    do: str = Field(
        description="The step, as `use it`, `label`, `settle` or `raise output.max_tokens`."
    )
    rows: int | None = Field(default=None, description="Rows it takes.")
    clicks: int | None = Field(default=None, description="Votes between two answers that it takes.")
    usd: float | None = Field(default=None, description="What it costs.")
    minutes: int | None = Field(default=None, description="Minutes of the machine.")
    command: str | None = Field(
        default=None, description="The command to run beside task.yaml; null: a person decides."
    )
    edit: str | None = Field(
        default=None, description="The key of task.yaml, or `data`, to change before the command."
    )
    why: str = Field(description="Why this step.")


class Delta(Interval):
    """Mean paired difference, this arm's score minus that of `versus`, two-sided interval."""

    versus: str = Field(
        description="The arm it is compared with: the named arm, or the reference if none is named."
    )


class VerdictArm(Record):
    """One arm, as verdict.json lists it."""

    name: str = Field(description="The arm's name, with the options that the user set.")
    tool: Tool | None = Field(description="The tool that it is an arm of.")
    role: Role = Field(description="Only a candidate can be named.")
    simplicity: int = Field(
        description="Order among the arms of one tool: the smaller, the simpler."
    )
    options: dict[str, Any] = Field(description="The options of the arm.")
    seed: int | None = Field(description="The seed that counts: the best one on the dev rows.")
    seeds: int = Field(description="How many seeds were run.")
    n: int = Field(description="Scored cases.")
    score: Interval | None = Field(description="Its mean score.")
    delta: Delta | None = Field(
        description="This arm's score minus that of `versus`, paired: above 0, this arm is better."
    )
    valid: float | None = Field(
        description="Share of answers that end by themselves and have the right form."
    )
    latency_ms: Latency | None = Field(description="How long a request takes.")
    tokens: Tokens | None = Field(description="Tokens of a request.")
    usd_per_1k: float | None = Field(description="Cost of 1,000 requests.")
    fit_seconds: float | None = Field(
        description="Seconds of fitting or training, all folds and seeds together."
    )
    figures: dict[str, Figure] = Field(
        default_factory=dict,
        description="Further shares of its answers, by name: `says`, `n` and a mean with bounds.",
    )
    sure: Coverage | None = Field(
        default=None,
        exclude_if=lambda value: value is None,
        description="What it answers under `success.wrong_at_most`; its score is that share.",
    )
    confidence: Confidence | None = Field(
        default=None,
        exclude_if=lambda value: value is None,
        description="How far its stated probabilities hold, where it states any.",
    )
    by_label: ClassScores | None = Field(
        default=None,
        exclude_if=lambda value: value is None,
        description="Scores that weigh every label alike, where answers are labels.",
    )
    state: State = Field(description="Whether it was measured.")
    because: str = Field(
        description="Why it was not measured, or a note on how it was; empty if there is none."
    )


class Verdict(Record):
    """The content of verdict.json; `seconds` is the wall time of the study's units."""

    schema_version: int = Field(
        default=SCHEMA, alias="schema", description="Raised by a change that breaks readers."
    )
    tuneworthy: str = Field(description="The version that judged.")
    task: TaskName = Field(description="Which task this is.")
    use: Use = Field(
        description=(
            "The tool to use; `none` if no arm is shown to beat the reference; `other` is a "
            "recorded system whose tool was not given."
        ),
    )
    arm: str | None = Field(description="The arm to use.")
    status: Status = Field(
        description=(
            "`firm`: no other measured arm is better by more than the margin (shown); "
            "`provisional`: not shown yet; `blocked`: rows or metric must be repaired first."
        ),
    )
    left_on_table: LeftOnTable | None = Field(
        description="The most that another measured arm may be better by."
    )
    by_margin: tuple[ByMargin, ...] = Field(
        description="The same rule at every margin from 0 to 20 points."
    )
    next: Next = Field(description="The cheapest next step.")
    because: str = Field(description="The reasons, in sentences.")
    target_met: bool | None = Field(
        description=(
            "Whether the named arm's interval lies above `success.target` (true) or below it "
            "(false)."
        ),
    )
    looks: int = Field(description="Which study on these cases this is: 1 is the first.")
    arms: tuple[VerdictArm, ...] = Field(
        description="Every arm, in the order of the ladder: references first."
    )
    wrong: tuple[Wrong, ...] = Field(
        default=(),
        description=(
            "Why the base arm fails: classes of failure with their shares, the likeliest cause "
            "first."
        ),
    )
    questions: tuple[Finding, ...] = Field(
        default=(), description="The nine questions with their answers."
    )
    changes: dict[str, Any] | None = Field(
        default=None, description="What training changed in the model, per tuned arm."
    )
    economics: dict[str, Any] = Field(
        default_factory=dict,
        description="What each arm costs and is worth, at the prices of the task file.",
    )
    flips: tuple[dict[str, Any], ...] = Field(
        default=(),
        description=(
            "Each value of the margin or a price from which another arm is named, with that arm."
        ),
    )
    missing: dict[str, str] = Field(
        default_factory=dict, description="For every null, its JSON pointer and the reason."
    )
    seconds: float | None = Field(description="Wall time of the study's units.")
    evidence_hash: str = Field(
        description="Hash of all that the verdict follows from; times do not count."
    )

    def __rich__(self) -> str:
        """Return the verdict as one line: `use prompt: few_shot · firm`."""
        arm = f": {self.arm}" if self.arm else ""
        return f"use {self.use}{arm} · {self.status}"

    def _repr_html_(self) -> str:
        from tuneworthy.records.escape import for_html

        return f"<b>{for_html(self.__rich__())}</b><p>{for_html(self.because)}</p>"
