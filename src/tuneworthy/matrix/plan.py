"""What will be run and what it costs, made once, before the first arm. Knows no arm by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tuneworthy.core.arm import Sizes, Work
from tuneworthy.core.audit import Audit
from tuneworthy.core.plan import NO_ROOM, Plan, PlannedArm
from tuneworthy.core.plugins import load
from tuneworthy.core.run import Spec
from tuneworthy.core.task import Task
from tuneworthy.data.folds import Split
from tuneworthy.matrix.cuts import Choice, cuts, rows_of, tries
from tuneworthy.matrix.specs import (
    chooses,
    is_recorded,
    lacking,
    on_failures,
    probes_of,
    trains,
    variant_of,
    wants_dev,
)

# Backward costs about twice forward; the loop measured 3.1 to 3.4 in all on two machines.
TRAINING = 3.3
ON_FAILURES = 60  # failed cases that an arm too dear for all is asked on


@dataclass(frozen=True)
class Speed:
    """Tokens a second of this machine: `read` prompt tokens, `written` answer tokens in bulk.

    `others`: the share of its processors' time that other programs took meanwhile.
    """

    read: float
    written: float
    others: float = 0.0

    def minutes(self, work: Work) -> float:
        """Return the minutes that some work takes."""
        read = (work.read + TRAINING * work.trained) / self.read
        return (read + work.written / self.written) / 60


@dataclass(frozen=True)
class Facts:
    """What a plan is made from: the task's shape, this machine, and what is available."""

    task: Task
    split: Split
    audit: Audit
    available: Mapping[str, str]
    sizes: Sizes
    speed: Speed | None
    price: float | None = None
    looks: int = 1
    limited: bool = False


def make(facts: Facts, arms: list[Spec], rows: str, study: str) -> Plan:
    """Return the plan; what the minutes have no room for is cut in a fixed, printed order."""
    most = max((1 + variant_of(facts.task, spec) for spec in arms), default=0)
    choice = Choice(facts.task.seeds, len(facts.split.learning), None, most)
    said: tuple[str, ...] = ()
    shown, planned = _arms(facts, arms, choice)
    across = tuple(_across(shown, planned, choice))
    whole = _sum(planned) + reading_minutes(across)
    able = [spec for spec in arms if not lacking(spec, facts.available)]
    for step, texts in cuts(facts.task, able, choice, facts.sizes.train, bool(across)):
        if _sum(planned) + reading_minutes(across) <= facts.task.budget.minutes:
            break
        choice, said = step, texts
        shown, planned = _arms(facts, arms, choice)
        across = tuple(_across(shown, planned, choice))
    train = max((len(part.train) for part in facts.split.parts), default=0)
    return Plan(
        task=study,
        rows=rows,
        k=facts.split.k,
        scored=facts.audit.scored,
        train=train,
        dev=max((len(part.dev) for part in facts.split.parts), default=0),
        arms=tuple(planned),
        across=across,
        read=choice.read,
        cuts=said,
        minutes=round(_sum(planned), 2),
        whole=round(whole, 2) if said else None,
        tokens_per_second=round(facts.speed.written, 1) if facts.speed else None,
        looks=facts.looks,
        visible=facts.audit.visible,
        limited=facts.limited,
    )


def _sum(arms: Sequence[PlannedArm]) -> float:
    return sum(arm.minutes for arm in arms)


def reading_minutes(across: Sequence[PlannedArm]) -> float:
    """Return the minutes that reading across is expected to take: half of its upper end.

    A placebo is asked only where its arm was shown to pass more than the base.
    """
    return _sum(across) / 2


def _arms(facts: Facts, arms: list[Spec], choice: Choice) -> tuple[Facts, list[PlannedArm]]:
    """Return the arms as cut, and the facts with the examples that the best prompt may bring."""
    cut = [_cut(spec, choice, facts) for spec in arms]
    facts = with_examples(facts, [s for s in cut if not _planned(facts, s, choice, arms).because])
    return facts, [_planned(facts, spec, choice, arms) for spec in cut]


def with_examples(facts: Facts, arms: Sequence[Spec]) -> Facts:
    """Return the facts with the most examples that a prompt among the arms brings for an input.

    Where none does, they stay as they are: a search for a prompt may add some.
    """
    shots = [s.options.get("k", 0) for s in arms if s.tool == "prompt" and _by_input(s, facts)]
    most = max(shots, default=facts.sizes.examples)
    sizes = facts.sizes.model_copy(update={"examples": most})
    return replace(facts, sizes=sizes)


