"""The reference page of the commands, read from the typer application itself."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from typer.models import ArgumentInfo

from tuneworthy.cli._frame import app

WORDS = {Path: "PATH", int: "N", float: "X", str: "TEXT"}


class Command(NamedTuple):
    """A command that can be called: name with that of its group, function, help, epilog."""

    name: str
    function: Any
    help: str
    epilog: str


class Parameter(NamedTuple):
    """An argument or an option, as a row of the table shows it."""

    name: str
    default: str
    help: str
    is_argument: bool
    required: bool


def page() -> str:
    """Return the page: usage, help, arguments and options of every command."""
    parts = [
        "# Commands",
        "`--help` prints the same for each command. With `--json`, stdout holds JSON alone.",
    ]
    for command in commands():
        parts += _section(command)
    return "\n\n".join(parts) + "\n"


def commands() -> Iterator[Command]:
    """Yield every command that can be called, those of groups included, in the order of --help."""
    cli = app()
    for group in ("", *cli.registered_groups):
        prefix = f"{group.name} " if group else ""
        for one in (group.typer_instance if group else cli).registered_commands:
            text = inspect.cleandoc(one.help or one.callback.__doc__ or "")
            yield Command(f"{prefix}{one.name}", one.callback, text, one.epilog or "")


def first_line(command: Command) -> str:
    """Return the first paragraph of a command's help, in one line."""
    return " ".join(command.help.split("\n\n")[0].split())


def undocumented() -> list[str]:
    """Return the commands, arguments and options without a help text."""
    empty = [command.name for command in commands() if not command.help]
    every = [(command, one) for command in commands() for one in _parameters(command)]
    return empty + [f"{command.name} {one.name}" for command, one in every if not one.help]


def _section(command: Command) -> list[str]:
    every = list(_parameters(command))
    words = [one.name if one.required else f"[{one.name}]" for one in every if one.is_argument]
    options = ["[OPTIONS]"] if any(not one.is_argument for one in every) else []
    usage = " ".join(["tuneworthy", command.name, *words, *options])
    parts = [f"## {command.name}", f"```\n{usage}\n```"]
    parts += [" ".join(part.split()) for part in command.help.split("\n\n")]
    if every:
        rows = [f"| `{one.name}` | {one.default} | {_cell(one.help)} |" for one in every]
        parts.append(
            "\n".join(["| argument or option | default | what it does |", "|---|---|---|", *rows])
        )
    if command.epilog:
        parts.append("[Exit codes](exit-codes.md) has what it returns.")
    return parts


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _parameters(command: Command) -> Iterator[Parameter]:
    hints = get_type_hints(command.function, include_extras=True)
    for name, one in inspect.signature(command.function).parameters.items():
        kind, told = get_args(hints[name])[:2]
        required = one.default is inspect.Parameter.empty
        argument = isinstance(told, ArgumentInfo)
        shown = name.upper() if argument else _option(name, kind, told)
        default = "required" if required else _default(one.default, told.show_default)
        yield Parameter(shown, default, " ".join((told.help or "").split()), argument, required)


def _option(name: str, kind: Any, told: Any) -> str:
    first = [told.default] if isinstance(told.default, str) else []  # typer moves it there
    names = ", ".join([*first, *(told.param_decls or ())] or [f"--{name.replace('_', '-')}"])
    return names if kind is bool else f"{names} {_value(kind)}"


def _value(kind: Any) -> str:
    """Return the word for an option's value: its choices, or PATH, N, X or TEXT."""
    if get_origin(kind) is Literal:
        return " or ".join(get_args(kind))
    inner = [one for one in get_args(kind) if one is not type(None)]
    return _value(inner[0]) if inner else WORDS[kind]


def _default(value: Any, shown: Any) -> str:
    if isinstance(shown, str):
        return f"`{shown}`"
    return "" if value in (None, False) else f"`{value}`"
