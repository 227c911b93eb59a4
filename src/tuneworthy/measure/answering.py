"""`Runner` (what all units of a study share), executors, and answering cases shard by shard."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol, TypeVar

from tuneworthy.measure import latency
from tuneworthy.metrics import Metric, score_all
from tuneworthy.records.answer import LOST_WORDS, Answer, Score
from tuneworthy.records.arm import Fitted, Setup
from tuneworthy.records.artefact import Recipe
from tuneworthy.records.case import Case, Query
from tuneworthy.records.errors import TaskError
from tuneworthy.records.model import Model
from tuneworthy.records.plugins import load
from tuneworthy.records.record import digest
from tuneworthy.records.run import Run, Spec
from tuneworthy.records.split import Split
from tuneworthy.records.task import Task
from tuneworthy.rows.sealed import Sealed
from tuneworthy.store.store import Ledger

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
    """A function: recipe to the base model's greedy answers in one fold's runs so far."""

    runs: tuple[Run, ...]
    models: Mapping[str, Model]

    @classmethod
    def of(cls, runs: Iterable[Run], fold: int, models: Mapping[str, Model]) -> FreeAnswers:
        """Return the free answers of the prompt arms among these runs, in one fold."""
        prompts = (run for run in runs if run.spec.tool == "prompt" and run.fold == fold)
        return cls(tuple(run for run in prompts if run.state == "measured"), models)

    def __call__(self, recipe: Recipe) -> list[Answer]:
        """Return the greedy answers under a recipe, [] if none; majority votes are excluded."""
        base = dict(self.models["base"].fingerprint)
        runs = (r for r in self.runs if r.recipe == recipe and r.fingerprint == base)
        return [answer for run in runs for answer in run.answers if not answer.samples]


class Executor(Protocol):
    """Fits and calls arms in some place, such as this process or a Ray cluster.

    Each method may be called again for the same key; only the times in its result may differ.
    """

    def of_arm(self, spec: Spec, task: Task, models: Mapping[str, Model]) -> Executor:
        """Return the executor to run this arm: this one, or `THIS_PROCESS` if it has to."""
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
        """Return the times of requests sent one by one, measured where the arm answers."""
        ...

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterable[Result]:
        """Yield `function` of each item in order; several may be computed at once."""
        ...

    def turn(self, keys: Iterable[str]) -> AbstractContextManager[None]:
        """Return a context that locks these ledger keys: others wait for the stored values."""
        ...


class _ThisProcess:
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
        """Return the times of requests sent one by one in this process."""
        return latency.sequential_latency(fitted.answer, queries, check, every)

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """Yield `function` of each item in order; nothing is computed before it is needed."""
        return map(function, items)

    def turn(self, keys: Iterable[str]) -> AbstractContextManager[None]:  # noqa: ARG002
        """Return a context that locks nothing: there is one thread."""
        return nullcontext()


THIS_PROCESS = _ThisProcess()

CASES_PER_SHARD = 64


@dataclass(frozen=True)
class Runner:
    """All that units of a study share: task, folds, models, ledger, metric, executor, callbacks.

    `learn_cases` has the cases to learn from by id, `metric_digest` the hash of the metric's code
    and judge, `salt` marks studies started anew, `recorded` has logged answers by spec name and
    case, `runs` the earlier runs. `timed`: also time prompts. `longer`: ask cut
    answers again. `executor`: where arms are fitted.
    """

    task: Task
    study: str
    split: Split
    sealed: Sealed
    learn_cases: Mapping[str, Case]
    models: Mapping[str, Model]
    ledger: Ledger
    metric: Metric
    metric_digest: str
    salt: str = ""
    recorded: Mapping[str, Mapping[str, Answer]] = field(default_factory=dict)
    unlabelled: Sequence[Query] = ()
    docs: Sequence[Any] = ()
    runs: Sequence[Run] = ()
    say: Callable[[str], None] = lambda text: None
    done: Callable[[int], None] = lambda answers: None
    check: Callable[[], None] = lambda: None
    timed: bool = True
    longer: bool = True
    executor: Executor = THIS_PROCESS


def answer_cases(
    runner: Runner,
    fitted: Fitted,
    source: dict[str, Any],
    blocks: Sequence[Sequence[Query]],
    dev_ids: Sequence[str],
) -> Iterator[tuple[str, Answer]]:
    """Yield (case id, answer) for sealed and dev cases; each complete shard is stored.

    `blocks` are the sealed cases; no shard crosses the end of one, so that a later step, which has
    the same first blocks, finds their answers. A local model gets the missing shards together, up
    to one full shard, to keep its batches full.
    """
    size = getattr(fitted.model, "shard", CASES_PER_SHARD)
    most = size if hasattr(fitted.model, "shard") else 0
    groups: list[dict[str, Sequence[Query]]] = [{}]
    dev = [runner.learn_cases[i].query() for i in dev_ids]
    for what, queries in (*(("answers", block) for block in blocks), ("dev", dev)):
        for start in range(0, len(queries), size):
            shard = queries[start : start + size]
            key = digest({"what": what, **source, "queries": [query.plain() for query in shard]})
            if (stored := runner.ledger.get(key)) is not None:
                yield from _stored_answers(stored)
                continue
            if groups[-1] and sum(map(len, groups[-1].values())) + len(shard) > most:
                groups.append({})
            groups[-1][key] = shard
    for answers in runner.executor.map(partial(_answer_shards, runner, fitted), groups):
        yield from answers


def with_repeats(
    runner: Runner,
    fitted: Fitted,
    source: dict[str, Any],
    blocks: Sequence[Sequence[Query]],
    answers: Sequence[Answer],
    times: int,
) -> list[Answer]:
    """Return the answers with `repeats` filled: the other `times` - 1 answers to each case."""
    more = []
    for n in range(1, times):
        drawn = replace(fitted, answer=partial(_answer_again, fitted, n), known=None)
        more.append(dict(answer_cases(runner, drawn, {**source, "repeat": n}, blocks, ())))
    return [a.model_copy(update={"repeats": tuple(o[a.case] for o in more)}) for a in answers]


def _answer_again(fitted: Fitted, n: int, queries: Sequence[Query]) -> list[Answer]:
    assert fitted.again is not None  # each arm that `times_asked` names has it
    return fitted.again(queries, n)


def _answer_shards(
    runner: Runner, fitted: Fitted, shards: Mapping[str, Sequence[Query]]
) -> list[tuple[str, Answer]]:
    """Return (case id, answer) pairs of shards {key: queries}; new ones are asked and stored."""
    runner.check()
    with runner.executor.turn(shards):
        found = {key: stored for key in shards if (stored := runner.ledger.get(key)) is not None}
        new = {key: shard for key, shard in shards.items() if key not in found}
        answers = _answers_by_case(fitted, [query for shard in new.values() for query in shard])
        for key, shard in new.items():
            found[key] = {"answers": [answers[query.id].plain() for query in shard]}
            if any(answers[query.id].lost == "for now" for query in shard):
                runner.ledger.hold(key, found[key])
            else:
                runner.ledger.put(key, "answers", found[key], study=runner.study)
            runner.done(len(shard))
    return [pair for stored in found.values() for pair in _stored_answers(stored)]


def _answers_by_case(fitted: Fitted, queries: Sequence[Query]) -> dict[str, Answer]:
    """Return {query id: answer}; answers that the arm knows are not requested from its model."""
    by_case = {q.id: a for q in queries if fitted.known and (a := fitted.known(q)) is not None}
    pending = [query for query in queries if query.id not in by_case]
    answers = fitted.answer(pending) if pending else []
    if [answer.case for answer in answers] != [query.id for query in pending]:
        raise TaskError(
            "an arm must give one answer a query, in order",
            got=f"{len(answers)} answers to {len(pending)} queries",
            fix="mend its `answer`",
        )
    return by_case | {answer.case: answer for answer in answers}


def _stored_answers(stored: Mapping[str, Any]) -> Iterator[tuple[str, Answer]]:
    yield from ((a["case"], Answer.model_validate(a)) for a in stored["answers"])


def dev_score(
    metric: Metric, cases: Sequence[Case], answers: Mapping[str, Answer]
) -> tuple[float | None, tuple[str, ...]]:
    """Return (mean score on dev cases or None for none, a note if some answers failed for now).

    An unscored answer counts as wrong.
    """
    scores = score_all(metric, cases, [answers[case.id] for case in cases])
    values = [score.value if isinstance(score, Score) else 0.0 for score in scores]
    lost = sum(answers[case.id].lost == "for now" for case in cases)
    note = f"{lost} of {len(cases)} dev answers did not come, and count as wrong"
    notes = (LOST_WORDS["for now"] + note,) if lost else ()
    return (sum(values) / len(values) if values else None), notes
