"""Records of an arm's spec and of one run of it: answers and scores."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from tuneworthy.core.answer import Answer, Score, Unscored, failed_temporarily
from tuneworthy.core.arm import Recipe, Role
from tuneworthy.core.record import Record
from tuneworthy.core.task import Tool

RECORDED = "recorded answers"
MODEL_UNAVAILABLE = "its model can't be asked"
"""Prefix of `because` for an arm without answers because its model is unavailable. That can be
fixed, so such a run is not stored and the study's results are not final."""
State = Literal["measured", "stopped_early", "skipped", "failed"]


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

    `dev` is the mean dev score inside the training fold (None: no dev answers were needed).
    `fit_seconds` is measured once and stored, as is `latency_ms`: of single requests, with at most
    `latency_concurrency` in flight. `fold` is None for one split. `artefact` is the path of the
    trained artefact, relative to the task's folder. `longer` holds the score of truncated answers
    that were generated again with more tokens, by case; None where the token limit is not ours.
    """

    spec: Spec
    seed: int
    fold: int | None
    state: State
    because: str = ""
    answers: tuple[Answer, ...] = ()
    scores: tuple[Score | Unscored, ...] = ()
    dev: float | None = None
    learned: bool = False
    recipe: Recipe | None = None
    fingerprint: dict[str, str] = Field(default_factory=dict)
    trace: dict[str, Any] | None = None
    fit_seconds: float | None = None
    latency_ms: tuple[float, ...] | None = None
    latency_concurrency: int | None = None
    notes: tuple[str, ...] = ()
    artefact: str | None = None
    longer: dict[str, float] | None = None


def temporary_failures(run: Run) -> int:
    """Return how many answers or judge's scores of a run failed for now; 1 more for dev answers.

    Errors of recorded answers do not count: nothing is asked there.
    """
    asked = bool(run.fingerprint)
    lost = sum(
        asked and failed_temporarily(answer.error)
        if answer.error is not None
        else isinstance(score, Unscored) and failed_temporarily(score.reason)
        for answer, score in zip(run.answers, run.scores, strict=True)
    )
    return lost + any(map(failed_temporarily, run.notes))
