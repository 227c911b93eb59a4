"""Terminal screen of `check --run`: each failure with its fix, then a line per other case."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from rich.text import Text

from tuneworthy.core.counting import count_noun
from tuneworthy.core.run_report import AdapterInfo, CaseFinding, DataInfo, OwnRunReport
from tuneworthy.report._screens import cell, escape_line, finished, wrapped

NAME_WIDTH = 11


def own_run_screen(report: OwnRunReport, width: int = 80, plain: bool = False) -> Text:
    """Return the screen on failures found in a training folder; no line exceeds `width`."""
    lines = [*_head_lines(report, width, plain), Text(), *_source_lines(report, width, plain)]
    for finding in report.of_state("found"):
        whole = report.data.encoded if report.data else 0
        lines += [Text(), *_finding_lines(finding, whole, width, plain)]
    if clean := report.of_state("clean"):
        lines += [Text(), Text("  Clean", "bold")]
        side = max(len(_cause_name(finding)) for finding in clean) + 2
        for finding in clean:
            lines += _row_lines(_cause_name(finding), finding.because, width, plain, side=side)
    if report.of_state("not measured"):
        lines += [Text(), Text("  Not measured", "bold"), *_unmeasured_lines(report, width, plain)]
    if report.assumed:
        lines += [Text(), Text("  Taken to be so", "bold")]
        lines += [line for text in report.assumed for line in _item_lines(text, width, plain)]
    return finished(lines, plain)


def _head_lines(report: OwnRunReport, width: int, plain: bool) -> Iterator[Text]:
    counts = {state: len(report.of_state(state)) for state in ("found", "clean", "not measured")}
    head = f"{count_noun(counts['found'], 'failure')} found" if counts["found"] else (
        "no failure found" if counts["clean"] else "nothing could be measured"
    )  # fmt: skip
    rest = [f"{counts[state]} {state}" for state in ("clean", "not measured") if counts[state]]
    style = "bold red" if counts["found"] else "bold"
    yield Text("  " + ", ".join([head, *rest]), style)
    where = f"{report.folder}: {report.trainer}"
    yield from (Text(line, "dim") for line in wrapped(escape_line(where, plain), width))


def _source_lines(report: OwnRunReport, width: int, plain: bool) -> Iterator[Text]:
    used = next((log for log in report.logs if log.used), None)
    if used is not None:
        said = f"{used.file} ({used.form}): {count_noun(used.steps, 'logged step')}"
        yield from _row_lines(
            "log", said + (f"; {used.because}" if used.because else ""), width, plain
        )
    for log in report.logs:
        if not log.used and log.because:
            yield from _row_lines("", f"{log.file}: {log.because}", width, plain, "yellow")
    facts = report.facts
    if facts.refused is not None:
        yield from _row_lines("", f"training broke: {facts.refused}", width, plain, "red")
    if curves := _losses_text(report):
        yield from _row_lines("loss", curves, width, plain)
    if report.adapter is not None:
        yield from _row_lines("adapter", _adapter_text(report.adapter), width, plain)
    for name, data in (("data", report.data), ("test", report.test)):
        if data is not None:
            yield from _row_lines(name, _data_text(data), width, plain)
            for fault in data.bad[:3]:
                yield from _row_lines("", f"left out: {fault}", width, plain, "yellow")
    if report.settings:
        said = ", ".join(f"{name} {value}" for name, value in report.settings.items())
        yield from _row_lines("options", said, width, plain)
    for file, why in report.not_read.items():
        yield from _row_lines("not read", f"{file}: {why}", width, plain, "yellow")


def _losses_text(report: OwnRunReport) -> str:
    """Return the first, last and least loss in training and on held-out rows; or ""."""
    facts, parts = report.facts, []
    for name, first, last, least in (
        ("training", facts.loss_first, facts.loss_last, facts.loss_least),
        ("held-out rows", facts.new_loss_first, facts.new_loss_last, facts.new_loss_least),
    ):
        if first is not None and last is not None and least is not None:
            parts.append(f"{name} {first:.3g} to {last:.3g}, at best {least:.3g}")
    return "; ".join(parts)


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


def _finding_lines(finding: CaseFinding, whole: int, width: int, plain: bool) -> Iterator[Text]:
    yield from (Text(line, "bold red") for line in
                wrapped(escape_line(f"{finding.title}", plain), width))  # fmt: skip
    yield from _row_lines("cause", _cause_name(finding), width, plain)
    yield from _row_lines("evidence", finding.because, width, plain)
    if finding.rows:
        said = _places_text(finding.rows, finding.row_count or 0, whole)
        yield from _row_lines("rows", said, width, plain)
    yield from _row_lines("fix", finding.fix, width, plain, "green")
    yield from _row_lines("no harm", finding.harmless, width, plain)
    yield from _row_lines(
        "case", f"{finding.case} (`tuneworthy lab`, /case/{finding.case})", width, plain
    )


def _unmeasured_lines(report: OwnRunReport, width: int, plain: bool) -> Iterator[Text]:
    """Yield each reason why cases were not measured, with the causes of these cases."""
    cases: defaultdict[str, list[str]] = defaultdict(list)
    for finding in report.of_state("not measured"):
        for why in finding.reasons:
            cases[why].append(_cause_name(finding))
    for why, names in cases.items():
        yield from _item_lines(f"{why}: {', '.join(names)}", width, plain)


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


def _item_lines(text: str, width: int, plain: bool) -> Iterator[Text]:
    for at, line in enumerate(wrapped(escape_line(text, plain), width - 4, "")):
        yield Text(("  · " if not plain else "  - ") if at == 0 else "    ", "dim").append(line)


def _row_lines(
    name: str, text: str, width: int, plain: bool, style: str = "", side: int = NAME_WIDTH
) -> Iterator[Text]:
    for at, line in enumerate(wrapped(escape_line(text, plain), width - side - 2, "")):
        yield Text("  ").append(cell(name if at == 0 else "", side), "dim").append(line, style)
