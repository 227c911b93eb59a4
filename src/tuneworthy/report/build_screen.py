"""The lines that `build` prints: forms with sizes, parity, what failed, how to serve."""

from __future__ import annotations

from collections.abc import Iterator

from tuneworthy.records.build_report import BuildReport, BuiltForm, FormParity
from tuneworthy.records.counting import count_noun


def build_lines(report: BuildReport) -> Iterator[str]:
    """Yield the lines that report on a build."""
    state = "would be built" if report.planned else "refused" if report.refused else "built"
    yield f"{report.arm}: {state}, from {count_noun(report.rows, 'row')}{_seeds_text(report)}"
    yield from (_form_line(form, report.planned) for form in report.forms if not form.because)
    yield from (f"  not {form.form}: {form.because}" for form in report.forms if form.because)
    for one in report.parity:
        yield from _parity_lines(one)
    if report.folder:
        yield f"artefact: {report.folder}"
    yield from (f"serve: {command}" for command in report.commands)
    if report.artefact.expires:
        yield f"expires: {report.artefact.expires}"
    if report.pushed:
        yield f"pushed: {report.pushed}"


def _seeds_text(report: BuildReport) -> str:
    if len(report.seeds) < 2:
        return ""
    known = {seed: score for seed, score in report.seeds.items() if score is not None}
    if not known:
        return f", {len(report.seeds)} seeds"
    told = ", ".join(f"seed {seed} {score:.3f}" for seed, score in known.items())
    return f", the best on dev of {told}"


def _form_line(form: BuiltForm, planned: bool) -> str:
    size = "small" if form.bytes is None else _size_text(form.bytes)
    about = f"about {size}" if planned and form.bytes is not None else size
    seconds = "" if form.seconds is None else f" {form.seconds:.1f} s"
    notes = f"  {'; '.join(form.notes)}" if form.notes else ""
    return f"  {form.form:<11} {about:<9}{seconds}{notes}"


def _parity_lines(one: FormParity) -> Iterator[str]:
    if one.because:
        yield f"  asked again: {one.form} not measured, {one.because}"
        return
    line = f"  asked again: {one.form} ({one.engine}), {one.equal} of {one.asked} the same"
    if one.difference is not None:
        bound = one.difference
        line += f", score {bound.mean:+.3f} ({bound.low:+.3f} to {bound.high:+.3f})"
    if one.distance is not None:
        line += f", {one.distance.exported:.1g} nats a token apart"
    yield line
    if one.excluded is False and not one.failed:
        yield f"    a drop beyond the margin {one.margin:g} is not excluded by {one.asked} cases"
    for why in one.failed:
        yield f"    FAILED: {why}"
    for change in one.changes if one.failed else ():
        yield (f"    {change.case}: {change.before:.2f} -> {change.after:.2f}, "
               f"{change.evaluated[:60]!r} became {change.exported[:60]!r}")  # fmt: skip


def _size_text(count: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"
