"""Terminal screen of `check --live`: the conclusion, then one line per measurement."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from tuneworthy.core.counting import (
    count_noun,
    percent,
    percent_with_bounds,
    points,
    points_with_bounds,
    with_verb,
)
from tuneworthy.core.live_check import LiveCheck, LiveMean, LiveShare, LiveSpread
from tuneworthy.report._screens import cell, escape_line, finished, wrapped

MEASURE_NAMES = {"valid": "valid", "score": "score", "inputs": "inputs", "unlike": "unlike",
                 "labels": "labels", "facts": "facts", "length": "length", "latency": "latency",
                 "slow": "limit"}  # fmt: skip
NAME_WIDTH = 11
MOST_BAD_LINES = 3


def live_check_screen(check: LiveCheck, width: int = 80, plain: bool = False) -> Text:
    """Return the screen on a production log compared with a study; no line exceeds `width`."""
    lines = [
        *_conclusion_lines(check, width, plain),
        Text(),
        *_log_lines(check, width, plain),
        Text(),
    ]
    for key, name in MEASURE_NAMES.items():
        known = getattr(check, key) is not None
        said = (
            _measurement_text(check, key)
            if known
            else f"not measured: {check.missing.get(key, '')}"
        )
        lines += _row_lines(name, said, width, plain, "" if known else "dim")
    expiry = check.expiry
    until = f"{'expired on' if expiry.passed else 'holds until'} {expiry.day}"
    said = f"{until if expiry.day else 'none'}: {expiry.because}"
    lines += _row_lines("expiry", said, width, plain, "" if expiry.day else "dim")
    return finished(lines, plain)


def _conclusion_lines(check: LiveCheck, width: int, plain: bool) -> Iterator[Text]:
    found = check.conclusion
    assert found is not None  # `check_live` fills it in
    head: str = found.do
    if found.rows is not None:
        head += f": about {count_noun(found.rows, 'new row')}"
        head += f" ({found.rows_low:,} to {found.rows_high:,})"
    yield Text("  " + escape_line(head, plain), "bold")
    yield from (Text(line) for line in wrapped(escape_line(found.because, plain) + ".", width))
    if found.unseen:
        told = "; ".join(f"{MEASURE_NAMES[key]}: {why}" for key, why in found.unseen.items())
        text = f"Not looked at: {told}."
        yield from (Text(line, "dim") for line in wrapped(escape_line(text, plain), width))


def _log_lines(check: LiveCheck, width: int, plain: bool) -> Iterator[Text]:
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
    yield from _row_lines("log", f"{check.log}: {', '.join(parts)}", width, plain)
    arm = f"{check.arm} ({check.tool or 'other'})" if check.arm else "no arm is named"
    made = f", {check.made[:10]}" if check.made else ""
    yield from _row_lines("study", f"{check.study}{made}: {arm}", width, plain)
    if check.bad_lines:
        more = "; …" if check.bad_lines > MOST_BAD_LINES else ""
        said = f"{check.bad_lines:,} left out: {'; '.join(check.bad[:MOST_BAD_LINES])}{more}"
        yield from _row_lines("bad lines", said, width, plain, "yellow")
    if check.unclear_gold:
        inputs = with_verb(check.unclear_gold, "input", "have")
        said = f"{inputs} rows with different right answers: left out"
        yield from _row_lines("gold", said, width, plain, "yellow")


def _measurement_text(check: LiveCheck, key: str) -> str:
    value = getattr(check, key)
    if isinstance(value, LiveMean):
        return _mean_text(value)
    if isinstance(value, LiveSpread):
        return _spread_text(value)
    if isinstance(value, LiveShare):
        limit = check.p95_limit or 0.0
        return f"{_share_text(value)} took longer than {limit:,.0f} ms; 5 % may"
    return {
        "inputs": _drift_text,
        "unlike": _unlike_inputs_text,
        "labels": _labels_text,
        "facts": _changed_facts_text,
    }[key](check)


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


def _drift_text(check: LiveCheck) -> str:
    drift = check.inputs
    assert drift is not None
    shown = "drift is shown" if drift.p <= drift.level else "no drift is shown"
    grouped = drift.units_now < drift.n_now or drift.units_then < drift.n_then
    units = f", {drift.units_now:,} and {drift.units_then:,} groups" if grouped else ""
    return (
        f"{shown}: AUC {drift.auc:.2f} (.50 is none), p {drift.p:.3f} at level {drift.level:g};"
        f" n = {drift.n_now:,} and {drift.n_then:,}{units}"
    )


def _unlike_inputs_text(check: LiveCheck) -> str:
    found = check.unlike
    assert found is not None
    text = f"{_share_text(found.share)} look like no row of the study;"
    text += f" chance: {percent(found.expected)}"
    if found.texts:
        pairs = zip(found.lines, found.texts, strict=True)
        return text + "; " + "; ".join(f'line {line}: "{words[:200]}"' for line, words in pairs)
    return text + (f"; lines {', '.join(map(str, found.lines))}" if found.lines else "")


def _labels_text(check: LiveCheck) -> str:
    found = check.labels
    assert found is not None
    gaps = {name: found.now.get(name, 0.0) - found.then.get(name, 0.0) for name in found.now}
    name, gap = max(gaps.items(), key=lambda pair: abs(pair[1]))
    return (
        f"{percent_with_bounds(found.distance)} of them differ, p {found.p:.3f};"
        f" most: {name} by {points(gap)}; n = {found.n_now:,} and {found.n_then:,}"
    )


def _changed_facts_text(check: LiveCheck) -> str:
    found = check.facts
    assert found is not None
    text = f"{_share_text(found.share)} are about facts that moved since {found.since[:10]}"
    if found.stale:
        text += f"; answers: {found.old:,} old, {found.new:,} new, {found.other:,} neither"
    return text + (f"; lines {', '.join(map(str, found.lines))}" if found.lines else "")


def _row_lines(name: str, text: str, width: int, plain: bool, style: str = "") -> Iterator[Text]:
    for at, line in enumerate(wrapped(escape_line(text, plain), width - NAME_WIDTH - 2, "")):
        yield (
            Text("  ").append(cell(name if at == 0 else "", NAME_WIDTH), "dim").append(line, style)
        )
