"""Decide which of several files with the same inputs has the right answers, which a system's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tuneworthy.core.errors import DataError
from tuneworthy.data.column_roles import Roles, system_name
from tuneworthy.data.column_values import words_of

_GOLD_NAMES = {"gold", "golden", "truth", "label", "labels", "labelled", "expected", "reference",
         "correct", "human", "right"}  # fmt: skip
_ANSWER_NAMES = {
    "response", "completion", "reply", "generated", "generation", "prediction", "predicted",
}  # fmt: skip
_EITHER_NAMES = {"answer", "output"}
# Share of the shorter sample found in the other, from which both are one set of rows.
_SAME_ROWS_SHARE = 0.5
# Share of the shared inputs with different answers, from which two files disagree.
_OTHER_ANSWER_SHARE = 0.05


@dataclass(frozen=True)
class FileRoles:
    """A file, the roles of its columns, and {input: right answer} of its first rows."""

    path: Path
    roles: Roles
    right: Mapping[str, str]


def with_one_gold_file(files: Sequence[FileRoles]) -> list[Roles]:
    """Return the files' roles such that only one file has the right answers to the same inputs.

    The names of files and columns decide which; the answers of the others become a system's. Raises
    DataError if two files answer the same inputs differently and nothing decides.
    """
    able = [one for one in files if one.roles.output]
    best = max((_gold_likelihood(one) for one in able), default=(0, 0))
    golds = [one for one in able if _gold_likelihood(one) == best]
    for at, one in enumerate(golds):
        for other in golds[at + 1 :]:
            if _disagree(one, other):
                _refuse_undecided(one, other)
    return [
        _as_system_roles(one)
        if one in able and one not in golds and _shares_inputs(one, golds)
        else one.roles
        for one in files
    ]


def _gold_likelihood(one: FileRoles) -> tuple[int, int]:
    """Return the sort key of how likely a file has the right answers: its name, its column."""
    words = set(words_of(one.roles.output))
    column = 0 if words & _ANSWER_NAMES else 1 if words & _EITHER_NAMES else 2
    return len(_GOLD_NAMES & set(words_of(one.path.stem))), column


def _shares_inputs(one: FileRoles, golds: Sequence[FileRoles]) -> bool:
    return any(_shared_inputs(one, gold) for gold in golds)


def _shared_inputs(one: FileRoles, other: FileRoles) -> set[str]:
    """Return the inputs shared by two files, none if too few for both to be one set of rows."""
    found = one.right.keys() & other.right.keys()
    enough = len(found) >= _SAME_ROWS_SHARE * min(len(one.right), len(other.right))
    return set(found) if enough else set()


def _disagree(one: FileRoles, other: FileRoles) -> bool:
    shared = _shared_inputs(one, other)
    different = sum(one.right[text] != other.right[text] for text in shared)
    return different > _OTHER_ANSWER_SHARE * len(shared)


def _as_system_roles(one: FileRoles) -> Roles:
    systems = {**one.roles.systems, system_name(one.path.stem): one.roles.output}
    return replace(one.roles, output="", systems=systems, alternatives=False)


def _refuse_undecided(one: FileRoles, other: FileRoles) -> None:
    raise DataError(
        "two files answer the same inputs differently, and nothing says which is right",
        where=[one.path.name, other.path.name],
        got=f"`{one.roles.output}` and `{other.roles.output}`",
        fix=f"name the file of right answers alone and the other as a system: tuneworthy init"
        f" {one.path.name} --answers NAME={other.path.name}:{other.roles.output}",
        kept="",
    )
