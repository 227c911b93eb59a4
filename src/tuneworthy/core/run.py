"""One arm on some cases: what it was, what it answered, what that was worth."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from tuneworthy.core.answer import Answer, Score, Unscored
from tuneworthy.core.arm import Recipe, Role
from tuneworthy.core.record import Record
from tuneworthy.core.task import Tool

RECORDED = "recorded answers"
NOT_ASKED = "its model can't be asked"
"""How `because` begins where an arm has no answers for want of a model: that may be mended, so such
a run is not stored and the study's results are not the last ones."""
State = Literal["measured", "stopped_early", "skipped", "failed"]


class Spec(Record):
    """Name + options + seed: enough to rebuild what made a result.

    `of` names the arm whose placebo this is.
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
    `latency_concurrency` of them under way at once. `fold` is None for one split. `artefact` is
    where what was built lies, from the task's folder. `longer` holds the score of cut answers that
    were asked again with more tokens, by case; None where the token limit is not ours.
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
