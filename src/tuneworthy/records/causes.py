"""Records of the diagnosis: remedies tried on the base arm's failures; what an arm may repair."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal, get_args

from pydantic import Field

from tuneworthy.records.case import LabelDoubt
from tuneworthy.records.interval import Interval
from tuneworthy.records.plugins import catalogue, load
from tuneworthy.records.record import Record, told_before
from tuneworthy.records.run import Spec
from tuneworthy.records.task import Task, Tool

Remedy = Literal[
    "metric", "format", "convention", "knowledge", "retrieval", "latent", "capability", "learnable"
]

"""The kind of failure that an intervention repairs, cheapest first."""

Cause = Literal[Remedy, "reading", "label", "hard", "few", "chance", "untried"]

"""The class of a failed case. `chance`: a remedy rescues it, and so does its placebo. `untried`: a
remedy that may rescue it was not tried on it. Neither is a cause."""

NO_CAUSES = frozenset({"few", "chance", "untried"})

"""Classes that say nothing about what is wrong with a case."""

REMEDIES: tuple[Remedy, ...] = get_args(Remedy)

_PASSAGE_CAUSES: frozenset[str] = frozenset({"knowledge", "retrieval", "reading"})

"""Causes where the answer is in a passage: training without passages can't repair them."""


class BaseOutcomes(Record):
    """The base arm of a diagnosis: ids of all cases that it fails, and that it passes.

    `rerun` maps case -> passed in a second run of the base (a sampled deployment); empty where its
    answers are greedy or logged, so that a second run changes nothing. `groups` maps case to group
    where cases belong together; `largest_group` and `only_copies`: see `matrix.design.Design`.
    `conflicts` are failed cases whose label contradicts others (see
    explain/label_errors). `literal` are failed cases whose passage contains the gold answer word
    for word, None if no case has a passage. `recorded`: logged answers, which can't be asked again.
    """

    arm: str
    fails: tuple[str, ...]
    passes: tuple[str, ...]
    rerun: dict[str, bool] = Field(default_factory=dict)
    groups: dict[str, str] = Field(default_factory=dict)
    largest_group: float = 0.0
    only_copies: bool = False
    conflicts: tuple[str, ...] = ()
    literal: tuple[str, ...] | None = None
    margin: float = 0.05
    recorded: bool = False


class Intervention(Record):
    """One remedy and its placebo, run on the failed cases and on all or some of the passed ones.

    `passed` maps each case tried -> whether it passes now. `placebo_passed` is the same for the
    placebo (active ingredient removed), as the share of the placebo's draws that pass (0 or 1 for a
    single draw); None: this remedy has no placebo, and `because` says why. `alone` is the same for
    the remedy's prompt without the remedy: the remedy must beat both. A case that was not tried is
    in none of them. `asks` is False if no model was called: the same answers, scored again.
    `unproved`: its placebo was not run although the remedy may act, so its effect can't be shown.
    """

    name: str
    remedy: Remedy
    passed: dict[str, bool]
    placebo: str | None = None
    placebo_passed: dict[str, float] | None = None
    alone: dict[str, float] | None = None
    because: str = ""
    asks: bool = True
    unproved: bool = False


class Effect(Record):
    """The effect of one intervention: net and gain in cases, contrast as a share of the failures.

    With FAIL and PASS the cases that the base fails and passes: `net` is passes minus the
    placebo's, `gain` passes minus those of a second run of the base, both scaled to all cases;
    `contrast` is the share of FAIL rescued minus the placebo's share. Two-sided 95 %. A remedy that
    builds on a prompt must beat that prompt alone as well: `net`, `contrast` and `placebo_rescue`
    then compare with whichever of the two leaves the smaller effect. `rescued` are the failed cases
    that pass while the placebo fails them. `corrected` is contrast / (1 - placebo's share), None
    where that share is above .95. `acts`: all three lower bounds are above 0; one that could not be
    measured is None, is ignored and is named in `because`. `n_fail` and `n_pass` count the cases
    tried.
    """

    name: str
    remedy: Remedy
    placebo: str | None
    n_fail: int
    n_pass: int
    rescue: float | None
    placebo_rescue: float | None
    harm: float | None
    net: Interval | None
    gain: Interval | None
    contrast: Interval | None
    corrected: float | None
    acts: bool
    rescued: tuple[str, ...] = ()
    because: str = ""


class Wrong(Record):
    """One class of failures (a cause, `chance` or `untried`) and its share of `n` failures.

    Shares of one diagnosis add up to 1, as every failure is in one class; `few` comes first where
    the failures are too few to tell; its share covers all of them, its `n` the diagnosed ones.
    `low` and `high` are the share on other rows (95 %), where every untried case may be of this
    cause or not. The share of `untried` says what this study did and has no interval.
    """

    cause: str = Field(description="The class of failure, as `format` or `knowledge`.")
    share: float = Field(description="Its share of the `n` failures, 0 to 1.")
    low: float = Field(description="The lower end of the share on other rows.")
    high: float = Field(description="The upper end of the share on other rows.")
    n: int = Field(description="The failures that the share is taken of.")
    arm: str | None = Field(description="The remedy that shows the cause.")
    placebo: str | None = Field(description="What the remedy was compared with.")