def _by_input(spec: Spec, facts: Facts) -> bool:
    """Return whether most of what an arm reads differs by input: nothing is read once for all."""
    work, single = (_work(spec, facts, cases) for cases in (facts.sizes.cases, 1))
    return work.read >= facts.sizes.cases * single.read / 2


def _across(facts: Facts, planned: list[PlannedArm], choice: Choice) -> Iterator[PlannedArm]:
    """Yield what reading across may ask, at most: one seed, a pilot and its placebo on one fold.

    Variants of an arm repair what the arm itself does: they are not asked beside a placebo.
    """
    task, whole = facts.task, tuple(range(len(facts.split.learning)))
    if choice.read == 0:
        return
    most = None if choice.read is None else 2 * choice.read
    few = min(ON_FAILURES, ON_FAILURES if choice.read is None else choice.read)
    for spec in on_failures(task):
        if not lacking(spec, facts.available):
            yield _asked(facts, spec, whole, (task.seed,), few)
    for arm in planned:
        if arm.because or variant_of(task, arm.spec) >= 0:
            continue
        for spec in probes_of(arm.spec, facts.sizes.train):
            folds = arm.folds[:1] if trains(spec) else arm.folds
            yield _asked(facts, spec, folds, arm.seeds[:1], most)


def _asked(
    facts: Facts,
    spec: Spec,
    folds: tuple[int, ...],
    seeds: tuple[int, ...],
    most: int | None = None,
) -> PlannedArm:
    scored = sum(len(facts.split.parts[fold].test) for fold in folds)
    work = _work(spec, facts, min(scored, most or scored))
    return PlannedArm(
        spec=spec,
        folds=folds,
        seeds=seeds,
        requests=work.requests,
        tokens=round(work.read + work.written),
        minutes=round(facts.speed.minutes(work), 3) if facts.speed else 0.0,
    )


def _cut(spec: Spec, choice: Choice, facts: Facts) -> Spec:
    """Return the spec with fewer prompts to try, fewer rows to learn from, or fewer examples that
    are not shared by all."""
    if choice.rows and rows_of(spec, facts.sizes.train) > choice.rows:
        return spec.model_copy(update={"options": {**spec.options, "rows": choice.rows}})
    if choice.tried and tries(spec) > choice.tried:
        spec = spec.model_copy(update={"options": {**spec.options, "budget": choice.tried}})
    k = spec.options.get("k", 0)
    if choice.most_k is None or k <= choice.most_k or "(" in spec.name:
        return spec
    if not _by_input(spec, facts):  # read once for all: cutting saves little
        return spec
    return spec.model_copy(update={"options": {**spec.options, "k": choice.most_k}})


def _work(spec: Spec, facts: Facts, cases: int) -> Work:
    arm = load("arms", spec.arm)
    if not hasattr(arm, "estimate"):
        return Work()
    sizes = facts.sizes.model_copy(update={"cases": cases, "folds": len(facts.split.learning)})
    if not chooses(spec):
        sizes = sizes.model_copy(update={"train": sizes.train + sizes.dev, "dev": 0})
    work: Work = arm.estimate(sizes, arm.Options.model_validate(spec.options))
    return work


def _planned(facts: Facts, spec: Spec, choice: Choice, arms: list[Spec]) -> PlannedArm:
    if reason := lacking(spec, facts.available):
        return PlannedArm(spec=spec, because=reason)
    taught, search = trains(spec), choice.tried == 0 and tries(spec)
    dropped = taught and choice.taught is not None and spec.name not in choice.taught
    if variant_of(facts.task, spec) >= choice.variants or search or dropped:
        return PlannedArm(spec=spec, because=NO_ROOM)
    parts = facts.split.learning[: choice.folds if taught else None]
    if is_recorded(facts.task, spec):
        parts = facts.split.parts
    seeds = tuple(facts.task.seed + i for i in range(choice.seeds if taught else 1))
    times = len(parts) * len(seeds)
    dev = wants_dev(facts.task, spec, arms)
    scored = sum(len(part.test) for part in parts) * len(seeds)
    extra = sum(len(part.dev) for part in parts) * len(seeds) if dev and not taught else 0
    work = _work(spec, facts, scored + extra)
    if taught and times > 1:
        work = work.model_copy(update={"trained": work.trained * times})
    tokens = round(work.read + work.written)
    return PlannedArm(
        spec=spec,
        folds=tuple(range(len(parts))),
        seeds=seeds,
        requests=work.requests,
        tokens=tokens,
        minutes=round(facts.speed.minutes(work), 3) if facts.speed else 0.0,
    )
