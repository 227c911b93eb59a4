"""Keep copies apart: none between train, dev and test, none among the inputs to learn from."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

from tuneworthy.records.audit_report import Observation
from tuneworthy.records.case import Case, Query
from tuneworthy.records.counting import count_noun, with_verb
from tuneworthy.records.errors import DataError
from tuneworthy.records.escape import quoted
from tuneworthy.records.task import CopyRule
from tuneworthy.rows.copies import (
    UnionFind,
    full_text,
    input_text,
    near_copy_pairs,
    normalised_text,
    text_without_punctuation,
)
from tuneworthy.rows.docs import Doc

_COPY_OF_TEST = "copy of a test row"
_DEV_ELSEWHERE = "dev row that is also elsewhere"

CasesByFile = dict[str, tuple[Case, ...]]


def without_leaks(files: CasesByFile, policy: str) -> tuple[CasesByFile, dict[str, list[str]]]:
    """Return the files without copies of test rows in train, and {reason: ids left out}.

    A copy has the same input after normalising case, space and Unicode form; or after removing
    punctuation too, with the same answer. Raises DataError for a training copy unless the policy is
    `exclude`.
    """
    out, left = dict(files), {}
    test = files.get("test", ())
    if pairs := _copies_among(files["main"], test):
        if policy != "exclude":
            raise _leak_error(pairs, len(files["main"]), policy)
        out["main"] = _without_rows(files["main"], pairs)
        left[_COPY_OF_TEST] = list(pairs)
    if pairs := _copies_among(files.get("dev", ()), (*test, *out["main"])):
        out["dev"] = _without_rows(files["dev"], pairs)
        left[_DEV_ELSEWHERE] = list(pairs)
    return out, left


def _copies_among(rows: Sequence[Case], others: Iterable[Case]) -> dict[str, tuple[Case, Case]]:
    """Return {id: (row, other)} for the rows whose input is among the others."""
    others = tuple(others)
    if not rows or not others:
        return {}
    exact: dict[str, Case] = {}
    loose: dict[tuple[str, str], Case] = {}
    for other in others:
        exact.setdefault(normalised_text(full_text(other)), other)
        loose.setdefault(
            (text_without_punctuation(input_text(other)), normalised_text(other.output)), other
        )
    pairs = {}
    for row in rows:
        match = exact.get(normalised_text(full_text(row)))
        match = match or loose.get(
            (text_without_punctuation(input_text(row)), normalised_text(row.output))
        )
        if match is not None:
            pairs[row.id] = (row, match)
    return pairs


def _without_rows(cases: tuple[Case, ...], pairs: dict[str, tuple[Case, Case]]) -> tuple[Case, ...]:
    return tuple(case for case in cases if case.id not in pairs)


def _leak_error(pairs: dict[str, tuple[Case, Case]], rows: int, policy: str) -> DataError:
    first, other = next(iter(pairs.values()))
    also = ", ".join(row.where for row, _ in list(pairs.values())[1:20])
    where = f"{first.where} is {other.where}" + (f"; also {also}" if also else "")
    return DataError(
        f"{len(pairs):,} of {rows:,} training rows stand in the test file too",
        where=quoted(where, 600),
        got=first.input,
        fix="remove them from the training file"
        + (", or leave those copies out: --bad-rows=exclude" if policy == "stop" else ""),
    )


def learnable_inputs(
    given: Sequence[Query],
    labelled: Sequence[Case],
    say: Callable[[str], None],
    rule: CopyRule = "near",
) -> list[Query]:
    """Return the unlabelled inputs that arms may learn from; call `say` with the number left out.

    A teacher's answer to a copy of a scored row would teach the student the scored row. Nor are
    they of a labelled row's group, as no group is split between training and scoring.
    """
    free = free_of_copies(given, labelled, rule)
    if len(free) < len(given):
        left = count_noun(len(given) - len(free), "unlabelled input")
        say(f"{left} left out: repeated, or a copy of a labelled row, or of its group")
    return free


def free_of_copies(
    queries: Sequence[Query], labelled: Sequence[Case], rule: CopyRule = "near"
) -> list[Query]:
    """Return the distinct inputs that are neither copies of a labelled row nor of its group.

    They are in order. A copy has the same turns after normalising case, space and Unicode form; a
    near-copy shares 80 % of its 5-character shingles (Jaccard) with a row, or with an input that is
    a near-copy of one; it counts if the rule is `near`.
    """
    seen = {normalised_text(full_text(case)) for case in labelled}
    groups_of_rows = {case.group for case in labelled if case.group is not None}
    kept: list[Query] = []
    texts: list[str] = []
    for query in queries:
        if query.group in groups_of_rows:
            continue
        if (
            text := normalised_text(
                full_text(Case(id=query.id, messages=query.messages, output=""))
            )
        ) not in seen:
            seen.add(text)
            kept.append(query)
            texts.append(text)
    if rule != "near":
        return kept
    rows = [normalised_text(full_text(case)) for case in labelled]
    every = [*rows, *texts]
    groups = UnionFind(len(every))
    for one, other, _ in near_copy_pairs(every, [""] * len(every)):
        groups.join(one, other)
    taken = {groups.find(at) for at in range(len(rows))}
    return [q for at, q in enumerate(kept, len(rows)) if groups.find(at) not in taken]


_MOST_READ_ROWS = 2_000  # rows that are inspected
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
        case
        for case in cases[:_MOST_READ_ROWS]
        if 0 < len(case.output.strip()) <= _SEARCHED_CHARACTERS
    ]
    if len(sample) < max(_LEAST_ROWS, _NOTE_SHARE * len(cases[:_MOST_READ_ROWS])):
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
