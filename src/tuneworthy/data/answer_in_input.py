"""Find right answers that rows give away: in their own inputs, or in the documents beside them."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from tuneworthy.core.audit_report import Observation
from tuneworthy.core.case import Case
from tuneworthy.core.counting import with_verb
from tuneworthy.data.copies import input_text, text_without_punctuation
from tuneworthy.data.docs import Doc

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


_LEAST_CHARACTERS = 20  # of an input that is looked for: shorter ones stand in texts by chance
_NEAR_CHARACTERS = 100  # before or behind the input, within which its answer is looked for


def rows_in_documents(cases: Sequence[Case], docs: Sequence[Doc]) -> Iterator[Observation]:
    """Yield an observation if documents hold the inputs of rows with their answers beside them.

    Retrieval then finds the answer of the row itself. A new question has no such document, so the
    score of an arm that reads documents would be one that it does not reach in use.
    """
    ids = _ids_of_rows_in(docs, cases)
    if not ids:
        return
    text = f"{with_verb(len(ids), 'row', 'stand')} in the documents, with the answer beside it"
    fix = "take them out of the documents: no document holds the answer to a new question"
    shown = tuple(ids[:_SHOWN_ROWS])
    yield Observation(kind="rows_in_docs", level="warning", text=text, count=len(ids), ids=shown,
                      fix=fix)  # fmt: skip


def _ids_of_rows_in(docs: Sequence[Doc], cases: Sequence[Case]) -> list[str]:
    rows: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
    for case in cases if docs else ():
        asked = text_without_punctuation(input_text(case))
        if len(asked) >= _LEAST_CHARACTERS:
            answer = text_without_punctuation(case.output)
            rows[asked[:_LEAST_CHARACTERS]].append((asked, answer, case.id))
    found: set[str] = set()
    for doc in docs if rows else ():
        text = text_without_punctuation(f"{doc.title} {doc.text}")
        for at in _word_starts(text):
            for asked, answer, case_id in rows.get(text[at : at + _LEAST_CHARACTERS], ()):
                if text.startswith(asked, at) and _is_near(text, at, len(asked), answer):
                    found.add(case_id)
    return [case.id for case in cases if case.id in found]


def _word_starts(text: str) -> Iterator[int]:
    """Yield the positions at which the words of a text with single spaces start."""
    at = 0
    while True:
        yield at
        at = text.find(" ", at) + 1
        if not at:
            return


def _is_near(text: str, at: int, length: int, answer: str) -> bool:
    """Return whether the answer stands near the input at `at`, as whole words."""
    reach, end = _NEAR_CHARACTERS + len(answer), at + length
    if text[end : end + 1] not in ("", " "):
        return False
    around = (text[max(0, at - reach) : at], text[end : end + reach])
    return bool(answer) and any(f" {answer} " in f" {part} " for part in around)
