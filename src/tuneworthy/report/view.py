"""The view of a study's first screen, as plain values: terminal, page and CI show these."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from tuneworthy.records.evidence import ArmResult, Pair
from tuneworthy.records.reason import Why, is_reason
from tuneworthy.records.results import Results
from tuneworthy.records.task import TRAINED_TOOLS
from tuneworthy.report import fact_lines, recorded_lines
from tuneworthy.report.cause_lines import wrong_lines
from tuneworthy.report.training_sections import student_texts
from tuneworthy.verdict import phrases
from tuneworthy.verdict.phrases import as_sentence

_LIMITS_LEFT_OPEN = ("limits.valid", "limits.p95_ms")  # keys of `missing`: why neither state holds
_SHOWN_KINDS = ("answers_are_gold", "matched_by_order", "inputs_differ")


@dataclass(frozen=True)
class LadderRow:
    """An arm on the ladder: how it is named, what it costs, and notes as (kind, text).

    Kinds of notes: `note`, `out` for limits that it violates, `beside` for its difference to the
    named arm. `cost` and `wait` are None if they were not measured, `why` is "" if it has a score.
    """

    arm: ArmResult
    options: str
    named: bool
    cost: str | None
    wait: str | None
    notes: tuple[tuple[str, str], ...]
    why: str

    @property
    def lacks(self) -> bool:
        """Return whether the arm was not run because something that it requires is not here."""
        return not self.arm.score and bool(self.arm.because and self.arm.because.lacking)


@dataclass(frozen=True)
class Opening:
    """What the first screen of a study tells, in this order; "" or empty where there is nothing.

    `lead`: which of the user's own systems leads. `told` holds the sentences on the verdict by key:
    counts, scored, left, time, pays. `limits` are (limit, state), `unshown` why some are left open.
    """

    lead: str
    head: str
    use: str
    status: str
    told: dict[str, str]
    cautions: tuple[str, ...]
    ladder: tuple[LadderRow, ...]
    needs: str
    limits: tuple[tuple[str, str], ...]
    unshown: tuple[str, ...]
    target: str
    wrong: str
    students: tuple[str, ...]
    checklist: str
    rows: str
    notes: tuple[str, ...]
    next: str


def opening(results: Results) -> Opening:
    """Return the content of a study's first screen, as plain values."""
    verdict, target = results.verdict, results.task.success.target
    lead, rows = recorded_lines.lead_lines(results)
    told = {
        "counts": rows,
        "scored": fact_lines.scored_line(results),
        "left": fact_lines.left_line(results),
        "time": fact_lines.time_line(results),
        "pays": _unrun_or_pays(results, lead),
    }
    ladder, arm = tuple(_ladder_rows(results)), fact_lines.arm_named(results)
    return Opening(
        lead=lead,
        head=phrases.headline(verdict.use, verdict.status, verdict.left_on_table is not None),
        use=fact_lines.use_line(results),
        status=fact_lines.status_line(results),
        told={"left": verdict.because} if verdict.status == "blocked" else told,
        cautions=tuple(_cautions(results)),
        ladder=ladder,
        needs=recorded_lines.needs_line(row.arm.because for row in ladder if row.lacks),
        limits=tuple(fact_lines.limit_lines(arm, results)) if arm else (),
        unshown=tuple(why for name in _LIMITS_LEFT_OPEN if arm and (why := arm.missing.get(name))),
        target="" if target is None else phrases.target_line(verdict, target),
        wrong="" if recorded_lines.tells_no_cause(results) else wrong_lines(results),
        students=tuple(student_texts(results)),
        checklist=recorded_lines.checklist_line(results),
        rows=fact_lines.rows_line(results.audit),
        notes=tuple(fact_lines.note_lines(results)),
        next=fact_lines.next_line(results),
    )


def _unrun_or_pays(results: Results, lead: str) -> str:
    """Return the sentence that no prompt or tuned model was run, else the one on costs."""
    if unrun := "" if lead else fact_lines.unrun_line(results):
        return unrun
    if recorded_lines.has_no_prices(results):
        return recorded_lines.worth_line(results)
    return fact_lines.pays_line(results)


