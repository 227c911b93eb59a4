"""Fit arms and answer queries in a process on a node, with its models kept open.

Stores no result. Knows no cluster: `ray.py` runs it in an actor. What an arm writes into its folder
stays on the node until the arm is fitted, so an interrupted training resumes from its checkpoint.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from tuneworthy.measure.answering import FreeAnswers
from tuneworthy.measure.executors._job import (
    CallError,
    CallResult,
    FileContents,
    FitJob,
    FittedFacts,
    ModelFacts,
    ProcessVersions,
    StudyParts,
    read_files,
    refuse_to_score,
    versions_here,
)
from tuneworthy.measure.latency import LatencySample, sequential_latency
from tuneworthy.metrics import scorer
from tuneworthy.models import is_local, open_model
from tuneworthy.models._roles import Models, placement, wanted_models
from tuneworthy.models.local.weights import cache_folder
from tuneworthy.records.answer import Answer
from tuneworthy.records.arm import Fitted
from tuneworthy.records.case import Query
from tuneworthy.records.errors import ClusterError, DoesNotApply, TuneworthyError
from tuneworthy.records.model import Model
from tuneworthy.records.plugins import load

_MOST_KEPT_ARMS = 2  # fitted arms in memory: the current one, and one it answered shards of
_MOST_AGE_SECONDS = 7 * 86_400  # the folder of an interrupted training is then removed


class _FittedArm(NamedTuple):
    fitted: Fitted
    seconds: float
    folder: Path


class Host:
    """Fits arms and answers for one study.

    Only one `call_arm` runs at a time; `messages_from` may run beside it.
    """

    def __init__(self, work: Path | None = None) -> None:
        self._work = work or cache_folder() / "nodes"
        self._lines: list[str] = []
        self._arms: OrderedDict[str, _FittedArm] = OrderedDict()
        self._locks: dict[str, Any] = {}
        self._finished: set[Path] = set()
        self._study: StudyParts | None = None
        self._fingerprints: dict[str, Mapping[str, str]] = {}
        self._models: Models | None = None
        self._task_folder = Path(tempfile.mkdtemp(prefix="tuneworthy-task-"))

    def about(self) -> ProcessVersions:
        """Return this node's name and the versions in this process."""
        return versions_here()

    def messages_from(self, after: int) -> list[str]:
        """Return the messages of this host's arms, without the first `after` ones."""
        return self._lines[after:]

    def clean(self) -> None:
        """Remove the folders of finished arms on this node, and those of old interrupted runs."""
        old = time.time() - _MOST_AGE_SECONDS
        cut = (path for path in self._work.glob("*/") if path.stat().st_mtime < old)
        for folder in (*self._finished, *cut, self._task_folder):
            shutil.rmtree(folder, ignore_errors=True)

    def call_arm(
        self, what: str, study: StudyParts, job: FitJob, lists: tuple[Any, Any],
        files: FileContents | None, *details: Any,
    ) -> CallResult | CallError:  # fmt: skip
        """Fit an arm if needed, call its `what` (fit, answer, longer or times), return the result.

        `lists` are the documents and the unlabelled inputs, `files` the files of an earlier fit.
        """
        try:
            arm = self._fitted_arm(study, job, lists, files)
            value = _ARM_CALLS[what](arm, *details)
        except (DoesNotApply, TuneworthyError) as error:
            return CallError(error)
        return CallResult(value, tuple(getattr(arm.fitted.model, "notes", ())))

    def _fitted_arm(
        self, study: StudyParts, job: FitJob, lists: tuple[Any, Any], files: FileContents | None
    ) -> _FittedArm:
        if job.key in self._arms:
            self._arms.move_to_end(job.key)
            return self._arms[job.key]
        self._open_study(study)
        self._fingerprints |= {self._specs[role]: mark for role, mark in job.models.items()}
        models = self._checked_models(job)
        while len(self._arms) >= _MOST_KEPT_ARMS:
            self._arms.popitem(last=False)
        folder = self._own_folder(job.key)
        write_files(folder, files or {}, keep=True)
        arm, given = load("arms", job.spec.arm), job.setup.given
        setup = replace(
            job.setup,
            task=job.setup.task.at(self._task_folder),
            models=models,
            score=refuse_to_score if job.needs_judge else scorer(study.task.at(self._task_folder)),
            folder=folder,
            docs=lists[0],
            unlabelled=lists[1],
            common=self._own_folder("common"),
            given=replace(given, models=models) if isinstance(given, FreeAnswers) else given,
            say=self._lines.append,
        )
        start = time.perf_counter()
        fitted = arm.fit(setup, arm.Options.model_validate(job.spec.options), job.seed)
        seconds = (fitted.trace or {}).get("seconds", time.perf_counter() - start)
        self._finished.add(folder)
        self._arms[job.key] = _FittedArm(fitted, seconds, folder)
        return self._arms[job.key]

    def _open_study(self, study: StudyParts) -> None:
        """Write the study's files and set up its models, unopened; later calls do nothing."""
        if self._study is not None:
            return
        write_files(self._task_folder, study.files, keep=False)
        self._study, task = study, study.task
        wanted = {role: spec for role, spec in wanted_models(task).items() if is_local(spec)}
        self._specs = wanted

        def opened(spec: str, fields: Mapping[str, Any]) -> Model:  # noqa: ARG001
            mark = self._fingerprints.get(spec, {})
            same = {key: mark[key] for key in ("device", "precision") if key in mark}
            place = placement(task).model_copy(update=same)
            return open_model(spec, folder=self._task_folder, place=place)

        self._models = Models(wanted, opened)

    def _checked_models(self, job: FitJob) -> Models:
        """Return this node's models; raise ClusterError if one, or `here`, is not the study's."""
        assert self._models is not None
        for role, mark in job.models.items():
            own = dict(self._models[role].fingerprint)
            if other := sorted(k for k in {*own, *mark} if own.get(k) != mark.get(k)):
                got = ", ".join(f"{k} {own.get(k)} there, {mark.get(k)} here" for k in other)
                raise ClusterError(
                    "a node's model is not that of the study, so its answers could differ",
                    where=f"node {self.about().node}, {role}: {self._models[role].spec}",
                    got=got,
                    fix="start the command on a machine like the nodes, with the same packages",
                )
        arm = load("arms", job.spec.arm)
        here = (
            arm.here(arm.Options.model_validate(job.spec.options)) if hasattr(arm, "here") else None
        )
        if here != job.here:
            raise ClusterError(
                "a node lacks what the arm depends on",
                where=f"node {self.about().node}, {job.spec.name}",
                got=f"{here} there, {job.here} here",
                fix="`tuneworthy models get` on every node, or on none",
            )
        return self._models

    def _own_folder(self, key: str) -> Path:
        """Return a folder only this process uses: the key's, or a new one if that is locked."""
        self._work.mkdir(mode=0o700, parents=True, exist_ok=True)
        if key not in self._locks:
            lock = open(self._work / f"{key}.lock", "w")  # noqa: SIM115  held as long as we live
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._locks[key] = (lock, self._work / key)
            except OSError:
                lock.close()
                self._locks[key] = (None, self._work / f"{key}.{os.getpid()}")
        folder: Path = self._locks[key][1]
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder


