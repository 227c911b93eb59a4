"""The data sent between a study and a node: an arm to fit, facts of the fit, answers, files.

All of it can be pickled. Right answers of scored cases are never sent: a `Query` has none.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from tuneworthy.measure.answering import FitRequest, FreeAnswers
from tuneworthy.measure.model_roles import roles_of
from tuneworthy.metrics import JUDGE, is_own, metric_name
from tuneworthy.models import is_local
from tuneworthy.models._roles import wanted_models
from tuneworthy.models.local.machine import installed
from tuneworthy.records.answer import Answer, Score, Unscored
from tuneworthy.records.arm import Setup
from tuneworthy.records.artefact import Recipe
from tuneworthy.records.case import Case
from tuneworthy.records.code import ALL_SOURCES, code_version
from tuneworthy.records.errors import ClusterError
from tuneworthy.records.plugins import load
from tuneworthy.records.record import plain_file
from tuneworthy.records.run import Spec
from tuneworthy.records.specs import prompt_files, trainer_command
from tuneworthy.records.task import Task

FileContents = dict[str, bytes]
_MOST_FILE_BYTES = 2 << 30  # of all files that a study sends to its nodes
_PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "transformers", "peft")


@dataclass(frozen=True)
class StudyParts:
    """What all arms of a study share: the task and the files beside task.yaml that it names."""

    task: Task
    files: FileContents


@dataclass(frozen=True)
class FitJob:
    """An arm to fit. `setup` lacks what the node adds: models, metric, folders, messages.

    `models` are the fingerprints, by role, that the node's models must have; `here` is what else
    the arm depends on. `needs_judge`: scores need a judge, which only the study can ask.
    """

    key: str
    spec: Spec
    seed: int
    setup: Setup
    models: Mapping[str, Mapping[str, str]]
    here: Any
    needs_judge: bool


@dataclass(frozen=True)
class ModelFacts:
    """The facts that a study reads of a node's model; `shard` is None if it sets no shard size."""

    spec: str
    fingerprint: dict[str, str]
    context: int | None
    shard: int | None


@dataclass(frozen=True)
class FittedFacts:
    """The facts that a study reads of an arm that a node fitted, and the files that it wrote.

    `artefact` is relative to the arm's folder; `seconds` is how long fitting took.
    """

    learned: bool
    recipe: Recipe | None
    trace: dict[str, Any] | None
    artefact: str | None
    model: ModelFacts | None
    notes: tuple[str, ...]
    longer: bool
    seconds: float
    files: FileContents


@dataclass(frozen=True)
class CallResult:
    """The value that a call returned, with the model's notes so far."""

    value: Any
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class CallError:
    """The error that the arm raised in a call."""

    error: Exception


@dataclass(frozen=True)
class ProcessVersions:
    """A process's node name, and its versions of Python, tuneworthy and packages."""

    node: str
    versions: Mapping[str, str | None] = field(default_factory=dict)


def versions_here() -> ProcessVersions:
    """Return the node name and versions of this process; every node must have these versions."""
    own = code_version(ALL_SOURCES)
    return ProcessVersions(
        platform.node(),
        {
            "tuneworthy": f"{own['version']} ({own['source']})",
            "Python": ".".join(platform.python_version_tuple()[:2]),
            **{name: installed(name) for name in _PACKAGES},
        },
    )


def refuse_other_versions(here: ProcessVersions, there: ProcessVersions) -> None:
    """Raise ClusterError if a node has other versions: its answers could differ."""
    other = [name for name, own in here.versions.items() if there.versions.get(name) != own]
    if other:
        got = ", ".join(
            f"{n} {there.versions.get(n)} there, {here.versions[n]} here" for n in other
        )
        raise ClusterError(
            "a node runs other versions than this process, so its answers could differ",
            where=f"node {there.node}",
            got=got,
            fix="install the same versions on every node (docs/how-to/from-laptop-to-cluster.md)",
        )


def why_in_this_process(spec: Spec, task: Task, models: Mapping[str, Any]) -> str:
    """Return why an arm must run in this process; "" if it can run on a node."""
    arm = load("arms", spec.arm)
    remote = [r for r in roles_of(models, spec) if not is_local(models[r].spec)]
    if remote:
        spec_of = models[remote[0]].spec
        return f"it asks {spec_of}, and requests are counted before they are sent"
    if trainer_command(spec.options):
        return "a command of this machine trains it"
    if metric_name(task) == JUDGE and getattr(arm, "CHOOSES", True):
        return "a judge scores its dev rows"
    return ""


def job_of(request: FitRequest) -> FitJob:
    """Return the job that a node needs to fit the arm of a request."""
    setup, arm = request.setup, load("arms", request.spec.arm)
    given = setup.given
    bare = replace(
        setup,
        models={},
        score=refuse_to_score,
        folder=Path(),
        unlabelled=(),
        docs=(),
        common=None,
        given=FreeAnswers(given.runs, {}) if isinstance(given, FreeAnswers) else given,
        say=_ignore_message,
    )
    options = arm.Options.model_validate(request.spec.options)
    return FitJob(
        key=request.key,
        spec=request.spec,
        seed=request.seed,
        setup=bare,
        models={r: dict(setup.models[r].fingerprint) for r in roles_of(setup.models, request.spec)},
        here=arm.here(options) if hasattr(arm, "here") else None,
        needs_judge=metric_name(setup.task) == JUDGE,
    )


def refuse_to_score(case: Case, answer: Answer) -> Score | Unscored:
    """Raise ClusterError: stands for the metric where the real one can't be sent to a node."""
    raise ClusterError("an arm scored an answer where no metric is", got=case.id + answer.text[:40])


def _ignore_message(text: str) -> None:
    """Say nothing."""


def study_parts(task: Task) -> StudyParts:
    """Return the task and the contents of the files that it names below its folder.

    Raises ClusterError if they are too large to be sent.
    """
    files: FileContents = {}
    for name in _named_paths(task):
        place = task.folder / name
        found = sorted(place.rglob("*")) if place.is_dir() else [place]
        for path in (path for path in found if path.is_file()):
            files[path.relative_to(task.folder).as_posix()] = plain_file(path)
            if sum(map(len, files.values())) > _MOST_FILE_BYTES:
                raise ClusterError(
                    "the files of a task are too large to be sent to every node",
                    where=str(path),
                    got=f"more than {_MOST_FILE_BYTES >> 30} GB",
                    fix="put them where every node finds them under one absolute path, and name"
                    " that in task.yaml",
                )
    return StudyParts(task, files)


def _named_paths(task: Task) -> set[str]:
    """Return the relative paths of models, prompts and metrics that a task names."""
    parts = [s.partition(":") for s in wanted_models(task).values() if is_local(s)]
    names = {name for kind, _, name in parts if kind == "scripted" or name.startswith("./")}
    names.update(prompt_files(task).values())
    if task.success.metric and is_own(task.success.metric):
        names.add(task.success.metric.rpartition(":")[0])
    inside = {name for name in names if _stays_below(name)}
    return {name for name in inside if (task.folder / name).exists()}


def _stays_below(name: str) -> bool:
    """Return whether a relative path stays below its folder: no "..", not absolute."""
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts


def read_files(folder: Path) -> FileContents:
    """Return {relative path: bytes} of all files below a folder; links are left out."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
