"""Choose a task's output type and metric by its right answers and its recorded answers.

Right answers alone mislead: `Paris` and `Rome` look like labels until a system's log shows whole
sentences, which no comparison of labels can score. Open answers may have demands, a layout, code.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from tuneworthy.records.answer import Answer
from tuneworthy.records.case import Case
from tuneworthy.records.code import syntax_tree
from tuneworthy.records.plugins import load
from tuneworthy.records.task import OutputType, Task
from tuneworthy.rows.bad_rows import RowFault
from tuneworthy.rows.infer import label_key

_MOST_READ_ANSWERS = 500  # recorded answers that the form is chosen by
_MOST_WORDS = 12  # words of a right answer that can be looked for in a text
_SEVERAL_SHARE = 0.1  # share of rows that accept several answers, from which they are texts
_CONTAINS_REASON = "any accepted answer stands in the text"
_EXACT_WORDS_REASON = "an accepted answer, case and punctuation ignored"
_PUNCTUATED_SHARE = 0.03  # share of recorded answers that equal a right label but for punctuation
# Share of recorded answers with a right one inside more words. Those of one system in two are
# enough: a metric of whole answers would score that system 0 for the form of what it says.
_CONTAINED_SHARE = 0.2
_LENGTH_FACTOR = 2.0  # recorded answers with so many times the words say more than the right ones
_AnswerPairs = Sequence[tuple[Case, str]]  # a row and a system's answer to it


@dataclass(frozen=True)
class AnswerForm:
    """The output type and metric that fit all answers; `why` and `sentence` explain them."""

    type: OutputType
    metric: str
    why: str
    sentence: str


def form_of_checks(metric: str | None) -> AnswerForm | None:
    """Return the answer form for the metric of a file's own checks, None if it has no checks."""
    if metric is None:
        return None
    return AnswerForm(
        "text", metric, _CONTAINS_REASON, f"the file's own asserts are scored by `{metric}`"
    )


def choose_answer_form(
    cases: Sequence[Case], said: Mapping[str, Sequence[str]], kind: OutputType
) -> AnswerForm | None:
    """Return the answer form that fits the rows better than `kind`, None if `kind` fits.

    `said` maps a case id to what systems answered, `kind` is the type of the right answers.
    """
    form = _recorded_form(cases, said, kind)
    if form is None and kind == "label" and _are_short_texts(cases):
        several = sum(bool(case.accepted) for case in cases)
        seen = f"{several:,} of {len(cases):,} rows accept several answers"
        return AnswerForm(
            "text", "contains", _CONTAINS_REASON, f"{seen}: text, `contains`, no labels"
        )
    return form


def with_form(task: Task, form: AnswerForm) -> Task:
    """Return the task with the output type and the metric of this form."""
    labels = task.output.labels if form.type == "label" else None
    output = task.output.model_copy(update={"type": form.type, "labels": labels})
    success = task.success.model_copy(update={"metric": form.metric})
    return task.model_copy(update={"output": output, "success": success}).at(task.folder)


def _recorded_form(
    cases: Sequence[Case], said: Mapping[str, Sequence[str]], kind: OutputType
) -> AnswerForm | None:
    """Return the answer form that fits recorded and right answers, None if `kind` fits them."""
    every = [(case, text) for case in cases for text in said.get(case.id, ())]
    pairs = every[:_MOST_READ_ANSWERS]
    if kind not in {"label", "text"} or not pairs:
        return None
    rights = {id(case): [case.output, *case.accepted] for case, _ in pairs}
    short = median(len(right.split()) for found in rights.values() for right in found[:1])
    words = median(len(text.split()) for _, text in pairs)
    holds = sum(
        any(_contains_words(text, right) for right in rights[id(case)]) for case, text in pairs
    )
    equal = _count_equal(pairs)
    labels = {label_key(case.output) for case in cases}
    named = sum(label_key(text) in labels for _, text in pairs)
    alike = sum(any(_words(text) == _words(right) for right in rights[id(case)])
                for case, text in pairs)  # fmt: skip
    if short <= _MOST_WORDS and holds - alike >= _CONTAINED_SHARE * len(pairs):
        return _contains_form(every)
    if kind == "label" and alike - equal >= _PUNCTUATED_SHARE * len(pairs):
        seen = (
            f"{_count_equal(every):,} of {len(every):,} recorded answers equal a right label,"
            f" {_count_scored_right('exact_words', every):,} but for punctuation: `exact_words`"
        )
        return AnswerForm("label", "exact_words", _EXACT_WORDS_REASON, seen)
    if kind == "label" and named >= len(pairs) / 2:
        return None
    if short > _MOST_WORDS:
        return None
    if words >= _LENGTH_FACTOR * max(short, 1) and holds > equal:
        return _contains_form(every)
    if kind == "text" and any(case.accepted for case in cases):
        seen = (
            f"{_count_text('exact_words', every)} equal a right one, case and punctuation ignored"
        )
        return AnswerForm("text", "exact_words", _EXACT_WORDS_REASON, f"{seen}: `exact_words`")
    return None


