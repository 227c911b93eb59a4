"""The page's sections on what arms learn: more rows, training, students, what training changed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tuneworthy.matrix.sizing import rows_to_collect
from tuneworthy.records.counting import count_noun, score_text, tenths
from tuneworthy.records.escape import visible
from tuneworthy.records.evidence import ArmResult
from tuneworthy.records.further import (
    LabelCleaningGain,
    LayerChange,
    LearningCurve,
    ModelChanges,
    SideEffects,
)
from tuneworthy.records.interval import Interval
from tuneworthy.records.results import Results
from tuneworthy.records.run import Run, Spec
from tuneworthy.report import _charts as charts
from tuneworthy.report._charts import ChartLine
from tuneworthy.report.page_parts import (
    Columns,
    Facts,
    Figure,
    Heading,
    Section,
    Shown,
    Span,
    Table,
    Text,
    case_link,
    soft,
)
from tuneworthy.verdict import phrases

_SpecFilter = Callable[[Spec], bool]
_TRAINING_OPTIONS = ("epochs", "rank", "alpha", "rate", "rows")
"""The options that a student and its seed student share."""


def learning_section(results: Results) -> Section | None:
    """Return the section with each measured learning curve; None if none was measured."""
    parts = [part for curve in results.evidence.curves for part in _curve_parts(results, curve)]
    return Section("rows-needed", "Would more rows help?", parts) if parts else None


def _curve_parts(results: Results, curve: LearningCurve) -> Iterator[Any]:
    margin = results.task.success.margin
    rival = next((a for a in results.evidence.arms if a.name == curve.rival and a.score), None)
    goal = min(1.0, rival.score.mean + margin) if rival and rival.score else None
    yield Heading(curve.arm)
    for line in (rows_line(curve, margin, results.evidence.train), _doubling_line(curve),
                 cleaning_line(curve.cleaning)):  # fmt: skip
        if line:
            yield Text(line)
    points = [
        charts.IntervalPoint(
            float(p.rows), p.score.mean, p.score.low, p.score.high,
            f"{p.rows} rows: {phrases.score_with_bounds(p.score)}, {p.n} cases",
        )
        for p in curve.points
    ]  # fmt: skip
    if len(points) > 1:
        yield Figure(
            "Score over the rows it learnt from, with 95 % intervals; the thin line is what it has"
            " to reach",
            charts.intervals_chart(points, ("rows", "score"), goal),
        )


def rows_line(curve: LearningCurve, margin: float, train: int | None = None) -> str:
    """Return a sentence on how many more rows to collect, or why that is unknown.

    `Collect about 120 more rows (80 %: 60 to 260): …`.
    """
    arm, rival = visible(curve.arm), visible(curve.rival)
    more = rows_to_collect(curve, train)
    if more is None or curve.high is None:
        why = visible(curve.because or phrases.UNKNOWN)
        return f"How many rows {arm} needs is not known: {why}."
    sizes = [point.rows for point in curve.points] or [0]
    goal = f"to beat {rival} by {tenths(margin)} points"
    span = f"{curve.low:,.0f} to {curve.high:,.0f}"
    if curve.high <= min(sizes):  # no smaller size was measured: the bounds end there
        return f"{arm} has enough rows {goal}: {curve.high:,.0f} or fewer do (fewer not measured)."
    if not more.high:
        return f"{arm} has enough rows {goal}: about {curve.needed:,.0f} do (80 %: {span})."
    if not more.rows:
        return (
            f"{arm} may have enough rows {goal}: about {curve.needed:,.0f} do (80 %: {span}); "
            f"you have {train or max(sizes):,}."
        )
    ends = f"(80 %: {more.low:,} to {more.high:,})"
    return f"Collect about {more.rows:,} more rows {ends} for {arm} {goal}."


def _doubling_line(curve: LearningCurve) -> str:
    """Return a sentence on the points gained by the last doubling of rows; "" if unmeasured."""
    if curve.last_doubling is None or len(curve.points) < 2:
        return ""
    fewer, more = curve.points[-2].rows, curve.points[-1].rows
    gain = phrases.span(curve.last_doubling)
    return f"From {fewer:,} to {more:,} rows it gained {gain} points (95 %)."


def cleaning_line(cleaning: LabelCleaningGain | None) -> str:
    """Return a sentence on the gain from leaving out doubtful rows; "" if it was not tried."""
    if cleaning is None:
        return ""
    if cleaning.gain is None:
        return f"What cleaning the answers is worth was not measured: {visible(cleaning.because)}."
    return (
        f"Without the {cleaning.dropped:.3g} of {cleaning.rows:,.0f} training rows that others "
        f"deny it gains {phrases.span(cleaning.gain)} points (95 %)."
    )


def training_section(results: Results) -> Section | None:
    """Return the section with each trained arm's curves; None if no arm has a trace."""
    traces: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for run in results.runs:
        if run.trace and "steps" in run.trace and run.spec.role == "candidate":
            traces[run.spec.name].append(run.trace)
    because = {arm.name: str(arm.because or "") for arm in results.evidence.arms}
    parts = [part for name, kept in traces.items()
             for part in _training_parts(name, kept, because.get(name, ""))]  # fmt: skip
    return Section("training", "How did training go?", parts) if parts else None


