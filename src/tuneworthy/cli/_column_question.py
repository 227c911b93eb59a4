"""Ask at a terminal which columns are the input, the right answer and what runs today."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tuneworthy.cli._options import print_stderr

if TYPE_CHECKING:
    from tuneworthy.rows.column_roles import Roles
    from tuneworthy.rows.recognising import AskForColumns
    from tuneworthy.rows.table_columns import Choice

_NO = {"n", "no", "nein", "non", "nope"}
_SHOWN = 20  # columns with an example each; of more the names are listed
_NOT_A_LIST = "this is no list of ROLE=COLUMN"


def column_question() -> AskForColumns | None:
    """Return the function that asks for the columns, once; None if this is no terminal."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    put: list[bool] = []

    def ask(roles: Roles, examples: Mapping[str, str]) -> Choice | None:
        if put:
            return None
        put.append(True)
        if not (roles.input and roles.output):
            lacking = "the right answer" if roles.input else "the input"
            print_stderr(f"no column looks like {lacking}: which is it?")
            return _pick_columns(roles, examples)
        print_stderr(f"columns: {', '.join(examples)}")
        _print_taken(roles)
        print_stderr("Enter keeps this, n asks for each; or write input=COL output=COL present=COL")
        reply = input_line()
        if reply.strip().casefold() in _NO:
            return _pick_columns(roles, examples)
        try:
            return read_reply(reply, roles)
        except ValueError:
            print_stderr(f"{_NOT_A_LIST}: one after the other, then")
            return _pick_columns(roles, examples)

    return ask


def _print_taken(roles: Roles) -> None:
    from tuneworthy.rows.dependence import proposal_sentences

    taken = {"input": " + ".join(roles.inputs), "output": roles.output, **roles.own,
             **roles.systems}  # fmt: skip
    print_stderr("taken:   " + ", ".join(f"{role} = {name}" for role, name in taken.items()))
    if roles.texts and not roles.joined:
        both = " ".join(f"input={shlex.quote(name)}" for name in (*roles.texts, roles.input))
        print_stderr(f"         more text is in `{roles.texts[0]}`; to join them: {both}")
    if roles.alternatives:
        print_stderr("         the right answers are lists: any of their texts is right")
    if roles.undecided:
        both = " and ".join(f"`{name}`" for name in roles.undecided)
        print_stderr(f"         {both} mostly agree: look which of them is the right answer")
    for sentence in proposal_sentences(roles.likely, "{}=COLUMN"):
        print_stderr(f"         {sentence}")


def input_line() -> str:
    """Return a line that the user types, "" at the end of the input."""
    try:
        return input("> ")
    except EOFError:
        return ""


def read_reply(text: str, roles: Roles) -> Choice | None:
    """Return the proposed columns with those that a reply names; None for an empty reply.

    Raises ValueError for a reply that is no list of ROLE=COLUMN.
    """
    from tuneworthy.rows.table_columns import Choice

    words = [word.partition("=")[::2] for word in shlex.split(text)]
    pairs = dict(words)
    if not pairs:
        return None
    if not all(pairs.values()):
        raise ValueError(_NOT_A_LIST)
    systems = dict(roles.systems)
    for name, column in pairs.items():
        if name not in {"input", "output", "lists", "group", "time"}:
            systems[name] = column
    today = systems.pop("present", None)
    inputs = [column for name, column in words if name == "input"] or roles.inputs
    own = {**roles.own, **pairs}
    return Choice(inputs[0], pairs.get("output", roles.output), today, systems,
                  pairs.get("lists", "alternatives"), joined=tuple(inputs[1:]),
                  split=roles.split or None, mark=roles.mark, group=own.get("group"),
                  time=own.get("time"))  # fmt: skip


def _pick_columns(roles: Roles, examples: Mapping[str, str]) -> Choice | None:
    """Return the columns that the user picks one after the other; None if they are too few."""
    from tuneworthy.rows.table_columns import Choice

    columns = list(examples)
    _print_columns(examples)
    systems = dict(roles.systems)
    today = systems.pop("present", "")
    asked = _pick_column("the input", columns, roles.input)
    more = [name for name in columns if asked and name in roles.texts and name != asked]
    joined = _pick_column("text to join to it", columns, "", none=True) if more else ""
    right = _pick_column("the right answer", columns, roles.output) if asked else ""
    if not (asked and right):
        return None
    said = _pick_column("what runs today answered", columns, today, none=True)
    return Choice(asked, right, said or None, systems, no_system=not (said or systems),
                  joined=(joined,) if joined else roles.joined, split=roles.split or None,
                  mark=roles.mark, **roles.own)  # fmt: skip


def _print_columns(examples: Mapping[str, str]) -> None:
    width = max(map(len, list(examples)[:_SHOWN]), default=0)
    for number, (name, example) in enumerate(list(examples.items())[:_SHOWN], 1):
        print_stderr(f"  {number:>2}  {name:<{min(width, 30)}}  {example}")
    if more := list(examples)[_SHOWN:]:
        print_stderr(f"      and {', '.join(more)}")


def _pick_column(what: str, columns: Sequence[str], default: str, *, none: bool = False) -> str:
    """Return the column that the user picks by number or name, the default for an empty line.

    `none`: the user may pick no column, which returns "".
    """
    from tuneworthy.rows.table_columns import column_like

    otherwise = default or ("none" if none else "")
    for _ in range(3):
        enter = f", Enter: {otherwise}" if otherwise else ""
        print_stderr(f"{what}: number or name{enter}")
        reply = input_line().strip()
        if not reply:
            return default
        if none and reply.casefold() in {*_NO, "none", "-"}:
            return ""
        named = column_like(reply, columns)
        if named in columns:
            return named
        if reply.isdecimal() and 1 <= int(reply) <= len(columns):
            return columns[int(reply) - 1]
        print_stderr(f"there is no column `{reply}`")
    return default