def _contains_form(pairs: _AnswerPairs) -> AnswerForm:
    """Return the answer form whose metric looks for a right answer inside the text."""
    seen = (
        f"{_count_text('contains', pairs)} contain a right one, {_count_equal(pairs):,} equal one"
    )
    return AnswerForm("text", "contains", _CONTAINS_REASON, f"{seen}: `contains`")


def _count_text(metric: str, pairs: _AnswerPairs) -> str:
    return f"{_count_scored_right(metric, pairs):,} of {len(pairs):,} recorded answers"


def _count_equal(pairs: _AnswerPairs) -> int:
    """Return how many answers equal a right one, case and spaces ignored."""
    return sum(
        any(label_key(text) == label_key(right) for right in (case.output, *case.accepted))
        for case, text in pairs
    )


def _count_scored_right(metric: str, pairs: _AnswerPairs) -> int:
    """Return how many answers a metric scores 1, so that counts agree with scores shown later."""
    score = load("metrics", metric).score
    return sum(score(case, Answer(case=case.id, text=text), {}).value == 1 for case, text in pairs)


def _are_short_texts(cases: Sequence[Case]) -> bool:
    """Return whether so many rows accept other spellings that their answers can't be labels.

    Nobody lists other spellings of a label that a system is told to copy. An accepted answer that
    is itself a label is no other spelling.
    """
    labels = {label_key(case.output) for case in cases}
    other = sum(any(label_key(one) not in labels for one in case.accepted) for case in cases)
    return other >= _SEVERAL_SHARE * len(cases)


def _contains_words(text: str, right: str) -> bool:
    """Return whether a text contains the words of a right answer consecutively."""
    found, wanted = (" ".join(_words(one)) for one in (text, right))
    return bool(wanted) and f" {wanted} " in f" {found} "


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", label_key(text)) or [text.strip()]


_HALF_SCORE_MEANINGS = {
    "token_f1": "half of its words are right", "rouge_l": "half of its words are right, in order",
    "fields_f1": "half of its fields are right", "must_say": "half of what its row demands is said",
}  # fmt: skip
"""What a score of 0.5 means, by metric."""


def pass_at_comment(metric: str) -> str:
    """Return the YAML comment that explains a proposed `pass_at: 0.5` for a metric."""
    parts = [
        _HALF_SCORE_MEANINGS[part] for part in metric.split("+") if part in _HALF_SCORE_MEANINGS
    ]
    meant = f": {parts[0]}" if len(parts) == 1 and "+" not in metric else ""
    return f"# from this score on an answer counts as right{meant}"


MUST_SAY = "must_say"
_MIN_SHARE = 0.9  # share of rows that must have a form before its metric is proposed
_MOST_READ_ROWS = 300  # rows to inspect
_HEADING = re.compile(r"^#{1,6}[ \t]+(\S.*)$", re.MULTILINE)


def has_demands(case: Case) -> bool:
    """Return whether a row has `must_say` or `must_not_say`."""
    return bool(case.must_say or case.must_not_say)


def no_demand_fault(case: Case) -> RowFault:
    """Return the fault of a row without `must_say` and `must_not_say`, which its metric needs."""
    fix = "write `must_say` or `must_not_say` in every row, or name another metric"
    return RowFault(case.where, "the row demands nothing", "no `must_say`, no `must_not_say`", fix,
                 MUST_SAY, case.id)  # fmt: skip


def propose_metric(cases: Sequence[Case]) -> tuple[str, str] | None:
    """Return (metric, reason) for free text, or None for the default, word overlap.

    Python answers: `code`; the same headings in nine of ten answers: `outline`; each joined with a
    content metric: `must_say` if every row has demands, else word overlap.
    """
    sample = cases[:_MOST_READ_ROWS]
    demanding = bool(cases) and all(map(has_demands, cases))
    if sample and sum(_is_python(case.output) for case in sample) >= _MIN_SHARE * len(sample):
        end = MUST_SAY if demanding else "rouge_l"
        return f"code+{end}", "the answers are Python: it must parse and define the same names"
    forms = Counter(tuple(headings(case.output)) for case in sample)
    titles, count = forms.most_common(1)[0] if forms else ((), 0)
    if titles and count >= _MIN_SHARE * len(sample):
        end = MUST_SAY if demanding else "token_f1"
        return f"outline+{end}", "the answers share their headings"
    return (MUST_SAY, "share of each row's `must_say` that is said") if demanding else None


def headings(text: str) -> list[str]:
    """Return the headings of a text, without any closing `#` marks."""
    return [title.rstrip().rstrip("#").rstrip() for title in _HEADING.findall(text)]


def _is_python(text: str) -> bool:
    """Return whether a text is Python that defines something; plain words can parse as well."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = syntax_tree(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return any(isinstance(node, kinds) for node in tree.body)
