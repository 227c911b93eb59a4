"""Terminal tables: every arm, the audit, two compared studies, a recomputation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from tuneworthy.compare.same_scoring import Scoring, other_tasks_line, unknown_source
from tuneworthy.core.audit_report import TIME_SPLIT_KIND, Audit, DetectableDifference
from tuneworthy.core.counting import count_noun, score_text, tenths, with_verb
from tuneworthy.core.evidence import ArmResult, Pair
from tuneworthy.core.results import Results
from tuneworthy.core.verdict import Verdict
from tuneworthy.report import facts
from tuneworthy.report._screens import cell, escape_line, finished, wrapped
from tuneworthy.report.facts import timing_line
from tuneworthy.verdict import phrases

if TYPE_CHECKING:  # the report computes no statistics, so it must not import them
    from tuneworthy.compare.two_studies import Repetition
    from tuneworthy.recompute import Recomputed

LEVEL_NAMES = {"note": "note", "warning": "warning", "blocked": "BLOCKED"}


def table(results: Results, width: int = 80, plain: bool = False) -> Text:
    """Return the table of all arms: score, difference to the named arm, validity, cost, time."""
    wide = width >= 110
    name = width - 2 - (81 if wide else 54)
    head = _table_line(
        ("arm", "score", "95 %", "− named", "valid", "$ / 1k", "p50", "fit", "n"), name, wide
    )
    lines = [Text(head, "dim")]
    pairs = {pair.arm: pair for pair in facts.differences_to_named(results)}
    for arm in facts.ladder_order(results.evidence.arms):
        lines.append(_arm_line(arm, pairs.get(arm.name), (name, wide, plain), results.verdict.arm))
    for arm in facts.ladder_order(results.evidence.arms):
        if arm.state != "measured":
            why = escape_line(f"{arm.name} {arm.state}: {arm.because or phrases.UNKNOWN}", plain)
            lines += [Text(x, "dim") for x in wrapped(why, width)]
    for arm in facts.ladder_order(results.evidence.arms):
        if arm.valid and arm.errors:
            text = f"{arm.name}: {facts.unanswered_line(arm)}; `valid` is the share of the others"
            lines += [Text(x, "dim") for x in wrapped(escape_line(text, plain), width)]
        if arm.wide:
            why = escape_line(f"{arm.name}, 95 %: {facts.wide_line(arm)}", plain)
            lines += [Text(x, "dim") for x in wrapped(why, width)]
    if timing := escape_line(timing_line(results), plain):
        lines += [Text(x, "dim") for x in wrapped(timing, width)]
    return finished(lines, plain)


def _table_line(values: Sequence[str], name: int, wide: bool) -> str:
    widths = (5, 9, 22 if wide else 8, 6, 7, 8, 8, 6)
    kept = range(1, 9) if wide else (1, 2, 3, 4, 5, 6)
    parts = [cell(values[0], name)] + [cell(values[i], widths[i - 1], right=True) for i in kept]
    return "  " + " ".join(parts)


def _arm_line(
    arm: ArmResult, pair: Pair | None, sizes: tuple[int, bool, bool], named: str | None
) -> Text:
    name, wide, plain = sizes
    delta = "named" if arm.name == named else "—"
    if pair and delta != "named":
        delta = phrases.span(pair) if wide else phrases.signed(pair.mean)
    ends = f"{score_text(arm.score.low)}–{score_text(arm.score.high)}" if arm.score else "—"
    values = (
        escape_line(arm.name, plain),
        score_text(arm.score.mean) if arm.score else "—",
        ends,
        delta,
        score_text(arm.valid.mean) if arm.valid else "—",
        phrases.amount(arm.usd_per_1k) if arm.usd_per_1k is not None else "—",
        phrases.duration(arm.latency_ms.p50 / 1000) if arm.latency_ms else "—",
        phrases.duration(arm.fit_seconds) if arm.fit_seconds is not None else "—",
        f"{arm.n:,}",
    )
    text = Text(_table_line(values, name, wide), "bold" if arm.name == named else "")
    if arm.name == named:
        text = Text("▶" + text.plain[1:], "bold")
    return text


def visible_line(seen: DetectableDifference) -> str:
    """Return the detectable differences: `250 rows show differences above 8 points …`."""
    parts = []
    if seen.prompts is not None:
        parts.append(f"above {tenths(seen.prompts)} points between prompts")
    if seen.fitted is not None:
        parts.append(f"above {tenths(seen.fitted)} against a trained arm")
    if not parts:
        return f"{counted_rows(seen.n)}: too few to say which differences they can show."
    study = "".join(
        [f" at look {seen.look}"] * (seen.look > 1) + [f" among {seen.arms} arms"] * (seen.arms > 2)
    )
    return (
        f"{counted_rows(seen.n)} show differences {', '.join(parts)} (8 times in 10{study}, if two"
        f" arms differ on {100 * seen.d:.0f} % of the rows)."
    )


def counted_rows(n: int) -> str:
    """Return a number of rows with its noun."""
    return count_noun(n, "row")


def audit_screen(audit: Audit, width: int = 80, plain: bool = False) -> Text:
    """Return the screen of the audit: what the rows can show, rows used and left out, repairs."""
    blocked = any(seen.level == "blocked" for seen in audit.observations)
    head = "Blocked: repair these rows or the task first." if blocked else ""
    answer = head or visible_line(audit.visible)
    counts = f"{counted_rows(audit.used)} used of {audit.rows:,}; {_row_counts_text(audit, plain)}"
    lines = [Text(x, "bold") for x in wrapped(answer, width)]
    lines += [Text(x) for x in wrapped(counts, width)]
    lines += _observation_lines(audit, width, plain)
    if audit.classes:
        sizes = sorted(audit.classes.items(), key=lambda item: -item[1])
        shares = " · ".join(f"{escape_line(label, plain)} {n:,}" for label, n in sizes[:12])
        more = f" · and {len(sizes) - 12} more" if len(sizes) > 12 else ""
        text = f"{counted_labels(len(sizes))}: {shares}{more}"
        lines += [Text(x) for x in wrapped(text, width)]
    for what, (low, mid, high, most) in audit.lengths.items():
        text = (
            f"{escape_line(what, plain)}: median {mid:,}, 95 % under {high:,}, {low:,} to {most:,}"
        )
        lines += [Text(x) for x in wrapped(f"{text} {audit.unit}", width)]
    if blocked:
        lines += [Text(x) for x in wrapped(visible_line(audit.visible), width)]
    return finished(lines, plain)


def counted_labels(n: int) -> str:
    """Return a number of labels with its noun."""
    return count_noun(n, "label")


def _row_counts_text(audit: Audit, plain: bool) -> str:
    once = audit.scored == audit.used and not any(
        o.kind == TIME_SPLIT_KIND for o in audit.observations
    )
    every = ", every row scored once" if once else ""
    folds = f"{count_noun(audit.folds, 'fold')}{every}" if audit.folds > 1 else "one split"
    out = ", ".join(f"{n:,} {escape_line(why, plain)}" for why, n in audit.excluded.items() if n)
    text = f"{audit.scored:,} scored ({folds})" + (f"; left out: {out}" if out else "")
    return f"{text}; contradictory answers touch {100 * audit.conflict_share:.1f} % of them."


def _observation_lines(audit: Audit, width: int, plain: bool) -> Iterator[Text]:
    styles = {"note": "dim", "warning": "yellow", "blocked": "bold red"}
    order = {"blocked": 0, "warning": 1, "note": 2}
    for seen in sorted(audit.observations, key=lambda o: order[o.level]):
        ids = ", ".join(seen.ids[:6]) + (", …" if seen.count > len(seen.ids[:6]) > 0 else "")
        fix = f": {seen.fix}" if seen.fix else ""
        text = f"{seen.text}{f' [{ids}]' if ids else ''}{fix}"
        first, *more = wrapped(escape_line(text, plain), width - 10, "")
        yield Text("  ").append(cell(LEVEL_NAMES[seen.level], 8), styles[seen.level]).append(first)
        yield from (Text(" " * 10 + line) for line in more)


def compare_screen(
    first: Results, second: Results, pairs: Sequence[Pair], width: int = 80, plain: bool = False
) -> Text:
    """Return the screen comparing studies A and B; `pairs` are arms of B minus arms of A."""
    which = {"A": first.verdict, "B": second.verdict}
    lines = [Text(x, "bold") for x in wrapped(_studies_headline(pairs), width)]
    for name, verdict in which.items():
        head = phrases.headline_and_arm(verdict, "   ")
        text = f"{name}: {verdict.task.name} {verdict.task.hash[:8]}: {head} · {verdict.status}"
        lines += [Text(x) for x in wrapped(escape_line(text, plain), width)]
    notes = [
        f"{name} is blocked ({verdict.because}): its scores may mislead, and so may a difference."
        for name, verdict in which.items()
        if verdict.status == "blocked"
    ]
    scorings = Scoring.of(first), Scoring.of(second)
    notes += filter(None, (other_tasks_line(*scorings), unknown_source(*scorings)))
    if pairs:
        notes.append("Each line is B − A in points (two-sided 95 %): above 0, B is better.")
    for text in notes:
        lines += [Text(x, "dim") for x in wrapped(escape_line(text, plain), width)]
    for pair in pairs:
        text = f"B {pair.arm} − A {pair.versus}: {_difference_text(pair)}"
        lines += [Text(x) for x in wrapped(escape_line(text, plain), width)]
    return finished(lines, plain)


def _studies_headline(pairs: Sequence[Pair]) -> str:
    """Return on how many arms of both studies a difference is shown."""
    if not pairs:
        return "No case was answered in both studies: nothing can be paired."
    better, worse = sum(pair.low > 0 for pair in pairs), sum(pair.high < 0 for pair in pairs)
    if not better + worse:
        return f"No difference is shown on the {count_noun(len(pairs), 'pair')} of arms."
    shown = [f"better in {better}"] * bool(better) + [f"worse in {worse}"] * bool(worse)
    return f"Of {count_noun(len(pairs), 'pair')} of arms B is {' and '.join(shown)}."


def repeated_screen(repeated: Repetition, width: int = 80, plain: bool = False) -> Text:
    """Return the screen on what changed since the verdict that this one repeats."""
    before, now = repeated.before, repeated.now
    head = "another arm is named" if repeated.changed else "the same arm is named"
    text = f"again: {head}: {_verdict_name(now)} now, {_verdict_name(before)} before"
    lines = [Text(), *(Text(x, "bold") for x in wrapped(escape_line(text, plain), width))]
    notes = [f"Not paired: {repeated.because}."] if repeated.because else [
        "Each line is now − before in points of the score (two-sided 95 %), on the cases of both."
    ]  # fmt: skip
    if repeated.caution:
        notes.append(repeated.caution)
    if repeated.left_out:
        notes.append(f"{counted_cases(repeated.left_out)} left out: other inputs, equal ids.")
    lines += [Text(x, "dim") for n in notes for x in wrapped(escape_line(n, plain), width)]
    for pair in repeated.pairs:
        names = pair.arm if pair.arm == pair.versus else f"{pair.arm} − {pair.versus}"
        lines += [
            Text(x)
            for x in wrapped(escape_line(f"{names}: {_difference_text(pair)}", plain), width)
        ]
    return finished(lines, plain)


def _verdict_name(verdict: Verdict) -> str:
    return f"{verdict.arm or verdict.use} ({verdict.status})"


def _difference_text(pair: Pair) -> str:
    shift = "better" if pair.low > 0 else "worse" if pair.high < 0 else "not shown to differ"
    return (
        f"{phrases.span(pair)}, {shift}; won {pair.wins:,}, lost {pair.losses:,} of"
        f" {counted_cases(pair.n)}"
    )


MOST_DIFFERENCES = 20


def recompute_screen(found: Recomputed, width: int = 80, plain: bool = False) -> Text:
    """Return the screen on whether recomputing a stored study reproduces it."""
    count = len(found.differs)
    head = f"{count:,} differences" if count > 1 else "1 difference" if count else "the same"
    if found.wording and not count:
        head = "the same scores, bounds and names; only the wording differs"
    lines = [Text(f"  recomputed: {head}", "bold")]
    notes = [f"evidence hash {found.hash}"]
    if found.rescored is None:
        notes.append("No answer was scored again: neither your own code nor a judge is run.")
    else:
        notes.append(f"{count_noun(found.rescored, 'answer')} scored again.")
    if found.not_recomputed:
        notes.append(f"Taken as stored: {', '.join(found.not_recomputed)}.")
    notes += _first_differences(found.differs)
    if found.wording:
        sentences = with_verb(len(found.wording), "sentence", "have")
        notes.append(f"{sentences} other words, as those of another build have:")
        notes += _first_differences(found.wording)
    for text in notes:
        lines += [Text(x) for x in wrapped(escape_line(text, plain), width)]
    return finished(lines, plain)


def _first_differences(found: Sequence[str]) -> list[str]:
    notes = [f"- {line}" for line in found[:MOST_DIFFERENCES]]
    if len(found) > MOST_DIFFERENCES:
        notes.append(f"… and {len(found) - MOST_DIFFERENCES:,} more (all of them with --json)")
    return notes


def counted_cases(n: int) -> str:
    """Return a number of cases with its noun."""
    return count_noun(n, "case")
