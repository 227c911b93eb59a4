"""Infer from the rows what task.yaml leaves out: output type, schema, labels, metric, limit."""

from __future__ import annotations

import difflib
import json
import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tuneworthy.records.case import Case
from tuneworthy.records.counting import with_verb
from tuneworthy.records.errors import TaskError
from tuneworthy.records.escape import quoted
from tuneworthy.records.mistake_costs import costs_fault, dearest
from tuneworthy.records.own_files import write_atomic
from tuneworthy.records.plugins import catalogue, load
from tuneworthy.records.task import Output, OutputType, Task
from tuneworthy.rows.bad_rows import RowFault
from tuneworthy.rows.schema import checked_schema, inferred_schema, read_schema

_METRIC_OF_TYPE: dict[OutputType, str] = {
    "json": "fields_f1", "label": "accuracy", "text": "token_f1", "number": "number",
}  # fmt: skip
_JUDGE_FACTS = {"TYPE": "text", "BINARY": True}  # the one metric without a file
_NUMBER_PATTERN = re.compile(r"[-+]?[$€£]?\s?[0-9][0-9,]*(\.[0-9]+)?\s?%?")
_AMOUNT_PATTERN = re.compile(r"[$€£]\s?\d|(?<![\w.])\d[\d.,]*\s?([%$€£]|[^\W\d_]{2})")
_MOST_LABELS, _LABEL_LENGTH = 300, 80
_MOST_DISTINCT = 0.1  # share of distinct answers up to which answers about documents are labels
_SLACK_TOKENS, _STEP_TOKENS = 16, 16
_END_OF_SENTENCE = frozenset(".!?。！？")


def output_type(task: Task, outputs: Sequence[str], cases: Sequence[Case] = ()) -> OutputType:
    """Return the output type: as task.yaml says, else by schema, labels, metric or answers.

    Amounts such as `249 EUR` that answer questions (`cases`) are text however often one is
    repeated: a document gives them, and no closed list does. So are answers about documents of
    which more than a tenth are distinct, and whole sentences.
    """
    out = task.output
    if out.type is not None:
        return out.type
    if out.json_schema is not None:
        return "json"
    if out.labels is not None:
        return "label"
    declared = (_declared(name, "TYPE") for name in task.success.metrics)
    kind: OutputType | None = next(filter(None, declared), None)
    kind = kind or type_of_rows(outputs)
    amounts = sum(bool(_AMOUNT_PATTERN.search(text)) for text in set(outputs))
    asked = sum(bool(case.context) or case.input.rstrip().endswith("?") for case in cases)
    questions = task.data.docs is not None or 2 * asked > len(cases)
    read = task.data.docs is not None or 2 * sum(bool(case.context) for case in cases) > len(cases)
    distinct = len(set(outputs))
    open_ = questions and 2 * amounts > distinct
    open_ |= read and distinct > max(2, _MOST_DISTINCT * len(outputs))
    open_ |= are_sentences(outputs)
    return "text" if kind == "label" and open_ else kind


def are_sentences(outputs: Sequence[str]) -> bool:
    """Return whether most distinct answers are sentences: six words or more and an end mark."""
    distinct = {text.strip() for text in outputs}
    whole = sum(text[-1:] in _END_OF_SENTENCE and len(text.split()) >= 6 for text in distinct)
    return 2 * whole > len(distinct)


def is_binary(metric: str) -> bool:
    """Return whether a single metric scores 0 or 1, nothing between; False for a user's own."""
    return bool(_declared(metric, "BINARY"))


def _declared(metric: str, name: str) -> Any:
    """Return what a metric's file declares under a name; None if it declares nothing."""
    if metric == "judge":
        return _JUDGE_FACTS[name]
    return getattr(load("metrics", metric), name, None) if metric in catalogue("metrics") else None


def type_of_rows(outputs: Sequence[str]) -> OutputType:
    """Return the type of the answers: json, label (few, short, repeated), number, else text."""
    if all(text.lstrip()[:1] in {"{", "["} for text in outputs) and all(map(_is_json, outputs)):
        return "json"
    if _few_and_repeated(outputs):
        return "label"
    if all(_NUMBER_PATTERN.fullmatch(text.strip()) for text in outputs):
        return "number"
    return "text"


