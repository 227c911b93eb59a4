"""Sentences on the causes of failures, with counts that add up to all failures."""

from __future__ import annotations

from collections.abc import Sequence

from tuneworthy.records.causes import NO_CAUSES, Diagnosis, UntriedRemedy
from tuneworthy.records.counting import count_noun
from tuneworthy.records.escape import visible
from tuneworthy.records.results import Results
from tuneworthy.records.verdict import Wrong
from tuneworthy.verdict import phrases

_NAMED_CAUSES = 2  # the causes that get a sentence of their own; the others get a count


def cause_title(cause: str) -> str:
    """Return the display name of a class of failures: `format`, `not tried`."""
    return phrases.CAUSE_TITLES.get(cause, visible(cause))


def whole_percents(rows: Sequence[Wrong]) -> dict[str, int]:
    """Return {class: share in whole per cent}, rounded so that shares adding up to 1 give 100.

    The remainder of rounding down goes to the largest fractions (Hamilton's method).
    """
    exact = {row.cause: 100 * row.share for row in rows}
    found = {cause: int(value + 1e-9) for cause, value in exact.items()}
    left = round(sum(exact.values())) - sum(found.values())
    for cause in sorted(exact, key=lambda cause: found[cause] - exact[cause])[: max(left, 0)]:
        found[cause] += 1
    return found


def wrong_line(wrong: Wrong, diagnosis: Diagnosis | None = None, percent: int | None = None) -> str:
    """Return a sentence on one class of the failures, with the evidence for it.

    `percent` replaces its rounded share where the shares of all classes must add up to 100.
    """
    were = phrases.CAUSE_CLAUSES.get(wrong.cause, f"were {visible(wrong.cause)}")
    shown = f": {visible(wrong.arm)} rescues them" if wrong.arm else ""
    shown += f", {visible(wrong.placebo)} does not" if wrong.arm and wrong.placebo else ""
    mean = f"{round(100 * wrong.share) if percent is None else percent} %"
    within = f", on other rows {100 * wrong.low:.0f} to {100 * wrong.high:.0f} %"
    if wrong.cause == "untried":
        within = ""
        shown = f": {why}" if (why := why_untried(diagnosis)) else ""
    many = f"{_failure_count(wrong):,} of {count_noun(wrong.n, 'failure')} ({mean}{within})"
    return f"{many} {were}{shown}."


def few_line(rows: Sequence[Wrong]) -> str:
    """Return the sentence that there are too few failures to be certain; "" if there are enough."""
    few = [row for row in rows if row.cause == "few"]
    more = "; the likeliest causes follow" if len(rows) > len(few) else ""
    said = "too few to say for certain"
    return f"{count_noun(few[0].n, 'failure')} read: {said}{more}." if few else ""


def why_untried(diagnosis: Diagnosis | None) -> str:
    """Return which remedies were not tried on every failure, and why (two, then a count); or ""."""
    waits = diagnosis.untried if diagnosis else ()
    said = [_untried_remedy_text(one, diagnosis.n_fail) for one in waits[:2]] if diagnosis else []
    if len(waits) > 2:
        said.append(f"{len(waits) - 2} more {'remedy' if len(waits) == 3 else 'remedies'}")
    return "; ".join(said)


def _untried_remedy_text(one: UntriedRemedy, fails: int) -> str:
    name = visible(one.name)
    if not one.tried:
        return (
            f"{name} was not tried ({visible(one.because)})"
            if one.because
            else (f"{name} was not tried on a failure")
        )
    many = f"{name} was tried beside its placebo on {one.tried:,} of {count_noun(fails, 'failure')}"
    return f"{many} and passes {one.passed:,} of the others" if one.passed else many


