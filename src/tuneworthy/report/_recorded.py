"""What the first screen says of recorded systems: which one leads, and which arms were not run."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from tuneworthy.core.answer_files import recorded_files
from tuneworthy.core.counting import with_verb
from tuneworthy.core.escape import visible
from tuneworthy.core.evidence import ArmResult, Pair
from tuneworthy.core.results import Results
from tuneworthy.core.task import TRAINED_TOOLS
from tuneworthy.questions import CHECKLIST
from tuneworthy.report import _words as words
from tuneworthy.report._two_logs import lead_line

TRAIN = "tuneworthy[train]"
PREFIX = "needs "
UNREAD = "the causes are not known"
CENT = 1e-4  # dollars per 1,000 requests below which two systems cost the same


def recorded_arms(results: Results) -> list[ArmResult]:
    """Return the measured recorded systems, the highest score first."""
    names = recorded_files(results.task)
    own = [a for a in results.evidence.arms if a.name in names and a.score and a.competes]
    return sorted(own, key=lambda arm: -(arm.score.mean if arm.score else 0.0))


def without_model(results: Results) -> bool:
    """Return whether recorded systems were measured and no arm that asks or trains a model was."""
    names = recorded_files(results.task)
    candidates = [a for a in results.evidence.arms if a.score and a.role == "candidate"]
    others = [a for a in candidates if a.name not in names and a.tool != "classifier"]
    return bool(candidates) and not others and any(a.name in names for a in candidates)


def priceless(results: Results) -> bool:
    """Return whether the study has no model and no economics: nothing is to say of what pays."""
    return without_model(results) and not results.task.economics.model_dump(exclude_defaults=True)


def lead(results: Results) -> tuple[str, str]:
    """Return who of the recorded systems leads, and a sentence on the rows; ("", "") if none does.

    Only for a study without a model of at least two recorded systems: it is what they ask. The
    bounds are those that the verdict reads.
    """
    own = recorded_arms(results)
    if len(own) < 2 or not without_model(results) or results.verdict.status == "blocked":
        return "", ""
    pair, sign = _pair_and_sign(results.evidence.pairs, own[0].name, own[1].name)
    if pair is None:
        return "", ""
    low, high = (pair.low, pair.high) if sign > 0 else (-pair.high, -pair.low)
    names = visible(own[1].name), visible(own[0].name)
    won, lost = (pair.wins, pair.losses) if sign > 0 else (pair.losses, pair.wins)
    rows = (
        f"{names[1]} won {won:,}, lost {lost:,}, equal on {pair.n - won - lost:,}. Each bound"
        " alone holds at 95 %, for all arms and looks of this study together."
    )
    return lead_line(sign * pair.mean, low, high, names), rows


def worth_line(results: Results) -> str:
    """Return what a recorded system costs and gains beside another, by logged dollars; or "".

    A tuned system is set beside what runs today; without one, the two best. The figures are those
    of these rows: the bounds of the gain stand in the ladder.
    """
    priced = [arm for arm in recorded_arms(results) if arm.usd_per_1k is not None]
    tuned = [arm for arm in priced if arm.tool in TRAINED_TOOLS] or priced
    others = [arm for arm in priced if arm.name != (tuned[0].name if tuned else "")]
    others.sort(key=lambda arm: not (arm.present or arm.tool == "keep"))
    pair, sign = (None, 1)
    if tuned and others:
        pair, sign = _pair_and_sign(results.evidence.pairs, tuned[0].name, others[0].name)
    if pair is None:
        return ""
    more = (tuned[0].usd_per_1k or 0.0) - (others[0].usd_per_1k or 0.0)
    return _cost_and_gain_sentence(
        visible(tuned[0].name), visible(others[0].name), more, sign * pair.mean
    )


def _cost_and_gain_sentence(name: str, other: str, more: float, gain: float) -> str:
    """Return the sentence on `more` dollars per 1,000 requests and `gain` of score."""
    if abs(more) < CENT:
        return f"{name} costs what {other} costs, by the logged dollars."
    size = f"${words.amount(abs(more))}"
    said = f"{name} costs {size} {'more' if more > 0 else 'less'} per 1,000 requests than {other}"
    if words.points(gain) in ("0", "-0"):
        return f"{said}, and scores the same."
    each = f"${words.amount(abs(more / 1000 / gain))}"
    if more > 0 > gain:
        return f"{said}, and scores {words.points(-gain)} points less on these rows."
    if more < 0 < gain:
        back = f"{round(1000 * 100 / -more, -2):,.0f}"
        return (
            f"{said}, for {words.points(gain)} points more on these rows: each $100 of its training"
            f" is back after {back} requests."
        )
    worth = "more" if more > 0 else "less"
    return (
        f"{said}, for {words.points(abs(gain))} points {worth} on these rows: it is worth it where"
        f" a right answer is worth {worth} than {each}."
    )


def _pair_and_sign(pairs: Iterable[Pair], one: str, other: str) -> tuple[Pair | None, int]:
    """Return the pair of two arms, and 1 if it is `one` minus `other`, else -1."""
    for pair in pairs:
        if (pair.arm, pair.versus) == (one, other):
            return pair, 1
        if (pair.arm, pair.versus) == (other, one):
            return pair, -1
    return None, 1


def lacks(because: str) -> bool:
    """Return whether an arm was skipped because something that it needs is not there."""
    return because.startswith(PREFIX)


def needs_line(reasons: Iterable[str]) -> str:
    """Return in one line how many arms need what: `11 arms need tuneworthy[train] …`; or ""."""
    counts = Counter(filter(None, map(_need, reasons)))
    if not counts:
        return ""
    ranked = sorted(counts.items(), key=lambda item: (item[0] != TRAIN, -item[1], item[0]))
    parts = []
    if trained := counts.pop(TRAIN, 0):
        parts.append(f"{with_verb(trained, 'arm', 'need')} {TRAIN} (pip install '{TRAIN}')")
    if names := [name for name, _ in ranked if name != TRAIN]:
        parts.append(f"{with_verb(counts.total(), 'arm', 'need')} {', '.join(names)}")
    return f"Not run: {'; '.join(parts)}."


def _need(because: str) -> str:
    """Return what an arm lacks first: a key, rows or a package; "" if it was skipped otherwise."""
    if not lacks(because):
        return ""
    first = because.removeprefix(PREFIX).split("; ")[0]
    if "pip install" in first:
        return TRAIN
    if first.startswith("an open model"):  # what to do instead is worth the room
        return visible(first)
    if get := re.match(r"(.*): (tuneworthy models get \S+)", first):
        return visible(f"{get[1]} ({get[2]})")
    return visible(re.split(r" \(|: ", first)[0])


def answered_questions(results: Results) -> str:
    """Return the checklist questions that have an answer: `enough data (no)`; or ""."""
    answered = [found for found in results.verdict.questions
                if found.name in CHECKLIST and found.answer != "not_measured"]  # fmt: skip
    return ", ".join(f"{words.short_question(found.name)} ({found.answer})" for found in answered)


def tells_no_cause(results: Results) -> bool:
    """Return whether no failure has a cause that a reader can act on, and none could have one.

    That is so without a model, and where no remedy was tried that asks one.
    """
    seen = results.evidence.diagnosis
    unread = without_model(results) or (seen is not None and seen.because.startswith(UNREAD))
    return unread and all(row.cause in words.NO_ACTION for row in results.verdict.wrong)
