"""Check the rows for anomalies: each function yields observations with count, ids and a fix."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Literal

from tuneworthy.records.audit_report import Observation
from tuneworthy.records.case import Case
from tuneworthy.records.counting import count_noun, with_verb
from tuneworthy.records.escape import quoted
from tuneworthy.records.redaction import has_key
from tuneworthy.records.task import CopyRule
from tuneworthy.rows.copies import contradictory_cases, near_copy_groups
from tuneworthy.rows.docs import blank_ids
from tuneworthy.rows.infer import are_sentences, near_labels, type_of_rows
from tuneworthy.rows.leaks import answers_in_inputs, rows_in_documents
from tuneworthy.rows.load import Loaded
from tuneworthy.rows.rows import sortable_time
from tuneworthy.rows.schema import closed_fields_sentence, schema_checker

_MOST_IDS = 20
Level = Literal["note", "warning", "blocked"]
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]"
)
_END_MARKS = ".!?…:;)]}\"'”’`*|>。！？"
_DOMINANT_SHARE = 0.9


def row_observations(loaded: Loaded, scored: Sequence[Case]) -> Iterator[Observation]:
    """Yield an observation per anomaly of the rows; `audit` checks lengths in tokens."""
    yield from loaded.observations
    yield from _conflicting_rows(loaded)
    yield from _copied_inputs(loaded)
    yield from _class_sizes(loaded, scored)
    yield from _test_labels(loaded)
    yield from _repeated_sentences(loaded)
    yield from _schema_violations(loaded)
    if said := closed_fields_sentence(loaded.task):
        fix = "write `output.schema` with a plain string for a field that may hold others"
        yield observation("closed_fields", "note", said, (), fix)
    yield from answers_in_inputs(loaded.cases, loaded.task.output.type == "label")
    yield from _cut_answers(loaded)
    yield from _invisible_characters(loaded)
    yield from _private_data(loaded)
    yield from _times_and_groups(loaded)
    yield from _blank_docs(loaded)
    yield from rows_in_documents(loaded.everyone, loaded.docs)


def observation(
    kind: str, level: Level, text: str, ids: Sequence[str], fix: str = ""
) -> Observation:
    """Return an observation that counts all ids and keeps the first twenty."""
    return Observation(
        kind=kind, level=level, text=text, count=len(ids), ids=tuple(ids[:_MOST_IDS]), fix=fix
    )


def _blank_docs(loaded: Loaded) -> Iterator[Observation]:
    if ids := blank_ids(loaded.docs):
        text = f"{len(ids):,} of {len(loaded.docs):,} documents have no text"
        fix = "nothing is found in them: write their `text`, or remove them"
        yield observation("blank_docs", "warning", text, ids, fix)


def _conflicting_rows(loaded: Loaded) -> Iterator[Observation]:
    groups = contradictory_cases(loaded.everyone, loaded.task.output.type == "text")
    ids = [case.id for group in groups for case in group]
    if ids:
        fix = "correct them, or list the other right answers under `accepted`"
        text = (
            f"{with_verb(len(ids), 'row', 'contradict')} another row: the same input,"
            f" another answer"
        )
        yield observation("conflict", "warning", text, ids, fix)


def rule_text(rule: CopyRule) -> str:
    """Return a sentence on which alike inputs count as one."""
    named = {
        "near": "near-copies of an input count as one (data.copies: near)",
        "exact": "equal inputs count as one and near-copies do not (data.copies: exact)",
        "off": "no rows count as one for their text; only `group` links rows (data.copies: off)",
    }
    return named[rule]


def _copied_inputs(loaded: Loaded) -> Iterator[Observation]:
    like = loaded.copies
    counts = Counter(like.keys)
    same = [case.id for case, key in zip(like.cases, like.keys, strict=True) if counts[key] > 1]
    if same:
        text = f"{with_verb(len(same), 'row', 'have')} an input that occurs more than once"
        fix = "copies stand in one fold and are learnt from once; each is scored"
        if like.rule == "off":
            fix = "by `data.copies: off` an arm may learn from a row and be scored on its copy"
        yield observation("copies", "warning", text, same, fix)
    if like.rule != "near":
        yield observation("copies_rule", "note", rule_text(like.rule), [])
    train = {case.id for case in loaded.cases}
    test = {case.id for case in loaded.test or ()}
    near = {
        like.cases[row].id
        for a, b, _ in like.pairs
        if like.keys[a] != like.keys[b]
        for row in (a, b)
    }
    numbers = dict(zip((case.id for case in like.cases), near_copy_groups(like), strict=True))
    in_test = {numbers[case_id] for case_id in test}
    leaks = {case_id for case_id in train if numbers[case_id] in in_test}
    if leaks:
        rows = with_verb(len(leaks), "training row", "are")
        text = f"{rows} near-copies of test rows with the same answer, or nearly"
        fix = "leave them out, or see in the verdict whether they matter"
        yield observation("near_leak", "warning", text, sorted(leaks), fix)
    if near - leaks:
        text = (
            f"{with_verb(len(near - leaks), 'row', 'are')} near-copies of another"
            f" with the same answer, or nearly"
        )
        yield observation(
            "near_copies", "note", text, sorted(near - leaks), "they stand in one fold"
        )


def _class_sizes(loaded: Loaded, scored: Sequence[Case]) -> Iterator[Observation]:
    cases = loaded.everyone
    answers = Counter(case.output for case in cases)
    if loaded.task.lacks_answers:
        text = (
            "this is a validity study (no row has a right answer), and nothing says which answers"
            " are right"
        )
        fix = "write `output` in every row; what is measured is whether answers match the schema"
        yield observation("validity_study", "blocked", text, [case.id for case in cases], fix)
        if loaded.task.repeats == 1:
            text = "each row is asked once, so whether answers are stable is not measured"
            fix = "`repeats: 5`, and a temperature above 0 for the arm: at 0 answers can't differ"
            yield observation("asked_once", "note", text, (), fix)
        return
    if len(answers) == 1 and len(cases) > 1:
        text = (
            f"all {with_verb(len(cases), 'row', 'have')} the same answer; nothing can be told apart"
        )
        fix = "add rows with other answers"
        yield observation("one_answer", "blocked", text, [case.id for case in cases], fix)
        return
    if loaded.task.output.type != "label":
        return
    in_test = Counter(case.output for case in scored)
    top, most = max(in_test.items(), key=lambda item: (item[1], item[0]), default=("", 0))
    if scored and most >= _DOMINANT_SHARE * len(scored):
        text = f"{100 * most / len(scored):.0f} in 100 scored rows are `{quoted(top, 40)}`"
        fix = "an arm that always says so scores as much: collect rows of the other labels"
        yield Observation(kind="dominant_label", level="warning", text=text, count=most, fix=fix)
    if near := near_labels(answers):
        first, usual = next(iter(near.items()))
        text = (
            f"{with_verb(len(near), 'label', 'are')} spelt almost like a far more frequent one:"
            f" `{quoted(first, 40)}` ({count_noun(answers[first], 'row')}) like"
            f" `{quoted(usual, 40)}` ({answers[usual]:,})"
        )
        ids = [case.id for case in cases if case.output in near]
        yield observation("near_label", "warning", text, ids, "correct the rows, if it is a slip")
    once = [case.id for case in cases if answers[case.output] == 1]
    if once:
        alone = with_verb(len(once), "label", "have")
        text = f"{alone} one row: no arm can learn them and be scored on them"
        yield observation(
            "single_label", "warning", text, once, "collect more rows of these labels"
        )
    few = sorted(label for label, n in answers.items() if 1 < n < 10)
    if few:
        text = f"{with_verb(len(few), 'label', 'have')} fewer than 10 rows"
        yield observation("rare_label", "note", text, [quoted(label, 40) for label in few])


def _test_labels(loaded: Loaded) -> Iterator[Observation]:
    if loaded.task.output.type != "label" or loaded.test is None:
        return
    train = {case.output for case in (*loaded.cases, *(loaded.dev or ()))}
    test = {case.output for case in loaded.test}
    lost = [case.id for case in loaded.test if case.output not in train]
    if lost:
        text = f"{with_verb(len(lost), 'test row', 'have')} a label that no training row has"
        fix = "an arm that can't say them is wrong there; list all labels in output.labels"
        yield observation("test_only_label", "warning", text, lost, fix)
    if unseen := sorted(train - test):
        text = f"{count_noun(len(unseen), 'label')} of the training rows are in no test row"
        yield observation(
            "train_only_label", "warning", text, [quoted(label, 40) for label in unseen]
        )


def _repeated_sentences(loaded: Loaded) -> Iterator[Observation]:
    """Yield a note on sentences that repeat like labels and were taken as text."""
    task, outputs = loaded.task, [case.output for case in loaded.everyone]
    guessed = task.output.type == "text" and "output.type" in task.inferred
    if guessed and type_of_rows(outputs) == "label" and are_sentences(outputs):
        text = f"{count_noun(len(set(outputs)), 'sentence')} repeat as answers: taken as text"
        fix = "write `output: {type: label}` if they are classes"
        yield observation("repeated_sentences", "note", text, (), fix)


def _schema_violations(loaded: Loaded) -> Iterator[Observation]:
    schema = loaded.task.output.json_schema
    if loaded.task.output.type != "json" or not isinstance(schema, dict):
        return
    check = schema_checker(schema)
    checked: dict[str, str | None] = {"": ""}  # no right answer violates nothing
    wrong: list[tuple[Case, str]] = []
    late: list[str] = []
    for case in loaded.everyone:
        if case.output not in checked:
            checked[case.output] = check(case.output)
        why = checked[case.output]
        if why is None:
            late.append(case.id)
        elif why:
            wrong.append((case, why))
    if late:
        text = f"{count_noun(len(late), 'right answer')} took too long to check against the schema"
        fix = "simplify its patterns and references: `valid` is not measured for such answers"
        yield observation("schema_slow", "warning", text, late, fix)
    if wrong:
        inferred = "inferred from the training rows " * ("output.schema" in loaded.task.inferred)
        first = f"{wrong[0][0].where}: {quoted(wrong[0][1])}"
        text = f"{with_verb(len(wrong), 'right answer', 'violate')} the schema {inferred}({first})"
        fix = "correct the rows or the schema: an arm that obeys it can't be right there"
        yield observation("schema", "warning", text, [case.id for case, _ in wrong], fix)


def _cut_answers(loaded: Loaded) -> Iterator[Observation]:
    """Yield an observation of answers without final punctuation if nearly all others have it."""
    if loaded.task.output.type != "text":
        return
    long = [case for case in loaded.everyone if len(case.output.split()) >= 8]
    open_end = [case.id for case in long if case.output.rstrip()[-1] not in _END_MARKS]
    if open_end and len(open_end) <= 0.02 * len(long):
        text = (
            f"{with_verb(len(open_end), 'answer', 'stop')} without an end where the others have one"
        )
        yield observation("cut_answer", "warning", text, open_end, "look whether they were cut")


def _invisible_characters(loaded: Loaded) -> Iterator[Observation]:
    odd = [
        case.id
        for case in loaded.everyone
        if _INVISIBLE.search(case.output)
        or any(_INVISIBLE.search(m.content) for m in case.messages)
    ]
    if odd:
        text = f"{with_verb(len(odd), 'row', 'hold')} control, direction or zero-width characters"
        yield observation(
            "unseen_characters", "warning", text, odd, "remove them if they mean nothing"
        )


def _private_data(loaded: Loaded) -> Iterator[Observation]:
    ids_of: dict[str, list[str]] = defaultdict(list)
    for case in loaded.everyone:
        text = "\n".join((*(m.content for m in case.messages), case.output))
        for kind in private_kinds(text):
            ids_of[kind].append(case.id)
    task = loaded.task
    specs = [task.model, task.bigger, task.teacher, task.decider]
    specs += [task.present.model] if task.present else []
    remote = any(spec and spec.startswith(("openai:", "decision:")) for spec in specs)
    for kind, ids in sorted(ids_of.items()):
        text = f"{with_verb(len(ids), 'row', 'seem')} to hold a{'n' * (kind == 'e-mail')} {kind}"
        fix = "they would be sent to a remote model: mask them first" if remote else ""
        yield observation(
            "private", "warning" if remote or kind == "key" else "note", text, ids, fix
        )


def _times_and_groups(loaded: Loaded) -> Iterator[Observation]:
    timed = [case for case in loaded.cases if case.time is not None]
    if timed and len(timed) < len(loaded.cases):
        rows = with_verb(len(loaded.cases), "row", "have")
        text = f"only {len(timed):,} of {rows} a time; it is not used"
        fix = "give every row a time, then later rows are scored by arms fitted on earlier ones"
        yield Observation(kind="time", level="warning", text=text, count=len(timed), fix=fix)
    if loaded.test is None:
        return
    early = _tests_before_training(loaded.cases, loaded.test)
    if early:
        text = f"{with_verb(len(early), 'test row', 'are')} older than the newest training row"
        fix = "with time-ordered data, test on rows later than all training rows"
        yield observation("time", "warning", text, early, fix)
    groups = {case.group for case in loaded.cases if case.group is not None}
    shared = [case.id for case in loaded.test if case.group in groups]
    if shared:
        text = (
            f"{with_verb(len(shared), 'test row', 'belong')} to a group that training"
            f" rows belong to"
        )
        fix = "put whole groups on one side, or use `file:`, which does"
        yield observation("group", "warning", text, shared, fix)


def _tests_before_training(train: Sequence[Case], test: Sequence[Case]) -> list[str]:
    if not all(case.time for case in (*train, *test)):
        return []
    newest = max(sortable_time(case.time or "") for case in train)
    return [case.id for case in test if sortable_time(case.time or "") < newest]


_MAIL_PATTERN = re.compile(
    r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,5}"
)
_CARD_PATTERN = re.compile(r"(?<![0-9])[0-9](?:[ -]?[0-9]){12,18}(?![0-9])")
_PHONE_PATTERN = re.compile(
    r"(?<![0-9])\+[0-9]{1,3}[ .-]?(?:\(?[0-9]{1,4}\)?[ .-]?){2,5}[0-9]{2,4}(?![0-9])"
)


def private_kinds(text: str) -> set[str]:
    """Return the kinds of private data that a text seems to contain: key, e-mail, card, phone."""
    kinds = set()
    if has_key(text):
        kinds.add("key")
    if "@" in text and _MAIL_PATTERN.search(text):
        kinds.add("e-mail")
    if any(_passes_luhn(match.group()) for match in _CARD_PATTERN.finditer(text)):
        kinds.add("card")
    if "+" in text and _PHONE_PATTERN.search(text):
        kinds.add("phone")
    return kinds


def _passes_luhn(text: str) -> bool:
    digits = [int(c) for c in reversed(text) if c.isdigit()]
    doubled = [d * 2 - 9 * (d > 4) for d in digits[1::2]]
    return len(set(digits)) > 1 and (sum(digits[::2]) + sum(doubled)) % 10 == 0
