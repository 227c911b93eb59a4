"""Hold what the server answers under each name: artefacts, their bare models, base models.

All targets on the same weights share one worker, so base and adapters are in one process and no
two of them run at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuneworthy.handover.serve.served_versions import CURRENT, ServedVersion, current_versions
from tuneworthy.handover.serve.worker import Worker
from tuneworthy.handover.system import task_of
from tuneworthy.metrics._validity import validity
from tuneworthy.models import is_launched
from tuneworthy.records.answer import Answer
from tuneworthy.records.artefact import RAW_SUFFIX, System
from tuneworthy.records.errors import TuneworthyError
from tuneworthy.records.model import Model
from tuneworthy.records.record import digest

ValidityCheck = Callable[[Answer], bool | None]


@dataclass(frozen=True)
class Target:
    """A served name and what answers under it: a system, as evaluated, or a bare model.

    `has_raw`: its model is served too, under the name with RAW_SUFFIX.
    """

    name: str
    worker: Worker
    model: Model | None
    system: System | None = None
    valid: ValidityCheck | None = None
    created: int = 0
    has_raw: bool = False

    @property
    def fingerprint(self) -> str:
        """Return `fp_` and a short hash of the served name and its model's fingerprint."""
        marks: Any = self.model.fingerprint if self.model else self.name
        return f"fp_{digest([marks, self.name], 12)}"


@dataclass(frozen=True)
class Openers:
    """The functions that open a version on its base (None: it opens its own), and a base."""

    system: Callable[[ServedVersion, Model | None], System]
    base: Callable[[ServedVersion], Model]


class ServedModels:
    """The served builds and base models by name; the file `current` maps `<name>` to a build."""

    def __init__(self, most: int) -> None:
        self.targets: dict[str, Target] = {}
        self._most, self._workers = most, dict[int, Worker]()
        self._root: Path | None = None
        self._versions: Sequence[ServedVersion] = ()
        self._meant: tuple[tuple[int, int] | None, dict[str, str]] = None, {}

    def open_versions(
        self, root: Path, versions: Sequence[ServedVersion], openers: Openers
    ) -> None:
        """Open artefacts and their base models, and serve each. Raises TuneworthyError."""
        self._root, self._versions = root, versions
        bases: dict[str, Model] = {}
        for version in versions:
            spec, base = version.artefact.model, None
            if spec and not spec.startswith("openai:"):
                key = _base_key(version)
                if key not in bases:
                    bases[key] = openers.base(version)
                base = bases[key]
                if spec not in self.targets:
                    self.add_model(spec, base)
            self._add_system(version, openers.system(version, base))

    def add_model(self, name: str, model: Model) -> None:
        """Serve a bare model under a name: it gets messages unchanged."""
        self.targets[name] = Target(name, self._worker(model), model, created=int(time.time()))

    def _add_system(self, version: ServedVersion, system: System) -> None:
        worker, created = self._worker(system.model or system), int(version.built)
        raw = system.model is not None and not version.artefact.model.startswith("openai:")
        self.targets[version.name] = Target(
            version.name, worker, system.model, system, _validity_check(version), created, raw
        )
        if raw:
            name = version.name + RAW_SUFFIX
            self.targets[name] = Target(name, worker, system.model, created=created)

    def _worker(self, owner: Any) -> Worker:
        net = getattr(owner, "net", None)
        key = id(net.module if net else owner)
        if key not in self._workers:
            self._workers[key] = Worker(self._most)
            self._workers[key].start()
        return self._workers[key]

    @property
    def workers(self) -> Sequence[Worker]:
        """Return all workers."""
        return list(self._workers.values())

    @property
    def plain_names(self) -> Mapping[str, str]:
        """Return {plain name: served name that it means now}, by the file `current`."""
        if self._root is None:
            return {}
        try:
            status = (self._root / CURRENT).stat()
            mark = status.st_mtime_ns, status.st_ino
        except OSError:
            mark = None
        if self._meant[0] != mark or not self._meant[1]:
            self._meant = mark, current_versions(self._root, self._versions)
        return self._meant[1]

    def find(self, name: str) -> Target | None:
        """Return the target of a served or plain name; None for an unknown one."""
        plain = name.removesuffix(RAW_SUFFIX)
        if name not in self.targets and plain in self.plain_names:
            name = self.plain_names[plain] + name[len(plain) :]
        return self.targets.get(name)

    def stop(self) -> None:
        """Stop all workers; unanswered requests fail."""
        for worker in self.workers:
            worker.stop()


def _base_key(version: ServedVersion) -> str:
    """Return a key of all that a version's base model is opened with; equal keys share it."""
    made = version.artefact
    marks = [made.fingerprint.get(name) for name in ("precision", "thinking", "template")]
    home = str(version.home) if ":." in made.model else ""  # where a relative path starts
    sent = made.task.get("options") if is_launched(made.model) else None  # with each request
    return digest([made.model, marks, sent, home])


def _validity_check(version: ServedVersion) -> ValidityCheck | None:
    """Return the function that says whether an answer is valid; None if the task can't be read."""
    try:
        return validity(task_of(version.artefact, version.home))
    except (ValueError, TuneworthyError):
        return None
