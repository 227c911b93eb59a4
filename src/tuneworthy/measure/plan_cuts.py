"""What a plan leaves out, and in which order, until its minutes fit. Knows no arm by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tuneworthy.core.run import Spec
from tuneworthy.core.specs import trains, variant_of
from tuneworthy.core.split import Split
from tuneworthy.core.task import Task

LEAST_TRIED = 2  # prompts that a search tries at least: one more than it starts from
LEAST_LEARNT = 100  # rows that training is cut to at the least
FIRST_FOLDS = 1  # folds that a training arm is scored on before the stage rule looks at it
FEWEST = 2  # folds of a training arm that has no room for all of them
SEARCHED = 0.15  # of the minutes: the most that a search for a prompt is planned to take
SHOWN = 4  # examples that stay in a prompt whose examples differ by input


@dataclass(frozen=True)
class Choice:
    """What may be cut: seeds and folds of training arms, and the most examples in a prompt.

    `tried` is the most that a search (an arm with a `budget`) may try, None for what it asks for;
    `rows` the most that training arms learn from, None for all; `read` as in `Plan`; `parts` the
    folds that any arm is scored on, None for all.
    """

    seeds: int
    folds: int
    most_k: int | None
    tried: int | None = None
    rows: int | None = None
    read: int | None = None
    parts: int | None = None


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
    arms: Sequence[Spec], start: Choice, rows: int, readable: bool
) -> Iterator[tuple[Choice, tuple[str, ...]]]:
    """Yield choices, each leaving out more, with all that is said of it.

    No arm is dropped for another: all of them get fewer examples, folds and rows. In order: what
    was wrong is read on 60 cases a kind, still enough to name planted causes (bench/journal); the
    second seed; large k; read on 20; training from fewer rows; every arm on fewer folds; reading.
    `arms`: those that can be measured here. `rows`: how many there are to learn from.
    """
    path = _Path(start, {}, readable)
    yield from path.read(60)
    taught = [spec for spec in arms if trains(spec)]
    if taught and path.now.seeds > 1:
        text = "one training seed: how much a retraining differs is not measured"
        yield path.cut("seeds", text, seeds=1)
    if any(spec.options.get("k", 0) > SHOWN for spec in arms):
        text = f"at most {SHOWN} examples in prompts whose examples differ by input"
        yield path.cut("examples", text, most_k=SHOWN)
    yield from path.read(20)
    learnt = max((rows_of(spec, rows) for spec in taught), default=0)
    while learnt > LEAST_LEARNT:
        learnt = max(LEAST_LEARNT, round(0.08 * learnt) * 10)
        yield path.cut("rows", f"training on {learnt} of {rows} rows", rows=learnt)
    folds = path.now.folds
    for fewer in range(folds - 1, 1, -1):
        yield path.cut("parts", f"every arm is scored on {fewer} of {folds} folds", parts=fewer)
    yield from path.read(0)


def staged(task: Task) -> bool:
    """Return whether the rule is in force; a race (`budget.stop_early`) has a rule of its own."""
    return task.budget.stages and not task.budget.stop_early


def follows_up(task: Task, spec: Spec) -> bool:
    """Return whether an arm waits for the rule: it trains, searches, or varies another arm."""
    return trains(spec) or tries(spec) > 0 or variant_of(task, spec) >= 0


def look_after(spec: Spec, folds: int, split: Split) -> int:
    """Return the folds after which an arm is looked at, 0 where it runs on all of them at once.

    Rows in the order of time are not looked at in between: the first ones don't stand for all.
    """
    return FIRST_FOLDS if trains(spec) and folds > FIRST_FOLDS and not split.by_time else 0


def tries(spec: Spec) -> int:
    """Return how many prompts an arm tries; one whose options the user wrote is not cut."""
    return 0 if "(" in spec.name else int(spec.options.get("budget", 0))


def rows_of(spec: Spec, rows: int) -> int:
    """Return how many rows an arm learns from, 0 where that is not ours to cut."""
    return rows if "rows" in spec.options and "(" not in spec.name else 0
