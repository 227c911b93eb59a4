"""A cheap arm answers what it is sure of, a dearer one the rest: two arms that share the work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean
from types import ModuleType

from pydantic import Field

from tuneworthy.arms._prompted import first_then
from tuneworthy.metrics import score_all
from tuneworthy.records.answer import Answer, value_or_zero
from tuneworthy.records.arm import Fitted, Setup, Sizes, Work
from tuneworthy.records.case import Case, Query
from tuneworthy.records.errors import DoesNotApply
from tuneworthy.records.plugins import catalogue, load
from tuneworthy.records.record import Record
from tuneworthy.records.task import Tool

TOOL: Tool = "classifier"
ROLE, SIMPLICITY = "candidate", 60
NEEDS = frozenset({"labels"})
BY_NAME = True
BUILDS_ON_PROMPT = True
_LOGGED = ("present", "answers")  # arms of recorded answers, which have no options of their own


class Options(Record):
    """`first` states probabilities and is cheap, `then` answers what `first` is not sure of.

    `then` is an arm, `present`, or a name under `answers`. `least` is the probability from which
    `first` answers; None: the one that scores best on dev rows.
    """

    first: str = "tfidf"
    then: str = "zero_shot"
    least: float | None = Field(default=None, ge=0, le=1)


def place(options: Options) -> tuple[Tool, str]:
    """Return (tool, role): the tool of the dearer arm; in front of a log a classifier's."""
    tool: Tool = TOOL if _is_logged(options) else _arm(options.then).TOOL
    return tool, ROLE


def needs(options: Options) -> frozenset[str]:
    """Return what both arms need."""
    both = (load("arms", options.first), _arm(options.then))
    return NEEDS.union(*(arm.NEEDS for arm in both))


def recorded_system(options: Options) -> str:
    """Return the name of the recorded system that answers the rest; "" if an arm does."""
    return options.then if _is_logged(options) else ""


def fit(setup: Setup, options: Options, seed: int) -> Fitted:
    """Fit both arms on the same rows and choose on dev rows from where on the first one answers.

    Of thresholds that score alike the lowest is taken: the first arm then answers most. Raises
    DoesNotApply if the first arm states no probabilities.
    """
    cheap = load("arms", options.first)
    first: Fitted = cheap.fit(replace(setup, recorded={}), cheap.Options(), seed)
    then = _second(setup, options, seed)
    dev = [case.query() for case in setup.dev]
    sure, rest = (one.answer(dev) for one in (first, then))
    if any(answer.probability is None for answer in (*sure, *first.answer(dev[:1]))):
        raise DoesNotApply(f"`{options.first}` states no probability of its answers")
    billed = any(answer.usd is not None for answer in rest)
    least = options.least if options.least is not None else _best_threshold(setup, sure, rest)

    def answer(queries: Sequence[Query]) -> list[Answer]:
        return first_then(queries, first.answer, then.answer, least, billed)

    front = first.pack if then.pack and first.pack and not first.pack.role else None
    return Fitted(
        answer=answer,
        learned=True,
        recipe=then.recipe,
        model=then.model,
        notes=(f"`{options.first}` answers from a probability of {least:.3g} on", *then.notes),
        pack=then.pack and front and then.pack.model_copy(update={"first": front, "least": least}),
        classifier=first.classifier,
        artefact=first.artefact or then.artefact,
    )


def _best_threshold(setup: Setup, sure: Sequence[Answer], rest: Sequence[Answer]) -> float:
    """Return the lowest threshold with the best mean dev score; 1.01 if the first never helps.

    Without dev rows it is .5.
    """
    if not setup.dev:
        return 0.5
    rows: Sequence[Case] = setup.dev
    own, other = (
        [value_or_zero(score) for score in score_all(setup.score, rows, answers)]
        for answers in (sure, rest)
    )
    stated = [answer.probability or 0.0 for answer in sure]

    def mean(least: float) -> float:
        return fmean(a if p >= least else b for a, b, p in zip(own, other, stated, strict=True))

    return max((*sorted({0.0, *stated}), 1.01), key=lambda least: (round(mean(least), 9), -least))


def estimate(sizes: Sizes, options: Options) -> Work:
    """Return the work of both arms, as if the first one were sure of nothing."""
    cheap, dear = (
        arm.estimate(sizes, arm.Options()) if hasattr(arm, "estimate") else Work()
        for arm in (load("arms", options.first), _arm(options.then))
    )
    encoded = cheap.encoded + dear.encoded
    return dear.model_copy(update={"asks": (*cheap.asks, *dear.asks), "encoded": encoded})


def _second(setup: Setup, options: Options, seed: int) -> Fitted:
    arm = _arm(options.then)
    given = {"name": options.then} if arm.__name__.endswith(".answers") else {}
    fitted: Fitted = arm.fit(setup, arm.Options.model_validate(given), seed)
    return fitted


def _is_logged(options: Options) -> bool:
    return options.then in _LOGGED or options.then not in catalogue("arms")


def _arm(name: str) -> ModuleType:
    """Return the arm of this name; a name that no arm has is a key of `answers`."""
    return load("arms", name if name in catalogue("arms") else "answers")
