"""What travels between a study and a node: an arm to fit, what became of it, answers.

Everything here is plain or pickles. Right answers of scored cases never travel: a `Query` has none.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from tuneworthy.core.answer import Answer, Score, Unscored
from tuneworthy.core.arm import Setup
from tuneworthy.core.case import Case
from tuneworthy.core.code import ALL_SOURCES, code_version
from tuneworthy.core.errors import ClusterError
from tuneworthy.core.plugins import load
from tuneworthy.core.recipe import Recipe
from tuneworthy.core.record import plain_file
from tuneworthy.core.run import Spec
from tuneworthy.core.specs import trainer_address
from tuneworthy.core.task import Task
from tuneworthy.measure.executor import FitRequest, FreeAnswers
from tuneworthy.measure.model_roles import roles_of
from tuneworthy.metrics import JUDGE, is_own, metric_name
from tuneworthy.models import is_local
from tuneworthy.models._roles import wanted_models
from tuneworthy.models.local.machine import installed

Files = dict[str, bytes]
MOST = 2 << 30  # bytes of files that a study sends to its nodes
_PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "transformers", "peft")


@dataclass(frozen=True)
class StudyParts:
    """What every arm of a study shares: the task and the files beside task.yaml that it names."""

    task: Task
    files: Files


@dataclass(frozen=True)
class Job:
    """An arm to fit. `setup` lacks what the node has: models, metric, folders, messages.

    `models` are the fingerprints by role that the node's models must have, `here` what the arm
    depends on besides them; `judged`: scores need a judge, which only the study can ask.
    """

    key: str
    spec: Spec
    seed: int
    setup: Setup
    models: Mapping[str, Mapping[str, str]]
    here: Any
    judged: bool


@dataclass(frozen=True)
class ModelFacts:
    """What a study reads of a model that answers elsewhere; `shard` None: it has no such size."""

    spec: str
    fingerprint: dict[str, str]
    context: int | None
    shard: int | None


@dataclass(frozen=True)
class FittedFacts:
    """What a study reads of an arm that was fitted elsewhere, and the files that it left.

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
    files: Files


@dataclass(frozen=True)
class Told:
    """What a call returned, with the model's notes so far."""

    value: Any
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Failed:
    """The error that a call ended in, as the arm raised it."""

    error: Exception


@dataclass(frozen=True)
class About:
    """The versions that a process runs: those of Python, of tuneworthy, and of packages."""

    node: str
    versions: Mapping[str, str | None] = field(default_factory=dict)


def about_this_process() -> About:
    """Return the versions of this process, which those of every node must equal."""
    own = code_version(ALL_SOURCES)
    return About(
        platform.node(),
        {
            "tuneworthy": f"{own['version']} ({own['source']})",
            "Python": ".".join(platform.python_version_tuple()[:2]),
            **{name: installed(name) for name in _PACKAGES},
        },
    )


def refuse_others(here: About, there: About) -> None:
    """Raise ClusterError if a node runs other versions: its answers could differ."""
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
    """Return why an arm can't run on a node yet, or ""."""
    arm = load("arms", spec.arm)
    remote = [r for r in roles_of(models, arm.NEEDS) if not is_local(models[r].spec)]
    if remote:
        spec_of = models[remote[0]].spec
        return f"it asks {spec_of}, and requests are counted before they are sent"
    if trainer := trainer_address(spec.options):
        return f"it trains at {trainer}, and steps are counted before they are sent"
    if metric_name(task) == JUDGE and getattr(arm, "CHOOSES", True):
        return "a judge scores its dev rows"
    return ""


def job_of(request: FitRequest) -> Job:
    """Return what a node needs to fit the arm of a request."""
    setup, arm = request.setup, load("arms", request.spec.arm)
    given = setup.given
    bare = replace(
        setup,
        models={},
        score=unscored,
        folder=Path(),
        unlabelled=(),
        docs=(),
        common=None,
        given=FreeAnswers(given.runs, {}) if isinstance(given, FreeAnswers) else given,
        say=_silent,
        purse=None,
    )
    options = arm.Options.model_validate(request.spec.options)
    return Job(
        key=request.key,
        spec=request.spec,
        seed=request.seed,
        setup=bare,
        models={r: dict(setup.models[r].fingerprint) for r in roles_of(setup.models, arm.NEEDS)},
        here=arm.here(options) if hasattr(arm, "here") else None,
        judged=metric_name(setup.task) == JUDGE,
    )


def unscored(case: Case, answer: Answer) -> Score | Unscored:
    """Refuse to score: raise ClusterError. Stands in a setup whose metric can't travel."""
    raise ClusterError("an arm scored an answer where no metric is", got=case.id + answer.text[:40])


def _silent(text: str) -> None:
    """Say nothing."""


def parts_of(task: Task) -> StudyParts:
    """Return the task with the files that it names by a path below its folder.

    Raises ClusterError if they are too large to be sent.
    """
    files: Files = {}
    for name in _named(task):
        place = task.folder / name
        found = sorted(place.rglob("*")) if place.is_dir() else [place]
        for path in (path for path in found if path.is_file()):
            files[path.relative_to(task.folder).as_posix()] = plain_file(path)
            if sum(map(len, files.values())) > MOST:
                raise ClusterError(
                    "the files of a task are too large to be sent to every node",
                    where=str(path),
                    got=f"more than {MOST >> 30} GB",
                    fix="put them where every node finds them under one absolute path, and name"
                    " that in task.yaml",
                )
    return StudyParts(task, files)


def _named(task: Task) -> set[str]:
    """Return the relative paths of models, prompts and metrics that a task names."""
    parts = [s.partition(":") for s in wanted_models(task).values() if is_local(s)]
    names = {name for kind, _, name in parts if kind == "scripted" or name.startswith("./")}
    if task.present and task.present.prompt:
        names.add(task.present.prompt)
    if task.success.metric and is_own(task.success.metric):
        names.add(task.success.metric.rpartition(":")[0])
    inside = {name for name in names if below(name)}
    return {name for name in inside if (task.folder / name).exists()}


def below(name: str) -> bool:
    """Return whether a path stays below the folder that it is relative to."""
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts


def read_files(folder: Path) -> Files:
    """Return the bytes of every file below a folder by its relative path; links are left out."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
