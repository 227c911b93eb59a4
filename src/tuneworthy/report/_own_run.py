"""Terminal screen of `check --run`: what was found with its fix, then the rest, one line a case."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from rich.text import Text

from tuneworthy.core.counting import count_noun
from tuneworthy.core.run_report import AdapterInfo, CaseFinding, DataInfo, OwnRunReport
from tuneworthy.report._screens import cell, escape_line, finished, wrapped

SIDE = 11


def own_run_screen(report: OwnRunReport, width: int = 80, plain: bool = False) -> Text:
    """Return what the lab's detectors found in a folder; no line is wider than `width`."""
    lines = [*_head(report, width, plain), Text(), *_sources(report, width, plain)]
    for finding in report.of_state("found"):
        lines += [Text(), *_found(finding, width, plain)]
    if clean := report.of_state("clean"):
        lines += [Text(), Text("  Clean", "bold")]
        for finding in clean:
            lines += _row(finding.case, finding.because, width, plain, side=_side(report))
    if report.of_state("not measured"):
        lines += [Text(), Text("  Not measured", "bold"), *_unmeasured(report, width, plain)]
    if report.assumed:
        lines += [Text(), Text("  Taken to be so", "bold")]
        lines += [line for text in report.assumed for line in _item(text, width, plain)]
    return finished(lines, plain)


def _head(report: OwnRunReport, width: int, plain: bool) -> Iterator[Text]:
    counts = {state: len(report.of_state(state)) for state in ("found", "clean", "not measured")}
    head = f"{count_noun(counts['found'], 'failure')} found" if counts["found"] else (
        "no failure found" if counts["clean"] else "nothing could be measured"
    )  # fmt: skip
    rest = [f"{counts[state]} {state}" for state in ("clean", "not measured") if counts[state]]
    style = "bold red" if counts["found"] else "bold"
    yield Text("  " + ", ".join([head, *rest]), style)
    where = f"{report.folder}: {report.trainer}"
    yield from (Text(line, "dim") for line in wrapped(escape_line(where, plain), width))


def _sources(report: OwnRunReport, width: int, plain: bool) -> Iterator[Text]:
    used = next((log for log in report.logs if log.used), None)
    if used is not None:
        said = f"{used.file} ({used.form}): {count_noun(used.steps, 'logged step')}"
        yield from _row("log", said + (f"; {used.because}" if used.because else ""), width, plain)
    for log in report.logs:
        if not log.used and log.because:
            yield from _row("", f"{log.file}: {log.because}", width, plain, "yellow")
    if report.adapter is not None:
        yield from _row("adapter", _adapter(report.adapter), width, plain)
    for name, data in (("data", report.data), ("test", report.test)):
        if data is not None:
            yield from _row(name, _data(data), width, plain)
            for fault in data.bad[:3]:
                yield from _row("", f"left out: {fault}", width, plain, "yellow")
    if report.settings:
        said = ", ".join(f"{name} {value}" for name, value in report.settings.items())
        yield from _row("options", said, width, plain)
    for file, why in report.not_read.items():
        yield from _row("not read", f"{file}: {why}", width, plain, "yellow")


def _adapter(one: AdapterInfo) -> str:
    parts = [one.kind]
    parts += [f"rank {one.rank}"] if one.rank else []
    parts += [count_noun(one.parameters, "parameter")] if one.parameters else []
    parts += [f"norm of the change {one.norm:.3g}"] if one.norm is not None else []
    parts += [f"at most {one.change:.2g} of a layer's weights"] if one.change is not None else []
    return f"{one.file}: {', '.join(parts)}"


def _data(data: DataInfo) -> str:
    said = f"{data.file}: {count_noun(data.rows, 'row')} ({data.form})"
    if data.encoded:
        said += f", {data.encoded:,} read as tokens"
    return said + (f", {count_noun(data.bad_rows, 'bad row')}" if data.bad_rows else "")


def _found(finding: CaseFinding, width: int, plain: bool) -> Iterator[Text]:
    yield from (Text(line, "bold red") for line in
                wrapped(escape_line(f"{finding.title}", plain), width))  # fmt: skip
    yield from _row("cause", finding.cause.replace("_", " "), width, plain)
    yield from _row("evidence", finding.because, width, plain)
    if finding.rows:
        more = (finding.row_count or 0) - len(finding.rows)
        said = ", ".join(finding.rows) + (f" and {more:,} more" if more else "")
        yield from _row("rows", said, width, plain)
    yield from _row("fix", finding.fix, width, plain, "green")
    yield from _row("no harm", finding.harmless, width, plain)
    yield from _row(
        "case", f"{finding.case} (`tuneworthy lab`, /case/{finding.case})", width, plain
    )


def _unmeasured(report: OwnRunReport, width: int, plain: bool) -> Iterator[Text]:
    """Yield the reasons, each with the cases that it concerns."""
    cases: defaultdict[str, list[str]] = defaultdict(list)
    for finding in report.of_state("not measured"):
        reasons = list(dict.fromkeys(finding.missing.values())) or [finding.because]
        for why in reasons:
            cases[why].append(finding.case)
    for why, names in cases.items():
        yield from _item(f"{why}: {', '.join(names)}", width, plain)


def _side(report: OwnRunReport) -> int:
    return max([SIDE, *(len(finding.case) + 1 for finding in report.of_state("clean"))])


def _item(text: str, width: int, plain: bool) -> Iterator[Text]:
    for at, line in enumerate(wrapped(escape_line(text, plain), width - 4, "")):
        yield Text(("  · " if not plain else "  - ") if at == 0 else "    ", "dim").append(line)


def _row(
    name: str, text: str, width: int, plain: bool, style: str = "", side: int = SIDE
) -> Iterator[Text]:
    for at, line in enumerate(wrapped(escape_line(text, plain), width - side - 2, "")):
        yield Text("  ").append(cell(name if at == 0 else "", side), "dim").append(line, style)
