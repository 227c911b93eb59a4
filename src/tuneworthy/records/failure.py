"""Types of a failure mode of the lab: configuration, rows, tokens, facts of a run, detections.

A failure mode plants a fault in rows, tokens or configuration, never in the training loop; its
detector reads facts alone. Knows no model and no page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NamedTuple

from pydantic import Field

from tuneworthy.records.case import Message
from tuneworthy.records.record import GrownRecord, Record

Value = str | int | float | bool | None
Config = Mapping[str, Value]

DEFAULTS: Config = {
    "rows": 64,
    "epochs": 3,
    "batch": 4,
    "rate": 1e-3,
    "rank": 16,
    "targets": "all-linear",
    "method": "lora",
    "replay": 0.0,
    "loss": "answer",
    "pad_token": "<|endoftext|>",
    "max_length": 512,
    "packing": False,
    "serve.adapter": True,
    "serve.template": "chat",
    "serve.schema": False,
    "serve.temperature": 0.0,
}
"""What a run does unless its case says otherwise. A case may add keys of its own, which its
`rows` or `render` reads."""


@dataclass(frozen=True)
class LabSetup:
    """The configuration and the seed of a run in the lab."""

    config: Config
    seed: int = 0


@dataclass(frozen=True)
class LabRow:
    """A row: the conversation up to the answer, the gold answer, and what a detector may read."""

    id: str
    messages: tuple[Message, ...]
    output: str
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def input(self) -> str:
        """Return the text of the last user turn."""
        return next(m.content for m in reversed(self.messages) if m.role == "user")


@dataclass(frozen=True)
class LabRows:
    """Training rows, and new rows that are never trained on, which measure the result.

    `probes` are other rows by name, whose score and loss are measured before and after.
    """

    train: tuple[LabRow, ...]
    new: tuple[LabRow, ...]
    probes: Mapping[str, tuple[LabRow, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class TokenRow:
    """A row as token ids: a prompt of `first` ids, then the trained ids, the last of them the end.

    `dropped` are the ids after these that were removed: cut off, or given no loss.
    """

    ids: tuple[int, ...]
    first: int
    dropped: tuple[int, ...] = ()

    def without_last(self) -> TokenRow:
        """Return the row without its end-of-turn token, which then gets no gradient."""
        return replace(self, ids=self.ids[:-1], dropped=(self.ids[-1], *self.dropped))

    def cut_to(self, most: int) -> TokenRow:
        """Return the row cut to `most` ids. At least one id stays trained, else no row is left."""
        keep = max(most, self.first + 1)
        return replace(self, ids=self.ids[:keep], dropped=(*self.ids[keep:], *self.dropped))

    def with_prefix(self, ids: Sequence[int]) -> TokenRow:
        """Return the row with other ids before its prompt, as packing without boundaries does."""
        return replace(self, ids=(*ids, *self.ids), first=len(ids) + self.first)


class RunFacts(Record):
    """The measured facts of a training run; None for one that was not, or can't be, measured.

    Losses are nats a token, `new_...` those of the new rows. Shares are 0 to 1. `answers` new rows
    were answered: `ended` of them by themselves, `score` is their mean, `valid` the share that
    parses, `length` mean tokens, `same_as_base` those of the base. `end_trained`: share of training
    rows whose end of turn has a loss. `cut_rows`: share of training rows that were cut.
    `answer_share`: share of the trained tokens that belong to an answer. `same_prompt`: share of
    new rows whose served prompt has the token ids of training. `leaked`: share of new rows with a
    near copy among the training rows. `conflicts`: share of training rows whose label similar
    training rows contradict. `answer_seen`: share of training rows that can read their own answer
    in another row's tokens before it. `copied`: share of answers with eight words in a row of a
    training answer that are not in their own gold answer. `shapes`: share of the training answers
    outside the commonest shape under their instruction. `outliers`: share of
    training rows whose last loss is over three times the median. `prior`: the commonest answer's
    share in training over its share in new rows, where three more rows are counted, so that a rare
    answer proves nothing.
    `change`: norm of the weight change over that of the weights. `other` are facts of one case.
    """

    steps: int = 0
    refused: str | None = Field(default=None, description="Why training was stopped, if it was.")
    loss_first: float | None = None
    loss_last: float | None = None
    loss_least: float | None = None
    loss_peak: float | None = None
    new_loss_first: float | None = None
    new_loss_last: float | None = None
    new_loss_least: float | None = None
    clip_rate: float | None = None
    change: float | None = None
    parameters: int | None = None
    answer_tokens: int | None = None
    end_trained: float | None = None
    cut_rows: float | None = None
    answer_share: float | None = None
    same_prompt: float | None = None
    leaked: float | None = None
    conflicts: float | None = None
    answer_seen: float | None = None
    copied: float | None = None
    shapes: float | None = None
    outliers: float | None = None
    prior: float | None = None
    p_end: float | None = None
    answers: int | None = None
    ended: int | None = None
    score: float | None = None
    valid: float | None = None
    length: float | None = None
    same_as_base: float | None = None
    other: dict[str, float | None] = Field(default_factory=dict)


@dataclass(frozen=True)
class Runs:
    """The facts of a run and of its clean twin on the same seed (None: there is no twin)."""

    own: RunFacts
    twin: RunFacts | None = None


class Fix(NamedTuple):
    """A fix that a visitor is likely to try: the options it turns, what it mends and leaves."""

    turns: Config
    says: str


class Detection(GrownRecord):
    """Whether a detector found its failure, and by which number; None if it could not measure.

    `limit` says from where on the number speaks for the failure. `explained` says why it does not
    although it lies beyond the limit.
    """

    LATER: ClassVar[frozenset[str]] = frozenset({"limit", "explained"})

    found: bool | None
    value: float | None = None
    because: str = ""
    limit: str = ""
    explained: str = ""


class Check(Record):
    """One condition of a repaired run, with its measured value as text."""

    what: str
    passed: bool
    value: str


def not_measured(missing: str) -> Detection:
    """Return a detection that was not measured, because `missing` (such as "no data file")."""
    return Detection(found=None, because=f"not measured: {missing}")


def judged(
    value: float | None,
    found: bool,
    because: str,
    missing: str = "",
    *,
    limit: str = "",
    explained: str = "",
) -> Detection:
    """Return a detection with `found` decided by `value`; "not measured" if `value` is None.

    `explained` is kept only where nothing is found.
    """
    if value is None:
        return not_measured(missing or "the run has no such figure")
    told = "" if found else explained
    return Detection(found=found, value=value, because=because, limit=limit, explained=told)
