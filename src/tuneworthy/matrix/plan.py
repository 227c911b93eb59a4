"""What will be run and what it costs, made once, before the first arm. Knows no arm by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tuneworthy.core.arm import Sizes, Work
from tuneworthy.core.audit import Audit
from tuneworthy.core.plan import Plan, PlannedArm
from tuneworthy.core.plugins import load
from tuneworthy.core.run import Spec
from tuneworthy.core.task import Task
from tuneworthy.data.folds import Split
from tuneworthy.matrix.specs import lacking, on_failures, probes_of, trains, variant_of

# Backward costs about twice forward; the loop measured 3.1 to 3.4 in all on two machines.
TRAINING = 3.3
LEAST_TRIED = 2  # prompts that a search tries at least: one more than it starts from
ON_FAILURES = 60  # failed cases that an arm too dear for all is asked on
READ = (60, 20, 0)  # cases of a kind (failed, passed) that reading across is cut to, in turn
LEARNT = (200, 100)  # rows that training is cut to, in turn


@dataclass(frozen=True)
class Speed:
    """Tokens a second of this machine: `read` prompt tokens, `written` answer tokens in bulk."""

    read: float
    written: float

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
    choice = _Choice(facts.task.seeds, len(facts.split.parts), None, most)
    cuts: list[str] = []
    shown, planned = _arms(facts, arms, choice)
    across = tuple(_across(shown, planned, choice))
    for step, text in _cuts(facts, arms, choice):
        if _sum(planned) + reading_minutes(across) <= facts.task.budget.minutes:
            break
        if step.read != choice.read and not across:
            continue
        choice = step
        shown, planned = _arms(facts, arms, choice)
        across = tuple(_across(shown, planned, choice))
        cuts.append(text)
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
        cuts=tuple(cuts),
        minutes=round(_sum(planned), 2),
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


@dataclass(frozen=True)
class _Choice:
    """What may be cut: seeds and folds of training arms, the most examples, variants an arm.

    `tried` is the most that a search (an arm with a `budget`) may try, None for what it asks for
    and 0 for no search at all; `taught` the training arms that are kept, None for all of them;
    `rows` the most that they learn from, None for all; `read` as in `Plan`.
    """

    seeds: int
    folds: int
    most_k: int | None
    variants: int
    tried: int | None = None
    taught: frozenset[str] | None = None
    rows: int | None = None
    read: int | None = None


def _cuts(facts: Facts, arms: list[Spec], start: _Choice) -> list[tuple[_Choice, str]]:
    """Return the cuts in order: variants, searches, second seed, large k, folds, rows, training.

    Between them what was wrong is read on fewer cases: on 60 a kind first, where planted causes
    are named well (FINDINGS), and not at all before training is left out.
    """
    steps: list[tuple[_Choice, str]] = []
    now = start
    training = any(trains(spec) for spec in arms)

    def read(most: int) -> None:
        nonlocal now
        now = replace(now, read=most)
        words = f"what was wrong is read on at most {most} failed and {most} passed cases"
        steps.append((now, words if most else "what was wrong is not read across"))

    read(READ[0])
    while now.variants:  # the last one declared is the first to go
        now = replace(now, variants=now.variants - 1)
        out = [spec.name for spec in arms if variant_of(facts.task, spec) == now.variants]
        steps.append((now, f"left out: {', '.join(out)}"))
    most = max((_tries(spec) for spec in arms), default=0)
    while most > LEAST_TRIED:
        most = max(LEAST_TRIED, most // 2)
        now = replace(now, tried=most)
        steps.append((now, f"a search for a prompt tries {most} of them"))
    if search := [spec.name for spec in arms if _tries(spec)]:
        now = replace(now, tried=0)
        steps.append((now, f"left out: {', '.join(search)}"))
    if training and now.seeds > 1:
        now = replace(now, seeds=1)
        steps.append((now, "one training seed: how much a retraining differs is not measured"))
    if any(spec.options.get("k", 0) > 4 for spec in arms):
        now = replace(now, most_k=4)
        steps.append((now, "at most 4 examples in prompts whose examples differ by input"))
    read(READ[1])
    least, others = _taught([s for s in arms if trains(s) and not lacking(s, facts.available)])
    for kept, text in least:
        now = replace(now, taught=kept)
        steps.append((now, text))
    while training and now.folds > 2:
        now = replace(now, folds=now.folds - 1)
        steps.append((now, f"training arms on {now.folds} of {len(facts.split.parts)} folds"))
    for rows in LEARNT:
        if rows == LEARNT[-1]:
            read(READ[2])
        if any(trains(spec) and _rows(spec, facts) > rows for spec in arms):
            now = replace(now, rows=rows)
            steps.append((now, f"training on {rows} of {facts.sizes.train} rows"))
    steps += [(replace(now, taught=kept), text) for kept, text in others]
    return steps


_Kept = list[tuple[frozenset[str], str]]


def _taught(arms: list[Spec]) -> tuple[_Kept, _Kept]:
    """Return which training arms are kept: one less at a time, and then another alone, or none.

    The longest stays what uses most of what the task gives (passages, say), then the simplest.
    """
    rank = sorted(arms, key=lambda spec: (-len(load("arms", spec.arm).NEEDS), spec.simplicity))
    names = [spec.name for spec in rank]
    fewer = [names[:most] for most in range(len(names) - 1, 0, -1)]
    alone = [[name] for name in names[1:]]

    def steps(kept: list[list[str]]) -> _Kept:
        what = ", ".join(names)
        return [(frozenset(k), f"of {what} only {', '.join(k)}") for k in kept]

    none: _Kept = [(frozenset(), f"left out: {', '.join(names)}")] if names else []
    return steps(fewer), [*steps(alone), *none]


def _arms(facts: Facts, arms: list[Spec], choice: _Choice) -> tuple[Facts, list[PlannedArm]]:
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


def _across(facts: Facts, planned: list[PlannedArm], choice: _Choice) -> Iterator[PlannedArm]:
    """Yield what reading across may ask, at most: one seed, a pilot and its placebo on one fold.

    Variants of an arm repair what the arm itself does: they are not asked beside a placebo.
    """
    task, whole = facts.task, tuple(range(len(facts.split.parts)))
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
        for spec in probes_of(arm.spec):
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


def _tries(spec: Spec) -> int:
    """Return how many prompts an arm tries; one whose options the user wrote is not cut."""
    return 0 if "(" in spec.name else int(spec.options.get("budget", 0))


def _rows(spec: Spec, facts: Facts) -> int:
    """Return how many rows a training arm learns from; one whose options are given is not cut."""
    return 0 if "(" in spec.name or "rows" not in spec.options else facts.sizes.train


def _cut(spec: Spec, choice: _Choice, facts: Facts) -> Spec:
    """Return the spec with fewer prompts to try, fewer rows to learn from, or fewer examples that
    are not shared by all."""
    if choice.rows and _rows(spec, facts) > choice.rows:
        return spec.model_copy(update={"options": {**spec.options, "rows": choice.rows}})
    if choice.tried and _tries(spec) > choice.tried:
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
    sizes = facts.sizes.model_copy(update={"cases": cases, "folds": len(facts.split.parts)})
    work: Work = arm.estimate(sizes, arm.Options.model_validate(spec.options))
    return work


def _planned(facts: Facts, spec: Spec, choice: _Choice, arms: list[Spec]) -> PlannedArm:
    if reason := lacking(spec, facts.available):
        return PlannedArm(spec=spec, because=reason)
    taught, search = trains(spec), choice.tried == 0 and _tries(spec)
    dropped = taught and choice.taught is not None and spec.name not in choice.taught
    if variant_of(facts.task, spec) >= choice.variants or search or dropped:
        return PlannedArm(spec=spec, because="the minutes have no room for it (budget.minutes)")
    parts = facts.split.parts[: choice.folds if taught else None]
    seeds = tuple(facts.task.seed + i for i in range(choice.seeds if taught else 1))
    times = len(parts) * len(seeds)
    dev = any(other.tool == spec.tool and other.name != spec.name for other in arms if other.tool)
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