def _ladder_rows(results: Results) -> Iterator[LadderRow]:
    listed = [a for a in fact_lines.ladder_order(results.evidence.arms) if fact_lines.on_ladder(a)]
    if recorded_lines.without_model(results):  # a reference that does not apply tells nothing here
        named = {str(arm) for arm in results.task.arms if results.task.arms != "auto"}
        listed = [a for a in listed if a.score or a.role == "candidate" or a.name in named]
    pairs = {pair.arm: pair for pair in fact_lines.differences_to_named(results)}
    for arm in listed:
        yield LadderRow(
            arm=arm,
            options=_options_text(arm),
            named=arm.name == results.verdict.arm,
            cost=phrases.amount(arm.usd_per_1k) if arm.usd_per_1k is not None else None,
            wait=phrases.duration(arm.latency_ms.p50 / 1000) if arm.latency_ms else None,
            notes=tuple(_arm_notes(arm, pairs.get(arm.name), results)) if arm.score else (),
            why="" if arm.score else phrases.because_of(arm),
        )


def _options_text(arm: ArmResult) -> str:
    """Return the options that tell arms apart and are not in the arm's name, `k=8`; or "".

    Other options are in the arm's name (if the user set them) and in verdict.json.
    """
    text = ", ".join(f"{key}={value}" for key, value in arm.options.items() if key == "k")
    return "" if text in arm.name else text


def _arm_notes(arm: ArmResult, pair: Pair | None, results: Results) -> Iterator[tuple[str, str]]:
    if arm.errors:
        yield "note", fact_lines.unanswered_line(arm)
    if arm.cut and arm.cut.gain > 0:
        yield "note", fact_lines.cut_line(arm.cut, arm.n)
    if arm.repeats:
        yield "note", arm.repeats.text
    yield from (("note", figure.text) for figure in arm.figures.values() if figure.mean)
    if out := phrases.violated_limits(arm):
        yield "out", f"out: {out} violated"
    if arm.because and arm.fit_seconds:
        yield "note", str(arm.because)
    if pair and pair.high > 0 and results.verdict.arm not in (None, arm.name):
        yield "beside", fact_lines.rival_line(pair, results.task.success.margin)


def _cautions(results: Results) -> Iterator[str]:
    """Yield cautions about rows or answers that may mislead, the most serious first."""
    seen = results.audit.observations
    if first := results.reproduce.get("at_first_look"):
        yield (
            f"At a first look at these rows this would be {first}. It is look"
            f" {results.verdict.looks}, and every bound pays for the looks before: the answers need"
            " not have changed. Score rows that no study has opened."
        )
    yield from _untrained_caution(results)
    arm = fact_lines.arm_named(results)
    if arm and arm.cut and arm.cut.gain > results.task.success.margin:
        clause = phrases.cut_answers_clause(arm, arm.cut)
        yield f"{clause}. Raise output.max_tokens before you trust this score."
    yield from (as_sentence(o.text) for kind in _SHOWN_KINDS for o in seen if o.kind == kind)
    for one in seen:
        if one.kind == "groups" and one.level == "warning":  # one more could change the verdict
            yield f"{as_sentence(one.text)} {as_sentence(one.fix)}"


def _untrained_caution(results: Results) -> Iterator[str]:
    """Yield a caution if no arm was trained for lack of minutes, with the minutes needed."""
    arms = results.evidence.arms
    trainable = [arm for arm in arms if arm.tool in TRAINED_TOOLS and not arm.present]
    left_out = [arm.name for arm in trainable if arm.left_out_for_time]
    if any(arm.score for arm in trainable) or not left_out:
        return
    minutes = {arm.spec.name: arm.first_minutes for arm in results.plan.arms}
    least = min(left_out, key=lambda name: minutes.get(name, 0.0))
    need = max(1, math.ceil(minutes.get(least, 0.0)))
    stopped = any(is_reason(arm.because, Why.STOPPED) for arm in trainable)
    yield (
        "No arm was trained: the run was stopped before one: tuneworthy run." if stopped
        else f"No arm was trained: the minutes had no room. {least} alone needs about {need} more:"
        f" tuneworthy run --more {need}m."
    )  # fmt: skip