def expected_line(diagnosis: Diagnosis | None) -> str:
    """Return a sentence on the estimated shares among all failures; "" if no share is larger.

    It lists only causes whose estimated share exceeds the share found.
    """
    if diagnosis is None:
        return ""
    known = {row.cause: row.share for row in diagnosis.wrong}
    more = [row for row in diagnosis.estimates if row.share > known.get(row.cause, 1.0) + 0.005]
    if not more:
        return ""
    parts = [
        f"{100 * row.share:.0f} % {row.cause} ({100 * row.low:.0f} to {100 * row.high:.0f})"
        for row in more
    ]
    return f"If those not tried are like those tried, of all failures about {', '.join(parts)}."


def wrong_lines(results: Results) -> str:
    """Return the causes in a few sentences whose counts add up to all failures; or "".

    In order: the arm; that few failures exist or were tried; the leading causes; the counts of the
    other classes; estimates; why causes are unknown or incomplete. Empty for a blocked study.
    """
    wrong, diagnosis = results.verdict.wrong, results.evidence.diagnosis
    if results.verdict.status == "blocked" or not (wrong or (diagnosis and diagnosis.n_fail)):
        return ""
    rows = [row for row in wrong if row.cause != "few"]
    if diagnosis is None:
        told = [few_line(wrong), *(wrong_line(row) for row in rows[:_NAMED_CAUSES])]
        return " ".join(part for part in told if part)
    n = diagnosis.n_fail + diagnosis.n_pass
    lead = f"{visible(diagnosis.arm)} fails {diagnosis.n_fail:,} of {n:,}."
    if (named := results.verdict.arm) not in (None, diagnosis.arm) and _is_present_arm(
        results, diagnosis.arm
    ):
        lead += f" It runs today, so its failures are read, not those of {visible(str(named))}."
    whole = whole_percents(rows)
    causes = [row for row in rows if row.cause not in NO_CAUSES][:_NAMED_CAUSES]
    told = [wrong_line(row, diagnosis, whole[row.cause]) for row in causes]
    rest = [row for row in rows if row not in causes]
    because = (
        f"{visible(diagnosis.because[:1].upper() + diagnosis.because[1:])}."
        if diagnosis.because
        else ""
    )
    return " ".join(
        part
        for part in (
            lead, few_line(wrong), few_tried_line(diagnosis), *told,
            _other_classes_line(diagnosis, rows, rest, whole), expected_line(diagnosis), because,
        )
        if part
    )  # fmt: skip


def _is_present_arm(results: Results, name: str) -> bool:
    return any(
        arm.name == name and (arm.present or arm.tool == "keep") for arm in results.evidence.arms
    )


def few_tried_line(diagnosis: Diagnosis) -> str:
    """Return a sentence that half of the failures or more were not tried, and why; or ""."""
    open_ = sum(_failure_count(row) for row in diagnosis.wrong if row.cause == "untried")
    if 2 * open_ < diagnosis.n_fail or not open_:
        return ""
    tried = diagnosis.n_fail - open_
    many = f"Only {tried:,} of {count_noun(diagnosis.n_fail, 'failure')}"
    why = why_untried(diagnosis)
    return f"{many} were tried far enough to have a cause{f': {why}' if why else ''}."


def _other_classes_line(
    diagnosis: Diagnosis, rows: Sequence[Wrong], rest: Sequence[Wrong], whole: dict[str, int]
) -> str:
    """Return a sentence with counts and shares of the classes in `rest`, which have no own one."""
    lost = diagnosis.n_fail - sum(map(_failure_count, rows))
    parts = [
        f"{cause_title(row.cause)} {_failure_count(row):,} ({whole[row.cause]} %)" for row in rest
    ]
    said = []
    if parts:
        open_ = any(row.cause == "untried" for row in rest) and not few_tried_line(diagnosis)
        told = f": {why}" if open_ and (why := why_untried(diagnosis)) else ""
        said.append(f"The other {sum(map(_failure_count, rest)):,}: {', '.join(parts)}{told}.")
    if lost > 0 and rows and not diagnosis.few:  # studies stored before every failure had a class
        said.append(f"Of the other {lost:,} no class was recorded.")
    return " ".join(said)


def _failure_count(row: Wrong) -> int:
    return round(row.share * row.n)
