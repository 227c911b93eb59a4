"""Define the protocol of executors, which fit and call arms, and the one of this process.

An executor returns answers; it stores nothing. Knows no ledger and no verdict.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol, TypeVar

from tuneworthy.core.answer import Answer
from tuneworthy.core.arm import Fitted, Recipe, Setup
from tuneworthy.core.case import Query
from tuneworthy.core.model import Model
from tuneworthy.core.plugins import load
from tuneworthy.core.run import Run, Spec
from tuneworthy.core.task import Task
from tuneworthy.measure import latency

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class FitRequest:
    """An arm to fit: its spec, seed and setup; `key` is the hash of all that can change it."""

    key: str
    spec: Spec
    seed: int
    setup: Setup


@dataclass(frozen=True)
class FreeAnswers:
    """The base model's unconstrained greedy answers so far in one fold, by recipe."""

    runs: tuple[Run, ...]
    models: Mapping[str, Model]

    @classmethod
    def of(cls, runs: Iterable[Run], fold: int, models: Mapping[str, Model]) -> FreeAnswers:
        """Return the free answers of the prompt arms among these runs, in one fold."""
        prompts = (run for run in runs if run.spec.tool == "prompt" and run.fold == fold)
        return cls(tuple(run for run in prompts if run.state == "measured"), models)

    def __call__(self, recipe: Recipe) -> list[Answer]:
        """Return the greedy answers under a recipe; majorities of samples (`vote`) are left out."""
        base = dict(self.models["base"].fingerprint)
        runs = (r for r in self.runs if r.recipe == recipe and r.fingerprint == base)
        return [answer for run in runs for answer in run.answers if not answer.samples]


class Executor(Protocol):
    """Fits and calls arms in some place, such as this process or a Ray cluster.

    Each method may be called again for the same key; only the times in its result may differ.
    """

    def of_arm(self, spec: Spec, task: Task, models: Mapping[str, Model]) -> Executor:
        """Return the executor for this arm: this one, or `THIS_PROCESS` if it must run here."""
        ...

    def fit(self, request: FitRequest) -> tuple[Fitted, float]:
        """Return the fitted arm and the seconds that fitting took.

        Raises DoesNotApply and the errors of the arm's `fit`.
        """
        ...

    def latency(
        self,
        fitted: Fitted,
        queries: Sequence[Query],
        check: Callable[[], None],
        every: bool,
    ) -> latency.LatencySample:
        """Return the times of single requests, measured where the arm answers."""
        ...

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterable[Result]:
        """Yield the results in the order of the items; several may be computed at once."""
        ...

    def turn(self, keys: Iterable[str]) -> AbstractContextManager[None]:
        """Return a context that locks these ledger keys: others wait for the stored values."""
        ...


class ThisProcess:
    """Fits and calls every arm in this process, one after the other."""

    def of_arm(self, spec: Spec, task: Task, models: Mapping[str, Model]) -> Executor:  # noqa: ARG002
        """Return this executor."""
        return self

    def fit(self, request: FitRequest) -> tuple[Fitted, float]:
        """Return the fitted arm and the seconds that fitting took."""
        arm, start = load("arms", request.spec.arm), time.perf_counter()
        options = arm.Options.model_validate(request.spec.options)
        fitted: Fitted = arm.fit(request.setup, options, request.seed)
        return fitted, (fitted.trace or {}).get("seconds", time.perf_counter() - start)

    def latency(
        self,
        fitted: Fitted,
        queries: Sequence[Query],
        check: Callable[[], None],
        every: bool,
    ) -> latency.LatencySample:
        """Return the times of single requests."""
        return latency.sequential_latency(fitted.answer, queries, check, every)

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """Yield the results one by one; nothing is computed before it is needed."""
        return map(function, items)

    def turn(self, keys: Iterable[str]) -> AbstractContextManager[None]:  # noqa: ARG002
        """Return a context that locks nothing: there is one thread."""
        return nullcontext()


THIS_PROCESS = ThisProcess()