def _training_parts(name: str, kept: list[dict[str, Any]], note: str) -> Iterator[Any]:
    runs = [charts.training_points(trace) for trace in kept]
    losses, devs, chosen = ([run[key] for run in runs if run[key]]
                            for key in ("loss", "dev", "chosen"))  # fmt: skip
    single = all(len(trace["evaluations"]) == 1 for trace in kept)
    yield Heading(f"{name}, {count_noun(len(kept), 'run')}")
    if note:
        yield Text(soft(note))
    loss = charts.unnamed_lines_chart(losses, [], ("step", "loss")) if losses else None
    dev = charts.unnamed_lines_chart(devs, chosen, ("step", "score"), True) if devs else None
    none = "one epoch: there was nothing to choose" if single else "not recorded"
    held = "Score on rows held out for choosing; the large dot is the checkpoint that was kept"
    yield Columns([Figure("Loss on training rows", loss, empty="not recorded"),
                   Figure(held, dev, empty=none)])  # fmt: skip
    yield Facts(_trace_figures(kept[0]), "facts-of")


def _trace_figures(trace: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the numbers of a training trace as (name, text), without its seed and choice."""
    return [
        (key.replace("_", " "), f"{value:,.3g}" if isinstance(value, float) else f"{value:,}")
        for key, value in trace.items()
        if isinstance(value, int | float)
        and not isinstance(value, bool)
        and key not in ("chosen", "seed")
    ]


def students_section(results: Results) -> Section | None:
    """Return the section on what each student learnt from its teacher; None without students."""
    parts: list[Any] = []
    for student in student_lines(results):
        rows = [(what, Span(arm, "code") if arm else "", value)
                for what, arm, value in student["columns"]]  # fmt: skip
        parts += [Heading(student["name"]), Table(("Who", "Arm", "#Score, 95 %"), rows)]
        parts += [Text(line) for line in student["lines"]]
    title = "What did the student learn from its teacher?"
    return Section("students", title, parts) if parts else None


def student_lines(results: Results) -> list[dict[str, Any]]:
    """Return for each student that was trained on a teacher: `name`, `columns` and `lines`.

    `columns` are (what, arm, score or why there is none): the teacher, the distilled student, the
    untouched student, and the seed student, which learnt the task's own labels alone. Agreement
    with the teacher is a line of its own: it is no quality.
    """
    taught: dict[str, list[Run]] = {}
    for run in results.runs:
        if run.spec.tool == "distil" and run.trace and "distilled" in run.trace:
            taught.setdefault(run.spec.name, []).append(run)
    return [
        {"name": name, "columns": _score_columns(results, runs[0].spec), "lines": _note_lines(runs)}
        for name, runs in taught.items()
    ]


def student_texts(results: Results) -> list[str]:
    """Return two texts per student: its columns, and its agreement with the teacher."""
    out = []
    for student in student_lines(results):
        columns = " · ".join(f"{what} {value}" for what, _, value in student["columns"])
        out += [f"{student['name']}: {columns}.", student["lines"][0]]
    return out


def _score_columns(results: Results, spec: Spec) -> list[tuple[str, str, str]]:
    own = spec.options
    student = own.get("student", "tune")

    def same(other: Spec, learns: str, keys: Sequence[str]) -> bool:
        given = other.options
        alike = all(given.get(key) == own.get(key) for key in ("student", "every", *keys))
        return other.arm == spec.arm and given.get("learns") == learns and alike

    simple = {"tune": "lora", "classifier": "tfidf"}.get(student, "")
    if student == "classifier" and own.get("head") == "vectors":
        simple = "embedding_head"
    long = {arm.name for arm in results.evidence.arms if arm.tool == "prompt" and arm.finalist}
    itself = spec.arm == "prompt_distil"  # its teacher is the best prompt of the same model
    wanted: list[tuple[str, list[_SpecFilter]]] = [
        ("teacher", [lambda s: itself and s.name in long,
                     lambda s: not itself and s.role == "ceiling" and s.arm == "teacher"]),
        ("distilled student", [lambda s: s.name == spec.name]),
        ("untouched student", [lambda s: same(s, "nothing", ()),
                               lambda s: student == "tune" and s.arm == "zero_shot"]),
        ("seed student (your own labels alone)", [lambda s: same(s, "own", _TRAINING_OPTIONS),
                                                  lambda s: s.arm == simple]),
    ]  # fmt: skip
    specs = {run.spec.name: run.spec for run in results.runs}
    arms = {arm.name: arm for arm in results.evidence.arms}
    found = []
    for what, tests in wanted:
        names = [name for test in tests for name, one in specs.items() if test(one)]
        arm = next((arms[name] for name in names if name in arms), None)
        found.append((what, arm.name if arm else "", _score_text(arm)))
    return found


def _score_text(arm: ArmResult | None) -> str:
    if arm is None or arm.score is None:
        why = arm.because if arm else None
        return "not measured" + (f" ({why})" if why else "")
    return phrases.score_with_bounds(arm.score)


def _note_lines(runs: Sequence[Run]) -> list[str]:
    """Return lines on a student: agreement with its teacher, pairs kept, cost, prompt lengths."""
    fits = [run.trace["distilled"] for run in runs if run.trace]
    lines = [_agreement_line(fits)]
    if len(fits[0]["curve"]) > 1:
        points = [f"{_agreement_share(point)} with {point['rows']:,}" for point in fits[0]["curve"]]
        lines.append(f"Agreement by teacher rows, first fit: {', '.join(points)}.")
    pairs = fits[0]["pairs"]
    left = "; ".join(f"{count:,}: {why}" for why, count in pairs["rejected"].items())
    lines.append(
        f"{fits[0]['teacher']} wrote {pairs['written']:,} answers to {pairs['inputs']:,} inputs, "
        f"{pairs['kept']:,} are kept" + (f" (rejected: {left})." if left else ".")
    )
    if pairs["usd"] is not None:
        lines.append(f"These answers cost ${phrases.amount(pairs['usd'])}, once for all fits.")
    long, short = (fits[0]["prompt_tokens"][side] for side in ("teacher", "student"))
    if long and short:
        lines.append(f"Prompt tokens a request: {long:,.0f} for the teacher, {short:,.0f} after.")
    return lines


def _agreement_line(fits: Sequence[dict[str, Any]]) -> str:
    known = [one["agreement"] for one in fits if one["agreement"]["agree"] is not None]
    if not known:
        return "Agreement with the teacher: not measured, too few of its rows were held back."
    agree, of = (sum(one[key] for one in known) for key in ("agree", "of"))
    return (
        f"Agreement with the teacher (no quality: a teacher may err): {agree:,} of {of:,} inputs "
        "held back."
    )


def _agreement_share(point: dict[str, Any]) -> str:
    return "not measured" if point["agree"] is None else f"{point['agree']} of {point['of']}"


def changes_section(results: Results) -> Section | None:
    """Return the section on what fine-tuning changed in each arm; None if none was examined."""
    harms = {harm.arm: harm for harm in results.evidence.harms}
    changes = {change.arm: change for change in results.evidence.changes}
    parts: list[Any] = []
    for arm in dict.fromkeys([*changes, *harms]):
        parts.append(Heading(arm))
        if arm in changes:
            parts += _change_parts(changes[arm])
        if arm in harms:
            columns, rows = ("What", "#Change, 95 %", "Note"), _harm_rows(harms[arm], results)
            parts += [Heading("What it cost outside the task"), Table(columns, list(rows))]
    return Section("changes", "What did fine-tuning change?", parts) if parts else None


def _change_parts(found: ModelChanges) -> Iterator[Any]:
    yield Facts(list(_change_facts(found)), "facts-of")
    yield Columns(_layer_charts(found.layers))
    if not found.examples:
        return

    def answer(text: str, score: float | None) -> Shown:
        return text, " ", soft("no score" if score is None else score_text(score))

    yield Heading("The same prompt before and after")
    yield Table(
        ("Case", "The base", "After training"),
        [
            (case_link(one.case), answer(one.before, one.score_before),
             answer(one.after, one.score_after))
            for one in found.examples
        ],
    )  # fmt: skip
    yield Text("The first cases, in an order of the seed, on which the two answer differently.",
               "soft")  # fmt: skip


def _change_facts(found: ModelChanges) -> Iterator[tuple[str, str]]:
    if found.ratio is not None:
        yield "size of the change, of the weights", f"{100 * found.ratio:.2g} %"
    ranks = [one.effective_rank for one in found.layers if one.effective_rank is not None]
    if ranks:
        mean, most = sum(ranks) / len(ranks), max(one.rank for one in found.layers)
        yield "effective rank", f"{mean:.1f} of {most}"
    if found.kl_on is not None:
        yield "KL from the base on the task", f"{_nats_text(found.kl_on)} · n {found.n_on:,}"
    if found.kl_off is not None:
        yield "KL off the task", f"{_nats_text(found.kl_off)} · n {found.n_off:,}"
    if found.asked:
        yield "same prompt, other answer", f"{found.differ:,} of {found.asked:,}"


def _nats_text(value: Interval) -> str:
    return f"{value.mean:.2g} nats a token ({value.low:.2g} to {value.high:.2g})"


def _layer_charts(layers: tuple[LayerChange, ...]) -> list[Figure]:
    """Return charts by layer: size and effective rank of the change, shift of the outputs."""
    placed = [(float(one.layer), one) for one in layers if one.layer.isdigit()]
    if len(placed) < 2:
        return []
    size = ChartLine("size of the change", "c1", tuple((x, 100 * one.ratio) for x, one in placed))
    rank = ChartLine("effective rank", "c4", tuple(_measured_points(placed, "effective_rank")))
    on = ChartLine(
        "on the task", "c1", tuple((x, 100 * y) for x, y in _measured_points(placed, "shift_on"))
    )
    off = ChartLine(
        "on general text",
        "c8",
        tuple((x, 100 * y) for x, y in _measured_points(placed, "shift_off")),
    )
    wanted = (
        ("Size of the weight change by layer, % of the weights", "per cent", [size]),
        ("Effective rank of the weight change by layer", "rank", [rank]),
        ("Shift of the layer's output, % of its norm", "per cent", [on, off]),
    )
    return [
        Figure(
            title,
            charts.named_lines_chart(lines, ("layer", unit)),
            charts.legend(lines) if len(lines) > 1 else [],
        )
        for title, unit, named in wanted
        if (lines := [line for line in named if len(line.points) > 1])
    ]


def _measured_points(
    placed: list[tuple[float, LayerChange]], name: str
) -> list[tuple[float, float]]:
    found = [(x, getattr(one, name)) for x, one in placed]
    return [(x, float(y)) for x, y in found if y is not None]


def _harm_rows(found: SideEffects, results: Results) -> Iterator[tuple[Shown, ...]]:
    """Yield rows of the harm table: title, value, and a note or why the value is missing."""
    limit = results.task.success.limits.general_drop
    state = next(
        (a.limits.get("general_drop") for a in results.evidence.arms if a.name == found.arm), None
    )
    note = f"limit {100 * limit:g} %: {state}" if limit is not None and state else "no limit is set"
    rows = (
        ("general", "Cross-entropy on general text", _percent_text,
         f"relative rise, {found.general_n:,} texts that the base wrote; {note}"),
        ("tail", "Score on the quarter with the rarest words", phrases.span, "in points"),
        ("ece", "Calibration error", phrases.span, "in points; more is worse"),
        ("known", "Well known facts lost", _share_text, "of those it was not trained on"),
        ("refusals", "Refusals where an answer is right", phrases.span, "in points of cases"),
        ("refusals_wanted", "Refusals where refusing is right", phrases.span, "in points of cases"),
    )  # fmt: skip
    for name, title, form, what in rows:
        value = getattr(found, name)
        why = found.missing.get(name, phrases.UNKNOWN)
        shown = form(value) if value is not None else "not measured"
        yield title, shown, soft(what if value is not None else why, said=True)


def _percent_text(value: Interval) -> str:
    return " ".join(
        (f"{100 * value.mean:+.1f} %", f"({100 * value.low:+.1f} … {100 * value.high:+.1f})")
    ).replace("-", "−")


def _share_text(value: Interval) -> str:
    return f"{100 * value.mean:.0f} % ({100 * value.low:.0f} … {100 * value.high:.0f})"
