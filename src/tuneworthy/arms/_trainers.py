"""The option `trainer`: our own loop, or a command of the user's that trains the adapter."""

from __future__ import annotations

import shlex
from pathlib import PurePosixPath
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator

from tuneworthy.records.arm import Setup
from tuneworthy.records.errors import DoesNotApply
from tuneworthy.records.record import Record

_REPLACEMENT = (
    "our own loop trains where `trainer` is left out; TRL, a training API and all others train by a"
    ' command: trainer: {command: "python trl_sft.py {options}"}, docs/how-to/train-by-a-command.md'
)


class _CommandTrainer(Record):
    """A command that trains an adapter; `adapter` is the folder below {output} where it lies.

    No shell reads the command. {rows}, {options}, {base}, {output} and {seed} stand for paths and
    the seed.
    """

    command: Annotated[str, Field(min_length=1, max_length=2000)]
    adapter: Annotated[str, Field(max_length=200)] = "."

    @field_validator("command")
    @classmethod
    def _is_complete(cls, command: str) -> str:
        if not shlex.split(command) or not ("{output}" in command or "{options}" in command):
            raise ValueError(
                "by {output} or {options} the command learns where its adapter belongs"
            )
        return command

    @field_validator("adapter")
    @classmethod
    def _is_inside(cls, adapter: str) -> str:
        path = PurePosixPath(adapter)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError("`adapter` is a folder below {output}")
        return adapter


def _refuse_left_trainers(value: Any) -> Any:
    """Return the value; raise ValueError for the texts that older versions took (`own`, `trl`)."""
    if isinstance(value, str):
        raise ValueError(_REPLACEMENT)
    return value


Trainer = Annotated[_CommandTrainer | None, BeforeValidator(_refuse_left_trainers)]


def check_command(options: Any, objective: Any) -> None:
    """Raise DoesNotApply for options of training that a command can't be asked to heed."""
    unheeded = [name for name in ("prompt_loss", "patience") if getattr(options, name)]
    if objective is not None:
        raise DoesNotApply("a command trains on the likelihood of the answers alone")
    if unheeded:
        raise DoesNotApply(f"a command is not asked for `{unheeded[0]}`: leave it out")


def fit_by_command(
    setup: Setup, command: _CommandTrainer, model: Any, lessons: Any, how: Any, seed: int
) -> Any:
    """Return the adapter that the user's command trains; one that it trained before is reused."""
    from tuneworthy.models.train.by_command import CommandRun

    task = setup.task
    line = CommandRun(command.command, command.adapter, task.folder, 60 * task.budget.minutes)
    return line.fit(model, lessons, how, seed, setup.folder)
