"""The file in which a gate counts its looks, for CI to keep from one commit to the next.

A look is one pair of systems' answers to some rows, within one change (a pull request, a branch).
The file holds digests alone: of each row's input, and of both systems' answers and scores to it.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tuneworthy.explain.two_logs import TwoLogs
from tuneworthy.matrix.columns import Column
from tuneworthy.records.answer import Score
from tuneworthy.records.case import HASH_DIGITS
from tuneworthy.records.errors import StoreError
from tuneworthy.records.own_files import OwnKind, check_own, write_atomic
from tuneworthy.records.record import digest, plain_file
from tuneworthy.rows.locked import input_marks
from tuneworthy.store.store import MIN_SHARED
from tuneworthy.verdict.gate_rule import GateLook

_FORM, _VERSION = "tuneworthy gate looks", 1
GATE_LOOKS = OwnKind("the looks of a gate", lambda head: head.startswith(f'{{"{_FORM}"'.encode()))
_ANSWER_DIGITS = 8


@dataclass(frozen=True)
class ShownPair:
    """What a gate compares: a digest of both systems' answers and scores to each row.

    `keys` returns {row: digest}, by how many answers of A and of B to each row count; `group` names
    the group of each row, where rows are told to depend on each other.
    """

    sides: tuple[Column, Column]
    marks: Mapping[str, str]
    group: Mapping[str, str]

    @classmethod
    def of(cls, result: TwoLogs) -> ShownPair:
        """Return the answers that a comparison shows."""
        matrix = result.matrix
        every = input_marks([row.case for row in result.cases])
        marks = {name: mark[:HASH_DIGITS] for name, mark in every.items()}
        group = {i: str(matrix.inputs.design.group.get(i) or i) for i in marks}
        return cls((matrix.columns["A"], matrix.columns["B"]), marks, group)

    @property
    def repeats(self) -> tuple[int, int]:
        """Return how many answers A, and B, gave to each row, at least."""
        first, second = (min(count) for count in self._counts)
        return first, second

    @property
    def _counts(self) -> list[set[int]]:
        return [{1 + len(answer.repeats) for answer, _ in side.cells.values()}
                for side in self.sides]  # fmt: skip

    @property
    def rows(self) -> list[str]:
        """Return the marks of the rows, sorted and unique: ids and right answers don't count."""
        return sorted(set(self.marks.values()))

    def keys(self, repeats: tuple[int, int] | None = None) -> dict[str, str]:
        """Return {row mark: digest} of the first so many answers of both sides; None: of all."""
        told = defaultdict(list)
        for case, mark in self.marks.items():
            told[mark].append([_first_answers(side, case, most) for side, most in
                               zip(self.sides, repeats or (None, None), strict=True)])  # fmt: skip
        return {mark: digest(sorted(rows, key=repr), _ANSWER_DIGITS) for mark, rows in told.items()}

    def part(self, rows: frozenset[str], repeats: Sequence[int]) -> float:
        """Return what part of this pair's information so many answers to some rows are, at least.

        Rows count by groups where that makes the part smaller, and each further answer to a row as
        much as the first.
        """
        within = [case for case, mark in self.marks.items() if mark in rows]
        share = len(within) / len(self.marks)
        squares = [sum(n**2 for n in Counter(self.group[case] for case in cases).values())
                   for cases in (within, self.marks)]  # fmt: skip
        now, then = (sum(1 / k for k in count) for count in (map(max, self._counts), repeats))
        return min(share, squares[0] / squares[1]) * now / then


def _first_answers(side: Column, case: str, most: int | None) -> list[Any]:
    answer, score = side.cells[case]
    texts = [one.text for one in (answer, *answer.repeats)]
    values = [*(score.repeats or (score.value,))] if isinstance(score, Score) else []
    return [texts[:most], values[:most]]


