"""What a plan leaves out, and in which order, until its minutes fit. Knows no arm by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tuneworthy.core.plugins import load
from tuneworthy.core.run import Spec
from tuneworthy.core.task import Task
from tuneworthy.matrix.specs import trains, variant_of

LEAST_TRIED = 2  # prompts that a search tries at least: one more than it starts from
LEAST_LEARNT = 100  # rows that training is cut to at the least
SHOWN = 4  # examples that stay in a prompt whose examples differ by input


@dataclass(frozen=True)
class Choice:
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


@dataclass
class _Path:
    """What is left so far and what is said of it, by subject: of each the last word counts."""

    now: Choice
    said: dict[str, str]
    readable: bool

    def cut(self, subject: str, text: str, **change: Any) -> tuple[Choice, tuple[str, ...]]:
        self.now = replace(self.now, **change)
        self.said.pop(subject, None)  # the latest is said last
        self.said[subject] = text
        return self.now, tuple(self.said.values())

    def read(self, most: int) -> Iterator[tuple[Choice, tuple[str, ...]]]:
        words = f"what was wrong is read on at most {most} failed and {most} passed cases"
        if self.readable:
            yield self.cut(
                "read", words if most else "what was wrong is not read across", read=most
            )


def cuts(
    task: Task, arms: Sequence[Spec], start: Choice, rows: int, readable: bool
) -> Iterator[tuple[Choice, tuple[str, ...]]]:
    """Yield choices, each leaving out more, with all that is said of it.

    In order: what was wrong is read on 60 cases a kind, where planted causes are still named well
    (FINDINGS); variants, searches, the second seed, large k; read on 20 a kind; all training arms
    but one; folds, rows to learn from, reading; another training arm in its place; training.
    `arms`: those that can be measured here. `rows`: how many there are to learn from.
    """
    path = _Path(start, {}, readable)
    yield from path.read(60)
    while path.now.variants:  # the last one declared is the first to go
        last = path.now.variants - 1
        out = [spec.name for spec in arms if variant_of(task, spec) == last]
        text = f"left out: {', '.join(out)}"
        yield path.cut(f"variant {last}", text, variants=last)
    most = max((tries(spec) for spec in arms), default=0)
    while most > LEAST_TRIED:
        most = max(LEAST_TRIED, most // 2)
        yield path.cut("search", f"a search for a prompt tries {most} of them", tried=most)
    if search := [spec.name for spec in arms if tries(spec)]:
        yield path.cut("search", f"left out: {', '.join(search)}", tried=0)
    taught = [spec for spec in arms if trains(spec)]
    if taught and path.now.seeds > 1:
        text = "one training seed: how much a retraining differs is not measured"
        yield path.cut("seeds", text, seeds=1)
    if any(spec.options.get("k", 0) > SHOWN for spec in arms):
        text = f"at most {SHOWN} examples in prompts whose examples differ by input"
        yield path.cut("examples", text, most_k=SHOWN)
    yield from path.read(20)
    if not taught:
        yield from path.read(0)
        return
    yield from _training(path, taught, rows)


def _training(
    path: _Path, arms: Sequence[Spec], rows: int
) -> Iterator[tuple[Choice, tuple[str, ...]]]:
    """Yield fewer training arms, then a smaller training of each one alone, then none.

    The longest stays what uses most of what the task gives (passages, say), then the simplest.
    """
    rank = sorted(arms, key=lambda spec: (-len(load("arms", spec.arm).NEEDS), spec.simplicity))
    names = [spec.name for spec in rank]

    def kept(branch: _Path, some: list[str]) -> tuple[Choice, tuple[str, ...]]:
        text = f"of {', '.join(names)} only {', '.join(some)}"
        return branch.cut("training", text, taught=frozenset(some))

    for most in range(len(names) - 1, 1, -1):
        yield kept(path, names[:most])
    for at, name in enumerate(names):
        branch = _Path(path.now, dict(path.said), path.readable)
        if len(names) > 1:
            yield kept(branch, [name])
        folds = branch.now.folds
        while branch.now.folds > 2:
            fewer = branch.now.folds - 1
            yield branch.cut("folds", f"training arms on {fewer} of {folds} folds", folds=fewer)
        learnt = rows_of(rank[at], rows)
        while learnt > LEAST_LEARNT:
            learnt = max(LEAST_LEARNT, round(0.08 * learnt) * 10)
            if learnt == LEAST_LEARNT:
                yield from branch.read(0)
            yield branch.cut("rows", f"training on {learnt} of {rows} rows", rows=learnt)
        yield from branch.read(0)
    yield from path.read(0)
    yield path.cut("training", f"left out: {', '.join(names)}", taught=frozenset())


def tries(spec: Spec) -> int:
    """Return how many prompts an arm tries; one whose options the user wrote is not cut."""
    return 0 if "(" in spec.name else int(spec.options.get("budget", 0))


def rows_of(spec: Spec, rows: int) -> int:
    """Return how many rows an arm learns from, 0 where that is not ours to cut."""
    return rows if "rows" in spec.options and "(" not in spec.name else 0
