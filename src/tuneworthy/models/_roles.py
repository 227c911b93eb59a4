"""Open the models of a task by role, each on first access; say why a model can't be opened."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from tuneworthy.models import is_launched, is_local, takes_adapters
from tuneworthy.models._reply_cache import Cached, ReplyCache
from tuneworthy.models.local import wheel
from tuneworthy.models.local.device import Placement, release, resolve_device
from tuneworthy.models.remote.server_process import address_of, missing_program, variable
from tuneworthy.records.case import Message
from tuneworthy.records.errors import DoesNotFit, TuneworthyError
from tuneworthy.records.model import Model
from tuneworthy.records.reason import Reason
from tuneworthy.records.record import canonical
from tuneworthy.records.task import Task, recorded_files

BASE = "base"
_UNTRAINED = (
    " (`{}` is not one): set `tune`, or record the answers of a hosted tune under `answers`, or"
    " distil it as `teacher`"
)
_PACKAGES = {
    "train": ("torch", "transformers", "peft"),
    "setfit": ("setfit", "sentence_transformers", "datasets"),
}  # import names of an extra


def request_fields(task: Task) -> dict[str, Mapping[str, Any]]:
    """Return the user's request fields (`options:` in task.yaml) by the role that sends them."""
    named: dict[str, Mapping[str, Any]] = {str(role): f for role, f in task.options.items()}
    reflects = "teacher" if task.teacher else "bigger"
    by_role = {"base": named.get("model"), "reflection": named.get(reflects)}
    by_role |= {role: named.get(role) for role in ("tune", "bigger", "teacher", "judge")}
    if tuned_spec(task) == task.model:  # one server answers for both
        by_role["tune"] = by_role["base"]
    return {role: fields for role, fields in by_role.items() if fields}


