"""Hold the columns that the user named; find the column of a file that a name means."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn, overload

from tuneworthy.core.errors import TaskError


@dataclass(frozen=True)
class Choice:
    """Columns that the user named: input, right answer, the present system, other systems, id.

    `joined` are further input columns, `split` the column that says train, test or dev, `mark` the
    separator of several labels in one cell. `no_system`: the user said that no system answered, so
    none is looked for.
    """

    input: str | None = None
    output: str | None = None
    present: str | None = None
    answers: Mapping[str, str] = field(default_factory=dict)
    lists: str = "alternatives"
    no_system: bool = False
    joined: tuple[str, ...] = ()
    split: str | None = None
    mark: str = ""
    id: str | None = None

    @property
    def names_any(self) -> bool:
        """Return whether any column is named."""
        return bool(self.columns)

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the named columns."""
        found = (self.input, *self.joined, self.output, self.present, self.split, self.id,
                 *self.answers.values())  # fmt: skip
        return tuple(name for name in found if name)

    def in_file_spelling(self, columns: Sequence[str]) -> Choice:
        """Return the choice with each name in the spelling of the file's column (`column_like`)."""
        return self._with_names(lambda name: column_like(name, columns))

    def within(self, columns: Sequence[str]) -> Choice:
        """Return the choice without the columns that a file does not have."""
        return self._with_names(lambda name: name if name in columns else None)

    def _with_names(self, changed: Callable[[str], str | None]) -> Choice:
        """Return the choice with each name changed, without those that become None."""
        answers = {system: new for system, name in self.answers.items() if (new := changed(name))}
        joined = tuple(new for name in self.joined if (new := changed(name)))
        plain = ("input", "output", "present", "split", "id")
        own: dict[str, Any] = {key: changed(name) for key in plain
                               if (name := getattr(self, key))}  # fmt: skip
        return replace(self, answers=answers, joined=joined, **own)


@overload
def column_like(name: str, columns: Sequence[str]) -> str:
    """Return the column that a name means."""
    ...


@overload
def column_like(name: str | None, columns: Sequence[str]) -> str | None:
    """Return the column that a name means, None for None."""
    ...


def column_like(name: str | None, columns: Sequence[str]) -> str | None:
    """Return the column of this name; else the only one that differs in case and spaces alone.

    A name that no column has, or more than one could, is returned as it is.
    """
    if name is None or name in columns:
        return name
    like = [each for each in columns if _folded(each) == _folded(name)]
    return like[0] if len(like) == 1 else name


def _folded(name: str) -> str:
    return " ".join(name.casefold().split())


def raise_no_column(name: str, columns: Sequence[str], where: str = "") -> NoReturn:
    """Raise TaskError for a name that no column has, with the nearest name and all names."""
    folded = _folded(name)
    near = difflib.get_close_matches(name, columns, n=1, cutoff=0.6)
    near = near or [each for each in columns if folded and folded in _folded(each)]
    hint = f"did you mean `{near[0]}`? " if near else ""
    raise TaskError("no column has this name", where=where, got=name, kept="",
                    fix=f"{hint}there are: {', '.join(columns) or 'none'}")  # fmt: skip
