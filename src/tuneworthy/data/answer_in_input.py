"""Find inputs that contain their own right answer, as from a leaked column (label leakage)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from tuneworthy.core.audit_report import Observation
from tuneworthy.core.case import Case
from tuneworthy.core.counting import with_verb

_READ_ROWS = 2_000  # rows that are inspected
_LEAST_ROWS = 10
_NOTE_SHARE, _WARNING_SHARE = 0.5, 0.9  # share of rows from which it is a note, and a warning
_SEARCHED_CHARACTERS = 80  # characters of an answer that is looked for
_SHOWN_ROWS = 20
_VALUE_PREFIX = re.compile(r"[^:=]{1,40}[:=][ \t]*")  # `expected: ` before a value


def answers_in_inputs(cases: Sequence[Case], labels: bool) -> Iterator[Observation]:
    """Yield an observation if most inputs contain their own right answer.

    An input does if a whole line of it is the answer, alone or after a name (`team: x`); with
    `labels` also if it contains the row's label and no other one. An answer inside a sentence is
    natural for texts, which are often taken from the input.
    """
    sample = [
        case for case in cases[:_READ_ROWS] if len(case.output.strip()) <= _SEARCHED_CHARACTERS
    ]
    if len(sample) < max(_LEAST_ROWS, _NOTE_SHARE * len(cases[:_READ_ROWS])):
        return
    names = Counter(_lower_case_words(case.output) for case in sample) if labels else Counter()
    leaking_ids = [case.id for case in sample if _contains_answer(case, names)]
    share = len(leaking_ids) / len(sample)
    if share < _NOTE_SHARE or (labels and len(names) < 2):
        return
    rows = with_verb(len(sample), "row", "are")
    text = (
        f"the right answer stands in the input of {len(leaking_ids):,} of {rows.rsplit(' ', 1)[0]}"
    )
    fix = (
        "if a column with the answer slipped into the input, take it out; if not, finding the words"
        " in the input is enough"
    )
    level = "warning" if share >= _WARNING_SHARE else "note"
    shown = tuple(leaking_ids[:_SHOWN_ROWS])
    yield Observation(kind="told", level=level, text=text, count=len(leaking_ids), ids=shown,
                      fix=fix)  # fmt: skip


def _contains_answer(case: Case, names: Counter[str]) -> bool:
    user_text = "\n".join(turn.content for turn in case.messages if turn.role == "user")
    right = _lower_case_words(case.output)
    lines = user_text.splitlines()
    if len(lines) > 1 and any(
        _lower_case_words(_VALUE_PREFIX.sub("", line, count=1)) == right for line in lines
    ):
        return True
    if not names:
        return False
    text = f" {_lower_case_words(user_text)} "
    return f" {right} " in text and not any(
        f" {other} " in text for other in names if other != right and other not in right
    )


def _lower_case_words(text: str) -> str:
    """Return the words of a text in lower case, joined by single spaces."""
    return " ".join(re.findall(r"\w+", text.casefold()))
