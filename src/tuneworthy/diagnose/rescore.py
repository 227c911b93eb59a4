"""Answers scored again without a model: by a tolerant metric, and after a lenient parse. Pure.

Each stands beside its placebo: the same answers scored as if they answered another case.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from tuneworthy.core.answer import Answer, Score, Unscored
from tuneworthy.core.case import Case
from tuneworthy.core.causes import Intervention, Remedy
from tuneworthy.core.task import Task
from tuneworthy.diagnose.answer_in_passage import says
from tuneworthy.metrics import Metric, by_set, chosen
from tuneworthy.metrics._numbers import numbers
from tuneworthy.metrics._user import is_own
from tuneworthy.metrics._writing import plain, plain_json, plain_number
from tuneworthy.prompting.lenient import lenient

DRAWS = 10  # other cases' right answers that each answer is scored against
METRIC, FORMAT, WRAPPED = "tolerant metric", "lenient parse", "answer within a text"
PLACEBO = "the same, against other cases' right answers"


def rescored(
    task: Task,
    metric: Metric,
    cases: Sequence[Case],
    answers: Mapping[str, Answer],
    pass_at: float,
    seed: int,
) -> list[Intervention]:
    """Return what a tolerant metric and a lenient parse would change, each beside its placebo.

    `answers` are the base's by case id; a case without one was not asked. In free text there is
    nothing to parse; there the second asks whether a right answer stands in it word for word. A
    metric that looks at all answers of an arm together can't be asked about one of them: none.
    """
    if by_set(metric):
        return []
    asked = [case for case in cases if case.id in answers]
    donors = strangers(task, asked, seed)
    found = [_column(METRIC, "metric", tolerant(task, metric), (asked, answers, donors), pass_at)]
    if task.output.type in {"json", "label", "number"}:
        read = {case.id: parsed(task, metric, case, answers[case.id]) for case in asked}
        found.append(_column(FORMAT, "format", metric, (asked, read, donors), pass_at))
    else:
        found.append(_column(WRAPPED, "format", within(metric), (asked, answers, donors), pass_at))
    return found


def passes(score: Score | Unscored, pass_at: float) -> bool:
    """Say whether a case passes; what could not be scored does not."""
    return isinstance(score, Score) and score.value >= pass_at - 1e-9


def tolerant(task: Task, metric: Metric) -> Metric:
    """Return the task's metric, made blind to how an answer is written.

    What it gives is never less than the task's metric. An answer that is a right one in another
    writing scores 1. JSON is compared leaf by leaf, so a built-in metric may rise in part. Labels
    of the task that one writing would make equal are left as they are.
    """
    form = writing(task)
    by_leaf = task.output.type == "json" and not is_own(chosen(task))

    def score(case: Case, answer: Answer) -> Score | Unscored:
        strict = metric(case, answer)
        if not isinstance(strict, Score) or strict.value >= 1 or not answer.text.strip():
            return strict
        said, rights = form(answer.text), [form(text) for text in (case.output, *case.accepted)]
        if said in rights:
            return strict.model_copy(update={"value": 1.0, "why": "right in another writing"})
        if not by_leaf:
            return strict
        plainly = case.model_copy(update={"output": rights[0], "accepted": tuple(rights[1:])})
        loose = metric(plainly, answer.model_copy(update={"text": said}))
        if isinstance(loose, Score) and loose.value > strict.value:
            return strict.model_copy(update={"value": loose.value, "why": loose.why})
        return strict

    return score


def writing(task: Task) -> Callable[[str], str]:
    """Return the function that puts an answer of the task into one writing."""
    kind, labels = task.output.type, task.output.labels or ()
    if kind == "json":
        return lambda text: plain_json(text) or text.strip()
    if kind == "number":
        return plain_number
    shared = {form for form, count in Counter(map(plain, labels)).items() if count > 1}

    def one(text: str) -> str:
        form = plain(text)
        return text.strip() if form in shared else form

    return one


def parsed(task: Task, metric: Metric, case: Case, answer: Answer) -> Answer:
    """Return an answer as a lenient parser would hand it on.

    A valid answer is left alone, as a parser in service would leave it: it never sees what is
    right. So is one in which it finds nothing.
    """
    score = metric(case, answer)
    if isinstance(score, Score) and score.valid:
        return answer
    text = lenient(answer.text, task.output.type or "text", task.output.labels or ())
    return answer if text is None else answer.model_copy(update={"text": text})


def within(metric: Metric) -> Metric:
    """Return a metric that also gives 1 where a right answer stands in the text word for word.

    It sees what is right, so no parser can do as well, and a text that names many things passes
    by chance: the placebo counts how often. A text that was cut never got to its answer.
    """

    def score(case: Case, answer: Answer) -> Score | Unscored:
        strict = metric(case, answer)
        if not isinstance(strict, Score) or strict.value >= 1 or answer.finish == "length":
            return strict
        if any(says(answer.text, right) for right in (case.output, *case.accepted)):
            return strict.model_copy(update={"value": 1.0, "why": "a right answer stands in it"})
        return strict

    return score


def strangers(task: Task, cases: Sequence[Case], seed: int) -> dict[str, tuple[Case, ...]]:
    """Return for each case up to 10 others, drawn by its id, that share no right answer with it."""
    known = {case.id: case for case in cases}
    form = _meaning(task)
    right = {c.id: {form(text) for text in (c.output, *c.accepted)} for c in cases}
    ids, found = sorted(known), dict[str, tuple[Case, ...]]()
    for name in ids:
        rng = random.Random(f"{seed} {name}")
        few = rng.sample(ids, min(len(ids), 4 * DRAWS))
        apart = [other for other in few if not right[name] & right[other]]
        if not apart and len(few) < len(ids):  # nearly every case has this answer
            apart = [other for other in ids if not right[name] & right[other]]
        found[name] = tuple(known[other] for other in apart[:DRAWS])
    return found


def _meaning(task: Task) -> Callable[[str], str]:
    """Return what tells right answers apart: their writing, or the last number of a solution."""
    form = writing(task)
    if task.output.type != "number":
        return form
    return lambda text: str(found[-1].value) if (found := numbers(text)) else form(text)


def _column(
    name: str,
    remedy: Remedy,
    metric: Metric,
    rows: tuple[Sequence[Case], Mapping[str, Answer], Mapping[str, tuple[Case, ...]]],
    pass_at: float,
) -> Intervention:
    asked, answers, donors = rows
    passed = {case.id: passes(metric(case, answers[case.id]), pass_at) for case in asked}
    chance = {}
    for case in asked:
        drawn = [passes(metric(other, answers[case.id]), pass_at) for other in donors[case.id]]
        if drawn:
            chance[case.id] = sum(drawn) / len(drawn)
    if not chance:
        why = "every case has the same right answer: there is no other one to score against"
        return Intervention(name=name, remedy=remedy, passed=passed, because=why, asks=False)
    compared = {i: value for i, value in passed.items() if i in chance}
    return Intervention(
        name=name, remedy=remedy, passed=compared, placebo=PLACEBO, placebo_passed=chance,
        asks=False,
    )  # fmt: skip
