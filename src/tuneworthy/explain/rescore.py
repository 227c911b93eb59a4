"""Rescore answers without a model: with a tolerant metric, and after a lenient parse. Pure.

The placebo of each is the same answers scored against other cases.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

from tuneworthy.arms.prompt.lenient import lenient
from tuneworthy.explain.answer_in_passage import contains_text
from tuneworthy.metrics import Metric, by_set, metric_name
from tuneworthy.metrics._numbers import numbers
from tuneworthy.metrics._user import is_own
from tuneworthy.metrics._writing import normal_form, normal_json, normal_number, spelling
from tuneworthy.records.answer import HALF_OF_REPEATS, Answer, Score, Unscored
from tuneworthy.records.case import Case
from tuneworthy.records.causes import Intervention, Remedy
from tuneworthy.records.task import Task

_LABEL_METRIC = "accuracy"  # reads only the right answers of a case
PLACEBO_DRAWS = 10  # other cases that each answer is scored against in the placebo
# Names of the interventions.
TOLERANT_METRIC, LENIENT_PARSE = "tolerant metric", "lenient parse"
_ANSWER_IN_TEXT = "answer within a text"
_PLACEBO_NOTE = "the same, against other cases' right answers"


def rescore_interventions(
    task: Task,
    metric: Metric,
    cases: Sequence[Case],
    answers: Mapping[str, Answer],
    pass_at: float,
    seed: int,
) -> list[Intervention]:
    """Return the interventions of a tolerant metric and of a lenient parse, with their placebos.

    `answers` are the base's by case id; a case without one is skipped. Free text has nothing to
    parse, so the second intervention tests whether it contains a right answer word for word. The
    list is empty for a metric that scores all answers of an arm together.
    """
    if by_set(metric):
        return []
    if task.output.type == "label" and metric_name(task) == _LABEL_METRIC:
        metric = _cached_metric(metric)
    answered = [case for case in cases if case.id in answers]
    donors = placebo_cases(task, answered, seed)
    result = [
        _intervention_by_metric(
            TOLERANT_METRIC,
            "metric",
            tolerant_metric(task, metric),
            (answered, answers, donors),
            pass_at,
        )
    ]
    if task.output.type in {"json", "label", "number"}:
        reparsed = {
            case.id: leniently_parsed(task, metric, case, answers[case.id]) for case in answered
        }
        result.append(
            _intervention_by_metric(
                LENIENT_PARSE, "format", metric, (answered, reparsed, donors), pass_at
            )
        )
    else:
        result.append(
            _intervention_by_metric(
                _ANSWER_IN_TEXT,
                "format",
                contains_metric(metric),
                (answered, answers, donors),
                pass_at,
            )
        )
    return result


def passes(score: Score | Unscored, pass_at: float) -> bool:
    """Return whether a score passes; an unscored case does not.

    Of several answers that are right or wrong, half must be right.
    """
    if isinstance(score, Score) and score.repeats and {*score.repeats} <= {0, 1}:
        pass_at = min(pass_at, HALF_OF_REPEATS)
    return isinstance(score, Score) and score.value >= pass_at - 1e-9


def tolerant_metric(task: Task, metric: Metric) -> Metric:
    """Return a metric that scores like `metric`, but 1 for a right answer in another writing.

    It never scores below `metric`. JSON is
    compared leaf by leaf, so a built-in metric may rise in part. Labels that normalisation would
    make equal are not normalised.
    """
    form = normaliser(task)
    by_leaf = task.output.type == "json" and not is_own(metric_name(task))

    def score(case: Case, answer: Answer) -> Score | Unscored:
        strict = metric(case, answer)
        if not isinstance(strict, Score) or strict.value >= 1 or not answer.text.strip():
            return strict
        normalised, rights = (
            form(answer.text),
            [form(text) for text in (case.output, *case.accepted)],
        )
        if normalised in rights:
            return strict.model_copy(update={"value": 1.0, "why": "right in another writing"})
        if not by_leaf:
            return strict
        normalised_case = case.model_copy(
            update={"output": rights[0], "accepted": tuple(rights[1:])}
        )
        loose = metric(normalised_case, answer.model_copy(update={"text": normalised}))
        if isinstance(loose, Score) and loose.value > strict.value:
            return strict.model_copy(update={"value": loose.value, "why": loose.why})
        return strict

    return score


def normaliser(task: Task) -> Callable[[str], str]:
    """Return a cached function: answer's text to the form in which equal answers are equal."""
    return lru_cache(maxsize=4096)(
        _build_normaliser(task)
    )  # an answer meets ten other cases as well