class UntriedRemedy(Record):
    """Failures that one remedy was not tried on although nothing cheaper rescues them.

    `passed` of them pass with the remedy, but its placebo was not run on them. `tried` is the
    number of failures it was tried on together with its placebo; `because` says why that is none,
    if known.
    """

    name: str
    remedy: Remedy
    n: int
    passed: int = 0
    tried: int = 0
    because: str = ""


class RemedyOverlap(Record):
    """The number of failed cases that two interventions both rescue."""

    one: str
    other: str
    both: int


_UNREAD = ("the causes are not known", "what was wrong was not read")  # of older versions


class Diagnosis(Record):
    """Why the base arm fails: classes of failure with their shares; `cause` maps each failed case.

    `wrong` has the classes with their shares of all failures, the likeliest cause first, `chance`
    and `untried` last. `few`: too few failures for a statement; then a row `few`, which covers all
    of them, comes first, and below eight failures it is the only row. `untried` lists the remedies
    that were not tried on the untried cases. `estimates`, if present, are the expected shares of
    the causes if the untried cases resemble the tried ones: they order `wrong`, and a row's `n`
    counts the failures that its share is taken of. `said` are relations on the task in plain words
    (retrieval against reading, the cost of constrained output, how much the passages can show at
    all). `doubts` are gold answers to check. `because` says why there is no diagnosis (then `wrong`
    is empty), or why only part of the failures could be diagnosed: then no row `hard` covers the
    rest. `unread`: no remedy that asks a model was run, so that no cause is known.
    """

    arm: str
    n_fail: int
    n_pass: int
    effects: tuple[Effect, ...] = ()
    wrong: tuple[Wrong, ...] = ()
    cause: dict[str, Cause] = Field(default_factory=dict)
    untried: tuple[UntriedRemedy, ...] = ()
    estimates: tuple[Wrong, ...] = ()
    overlap: tuple[RemedyOverlap, ...] = ()
    few: bool = False
    said: tuple[str, ...] = ()
    doubts: tuple[LabelDoubt, ...] = ()
    because: str = ""
    unread: bool = False

    _older = told_before(unread=lambda told: str(told.get("because", "")).startswith(_UNREAD))


def share_of(wrong: Sequence[Wrong], causes: Collection[str]) -> float:
    """Return the share of the failures (0 to 1) that have one of these causes."""
    return min(1.0, sum(row.share for row in wrong if row.cause in causes))


def argues_against_training(wrong: Sequence[Wrong], repairs: Collection[str]) -> bool:
    """Return whether a diagnosis argues against training an arm that repairs these causes.

    It does if the largest cause is one of _PASSAGE_CAUSES and the arm does not repair it. It does
    not if too few failures were diagnosed (a row `few`), or if most of them have no remedy.
    """
    if any(row.cause == "few" for row in wrong):
        return False
    causes = [row for row in wrong if row.cause in (*REMEDIES, "reading", "label", "hard")]
    first = max(causes, key=lambda row: row.share, default=None)
    if first is None or first.cause not in _PASSAGE_CAUSES:
        return False
    return "learnable" in repairs and first.cause not in repairs


CAUSES_BY_REMEDY: dict[str, frozenset[Cause]] = {
    "format": frozenset({"format"}),
    "convention": frozenset({"convention"}),
    "knowledge": frozenset({"knowledge", "retrieval"}),
    "retrieval": frozenset({"knowledge", "retrieval"}),
    "latent": frozenset({"latent"}),
    "capability": frozenset({"capability", "reading"}),
    "learnable": frozenset({"learnable", "latent"}),
}

"""The causes that an arm with this REMEDY may repair. Majority voting and training both repair
`latent` (the model knows the answer but does not always give it); a larger model repairs
`reading`."""

CAUSES_BY_TOOL: dict[Tool, frozenset[Cause]] = {
    "schema": CAUSES_BY_REMEDY["format"],
    "context": CAUSES_BY_REMEDY["retrieval"],
    "bigger": CAUSES_BY_REMEDY["capability"],
    "tune": CAUSES_BY_REMEDY["learnable"],
    "distil": CAUSES_BY_REMEDY["learnable"],
}

"""The same for an arm without a REMEDY (such as recorded answers); a prompt is not listed, because
it may repair anything or nothing."""

_DOCUMENT_TRAINING_REPAIRS: frozenset[Cause] = frozenset({"reading", "knowledge"})

"""What training with documents in the prompt repairs as well: it supplies the facts and teaches the
model to read them. It uses the same retrieval, so it does not repair `retrieval`."""


def asks_another_model(task: Task, spec: Spec) -> bool:
    """Return whether an arm is a prompt of another model than the one that runs today."""
    prompt = spec.tool == "prompt" and spec.role == "candidate" and spec.arm != "answers"
    return prompt and task.present is not None and task.present.model != task.model


def repairable_causes(spec: Spec) -> frozenset[str]:
    """Return the causes of failure that an arm may repair; none unless it is a candidate."""
    if spec.role != "candidate":
        return frozenset()
    module = load("arms", spec.arm) if spec.arm in catalogue("arms") else None
    needs: frozenset[str] = getattr(module, "NEEDS", frozenset())
    remedy = getattr(module, "REMEDY", None)
    causes = CAUSES_BY_REMEDY.get(
        remedy or "", CAUSES_BY_TOOL.get(spec.tool or "keep", frozenset())
    )
    return frozenset(
        causes | (_DOCUMENT_TRAINING_REPAIRS if {"training", "docs"} <= needs else frozenset())
    )