def _few_and_repeated(outputs: Sequence[str]) -> bool:
    """Return whether answers are few distinct short texts, most of them occurring repeatedly."""
    spelled = Counter(outputs)
    counts: Counter[str] = Counter()
    for text, n in spelled.items() if len(spelled) <= 3 * _MOST_LABELS else ():
        counts[label_key(text)] += n
    if not counts or len(counts) > _MOST_LABELS or len(counts) > max(2, len(outputs) / 2):
        return False
    if max(map(len, counts)) > _LABEL_LENGTH or any("\n" in text.strip() for text in spelled):
        return False
    repeated = sum(n for n in counts.values() if n > 1)
    return len(outputs) <= 2 or repeated >= 0.7 * len(outputs)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def label_key(text: str) -> str:
    """Return a label with case, space and Unicode form normalised."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def label_faults(cases: Sequence[Case], declared: Sequence[str] | None) -> Iterator[RowFault]:
    """Yield a fault per row whose label is undeclared or a rare variant of a frequent one."""
    if declared is not None:
        yield from _undeclared_faults(cases, declared)
        return
    spellings: dict[str, Counter[str]] = defaultdict(Counter)
    for label, n in Counter(case.output for case in cases).items():
        spellings[label_key(label)][label] += n
    usual = {key: _usual_spelling(counts) for key, counts in spellings.items() if len(counts) > 1}
    for case in cases if usual else ():
        key = label_key(case.output)
        if key in usual and case.output != usual[key]:
            yield _variant_fault(case, usual[key], spellings[key][usual[key]])


def _usual_spelling(counts: Counter[str]) -> str:
    """Return the most frequent spelling of a label; in a tie one without outer spaces."""
    return min(counts, key=lambda text: (-counts[text], text != text.strip(), text))


def _variant_fault(case: Case, usual: str, times: int) -> RowFault:
    got = f'"{case.output}" where {times} other row{"s say" if times > 1 else " says"} "{usual}"'
    fix = "correct the row, or declare both labels in the task file"
    why = f"labels differ only by {_spelling_difference(case.output, usual)}"
    return RowFault(case.where, why, got, fix, "output", case.id, misspelt=True)


def _spelling_difference(one: str, other: str) -> str:
    if one.strip() == other.strip():
        return "a space at an end"
    if one.casefold() == other.casefold():
        return "case"
    return "case, space or Unicode form"


def _undeclared_faults(cases: Sequence[Case], declared: Sequence[str]) -> Iterator[RowFault]:
    known, near = set(declared), {label_key(label): label for label in declared}
    for case in cases:
        if case.output not in known:
            hint = near.get(label_key(case.output)) or _closest_label(case.output, declared)
            fix = f"write `{hint}`" if hint else "correct the row, or add the label to `labels:`"
            yield RowFault(
                case.where, _undeclared_reason(case.output, known), case.output, fix,
                "output", case.id,
            )  # fmt: skip


def _undeclared_reason(label: str, declared: Collection[str]) -> str:
    """Return why a label is not declared; both spellings may look the same."""
    forms = {unicodedata.normalize("NFC", one) for one in declared}
    same = unicodedata.normalize("NFC", label) in forms
    return "the label is not declared in task.yaml" + " in this Unicode form" * same


def _closest_label(label: str, declared: Sequence[str]) -> str | None:
    """Return the declared label that a label may be a misspelling of, None if none is near."""
    return next(iter(difflib.get_close_matches(label, declared, n=1, cutoff=0.8)), None)


def answer_limit(outputs: Sequence[str], count: Callable[[str], int] | None = None) -> int:
    """Return max_tokens for answers: tokens of the longest gold answer plus 16, in steps of 16.

    Without a tokenizer (`count`) three UTF-8 bytes count as a token, which overestimates English.
    """
    longest = max(outputs, key=lambda text: len(text.encode("utf-8", "replace")), default="")
    if count is not None:
        tokens = max(map(count, outputs), default=0)
    else:
        tokens = math.ceil(len(longest.encode("utf-8", "replace")) / 3)
    return max(_STEP_TOKENS, math.ceil((tokens + _SLACK_TOKENS) / _STEP_TOKENS) * _STEP_TOKENS)


def with_inferred(
    task: Task, kind: OutputType, outputs: Sequence[str], metric: str | None = None
) -> Task:
    """Return the task with every missing key that rows can supply, listed in `inferred`.

    `metric` is the metric that the rows themselves call for; None: by their output type.
    """
    inferred: list[str] = ["output.type"] * (task.output.type is None)
    out: dict[str, Any] = {"type": kind}
    if kind == "json":
        out["json_schema"] = _schema_for(task, outputs)
        inferred += ["output.schema"] * (task.output.json_schema is None)
    if kind == "label" and task.output.labels is None:
        out["labels"] = tuple(sorted(set(outputs)))
        inferred.append("output.labels")
    if task.output.max_tokens is None and any(outputs):
        out["max_tokens"] = answer_limit(outputs)
        inferred.append("output.max_tokens")
    success: dict[str, Any] = {}
    metric = task.success.metric or metric or _METRIC_OF_TYPE[kind]
    if task.success.metric is None:
        success["metric"] = metric
        inferred.append("success.metric")
    if task.success.pass_at is None:
        success["pass_at"] = _pass_at(metric, task.success.target)
        inferred.append("success.pass_at")
    money = task.economics
    if task.success.costs:
        labels = out.get("labels") or task.output.labels or ()
        _check_costs(task, kind, labels)
        if money.value_of_correct is None:  # a whole point is the dearest mistake
            money = money.model_copy(update={"value_of_correct": dearest(task.success.costs)})
            inferred.append("economics.value_of_correct")
    update: dict[str, Any] = {
        "economics": money,
        "output": Output.model_copy(task.output, update=out),
        "success": task.success.model_copy(update=success),
        "inferred": tuple(inferred),
    }
    return task.model_copy(update=update).at(task.folder)


def _check_costs(task: Task, kind: OutputType, labels: Sequence[str]) -> None:
    """Raise TaskError if `success.costs` does not fit the labels or the metric."""
    why, fix = costs_fault(task.success.costs, labels), "name labels of the task, or `other`"
    if kind != "label" or (task.success.metric or "accuracy") != "accuracy":
        why, fix = "costs of mistakes need labels and the metric accuracy", "remove `costs`"
    elif task.success.wrong_at_most is not None:
        why = "`wrong_at_most` counts mistakes, and `costs` weighs them"
        fix = "remove one of the two"
    if why:
        told = quoted(str(task.success.costs), 120)
        raise TaskError(why, where="task.yaml success.costs", got=told, fix=fix)


def _pass_at(metric: str, target: float | None) -> float:
    if is_binary(metric):
        return 1.0
    return 0.5 if target is None else target


def _schema_for(task: Task, outputs: Sequence[str]) -> dict[str, Any]:
    given = task.output.json_schema
    if isinstance(given, str):
        return read_schema(task.folder / given, given)
    if given is not None:
        return checked_schema(given, "in task.yaml")
    return inferred_schema(text for text in outputs if _is_json(text))


# A misspelt label has at most this share of the rows of the right one.
_RARE_SHARE = 0.1
_LEAST_SIMILARITY = 0.8  # similarity of two labels from which one may be a misspelling of the other
_SHORTEST_LABEL = 5  # shorter labels differ by a letter because they are different ones


def near_labels(counts: Mapping[str, int]) -> dict[str, str]:
    """Return {rare label: far more frequent label with almost the same spelling}.

    Labels that differ in digits (`tier 1`, `tier 2`) or in punctuation marks don't count.
    """
    if len(counts) > _MOST_LABELS:
        return {}
    found = {}
    for label, n in counts.items():
        often = [
            other
            for other, m in counts.items()
            if n <= _RARE_SHARE * m
            and len(other) >= _SHORTEST_LABEL
            and _digits_and_marks(label) == _digits_and_marks(other)
        ]
        near = difflib.get_close_matches(
            label_key(label), map(label_key, often), 1, _LEAST_SIMILARITY
        )
        if near:
            found[label] = next(other for other in often if label_key(other) == near[0])
    return found


def _digits_and_marks(label: str) -> list[str]:
    return re.findall(r"\d+|[^\w\s]", label)


def write_usual_spelling(files: Sequence[Path]) -> str:
    """Replace rare spellings of labels in files of rows; return a sentence on it, "" if none.

    Only texts under `output` are changed. Each file is replaced whole.
    """
    rows_of = {path: [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]
               for path in files}  # fmt: skip
    made = [row for rows in rows_of.values() for row in rows]
    counts = Counter(row["output"] for row in made if isinstance(row.get("output"), str))
    spellings: dict[str, Counter[str]] = defaultdict(Counter)
    for label, n in counts.items():
        spellings[label_key(label)][label] += n
    usual = {label: best for found in spellings.values() for best in (_usual_spelling(found),)
             for label in found if label != best}  # fmt: skip
    changed = [row for row in made if row.get("output") in usual]
    if not changed:
        return ""
    first = changed[0]["output"]
    said = (
        f"{with_verb(len(changed), 'label', 'differ')} from a more frequent one only in case or"
        f' spaces: written as that one ("{quoted(first, 40)}" as "{quoted(usual[first], 40)}")'
    )
    for row in changed:
        row["output"] = usual[row["output"]]
    for path, rows in rows_of.items():
        write_atomic(path, (json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return said