def _build_normaliser(task: Task) -> Callable[[str], str]:
    kind, labels = task.output.type, task.output.labels or ()
    if kind == "json":
        return lambda text: normal_json(text) or text.strip()
    if kind == "number":
        return normal_number
    shared = {form for form, count in Counter(map(normal_form, labels)).items() if count > 1}

    def normalise(text: str) -> str:
        form = normal_form(text)
        return spelling(text) if form in shared else form

    return normalise


def leniently_parsed(task: Task, metric: Metric, case: Case, answer: Answer) -> Answer:
    """Return an invalid answer with the text a lenient parser finds in it; others unchanged.

    As a deployed parser it does not see the gold answer. It may find nothing.
    """
    score = metric(case, answer)
    if isinstance(score, Score) and score.valid:
        return answer
    text = lenient(answer.text, task.output.type or "text", task.output.labels or ())
    return answer if text is None else answer.model_copy(update={"text": text})


def contains_metric(metric: Metric) -> Metric:
    """Return a metric that also gives 1 if the text contains a right answer word for word.

    It sees the gold answer, so it is an upper bound for any parser. A text that names many things
    passes by chance; the placebo measures how often. A cut text is scored strictly, since it did
    not reach its answer.
    """

    def score(case: Case, answer: Answer) -> Score | Unscored:
        strict = metric(case, answer)
        if not isinstance(strict, Score) or strict.value >= 1 or answer.finish == "length":
            return strict
        if any(contains_text(answer.text, right) for right in (case.output, *case.accepted)):
            return strict.model_copy(update={"value": 1.0, "why": "a right answer stands in it"})
        return strict

    return score


def _cached_metric(metric: Metric) -> Metric:
    """Return the metric with a cache: it scores each pair of right answers and answer once.

    For a metric that reads nothing else of a case: with few labels most of the ten other cases that
    each answer meets repeat a pair.
    """
    known: dict[tuple[object, ...], Score | Unscored] = {}

    def score(case: Case, answer: Answer) -> Score | Unscored:
        key = (case.output, case.accepted, answer.text, answer.finish, answer.error)
        if key not in known:
            known[key] = metric(case, answer)
        return known[key]

    return score


def placebo_cases(task: Task, cases: Sequence[Case], seed: int) -> dict[str, tuple[Case, ...]]:
    """Return {case id: up to 10 cases, drawn by the id, that share no right answer with it}."""
    by_id = {case.id: case for case in cases}
    form = _answer_normaliser(task)
    right = {c.id: {form(text) for text in (c.output, *c.accepted)} for c in cases}
    ids, result = sorted(by_id), dict[str, tuple[Case, ...]]()
    for name in ids:
        rng = random.Random(f"{seed} {name}")
        drawn = rng.sample(ids, min(len(ids), 4 * PLACEBO_DRAWS))
        different = [other for other in drawn if not right[name] & right[other]]
        if not different and len(drawn) < len(ids):  # nearly every case has this answer
            different = [other for other in ids if not right[name] & right[other]]
        result[name] = tuple(by_id[other] for other in different[:PLACEBO_DRAWS])
    return result


def _answer_normaliser(task: Task) -> Callable[[str], str]:
    """Return a function: right answer's text to a form that is equal for equal answers.

    Of a solution it keeps the last number, if the answers are numbers.
    """
    form = normaliser(task)
    if task.output.type != "number":
        return form
    return lambda text: str(values[-1].value) if (values := numbers(text)) else form(text)


def _intervention_by_metric(
    name: str,
    remedy: Remedy,
    metric: Metric,
    rows: tuple[Sequence[Case], Mapping[str, Answer], Mapping[str, tuple[Case, ...]]],
    pass_at: float,
) -> Intervention:
    answered, answers, donors = rows
    passed = {case.id: passes(metric(case, answers[case.id]), pass_at) for case in answered}
    placebo_shares = {}
    for case in answered:
        drawn = [passes(metric(other, answers[case.id]), pass_at) for other in donors[case.id]]
        if drawn:
            placebo_shares[case.id] = sum(drawn) / len(drawn)
    if not placebo_shares:
        why = "every case has the same right answer: there is no other one to score against"
        return Intervention(name=name, remedy=remedy, passed=passed, because=why, asks=False)
    compared = {i: value for i, value in passed.items() if i in placebo_shares}
    return Intervention(
        name=name, remedy=remedy, passed=compared, placebo=_PLACEBO_NOTE,
        placebo_passed=placebo_shares, asks=False,
    )  # fmt: skip
