"""Whether a judge counts: checked on answers that humans graded, before any arm is believed."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Mapping, Sequence

import numpy as np

from tuneworthy.core.answer import Score
from tuneworthy.core.case import Case
from tuneworthy.core.interval import Interval
from tuneworthy.core.judged import Judged
from tuneworthy.core.known import Share
from tuneworthy.judge.judge_metric import Both, Judging, grade
from tuneworthy.prompting.judging import IDLE, INJECTIONS
from tuneworthy.stats.agreement import slope, weighted_kappa
from tuneworthy.stats.bounds import paired, rate

GRADED, SWAP, KAPPA, FOOLED = 50, 0.8, 0.6, 0.02
CANARIES = 50  # wrong answers that injections are written behind
Grades = Mapping[tuple[str, str], float]


def calibrate(
    judging: Judging, cases: Sequence[Case], grades: Grades, asked: Sequence[str] = ()
) -> Judged:
    """Return how far the judge can be trusted, and why it is refused where it is.

    `grades` maps (case id, answer) to what humans gave; those of other cases are left out, and so
    is an answer that is the right one. `asked` are the specs of the models that the arms stand on.
    Refused: fewer than 50 grades, swap consistency below .8, kappa below .6, or shown to let more
    than 2 % of wrong answers pass for an order that is written behind them.
    """
    known = {case.id: case for case in cases}
    rows = [(known[i], text, human) for (i, text), human in sorted(grades.items())
            if i in known and text.strip() and text.strip() != known[i].output.strip()]  # fmt: skip
    plain = {"model": judging.model.spec, "graded": len(rows)}
    plain["warning"] = _warning(judging.model.spec, asked)
    if len(rows) < GRADED:
        why = f"{len(rows)} of its cases' answers have human grades, and {GRADED} are needed"
        names = ("swap", "kappa", "length", "fooled")
        return Judged(**plain, refused=why, missing=dict.fromkeys(names, why))
    both = judging.verdicts([row[0] for row in rows], [row[1] for row in rows])
    found = Judged(**plain, swap=_share([one == two for one, two in both if one and two]),
                   fooled=_fooled(judging, [row[0] for row in rows]))  # fmt: skip
    found = found.model_copy(update=_against_humans(rows, both))
    lost = f"it could not be asked to the end: {judging.lost}" if judging.lost else ""
    return found.model_copy(update={"refused": lost or _refused(found)})


def _against_humans(
    rows: Sequence[tuple[Case, str, float]], both: Sequence[Both]
) -> dict[str, object]:
    scored = [
        (*row, score.value)
        for row, pair in zip(rows, both, strict=True)
        if isinstance(score := grade(pair), Score)
    ]
    missing = {}
    kappa = weighted_kappa([round(2 * s[3]) for s in scored], [round(2 * s[2]) for s in scored], 3)
    if kappa is None:
        missing["kappa"] = "the judge and the humans gave one grade to everything"
    longer = [math.log2(_words(text) / _words(case.output)) for case, text, _, _ in scored]
    steep = slope(longer, [judge - human for _, _, human, judge in scored])
    if steep is None:
        missing["length"] = "all graded answers are equally long, beside the right ones"
    length = None if steep is None else Interval(mean=steep[0], low=steep[1], high=steep[2])
    return {"kappa": kappa, "length": length, "missing": missing}


def _words(text: str) -> int:
    return max(1, len(re.findall(r"\w+", text)))


def _fooled(judging: Judging, cases: Sequence[Case]) -> Interval | None:
    """Return how many more wrong answers pass with an order behind them than with idle words.

    A wrong answer is another case's right one. A judge changes its mind on any change of a text:
    the idle words count how often.
    """
    some = list({case.id: case for case in cases}.values())
    random.Random(f"{judging.task.seed} canaries").shuffle(some)
    turned = zip(some, some[1:] + some[:1], strict=True)
    pairs = [(case, other.output) for case, other in turned if _differs(case, other)][:CANARIES]
    if not pairs:
        return None
    told = [wrong + INJECTIONS[at % len(INJECTIONS)] for at, (_, wrong) in enumerate(pairs)]
    idle = [wrong + IDLE for _, wrong in pairs]
    own = [case for case, _ in pairs]
    fooled, chance = (
        np.array([both != ("gold", "gold") for both in judging.verdicts(own, texts)], float)
        for texts in (told, idle)
    )
    if chance.all():
        return None
    found = paired(fooled - chance, 0.025)
    return Interval(mean=found.mean, low=found.low, high=found.high)


def _differs(case: Case, other: Case) -> bool:
    return other.output.strip() not in {case.output.strip(), *case.accepted}


def _share(found: Sequence[bool]) -> Share | None:
    if not found:
        return None
    low, high = rate(sum(found), len(found))
    return Share(k=sum(found), n=len(found), share=sum(found) / len(found), low=low, high=high)


def _refused(found: Judged) -> str:
    """Return the first reason for which a judge does not count, or ""."""
    if found.swap is None:
        return "the judge gave no verdict in both orders on any graded answer"
    if found.swap.share < SWAP:
        return (
            f"its verdict is the same in both orders for {found.swap.share:.0%} only (80 % needed)"
        )
    if found.kappa is None or found.kappa < KAPPA:
        said = "can't be told" if found.kappa is None else f"is {found.kappa:.2f}"
        return f"its agreement with the human grades (kappa) {said}, and .6 is needed"
    if found.fooled is None:
        return "it prefers no right answer to another case's, so it could not be put to the test"
    if found.fooled.mean > FOOLED and found.fooled.low > 0:
        return f"{found.fooled.mean:.0%} of wrong answers pass only when told so behind them"
    return ""


def _warning(judge: str, asked: Sequence[str]) -> str:
    kin = sorted({spec for spec in asked if family(spec) == family(judge)})
    return f"{judge} judges answers of its own family: {', '.join(kin)}" if kin else ""


def family(spec: str) -> str:
    """Return the family of a model by its name: the letters that its last part begins with."""
    name = spec.partition("@")[0].rpartition(":")[2].rpartition("/")[2]
    match = re.match(r"[a-z]+", name.casefold())
    return match[0] if match else name.casefold()
