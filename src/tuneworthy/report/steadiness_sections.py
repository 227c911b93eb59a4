"""The page's sections on steadiness (temperature, wording, time, slices) and on facts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tuneworthy.measure.further.rewording import PROMPT_WRAPPERS
from tuneworthy.records.counting import score_text
from tuneworthy.records.further import (
    Freshness,
    KnowledgeProbe,
    Proportion,
    RobustnessResult,
    Slices,
)
from tuneworthy.records.results import Results
from tuneworthy.records.task import CENTURY
from tuneworthy.report import _charts as charts
from tuneworthy.report import fact_lines
from tuneworthy.report._charts import ChartLine
from tuneworthy.report.page_parts import (
    Columns,
    Figure,
    Heading,
    Items,
    Section,
    Shown,
    Span,
    Table,
    Text,
    score_figure,
    soft,
)
from tuneworthy.verdict import phrases

_LINE_COLOURS = ("c1", "c4", "c8", "c3", "c6")
TEMPERATURE = "temperature"
_MOST_UNSUPPORTED_ROWS = 12  # unsupported rows shown


def robustness_section(results: Results) -> Section | None:
    """Return the section on robustness; None if nothing of it was measured."""
    evidence, parts = results.evidence, list[Any]()
    if curves := _temperature_charts(evidence.shakes):
        parts += [Columns(curves), Items([("", line) for line in _steady_lines(evidence.shakes)])]
    if others := _other_variations(evidence.shakes):
        wrappers = ", ".join(f"“{text.replace('{}', '…')}”" for text in PROMPT_WRAPPERS)
        parts += [
            Heading("Asked in other words"),
            Table(("Arm", "How", "#Valid", "#Score, 95 %", "#Cases"), others),
            Text(f"Rewordings put the instruction into another sentence: {wrappers}.", "soft"),
        ]
    if trends := fact_lines.trend_lines(results):
        parts += [Heading("Over time"), Items([("", Span(line, said=True)) for line in trends])]
    for found in evidence.slices:
        parts += _slices_parts(found)
    if not parts:
        return None
    for key, name in (("shakes", "Temperatures"), ("slices", "Slices")):
        if why := evidence.missing.get(key):
            parts.append(Text(soft(f"{name}: not measured, {why}.", said=True)))
    return Section("robust", "How steady is it?", parts)


def _temperature_charts(shakes: Sequence[RobustnessResult]) -> list[Figure]:
    """Return charts of validity and score by temperature; [] for fewer than two temperatures."""
    warm = [one for one in shakes if one.how == TEMPERATURE and one.temperature is not None]
    if len({one.temperature for one in warm}) < 2:
        return []
    out = []
    for title, name, value in (
        ("Valid answers", "share", _valid_share),
        ("Score", "score", _mean_score),
    ):
        lines = [
            ChartLine(
                arm,
                _LINE_COLOURS[at % len(_LINE_COLOURS)],
                tuple((one.temperature or 0.0, value(one)) for one in warm if one.arm == arm),
            )
            for at, arm in enumerate(_arm_names(warm))
        ]
        drawn = charts.named_lines_chart(lines, ("temperature", name))
        out.append(Figure(f"{title} by temperature", drawn, charts.legend(lines)))
    return out


def _steady_lines(shakes: Sequence[RobustnessResult]) -> list[str]:
    """Return a sentence per arm on its validity at the lowest and the highest temperature."""
    out = []
    for arm in _arm_names(shakes):
        own = [s for s in shakes if s.arm == arm and s.how == TEMPERATURE]
        own.sort(key=lambda one: one.temperature or 0.0)
        if len(own) < 2:
            continue
        first, last = own[0], own[-1]
        out.append(
            f"{arm}: {_valid_count_text(first)} valid at temperature {first.temperature:g},"
            f" {_valid_count_text(last)} at {last.temperature:g} ({_valid_bounds_text(last)})"
        )
    return out


def _other_variations(shakes: Sequence[RobustnessResult]) -> list[tuple[Shown, ...]]:
    """Return table rows on variations other than temperature, after each arm's plain answers."""
    rows = []
    for arm in _arm_names(shakes):
        own = [s for s in shakes if s.arm == arm]
        plain = [s for s in own if s.how == TEMPERATURE and s.temperature == 0]
        other = [s for s in own if s.how != TEMPERATURE]
        for one in [*plain, *other] if other else []:
            how = "as it is" if one.how == TEMPERATURE else one.how
            rows.append((arm, how, _valid_count_text(one), score_figure(one.score), str(one.n)))
    return rows