@dataclass
class GateHistory:
    """The looks of a file, oldest first, and the rows of each by their hash."""

    rows: dict[str, list[str]] = field(default_factory=dict)
    looks: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> GateHistory:
        """Return the looks of a file; none if there is no file. Raises StoreError if damaged."""
        check_own(path, GATE_LOOKS)
        if not path.exists():
            return cls()
        try:
            told = json.loads(plain_file(path))
            rows = {name: _cut(text, HASH_DIGITS) for name, text in told["rows"].items()}
            history = cls(rows, told["looks"])
            for look in history.looks:
                history._check(look)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreError(
                "the file of looks can't be read, so this gate can't know what was looked at",
                where=str(path), got=f"{type(error).__name__}: {error}", kept="it, unchanged",
                fix="restore it, or remove it: the next gate is then a first look",
            ) from error  # fmt: skip
        return history

    def look_at(self, pair: ShownPair, change: str) -> GateLook:
        """Return which look of a change this pair would be."""
        every, answers = frozenset(pair.rows), digest(pair.keys())
        known = [look for look in self.looks if look["change"] == change]
        for look in known:
            if look["answers"] == answers and self._marks(look) == every:
                return GateLook(look["look"], _earlier(look), counted=True)
        least = MIN_SHARED * len(every)
        shared = [look["look"] for look in known if len(self._marks(look) & every) >= least]
        number = 1 + max(shared, default=0)
        last = known[-1] if known else None
        if last is None or not self._is_continued(last, pair):
            return GateLook(number)
        part = pair.part(self._marks(last), last["repeats"])
        steps = [*((at, part * of) for at, of in _earlier(last)), (last["look"], part)]
        return GateLook(number, tuple(steps))

    def add(self, pair: ShownPair, change: str, look: GateLook, outcome: str) -> None:
        """Add a look that is not counted yet; only the last one can be continued later."""
        rows, keys = pair.rows, pair.keys()
        name = digest(rows, 16)
        self.rows[name] = rows
        for other in self.looks:
            if other["change"] == change:
                other.pop("each", None)
        self.looks.append({
            "change": change, "rows": name, "answers": digest(keys), "look": look.number,
            "n": len(pair.marks), "repeats": [*pair.repeats],
            "earlier": [[at, round(part, 6)] for at, part in look.earlier], "outcome": outcome,
            "each": "".join(keys[mark] for mark in rows),
        })  # fmt: skip

    def write(self, path: Path) -> None:
        """Write the looks, one a line, whole or not at all."""
        rows = {name: "".join(marks) for name, marks in self.rows.items()}
        looks = ",\n".join(json.dumps(look) for look in self.looks)
        head = f'{{"{_FORM}": {_VERSION},\n"rows": {json.dumps(rows)},\n"looks": ['
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, f"{head}\n{looks}\n]}}\n")

    def _check(self, look: Mapping[str, Any]) -> None:
        """Raise an error of any kind that `read` expects if a look is not one that we wrote."""
        known, each = self._marks(look), look.get("each")
        _earlier(look), int(look["look"]), [int(k) for k in look["repeats"]], look["answers"]
        if each is not None and len(each) != len(known) * _ANSWER_DIGITS:
            raise ValueError(f"{len(known)} rows with {len(each)} digits of answers")

    def _marks(self, look: Mapping[str, Any]) -> frozenset[str]:
        return frozenset(self.rows[look["rows"]])

    def _is_continued(self, look: Mapping[str, Any], pair: ShownPair) -> bool:
        """Return whether a pair shows all answers that a look showed, and more."""
        then = look["repeats"]
        if "each" not in look or any(a < b for a, b in zip(pair.repeats, then, strict=True)):
            return False
        now = pair.keys((then[0], then[1]))
        before = zip(sorted(self._marks(look)), _cut(look["each"], _ANSWER_DIGITS), strict=True)
        return all(now.get(mark) == key for mark, key in before)


def _cut(text: str, width: int) -> list[str]:
    return [text[at : at + width] for at in range(0, len(text), width)]


def _earlier(look: Mapping[str, Any]) -> tuple[tuple[int, float], ...]:
    return tuple((int(at), float(part)) for at, part in look["earlier"])
