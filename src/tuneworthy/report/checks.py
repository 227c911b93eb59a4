"""Terminal screens of `check`: the rows, a production log beside a study, a training folder."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

from rich.text import Text

from tuneworthy.records.audit_report import (
    TIME_SPLIT_KIND,
    Audit,
    DetectableDifference,
    Observation,
)
from tuneworthy.records.counting import (
    count_noun,
    percent,
    percent_with_bounds,
    points,
    points_with_bounds,
    tenths,
    with_verb,
)
from tuneworthy.records.live_check import (
    InputDrift,
    LabelDrift,
    LiveCheck,
    LiveMean,
    LiveShare,
    LiveSpread,
    MovedFacts,
    UnlikeInputs,
)
from tuneworthy.records.run_report import AdapterInfo, CaseFinding, DataInfo, OwnRunReport
from tuneworthy.report.screen import Screen, cell

LEVELS = {"blocked": ("BLOCKED", "bold red"), "warning": ("warning", "yellow"),
          "note": ("note", "dim")}  # fmt: skip
MEASURES = ("valid", "score", "inputs", "unlike", "labels", "facts", "length", "latency", "slow")
_MEASURE_NAMES = {"slow": "limit"}  # of those that a word of their own tells better
_MOST_BAD_LINES = 3


def detectable_line(seen: DetectableDifference) -> str:
    """Return the sentence on which differences the rows can show, or that they are too few."""
    parts = []
    if seen.prompts is not None:
        parts.append(f"above {tenths(seen.prompts)} points between prompts")
    if seen.fitted is not None:
        parts.append(f"above {tenths(seen.fitted)} against a trained arm")
    rows = count_noun(seen.n, "row")
    if not parts:
        return f"{rows}: too few to say which differences they can show."
    study = f" at look {seen.look}" * (seen.look > 1) + f" among {seen.arms} arms" * (seen.arms > 2)
    return (
        f"{rows} show differences {', '.join(parts)} (8 times in 10{study}, if two arms differ on"
        f" {100 * seen.d:.0f} % of the rows)."
    )


def most_serious_first(audit: Audit) -> list[Observation]:
    """Return the observations on the rows, those that block a verdict first."""
    return sorted(audit.observations, key=lambda seen: list(LEVELS).index(seen.level))


def audit_screen(audit: Audit, width: int = 80, plain: bool = False) -> Text:
    """Return the screen of the audit: what the rows can show, rows used and left out, repairs."""
    screen = Screen(width, plain)
    blocked = any(seen.level == "blocked" for seen in audit.observations)
    head = "Blocked: repair these rows or the task first." if blocked else ""
    screen.say(head or detectable_line(audit.visible), style="bold")
    screen.say(f"{count_noun(audit.used, 'row')} used of {audit.rows:,}; {_row_counts_text(audit)}")
    for seen in most_serious_first(audit):
        ids = ", ".join(seen.ids[:6]) + (", …" if seen.count > len(seen.ids[:6]) > 0 else "")
        text = f"{seen.text}{f' [{ids}]' if ids else ''}{f': {seen.fix}' if seen.fix else ''}"
        level, style = LEVELS[seen.level]
        screen.beside(Text("  ").append(cell(level, 8), style), text)
    if audit.classes:
        sizes = sorted(audit.classes.items(), key=lambda item: -item[1])
        shares = " · ".join(f"{label} {n:,}" for label, n in sizes[:12])
        more = f" · and {len(sizes) - 12} more" if len(sizes) > 12 else ""
        screen.say(f"{count_noun(len(sizes), 'label')}: {shares}{more}")
    for what, (low, mid, high, most) in audit.lengths.items():
        screen.say(f"{what}: median {mid:,}, 95 % under {high:,}, {low:,} to {most:,} {audit.unit}")
    screen.say(detectable_line(audit.visible) * blocked)
    return screen.text()


def _row_counts_text(audit: Audit) -> str:
    by_time = any(seen.kind == TIME_SPLIT_KIND for seen in audit.observations)
    every = ", every row scored once" * (audit.scored == audit.used and not by_time)
    folds = f"{count_noun(audit.folds, 'fold')}{every}" if audit.folds > 1 else "one split"
    out = ", ".join(f"{n:,} {why}" for why, n in audit.excluded.items() if n)
    text = f"{audit.scored:,} scored ({folds})" + (f"; left out: {out}" if out else "")
    return f"{text}; contradictory answers touch {100 * audit.conflict_share:.1f} % of them."


def live_check_screen(check: LiveCheck, width: int = 80, plain: bool = False) -> Text:
    """Return the screen on a production log compared with a study; no line exceeds `width`."""
    screen, found = Screen(width, plain), check.conclusion
    assert found is not None  # `check_live` fills it in
    more = "" if found.rows is None else (
        f": about {count_noun(found.rows, 'new row')} ({found.rows_low:,} to {found.rows_high:,})"
    )  # fmt: skip
    screen.add(Text(f"  {screen.safe(found.do)}{more}", "bold"))
    screen.say(f"{found.because}.")
    told = [f"{_MEASURE_NAMES.get(key, key)}: {why}" for key, why in found.unseen.items()]
    screen.say(f"Not looked at: {'; '.join(told)}." if told else "", style="dim")
    screen.add()
    _log_rows(screen, check)
    screen.add()
    for key in MEASURES:
        known = getattr(check, key) is not None
        why = f"not measured: {check.missing.get(key, '')}"
        said = _measurement_text(check, key) if known else why
        screen.row(_MEASURE_NAMES.get(key, key), said, "" if known else "dim")
    expiry = check.expiry
    until = f"{'expired on' if expiry.passed else 'holds until'} {expiry.day}"
    said = f"{until if expiry.day else 'none'}: {expiry.because}"
    screen.row("expiry", said, "" if expiry.day else "dim")
    return screen.text()


def _log_rows(screen: Screen, check: LiveCheck) -> None:
    parts = [count_noun(check.requests, "request")]
    if check.used + check.other_names < check.requests:
        parts.append(f"the latest {check.used:,} are used")
    if check.first_time and check.last_time:
        parts.append(f"{check.first_time[:10]} to {check.last_time[:10]}")
    for count, what in ((check.without_input, "without an input"),
                        (check.without_answer, "without an answer"),
                        (check.others, "other spans"),
                        (check.other_names, "to other names, left out")):  # fmt: skip
        parts += [f"{count:,} {what}"] if count else []
    parts += [f"model {', '.join(check.models)}"] if check.models else []
    screen.row("log", f"{check.log}: {', '.join(parts)}")
    arm = f"{check.arm} ({check.tool or 'other'})" if check.arm else "no arm is named"
    made = f", {check.made[:10]}" if check.made else ""
    screen.row("study", f"{check.study}{made}: {arm}")
    if check.bad_lines:
        more = "; …" if check.bad_lines > _MOST_BAD_LINES else ""
        said = f"{check.bad_lines:,} left out: {'; '.join(check.bad[:_MOST_BAD_LINES])}{more}"
        screen.row("bad lines", said, "yellow")
    if check.unclear_gold:
        inputs = with_verb(check.unclear_gold, "input", "have")
        screen.row("gold", f"{inputs} rows with different right answers: left out", "yellow")


def _measurement_text(check: LiveCheck, key: str) -> str:
    value = getattr(check, key)
    if isinstance(value, LiveMean):
        return _mean_text(value)
    if isinstance(value, LiveSpread):
        return _spread_text(value)
    if isinstance(value, LiveShare):
        limit = check.p95_limit or 0.0
        return f"{_share_text(value)} took longer than {limit:,.0f} ms; 5 % may"
    told: dict[str, Callable[[Any], str]] = {
        "inputs": _drift_text,
        "unlike": _unlike_inputs_text,
        "labels": _labels_text,
        "facts": _changed_facts_text,
    }
    return told[key](value)


def _mean_text(value: LiveMean) -> str:
    sure = percent(1 - 2 * value.level)
    now = percent_with_bounds(value.now, f"{sure} sure; n = {value.n_now:,}")
    if value.then is None or value.difference is None:
        return f"{now}; not compared: {value.because}"
    then = f"{percent(value.then.mean)} in the study (n = {value.n_then:,})"
    return f"{now}; {then}; change {points_with_bounds(value.difference)}"


def _spread_text(value: LiveSpread) -> str:
    def side(median: float, tail: float | None, n: int) -> str:
        high = "" if tail is None else f", 95 % below {tail:,.0f}"
        return f"median {median:,.0f}{high} (n = {n:,})"

    now = side(value.median_now, value.p95_now, value.n_now)
    then = side(value.median_then, value.p95_then, value.n_then)
    p = "p below .001" if value.p < 0.001 else f"p {value.p:.3f}"
    return f"{value.unit}: {now}; study {then}; {p}"


def _share_text(value: LiveShare) -> str:
    ends = f"{percent(value.low)} to {percent(value.high)}"
    return f"{value.k:,} of {value.n:,}, {percent(value.share)} ({ends})"


def _drift_text(drift: InputDrift) -> str:
    shown = "drift is shown" if drift.p <= drift.level else "no drift is shown"
    grouped = drift.units_now < drift.n_now or drift.units_then < drift.n_then
    units = f", {drift.units_now:,} and {drift.units_then:,} groups" if grouped else ""
    return (
        f"{shown}: AUC {drift.auc:.2f} (.50 is none), p {drift.p:.3f} at level {drift.level:g};"
        f" n = {drift.n_now:,} and {drift.n_then:,}{units}"
    )


def _unlike_inputs_text(found: UnlikeInputs) -> str:
    text = f"{_share_text(found.share)} look like no row of the study;"
    text += f" chance: {percent(found.expected)}"
    if found.texts:
        pairs = zip(found.lines, found.texts, strict=True)
        return text + "; " + "; ".join(f'line {line}: "{words[:200]}"' for line, words in pairs)
    return text + _lines_text(found.lines)


def _labels_text(found: LabelDrift) -> str:
    gaps = {name: found.now.get(name, 0.0) - found.then.get(name, 0.0) for name in found.now}
    name, gap = max(gaps.items(), key=lambda pair: abs(pair[1]))
    return (
        f"{percent_with_bounds(found.distance)} of them differ, p {found.p:.3f};"
        f" most: {name} by {points(gap)}; n = {found.n_now:,} and {found.n_then:,}"
    )


def _changed_facts_text(found: MovedFacts) -> str:
    text = f"{_share_text(found.share)} are about facts that moved since {found.since[:10]}"
    if found.stale:
        text += f"; answers: {found.old:,} old, {found.new:,} new, {found.other:,} neither"
    return text + _lines_text(found.lines)


def _lines_text(lines: tuple[int, ...]) -> str:
    return f"; lines {', '.join(map(str, lines))}" if lines else ""


def own_run_screen(report: OwnRunReport, width: int = 80, plain: bool = False) -> Text:
    """Return the screen on failures found in a training folder; no line exceeds `width`."""
    screen = Screen(width, plain)
    found, clean = report.of_state("found"), report.of_state("clean")
    explained, missing = report.of_state("explained"), report.of_state("not measured")
    head = "no failure found" if clean or explained else "nothing could be measured"
    states = (("explained", explained), ("clean", clean), ("not measured", missing))
    rest = [f"{len(some)} {state}" for state, some in states if some]
    said = count_noun(len(found), "failure") + " found" if found else head
    screen.add(Text(f"  {', '.join([said, *rest])}", "bold red" if found else "bold"))
    screen.say(f"{report.folder}: {report.trainer}", style="dim")
    screen.add()
    _source_rows(screen, report)
    for finding in found:
        screen.add()
        _finding_rows(screen, finding, report.data.encoded if report.data else 0)
    side = max((len(_cause_name(finding)) for finding in (*explained, *clean)), default=0) + 2
    for title, some in (("Beyond a limit, and explained", explained), ("Clean", clean)):
        if some:
            screen.add("", Text(f"  {title}", "bold"))
        for finding in some:
            screen.row(_cause_name(finding), finding.says, side=side)
    cases: defaultdict[str, list[str]] = defaultdict(list)
    for finding in missing:
        for why in finding.reasons:
            cases[why].append(_cause_name(finding))
    items = [f"{why}: {', '.join(names)}" for why, names in cases.items()]
    for title, texts, listed in (
        ("Not measured", items, missing),
        ("Assumed, as no file says it", report.assumed, report.assumed),
    ):
        if listed:
            screen.add("", Text(f"  {title}", "bold"))
        for text in texts:
            screen.beside(Text("  - " if plain else "  · ", "dim"), text)
    return screen.text()


def _source_rows(screen: Screen, report: OwnRunReport) -> None:
    used = next((log for log in report.logs if log.used), None)
    if used is not None:
        said = f"{used.file} ({used.form}): {count_noun(used.steps, 'logged step')}"
        screen.row("log", said + (f"; {used.because}" if used.because else ""))
    for log in report.logs:
        if not log.used and log.because:
            screen.row("", f"{log.file}: {log.because}", "yellow")
    if report.facts.refused is not None:
        screen.row("", f"training broke: {report.facts.refused}", "red")
    if curves := "; ".join(_losses(report)):
        screen.row("loss", curves)
    if report.adapter is not None:
        screen.row("adapter", _adapter_text(report.adapter))
    for name, data in (("data", report.data), ("test", report.test)):
        if data is not None:
            screen.row(name, _data_text(data))
            for fault in data.bad[:3]:
                screen.row("", f"left out: {fault}", "yellow")
    if report.settings:
        screen.row(
            "options", ", ".join(f"{name} {value}" for name, value in report.settings.items())
        )
    for file, why in report.not_read.items():
        screen.row("not read", f"{file}: {why}", "yellow")


def _losses(report: OwnRunReport) -> Iterator[str]:
    """Yield the first, last and least loss in training and on held-out rows."""
    facts = report.facts
    for name, first, last, least in (
        ("training", facts.loss_first, facts.loss_last, facts.loss_least),
        ("held-out rows", facts.new_loss_first, facts.new_loss_last, facts.new_loss_least),
    ):
        if first is not None and last is not None and least is not None:
            yield f"{name} {first:.3g} to {last:.3g}, at best {least:.3g}"


def _adapter_text(one: AdapterInfo) -> str:
    parts = [one.kind]
    parts += [f"rank {one.rank}"] if one.rank else []
    parts += [count_noun(one.parameters, "parameter")] if one.parameters else []
    parts += [f"norm of the change {one.norm:.3g}"] if one.norm is not None else []
    parts += [f"at most {one.change:.2g} of a layer's weights"] if one.change is not None else []
    return f"{one.file}: {', '.join(parts)}"


def _data_text(data: DataInfo) -> str:
    said = f"{data.file}: {count_noun(data.rows, 'row')} ({data.form})"
    if data.encoded:
        said += f", {data.encoded:,} read as tokens"
    return said + (f", {count_noun(data.bad_rows, 'bad row')}" if data.bad_rows else "")


def _finding_rows(screen: Screen, finding: CaseFinding, whole: int) -> None:
    screen.say(finding.title, style="bold red")
    screen.row("cause", _cause_name(finding))
    screen.row("evidence", finding.says)
    if finding.rows:
        screen.row("rows", _places_text(finding.rows, finding.row_count or 0, whole))
    screen.row("fix", finding.fix, "green")
    screen.row("harmless", finding.harmless)
    screen.row("case", f"{finding.case} (`tuneworthy lab`, /case/{finding.case})")


def _cause_name(finding: CaseFinding) -> str:
    return finding.cause.replace("_", " ")


def _places_text(rows: tuple[str, ...], count: int, whole: int) -> str:
    """Return row places as `rows.jsonl: 3, 7 and 12 more`; `whole` is the number of all rows."""
    if count == whole:
        return f"all {count:,} that were read"
    files = {row.rpartition(":")[0] for row in rows}
    alike = len(files) == 1 and all(row.rpartition(":")[2].isdecimal() for row in rows)
    said = ", ".join(row.rpartition(":")[2] for row in rows) if alike else ", ".join(rows)
    said = f"{files.pop()}: {said}" if alike else said
    return said + (f" and {count - len(rows):,} more" if count > len(rows) else "")
