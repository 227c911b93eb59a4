"""Sentences of the first screen on recorded systems: which one leads, which arms were not run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable

from tuneworthy.explain.questions import CHECKLIST
from tuneworthy.records.counting import tenths, with_verb
from tuneworthy.records.escape import visible
from tuneworthy.records.evidence import ArmResult, Pair
from tuneworthy.records.reason import Reason
from tuneworthy.records.results import Results
from tuneworthy.records.task import TRAINED_TOOLS, recorded_files
from tuneworthy.report import fact_lines
from tuneworthy.report.comparisons import lead_line
from tuneworthy.report.fact_lines import bounds_hold
from tuneworthy.verdict import phrases

_NO_ACTION = {"few", "chance", "untried", "hard"}  # classes of failures that name no repair
_TRAIN_EXTRA = "tuneworthy[train]"
_LEAST_USD_PER_1K = 1e-4  # dollars per 1,000 requests below which two systems cost the same


def _measured_arms(results: Results, names: Collection[str]) -> list[ArmResult]:
    """Return the measured ones of these arms, the highest score first."""
    own = [a for a in results.evidence.arms if a.name in names and a.score and a.competes]
    return sorted(own, key=lambda arm: -(arm.score.mean if arm.score else 0.0))


def without_model(results: Results) -> bool:
    """Return whether recorded systems were measured and no arm that asks or trains a model was."""
    return _no_other_than(recorded_files(results.task), results)


def _no_other_than(names: Collection[str], results: Results) -> bool:
    """Return whether all measured candidates but classifiers are among these, and one at least."""
    candidates = [a for a in results.evidence.arms if a.score and a.role == "candidate"]
    others = [a for a in candidates if a.name not in names and a.tool != "classifier"]
    return bool(candidates) and not others and any(a.name in names for a in candidates)


def has_no_prices(results: Results) -> bool:
    """Return whether a study has neither a model nor economics, so costs can't be weighed."""
    return without_model(results) and not results.task.economics.model_dump(exclude_defaults=True)


def lead_lines(results: Results) -> tuple[str, str]:
    """Return which of the user's systems leads, and its wins and losses, as two sentences.

    "" twice unless the study compares at least two of the user's own, which are what runs today,
    recorded systems and prompt files, and no other arm. The bounds are those of the verdict.
    """
    files = {run.spec.name for run in results.runs
             if run.spec.tool == "prompt" and run.recipe and run.recipe.kind == "file"}  # fmt: skip
    today = {arm.name for arm in results.evidence.arms if arm.present}
    theirs = {*recorded_files(results.task), *files, *today}
    own = _measured_arms(results, theirs)
    if len(own) < 2 or not _no_other_than(theirs, results) or results.verdict.status == "blocked":
        return "", ""
    pair, sign = _pair_and_sign(results.evidence.pairs, own[0].name, own[1].name)
    if pair is None:
        return "", ""
    low, high = (pair.low, pair.high) if sign > 0 else (-pair.high, -pair.low)
    names = visible(own[1].name), visible(own[0].name)
    won, lost = (pair.wins, pair.losses) if sign > 0 else (pair.losses, pair.wins)
    holds = bounds_hold(results)
    rows = f"{names[1]} won {won:,}, lost {lost:,}, equal on {pair.n - won - lost:,}."
    if holds:
        rows += " Each bound alone holds at 95 %, for all arms and looks of this study together."
    return lead_line(sign * pair.mean, low, high, names, holds, of_several=len(own) > 2), rows


def worth_line(results: Results) -> str:
    """Return the cost and gain of one recorded system against another, from logged dollars; or "".

    It compares a tuned system with what runs today, else the two best systems. The figures are
    those of these rows: the ladder shows the bounds of the gain.
    """
    priced = [
        arm
        for arm in _measured_arms(results, recorded_files(results.task))
        if arm.usd_per_1k is not None
    ]
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
    if abs(more) < _LEAST_USD_PER_1K:
        return f"{name} costs what {other} costs, by the logged dollars."
    size = f"${phrases.amount(abs(more))}"
    said = f"{name} costs {size} {'more' if more > 0 else 'less'} per 1,000 requests than {other}"
    if tenths(gain) in ("0", "-0"):
        return f"{said}, and scores the same."
    each = f"${phrases.amount(abs(more / 1000 / gain))}"
    if more > 0 > gain:
        return f"{said}, and scores {tenths(-gain)} points less on these rows."
    if more < 0 < gain:
        back = f"{round(1000 * 100 / -more, -2):,.0f}"
        return (
            f"{said}, for {tenths(gain)} points more on these rows: each $100 of its training"
            f" is back after {back} requests."
        )
    worth = "more" if more > 0 else "less"
    return (
        f"{said}, for {tenths(abs(gain))} points {worth} on these rows: it is worth it where"
        f" a right answer is worth {worth} than {each}."
    )


def _pair_and_sign(pairs: Iterable[Pair], one: str, other: str) -> tuple[Pair | None, int]:
    """Return (the pair of two arms, 1 if it is `one` minus `other`, else -1); (None, 1) without."""
    for pair in pairs:
        if (pair.arm, pair.versus) == (one, other):
            return pair, 1
        if (pair.arm, pair.versus) == (other, one):
            return pair, -1
    return None, 1


def needs_line(reasons: Iterable[Reason | None]) -> str:
    """Return a line on what skipped arms lack, `Not run: 11 arms need …`; "" if nothing."""
    counts = Counter(visible(reason.about) for reason in reasons if reason and reason.lacking)
    if not counts:
        return ""
    ranked = sorted(counts.items(), key=lambda item: (item[0] != _TRAIN_EXTRA, -item[1], item[0]))
    parts = []
    if trained := counts.pop(_TRAIN_EXTRA, 0):
        parts.append(
            f"{with_verb(trained, 'arm', 'need')} {_TRAIN_EXTRA} (pip install '{_TRAIN_EXTRA}')"
        )
    if names := [name for name, _ in ranked if name != _TRAIN_EXTRA]:
        parts.append(f"{with_verb(counts.total(), 'arm', 'need')} {', '.join(names)}")
    return f"Not run: {'; '.join(parts)}."


def checklist_line(results: Results) -> str:
    """Return the line on the checklist (without a model: only its answered questions), or ""."""
    if not without_model(results):
        five = fact_lines.checklist_summary(results.verdict)
        return f"Five questions before tuning: {five}." if five else ""
    answered = [found for found in results.verdict.questions
                if found.name in CHECKLIST and found.answer != "not_measured"]  # fmt: skip
    told = [f"{phrases.short_question(found.name)} ({found.answer})" for found in answered]
    return f"Answered of the five questions before tuning: {', '.join(told)}." if told else ""


def tells_no_cause(results: Results) -> bool:
    """Return whether no failure has or could have a cause that the reader can act on.

    No failure could have one without a model, or if no remedy was tried that uses a model.
    """
    seen = results.evidence.diagnosis
    unread = without_model(results) or (seen is not None and seen.unread)
    return unread and all(row.cause in _NO_ACTION for row in results.verdict.wrong)