def _slices_parts(found: Slices) -> Iterator[Any]:
    """Yield a heading, a table of slices (small ones faint), and sentences on them."""
    beside = f" beside {found.rival}" if found.rival else ""
    yield Heading(f"{found.arm}{beside}, by parts of the cases")
    rival = (f"#{found.rival}", "#Difference, points") if found.rival else ()
    rows = []
    for one in found.slices:
        row: tuple[Shown, ...] = (one.kind, one.name, score_figure(one.score))
        if found.rival:
            row += (one.rival and score_text(one.rival.mean), one.delta and phrases.span(one.delta))
        rows.append((*row, str(one.n)))
    small = frozenset(at for at, one in enumerate(found.slices) if one.small)
    columns = ("By", "Part", "#Score, 95 %", *rival, "#Cases")
    yield Table(columns, rows, "plain stack slices", small)
    yield from (Text(soft(line)) for line in found.said)
    if found.missing:
        why = "; ".join(f"{kind} ({why})" for kind, why in sorted(found.missing.items()))
        yield Text(soft(f"No slices by {why}.", said=True))


def _arm_names(shakes: Sequence[RobustnessResult]) -> list[str]:
    return list(dict.fromkeys(one.arm for one in shakes))


def _valid_share(one: RobustnessResult) -> float:
    return one.valid.share


def _mean_score(one: RobustnessResult) -> float:
    return one.score.mean


def _valid_count_text(one: RobustnessResult) -> str:
    return f"{one.valid.k:,} of {one.valid.n:,}"


def _valid_bounds_text(one: RobustnessResult) -> str:
    return f"95 %: {100 * one.valid.low:.0f} to {100 * one.valid.high:.0f} %"


def freshness_section(results: Results) -> Section | None:
    """Return the section on how fast facts change and what the model knows; None if unmeasured.

    None if neither change of facts nor knowledge was measured.
    """
    stale, known = results.evidence.staleness, results.evidence.known
    has_facts = stale is not None and (
        stale.changed or stale.faithful or stale.stale or stale.unsupported
    )
    if not has_facts and (known is None or known.unknown is None):
        return None
    parts: list[Any] = [Text(line) for line in _fact_sentences(stale, known)]
    if stale is not None and (names := sorted({*stale.faithful, *stale.stale})):
        columns = ("Arm", "Says the changed fact as the passage does", "Still says the old one")
        asked = [tuple(_share_text(shares.get(name)) or "not asked"
                       for shares in (stale.faithful, stale.stale)) for name in names]  # fmt: skip
        parts.append(Table(columns, [(name, *row) for name, row in zip(names, asked, strict=True)]))
    if stale is not None and stale.unsupported:
        ids = [(Span(case, "code"), ", ") for case in stale.unsupported[:_MOST_UNSUPPORTED_ROWS]]
        listed = [one for pair in ids for one in pair][:-1]
        parts.append(Text(("Rows without support: ", *listed, "."), "soft"))
    return Section("facts", "What about facts?", parts)


def _fact_sentences(stale: Freshness | None, known: KnowledgeProbe | None) -> Iterator[str]:
    if stale is not None:
        yield _change_line(stale)
        if stale.unsupported:
            many = f"{len(stale.unsupported):,} right answers stand in no current passage"
            yield f"{many}: correct the row, add the document, or give the row a time."
    if known is not None:
        yield from _known_lines(known)


def _change_line(freshness: Freshness) -> str:
    """Return a sentence on how fast facts change and how long a frozen model stays fresh enough."""
    if freshness.changed is None or freshness.days is None or freshness.over_days is None:
        return (
            f"How fast the facts change is not known: {freshness.because or 'it was not measured'}."
        )
    over, ok = f"{freshness.over_days:,.0f} days", f"{freshness.stale_ok:.0%}"
    mean, low, high = map(
        _days_text, (freshness.days.mean, freshness.days.low, freshness.days.high)
    )
    if freshness.declared:
        first = f"You say that {freshness.changed.share:.1%} of the facts change within {over}"
        return f"{first}: after {mean} more than {ok} of what a frozen model says is old."
    changed = freshness.changed
    first = f"Of {changed.n:,} dated documents {changed.k:,} were replaced within {over}"
    return f"{first}: a frozen model stays below {ok} of old answers for {mean} ({low} to {high})."


def _days_text(value: float) -> str:
    """Return a duration in words: `43 days`, or `a century or more`."""
    if value >= CENTURY:
        return "a century or more"
    return f"{value:,.1f} days" if value < 10 else f"{value:,.0f} days"


def _share_text(share: Proportion | None) -> str:
    """Return a share as counts with its interval, `24 of 60 (28 % to 53 %)`; "" for None."""
    if share is None:
        return ""
    return f"{share.k} of {share.n} ({100 * share.low:.0f} % to {100 * share.high:.0f} %)"


def _known_lines(known: KnowledgeProbe) -> list[str]:
    """Return sentences on what the model knows of the rows' answers, or why it was not measured."""
    if known.unknown is None:
        return [f"What the model knows of the answers was not asked: {known.because}."]
    return [f"{line[:1].upper()}{line[1:]}." for line in known.said]