def write_files(folder: Path, files: FileContents, *, keep: bool) -> None:
    """Write each file below a folder atomically; `keep`: leave existing ones as they are."""
    for name, content in files.items():
        path = folder / name
        if keep and path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part-{os.getpid()}")
        part.write_bytes(content)
        os.replace(part, path)


def _fitted_facts(arm: _FittedArm) -> FittedFacts:
    fitted, model = arm.fitted, arm.fitted.model
    artefact = fitted.artefact
    return FittedFacts(
        learned=fitted.learned,
        recipe=fitted.recipe,
        trace=fitted.trace,
        artefact=None if artefact is None else artefact.relative_to(arm.folder).as_posix(),
        model=None
        if model is None
        else ModelFacts(
            model.spec, dict(model.fingerprint), model.context, getattr(model, "shard", None)
        ),
        notes=fitted.notes,
        longer=fitted.longer is not None,
        seconds=arm.seconds,
        files=read_files(arm.folder),
    )


def _answer_queries(arm: _FittedArm, queries: Sequence[Query]) -> list[Answer]:
    known = arm.fitted.known
    by_case = {q.id: a for q in queries if known and (a := known(q)) is not None}
    pending = [query for query in queries if query.id not in by_case]
    new = iter(arm.fitted.answer(pending) if pending else [])
    # the study refuses an arm that gives too few answers: it compares the cases
    return [a for q in queries if (a := by_case.get(q.id) or next(new, None)) is not None]


def _answer_longer(arm: _FittedArm, queries: Sequence[Query]) -> list[Answer]:
    assert arm.fitted.longer is not None
    return arm.fitted.longer(queries)


def _measure_latency(arm: _FittedArm, queries: Sequence[Query], every: bool) -> LatencySample:
    return sequential_latency(arm.fitted.answer, queries, lambda: None, every)


_ARM_CALLS: dict[str, Callable[..., Any]] = {
    "fit": _fitted_facts,
    "answer": _answer_queries,
    "longer": _answer_longer,
    "times": _measure_latency,
}
