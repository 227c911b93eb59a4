"""Records of an arm's spec, of one run of it (answers and scores), and the options of `run`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from tuneworthy.records.answer import LOST_WORDS, Answer, Score, Unscored
from tuneworthy.records.arm import Role
from tuneworthy.records.artefact import Recipe
from tuneworthy.records.reason import NO_ROOM_FOR_FOLDS, Because
from tuneworthy.records.record import Record, told_before
from tuneworthy.records.task import Tool

RECORDED = "recorded answers"  # the note of such an arm: read only where `recorded` is missing

State = Literal["measured", "stopped_early", "skipped", "failed"]

LookScope = Literal["folder", "user"]

"""Whose studies are counted as looks: this folder's alone, or all of this user on this machine."""


class Spec(Record):
    """An arm with its options: with a seed and a fold, enough to run it again.

    `name` is unique in a study, `arm` the plug-in. A placebo names its arm in `of`.
    """

    name: str
    arm: str
    options: dict[str, Any] = Field(default_factory=dict)
    tool: Tool | None = None
    role: Role = "candidate"
    simplicity: int = 0
    of: str = ""


class Run(Record):
    """One arm, one seed, one fold: answers and scores of the fold's cases, in the same order.

    `dev` is the mean dev score inside the training fold (None: no dev answers were needed), where
    `dev_lost` says that some of those answers failed for now. `fit_seconds` is measured once and
    stored, as is `latency_ms`: of single requests, with at most `latency_concurrency` in flight.
    `fold` is None for one split. `artefact` is the path of the trained artefact, relative to the
    task's folder. `longer` holds the score of truncated answers that were generated again with more
    tokens, by case; None where the token limit is not ours. `recorded`: the answers were recorded
    elsewhere.
    """

    spec: Spec
    seed: int
    fold: int | None
    state: State
    because: Because = None
    answers: tuple[Answer, ...] = ()
    scores: tuple[Score | Unscored, ...] = ()
    dev: float | None = None
    dev_lost: bool = False
    learned: bool = False
    recipe: Recipe | None = None
    fingerprint: dict[str, str] = Field(default_factory=dict)
    trace: dict[str, Any] | None = None
    fit_seconds: float | None = None
    latency_ms: tuple[float, ...] | None = None
    latency_concurrency: int | None = None
    notes: tuple[str, ...] = ()
    recorded: bool = False
    artefact: str | None = None
    longer: dict[str, float] | None = None

    _older = told_before(
        recorded=lambda told: RECORDED in told.get("notes", ()),
        dev_lost=lambda told: any(LOST_WORDS["for now"] in note for note in told.get("notes", ())),
        because=lambda told: next((note for note in told.get("notes", ())
                                   if str(NO_ROOM_FOR_FOLDS) in note), None),
    )  # fmt: skip

    @property
    def temporary_failures(self) -> int:
        """Return how many answers or judge's scores failed for now; +1 if dev answers did.

        Errors of recorded answers do not count: nothing is asked there.
        """
        asked = bool(self.fingerprint)
        lost = sum(
            asked and answer.lost == "for now"
            if answer.error is not None
            else isinstance(score, Unscored) and score.lost == "for now"
            for first, score in zip(self.answers, self.scores, strict=True)
            for answer in (first, *first.repeats)
        )
        return lost + self.dev_lost

    @property
    def taught_usd(self) -> float:
        """Return the dollars of the teacher's answers that this fit learnt from; 0 if not known."""
        pairs = ((self.trace or {}).get("distilled") or {}).get("pairs") or {}
        return float(pairs.get("usd") or 0.0)


def taught_rows(trace: Mapping[str, Any] | None) -> int:
    """Return how many rows that a teacher wrote a student learnt from, by its fit's trace."""
    return int(((trace or {}).get("distilled") or {}).get("teacher_rows") or 0)


@dataclass(frozen=True)
class RunOptions:
    """Options of a run.

    `bad_rows` and `max_bad`: what to do with bad rows. `limit`: the most rows. `fresh`: start the
    study anew. `pay`: allow paid models without a cap. `brief`: run only the arms and the
    diagnosis; skip optional measurements. `unlock`: score only the locked rows. `more`: further
    minutes for a finished study. `minutes`: the cap in place of `budget.minutes`. `on`: where arms
    run, in place of `executor` in task.yaml: local, ray (one that we start), auto (the one on this
    machine), HOST:PORT or ray://HOST:PORT.
    """

    bad_rows: Literal["stop", "exclude"] = "stop"
    max_bad: float = 0.01
    limit: int | None = None
    fresh: bool = False
    pay: bool = False
    brief: bool = False
    unlock: bool = False
    more: float | None = None
    minutes: float | None = None
    on: str | None = None
