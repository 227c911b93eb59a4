"""Select how answers are graded; calibrate a judge on human grades, and refuse one that fails."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import Field
from scipy.special import stdtrit

from tuneworthy.arms.prompt.judging import INJECTIONS, NEUTRAL_WORDS
from tuneworthy.explain.metric_ladder import MOST_CASES, blocking_reasons
from tuneworthy.matrix.design import Design
from tuneworthy.measure.judge_metric import JudgeMetric, Verdicts, judge_metric, score_verdicts
from tuneworthy.metrics import JUDGE, fingerprint, metric_name, scorer
from tuneworthy.records.answer import Score, Unscored
from tuneworthy.records.audit_report import Audit
from tuneworthy.records.case import Case
from tuneworthy.records.errors import ModelError
from tuneworthy.records.further import Proportion
from tuneworthy.records.interval import Interval
from tuneworthy.records.model import Model
from tuneworthy.records.record import Record, digest
from tuneworthy.records.task import Task
from tuneworthy.rows.answers import read_grades

LEAST_GRADES, LEAST_SWAP_AGREEMENT, LEAST_KAPPA, MAX_FOOLED = 50, 0.8, 0.6, 0.02

MOST_INJECTED = 50  # the most wrong answers that get an injected instruction

Grades = Mapping[tuple[str, str], float]
_ReplyStore = Callable[[str, Callable[[], Any]], Mapping[str, Any]]


class _JudgeCheck(Record):
    """A judge model, checked on the answers that humans graded.

    `graded` counts them. `swap` is the share on which both orders of the two answers gave the same
    verdict, `kappa` the agreement with the humans (weighted by distance), `length` how much its
    grade departs from theirs for an answer twice as long, `fooled` how many more wrong answers pass
    with an injected instruction at the end than with neutral words there. `warning` names a judge
    of an arm's own model family. `refused` says why the judge does not count, "" if it does.
    `missing`: field -> reason for every None.
    """

    model: str
    graded: int
    swap: Proportion | None = None
    kappa: float | None = None
    length: Interval | None = None
    fooled: Interval | None = None
    warning: str = ""
    refused: str = ""
    missing: dict[str, str] = Field(default_factory=dict)


def calibrate(
    judging: JudgeMetric, cases: Sequence[Case], grades: Grades, asked: Sequence[str] = ()
) -> _JudgeCheck:
    """Return the judge's figures against human grades, and why it is refused, if it is.

    `grades` maps (case id, answer) to the human grade; those of other cases and of right answers
    are left out. `asked` are the specs of the study's models. The judge is refused if there are
    fewer than 50 grades, if swap consistency is below .8 or kappa below .6, or if it is shown to
    pass more than 2 % of wrong answers because of an instruction appended to them.
    """
    by_id = {case.id: case for case in cases}
    rows = [(by_id[i], text, human) for (i, text), human in sorted(grades.items())
            if i in by_id and text.strip() and text.strip() != by_id[i].output.strip()]  # fmt: skip
    plain = {"model": judging.model.spec, "graded": len(rows)}
    plain["warning"] = _family_warning(judging.model.spec, asked)
    if len(rows) < LEAST_GRADES:
        why = f"{len(rows)} of its cases' answers have human grades, and {LEAST_GRADES} are needed"
        names = ("swap", "kappa", "length", "fooled")
        return _JudgeCheck(**plain, refused=why, missing=dict.fromkeys(names, why))
    verdicts = judging.verdicts([row[0] for row in rows], [row[1] for row in rows])
    told = {at: one == two for at, (one, two) in enumerate(verdicts) if one and two}
    design = Design({at: rows[at][0].group or rows[at][0].id for at in told})
    result = _JudgeCheck(**plain, swap=design.share(told) if told else None,
                   fooled=_injection_effect(judging, [row[0] for row in rows]))  # fmt: skip
    result = result.model_copy(update=_fields_against_humans(rows, verdicts))
    failure = f"it could not be asked to the end: {judging.why_lost}" if judging.why_lost else ""
    return result.model_copy(update={"refused": failure or _failed_check(result)})


def _fields_against_humans(
    rows: Sequence[tuple[Case, str, float]], verdicts: Sequence[Verdicts]
) -> dict[str, object]:
    scored = [
        (*row, score.value)
        for row, pair in zip(rows, verdicts, strict=True)
        if isinstance(score := score_verdicts(pair), Score)
    ]
    missing = {}
    kappa = weighted_kappa([round(2 * s[3]) for s in scored], [round(2 * s[2]) for s in scored], 3)
    if kappa is None:
        missing["kappa"] = "the judge and the humans gave one grade to everything"
    length_ratios = [
        math.log2(_word_count(text) / _word_count(case.output)) for case, text, _, _ in scored
    ]
    length_slope = slope(length_ratios, [judge - human for _, _, human, judge in scored])
    if length_slope is None:
        missing["length"] = "all graded answers are equally long, beside the right ones"
    length = (
        None
        if length_slope is None
        else Interval(mean=length_slope[0], low=length_slope[1], high=length_slope[2])
    )
    return {"kappa": kappa, "length": length, "missing": missing}


def _word_count(text: str) -> int:
    return max(1, len(re.findall(r"\w+", text)))


def _injection_effect(judging: JudgeMetric, cases: Sequence[Case]) -> Interval | None:
    """Return how many more wrong answers pass with an appended instruction than with other words.

    A wrong answer is another case's right one. Neutral words are the control, since any change of a
    text may flip a verdict. None if no wrong answer can be tested.
    """
    shuffled = list({case.id: case for case in cases}.values())
    random.Random(f"{judging.task.seed} canaries").shuffle(shuffled)
    shifted = zip(shuffled, shuffled[1:] + shuffled[:1], strict=True)
    pairs = [(case, other.output) for case, other in shifted if _is_wrong_for(case, other)][
        :MOST_INJECTED
    ]
    if not pairs:
        return None
    ordered = [wrong + INJECTIONS[at % len(INJECTIONS)] for at, (_, wrong) in enumerate(pairs)]
    idle = [wrong + NEUTRAL_WORDS for _, wrong in pairs]
    own = [case for case, _ in pairs]
    fooled, control = (
        np.array([winners != ("gold", "gold") for winners in judging.verdicts(own, texts)], float)
        for texts in (ordered, idle)
    )
    if control.all():
        return None
    changes = dict(zip((case.id for case in own), (fooled - control).tolist(), strict=True))
    return Design.of_cases(own).difference(changes).interval


def _is_wrong_for(case: Case, other: Case) -> bool:
    return other.output.strip() not in {case.output.strip(), *case.accepted}


def _failed_check(result: _JudgeCheck) -> str:
    """Return the text on the first check that a judge fails; "" if it passes all."""
    if result.swap is None:
        return "the judge gave no verdict in both orders on any graded answer"
    if result.swap.n < LEAST_GRADES:
        return (
            f"it gave a verdict in both orders on {result.swap.n} of {result.graded} graded answers"
            f" only ({LEAST_GRADES} are needed)"
        )
    if result.swap.share < LEAST_SWAP_AGREEMENT:
        return (
            f"its verdict is the same in both orders for {result.swap.share:.0%} only (80 % needed)"
        )
    if result.kappa is None or result.kappa < LEAST_KAPPA:
        value = "can't be told" if result.kappa is None else f"is {result.kappa:.2f}"
        return f"its agreement with the human grades (kappa) {value}, and .6 is needed"
    if result.fooled is None:
        return "it prefers no right answer to another case's, so it could not be put to the test"
    if result.fooled.mean > MAX_FOOLED and result.fooled.low > 0:
        return f"{result.fooled.mean:.0%} of wrong answers pass only when told so behind them"
    return ""


def _family_warning(judge: str, asked: Sequence[str]) -> str:
    same_family = sorted({spec for spec in asked if model_family(spec) == model_family(judge)})
    return (
        f"{judge} judges answers of its own family: {', '.join(same_family)}" if same_family else ""
    )


def model_family(spec: str) -> str:
    """Return the family of a model spec: the leading letters of its name, as "gpt"."""
    name = spec.partition("@")[0].rpartition(":")[2].rpartition("/")[2]
    match = re.match(r"[a-z]+", name.casefold())
    return match[0] if match else name.casefold()


def weighted_kappa(one: Any, other: Any, levels: int) -> float | None:
    """Return Cohen's kappa with linear weights for two lists of levels 0 .. levels - 1.

    None if disagreement is impossible: no grades, or both graders gave one level only. Source:
    Cohen 1968.
    """
    a, b = (np.asarray(v, int).ravel() for v in (one, other))
    if not a.size or a.size != b.size:
        return None
    observed = np.zeros((levels, levels))
    np.add.at(observed, (a, b), 1 / a.size)
    weights = np.abs(np.subtract.outer(np.arange(levels), np.arange(levels))) / max(1, levels - 1)
    chance = float((weights * np.outer(observed.sum(1), observed.sum(0))).sum())
    return None if chance == 0 else 1 - float((weights * observed).sum()) / chance


def slope(x: Any, y: Any, level: float = 0.05) -> tuple[float, float, float] | None:
    """Return (slope of y on x by least squares, low, high), two-sided by Student's t, or None.

    None below three points or if x does not vary.
    """
    a, b = (np.asarray(v, float).ravel() for v in (x, y))
    off = a - a.mean() if a.size else a
    spread = float(off @ off)
    if a.size < 3 or spread == 0:
        return None
    steep = float(off @ b) / spread
    residual = b - b.mean() - steep * off
    se = float(np.sqrt(residual @ residual / (a.size - 2) / spread))
    half = float(stdtrit(a.size - 2, 1 - level / 2)) * se
    return steep, steep - half, steep + half


def metric_of(task: Task, models: Mapping[str, Model], store: _ReplyStore, salt: str) -> Any:
    """Return the task's metric, a callable of (case, answer): a plug-in, a function or a judge.

    Raises ModelError if the metric is a judge that can't be opened here.
    """
    if metric_name(task) != JUDGE:
        return scorer(task)
    if "judge" not in models:
        raise ModelError(
            "the judge can't be asked here",
            where="task.yaml success.judge.model",
            got=task.success.judge.model if task.success.judge else "no judge",
            fix="name a model that can be opened, or another metric",
        )
    return judge_metric(task, models["judge"], store, salt)


def metric_digest(task: Task, models: Mapping[str, Model]) -> str:
    """Return the digest of all that decides a score: metric code and options, output, judge."""
    judge = dict(models["judge"].fingerprint) if metric_name(task) == JUDGE else None
    return digest({**fingerprint(task), "output": task.output.plain(), "judge": judge})


def blocks_ahead(task: Task, audit: Audit, cases: Sequence[Case]) -> tuple[str, ...]:
    """Return sentences that forbid a verdict, as far as known before a run; () if none.

    The metric is tried on the right answers of at most MOST_CASES. A judge, the user's own function
    and a metric that runs code are not tried, since they may send data, cost money or take long;
    `run` tries them.
    """
    own_function = not task.success.metrics and task.success.metric is not None
    if own_function or JUDGE in task.success.metrics or task.success.options.get("run"):
        return blocking_reasons(task, audit, (), lambda case, answer: Unscored(reason="not tried"))
    return blocking_reasons(task, audit, cases[:MOST_CASES], scorer(task))


def grades_of(task: Task, cases: Sequence[Case]) -> dict[tuple[str, str], float] | None:
    """Return {(case id, answer): human grade} for these cases; None unless a judge scores."""
    if metric_name(task) != JUDGE or task.success.judge is None:
        return None
    scored = {case.id for case in cases}
    grades = read_grades(task.folder / task.success.judge.grades)
    return {key: grade for key, grade in grades.items() if key[0] in scored}


def judge_refusal(
    metric: Any,
    cases: Sequence[Case],
    grades: dict[tuple[str, str], float] | None,
    asked: Sequence[str],
) -> tuple[str, ...]:
    """Return (reason why the judge is refused,), or () if it is accepted or there is none."""
    if grades is None:
        return ()
    calibration = calibrate(metric.parts[0], cases, grades, asked)
    return (f"the judge is refused: {calibration.refused}",) if calibration.refused else ()
