"""The process that runs experiments: it loads the model once and takes one run after the other.

The server starts it with `spawn` and exchanges messages over one pipe. It receives
("open",), which loads the model ahead, ("run", RunOrder) and ("pause" | "resume" | "stop", id). It
sends ("event", event), ("state", state, steps), and at the end of a run ("over", whether it can be
a record, why it failed). It ends with the server.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tuneworthy.lab.card_run import CardRun
from tuneworthy.lab.cases import LabCase
from tuneworthy.lab.child_call import begin_as_child
from tuneworthy.lab.events import Emit, Event, RunStopped, run_id
from tuneworthy.lab.experiment import Experiment
from tuneworthy.records.errors import TuneworthyError
from tuneworthy.records.escape import quoted
from tuneworthy.records.failure import Config, RunFacts

_MODEL_SPEC = "smollm2-135m"


@dataclass(frozen=True)
class RunOrder:
    """An order to run a case: configuration, seed, role, the folder to use, its twin's facts.

    With the role `play` it is a play, and `config` is that of `play_config`.
    """

    id: str
    case: str
    config: dict[str, Any]
    seed: int
    role: str
    folder: Path
    twin: RunFacts | None = None


_RunCase = Callable[[RunOrder, Emit, Callable[[], None]], None]

OpenRunner = Callable[[Emit], _RunCase]


def open_experiments(emit: Emit) -> _RunCase:
    """Open the embedded model; return a function that runs an order with it."""
    from tuneworthy.lab.cases import case_of
    from tuneworthy.lab.play_run import PLAY_KIND, PlayRun
    from tuneworthy.lab.strength import stream_adapter_strength
    from tuneworthy.models import first_use, open_model

    emit({"kind": "log", "line": first_use(_MODEL_SPEC) or "Opening the embedded model."})
    model: Any = open_model(
        _MODEL_SPEC, folder=Path(), say=lambda line: emit({"kind": "log", "line": line})
    )

    def run(order: RunOrder, emit: Emit, control: Callable[[], None]) -> None:
        if order.role == PLAY_KIND:
            if order.config["does"] == PLAY_KIND:
                PlayRun(order.config, order.seed, model).run(emit, control)
            else:
                stream_adapter_strength(order.config["strength"], model, emit, control)
            return
        chosen = LabRun(case_of(order.case), order.config, order.seed, order.role)
        run_case(chosen, model, emit, order.folder, order.twin, control)

    return run


def serve_runs(pipe: Connection, open_runner: OpenRunner) -> None:
    """Receive orders from the pipe and run one after the other until it is closed."""
    begin_as_child()
    runner: _RunCase | None = None
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            kind, *rest = pipe.recv()
            if kind == "open" and runner is None:
                with suppress(Exception):  # the first run says why
                    runner = open_runner(lambda event: None)
            if kind != "run":
                continue  # an action for a run that is over
            order: RunOrder = rest[0]
            state = "none"

            def emit(event: Event) -> None:
                nonlocal state
                state = event.get("state", state) if event["kind"] == "end" else state
                pipe.send(("event", event))

            control = _Control(pipe, order.id)
            try:
                runner = runner or open_runner(emit)
                control.wait_while_paused()  # actions that came while the model loaded
                runner(order, emit, control)
                pipe.send(("over", state in ("done", "failed"), None))
            except RunStopped:  # before the first step
                pipe.send(("over", False, "stopped before its first step"))
            except (EOFError, BrokenPipeError, ConnectionResetError):
                raise
            except Exception as error:
                pipe.send(("over", False, _failure_reason(error)))


def _failure_reason(error: Exception) -> str:
    """Return in one line for the visitor why a run failed."""
    if isinstance(error, TuneworthyError):
        parts = (error.what, error.got, error.fix)
        return "; ".join(part for part in parts if part)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full; free some space, then run it again"
    if isinstance(error, MemoryError):
        return "the memory of this machine is full; close other programs, then run it again"
    return quoted(f"{type(error).__name__}: {error}")


class _Control:
    """Obeys pause, resume and stop from the pipe; a run calls it after each step."""

    def __init__(self, pipe: Connection, run: str) -> None:
        self._pipe, self._run, self._steps = pipe, run, 0

    def __call__(self) -> None:
        """Count a step, then obey pause, resume or stop."""
        self._steps += 1
        self.wait_while_paused()

    def wait_while_paused(self) -> None:
        """Wait while the run is paused. Raises RunStopped, or EOFError once the server is gone."""
        paused = False
        while paused or self._pipe.poll():
            kind, *rest = self._pipe.recv()
            if rest[:1] != [self._run]:
                continue
            if kind == "stop":
                raise RunStopped
            if paused != (kind == "pause"):
                paused = kind == "pause"
                self._pipe.send(("state", "paused" if paused else "running", self._steps))


@dataclass(frozen=True)
class LabRun:
    """A run: a case with a configuration, a seed and a role (plant, twin or own)."""

    case: LabCase
    config: Config
    seed: int
    role: str

    @property
    def id(self) -> str:
        """Return the id of the run's record."""
        return run_id(self.case.slug, self.config, self.seed)


def run_case(
    run: LabRun,
    model: Any,
    emit: Emit,
    folder: Path,
    twin: RunFacts | None = None,
    control: Callable[[], None] = lambda: None,
) -> RunFacts:
    """Run a case with a model; send begin, steps, looks and end; return the facts.

    The run writes to `folder`, which is removed; the folder `shared` beside it keeps an adapter
    for several runs. `twin`: the facts of the clean run on the same seed, by which the end is
    judged. `control` is called between steps or looks: it may wait, and stops the run by raising
    RunStopped. Other errors of `emit`, `control` or the model are raised as they are.
    """
    kind = Experiment if run.case.trains else CardRun
    return kind(run.case, run.config, run.seed, model).run(emit, folder, run.role, twin, control)
