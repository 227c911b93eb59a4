"""Find rows that stand in the documents with their answers, so that retrieval looks them up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from tuneworthy.core.audit_report import Observation
from tuneworthy.core.case import Case
from tuneworthy.core.counting import with_verb
from tuneworthy.data.copies import input_text, text_without_punctuation
from tuneworthy.data.docs import Doc

_LEAST_CHARACTERS = 20  # of an input that is looked for: shorter ones stand in texts by chance
_NEAR_CHARACTERS = 100  # before or behind the input, within which its answer is looked for
_SHOWN_ROWS = 20


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