class Models(Mapping[str, Model]):
    """The task's models by role, each opened on first access.

    Roles with the same spec and the same request fields (`fields`, by role) share one model. If a
    model does not fit, the least recently used ones are closed one by one until it does; a closed
    model is opened again on its next access. The base model stays open: the whole study needs it.
    A model that can't be opened raises the same error on every access, without another try. Greedy
    replies of local models are cached while the study runs.
    """

    def __init__(
        self,
        wanted: Mapping[str, str],
        start: Callable[[str, Mapping[str, Any]], Model],
        fields: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self._wanted, self._start, self._fields = dict(wanted), start, fields or {}
        self._cache = ReplyCache()
        self._open: dict[tuple[str, str], Model] = {}
        self._failed: dict[tuple[str, str], TuneworthyError] = {}

    def __getitem__(self, role: str) -> Model:
        key = self._key(role)
        if key in self._failed:
            raise self._failed[key]
        model = self._open.pop(key, None)
        if model is None:
            model = self._open_or_evict(role)
        self._open[key] = model  # moves it to the end: the most recently used
        return model

    def _key(self, role: str) -> tuple[str, str]:
        return self._wanted[role], canonical(dict(self._fields.get(role, {})))

    def _open_or_evict(self, role: str) -> Model:
        while True:
            try:
                model = self._start(self._wanted[role], self._fields.get(role, {}))
                return model.cached(self._cache) if isinstance(model, Cached) else model
            except DoesNotFit as error:
                if not self.close_one():
                    self._failed[self._key(role)] = error
                    raise
            except TuneworthyError as error:
                self._failed[self._key(role)] = error
                raise

    def close_one(self) -> str | None:
        """Close the least recently used local model but the base; return its spec or None."""
        kept = self._wanted.get(BASE)
        idle = [key for key in self._open if key[0] != kept and _in_memory(key[0])]
        if not idle:
            return None
        model = self._open.pop(idle[0])
        device = str(model.fingerprint.get("device", "cpu"))
        del model
        release(device)
        return idle[0][0]

    def close(self) -> None:
        """End the servers of the opened models; a server starts again on its next request."""
        for model in self._open.values():
            if hasattr(model, "close"):
                model.close()

    def is_base(self, role: str) -> bool:
        """Return whether a role's model is the study's base model."""
        return role == BASE or self._wanted.get(role) == self._wanted.get(BASE)

    @property
    def specs(self) -> list[str]:
        """Return the specs of all models, opened or not."""
        return list(self._wanted.values())

    @property
    def notes(self) -> tuple[str, ...]:
        """Return the opened models' notes on how they had to be called, each note once."""
        notes = [note for model in self._open.values() for note in getattr(model, "notes", ())]
        return tuple(dict.fromkeys(notes))

    def __iter__(self) -> Iterator[str]:
        return iter(self._wanted)

    def __len__(self) -> int:
        return len(self._wanted)


def tokens(model: Model) -> Callable[[str], int]:
    """Return a function that counts a text's tokens: those of its turn less an empty turn's."""
    empty = model.count_tokens([Message(role="user", content="")])
    return lambda text: model.count_tokens([Message(role="user", content=text)]) - empty


def placement(task: Task) -> Placement:
    """Return device, precision, batch size and thinking of the task's local models."""
    return Placement(
        device=task.device, precision=task.precision, batch=task.batch, thinking=task.thinking
    )


def check_device(task: Task, specs: Sequence[str]) -> None:
    """Raise TaskError if the task names a device that this machine lacks; open nothing."""
    if task.device != "auto" and any(_in_memory(spec) for spec in specs):
        resolve_device(task.device)


def _in_memory(spec: str) -> bool:
    """Return whether a model's weights are in this process's memory when it is open."""
    return is_local(spec) and not spec.startswith("scripted:")


def model_absent(task: Task) -> Reason | None:
    """Return why the base model can't answer here, None if it can; load nothing.

    A missing embedded model is a reason only beside recorded answers: they need no model, so the
    run skips the model's arms. Without recorded answers, opening the model ends the run.
    """
    if task.decider == task.model:
        return Reason.needs("a model that writes text", f": `{task.model}` chooses among labels")
    if why := unusable(task.model):
        return why
    if task.model == wheel.NAME and recorded_files(task) and wheel.locate() is None:
        return Reason.not_fetched(wheel.NAME, wheel.NAME, 93)
    return None


def wanted_models(task: Task) -> dict[str, str]:
    """Return the spec of each model that a task names, by role."""
    wanted = {"base": task.model, "tune": tuned_spec(task),
              "bigger": task.bigger, "teacher": task.teacher, "decision": task.decider,
              "present": task.present.model if task.present else None,
              "reflection": task.teacher or task.bigger,
              "judge": task.success.judge.model if task.success.judge else None}  # fmt: skip
    return {role: spec for role, spec in wanted.items() if spec}


def tuned_spec(task: Task) -> str | None:
    """Return the spec of the model that arms train, None if no model can be trained here.

    Weights behind a server that tuneworthy starts are trained in this process and served by that
    server, so that base and tuned model share one engine.
    """
    if takes_adapters(task.model):
        same = f"hf:{task.model.partition(':')[2]}"
        if task.tune in (None, task.model, same):
            return task.model
    return task.tune or (task.model if is_local(task.model) else None)


def untrainable(task: Task) -> Reason | None:
    """Return why no model of a task can be trained here, None if one can; load nothing."""
    spec = tuned_spec(task) or task.model
    if is_local(spec):
        return unusable(spec)
    if not takes_adapters(spec):
        more = _UNTRAINED.format(spec) + _why_no_adapters(spec)
        return Reason.needs("a model that can be trained here", more)
    return unusable(spec) or missing_packages()


def _why_no_adapters(spec: str) -> str:
    kind = spec.partition(":")[0]
    if not is_launched(spec):
        return ""
    if address_of(kind):
        return f"; adapters go only into a server that tuneworthy starts: unset {variable(kind)}"
    return f"; {kind} takes adapters in a form that nothing here writes"


def missing_packages(extra: str = "train") -> Reason | None:
    """Return the reason that packages of an extra are not installed, with the command; or None."""
    lost = [name for name in _PACKAGES[extra] if find_spec(name) is None]
    return Reason.not_installed(lost, f"tuneworthy[{extra}]")


def unusable(spec: str) -> Reason | None:
    """Return why a spec's program or packages are missing here, None if they are installed."""
    if is_launched(spec):
        return missing_program(spec.partition(":")[0])
    if not is_local(spec) or spec.startswith("scripted:"):
        return None
    return missing_packages()
