"""Whether the input of a row tells its right answer: a column that slipped into it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from tuneworthy.core.audit_report import Observation
from tuneworthy.core.case import Case
from tuneworthy.core.counting import with_verb

_READ_ROWS = 2_000  # rows that are looked at
_LEAST_ROWS = 10
_NOTE_SHARE, _WARNING_SHARE = 0.5, 0.9  # share of rows from which it is a note, and a warning
_SEARCHED_CHARACTERS = 80  # characters of an answer that is looked for
_SHOWN_ROWS = 20
_VALUE_PREFIX = re.compile(r"[^:=]{1,40}[:=][ \t]*")  # `expected: ` before a value


def answers_in_inputs(cases: Sequence[Case], labels: bool) -> Iterator[Observation]:
    """Yield an observation if most inputs tell their right answer.

    An input tells it where a whole line of it is the answer, alone or after a name (`team: x`);
    with `labels` also where it names the row's label and no other one. An answer inside a sentence
    is natural for texts, which are often taken from the input.
    """
    sample = [
        case for case in cases[:_READ_ROWS] if len(case.output.strip()) <= _SEARCHED_CHARACTERS
    ]
    if len(sample) < max(_LEAST_ROWS, _NOTE_SHARE * len(cases[:_READ_ROWS])):
        return
    names = Counter(_folded(case.output) for case in sample) if labels else Counter()
    told = [case.id for case in sample if _holds_answer(case, names)]
    share = len(told) / len(sample)
    if share < _NOTE_SHARE or (labels and len(names) < 2):
        return
    rows = with_verb(len(sample), "row", "are")
    text = f"the right answer stands in the input of {len(told):,} of {rows.rsplit(' ', 1)[0]}"
    fix = (
        "if a column with the answer slipped into the input, take it out; if not, finding the words"
        " in the input is enough"
    )
    level = "warning" if share >= _WARNING_SHARE else "note"
    yield Observation(kind="told", level=level, text=text,
                      count=len(told), ids=tuple(told[:_SHOWN_ROWS]), fix=fix)  # fmt: skip


def _holds_answer(case: Case, names: Counter[str]) -> bool:
    asked = "\n".join(turn.content for turn in case.messages if turn.role == "user")
    right = _folded(case.output)
    lines = asked.splitlines()
    if len(lines) > 1 and any(
        _folded(_VALUE_PREFIX.sub("", line, count=1)) == right for line in lines
    ):
        return True
    if not names:
        return False
    text = f" {_folded(asked)} "
    return f" {right} " in text and not any(
        f" {other} " in text for other in names if other != right and other not in right
    )


def _folded(text: str) -> str:
    """Return the words of a text in small letters, one space between them."""
    return " ".join(re.findall(r"\w+", text.casefold()))
