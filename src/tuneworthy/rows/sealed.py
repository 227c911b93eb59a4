"""Hold the scored cases sealed: only two logged methods give access to their answers.

An arm gets `queries()`, which hold no answer. `audit()` returns statistics of the cases, for the
audit and the plan; `open()` returns the cases themselves, for scoring only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from tuneworthy.records.case import Case, Query
from tuneworthy.records.split import Split
from tuneworthy.rows.fingerprint import rows_digest
from tuneworthy.rows.load import Loaded

Log = Callable[[str, str], None]


@dataclass(frozen=True)
class _CaseStatistics:
    """Statistics of sealed cases that reveal no case: digest, lengths, answer counts.

    `inputs` and `outputs` are lengths in characters, sorted; `answers` counts the distinct answers
    if there are at most 300 (a label set), else None.
    """

    n: int
    digest: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    answers: dict[str, int] | None


class Sealed:
    """The scored cases; `audit` and `open` call `log(method name, purpose)` before they answer."""

    __slots__ = ("__cases", "__log")

    def __init__(self, cases: Sequence[Case], log: Log) -> None:
        self.__cases = {case.id: case for case in cases}
        self.__log = log
        if len(self.__cases) < len(cases):
            raise ValueError("ids of sealed cases must differ")

    def __len__(self) -> int:
        return len(self.__cases)

    def __repr__(self) -> str:
        return f"Sealed({len(self.__cases)} cases)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("sealed cases are not copied or written out")

    @property
    def ids(self) -> tuple[str, ...]:
        """Return the ids of the cases, in the given order."""
        return tuple(self.__cases)

    def queries(
        self, ids: Sequence[str] | None = None, gold_passage: bool = False
    ) -> tuple[Query, ...]:
        """Return the queries of cases, all that an arm may see; gold passages for ceilings only."""
        chosen = self.ids if ids is None else ids
        return tuple(self.__cases[name].query(gold_passage=gold_passage) for name in chosen)

    def digest(self, ids: Sequence[str]) -> str:
        """Return a digest of these cases with their answers; not logged, as it reveals nothing."""
        return rows_digest(self.__cases[name] for name in ids)

    def audit(self, purpose: str) -> _CaseStatistics:
        """Return statistics of the cases; logged."""
        self.__log("audit", _checked_purpose(purpose))
        cases = list(self.__cases.values())
        answers = Counter(case.output for case in cases)
        return _CaseStatistics(
            n=len(cases),
            digest=rows_digest(cases),
            inputs=tuple(sorted(len(case.input) for case in cases)),
            outputs=tuple(sorted(len(case.output) for case in cases)),
            answers=dict(answers) if len(answers) <= 300 else None,
        )

    def open(self, purpose: str) -> dict[str, Case]:
        """Return the cases with their answers by id, for scoring; logged."""
        self.__log("open", _checked_purpose(purpose))
        return dict(self.__cases)


def _checked_purpose(purpose: str) -> str:
    if not purpose.strip():
        raise ValueError("a door is opened for a purpose: say it")
    return purpose


def scored_cases(loaded: Loaded, parts: Split) -> list[Case]:
    """Return the scored cases, in the order of their files."""
    tested = {i for part in parts.parts for i in part.test}
    return [case for case in (*loaded.cases, *(loaded.test or ())) if case.id in tested]
