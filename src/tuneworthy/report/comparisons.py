"""Terminal screens and JSON of comparisons: two recorded systems, two studies, a recomputation."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.text import Text

from tuneworthy.explain.two_studies import Scoring, other_tasks_line, unknown_source
from tuneworthy.records.build_report import ExportTrace
from tuneworthy.records.counting import chance_text, count_noun, score_text, tenths, with_verb
from tuneworthy.records.evidence import Pair
from tuneworthy.records.results import Results
from tuneworthy.records.verdict import Verdict
from tuneworthy.report.screen import Screen, bar, cell
from tuneworthy.verdict import phrases

if TYPE_CHECKING:  # the report computes no statistics, so it must not import them
    from tuneworthy.explain.two_logs import AnsweredCase, LogComparison, SliceDifference, TwoLogs
    from tuneworthy.explain.two_studies import Repetition
    from tuneworthy.verdict.recompute import Recomputed

INTERVAL_TEXT = "two-sided 95 %"
SHOWN_SLICES, SHOWN_CASES = 4, 3  # the most slices, and the most rows won or lost, on the screen
_CASE_INDENT = "         "
_MOST_DIFFERENCES = 20


def compare_screen(
    first: Results, second: Results, pairs: Sequence[Pair], width: int = 80, plain: bool = False
) -> Text:
    """Return a rich Text comparing studies A and B; a pair is an arm of B minus an arm of A."""
    screen, which = Screen(width, plain), {"A": first.verdict, "B": second.verdict}
    screen.say(_studies_headline(pairs), style="bold")
    for name, verdict in which.items():
        head = phrases.headline_and_arm(verdict, "   ")
        screen.say(
            f"{name}: {verdict.task.name} {verdict.task.hash[:8]}: {head} · {verdict.status}"
        )
    notes = [
        f"{name} is blocked ({verdict.because}): its scores may mislead, and so may a difference."
        for name, verdict in which.items()
        if verdict.status == "blocked"
    ]
    scorings = Scoring.of(first), Scoring.of(second)
    notes += [other_tasks_line(*scorings), unknown_source(*scorings)]
    if pairs:
        notes.append(f"Each line is B − A in points ({INTERVAL_TEXT}): above 0, B is better.")
    screen.say(*notes, style="dim")
    screen.say(*(f"B {pair.arm} − A {pair.versus}: {_difference_text(pair)}" for pair in pairs))
    return screen.text()


def _studies_headline(pairs: Sequence[Pair]) -> str:
    """Return the headline: on how many pairs of arms of both studies a difference is shown."""
    if not pairs:
        return "No case was answered in both studies: nothing can be paired."
    better, worse = sum(pair.low > 0 for pair in pairs), sum(pair.high < 0 for pair in pairs)
    if not better + worse:
        return f"No difference is shown on the {count_noun(len(pairs), 'pair')} of arms."
    shown = [f"better in {better}"] * bool(better) + [f"worse in {worse}"] * bool(worse)
    return f"Of {count_noun(len(pairs), 'pair')} of arms B is {' and '.join(shown)}."


def repeated_screen(repeated: Repetition, width: int = 80, plain: bool = False) -> Text:
    """Return the screen on what changed since the verdict that this one repeats."""
    screen, before, now = Screen(width, plain), repeated.before, repeated.now
    head = "another arm is named" if repeated.changed else "the same arm is named"
    screen.add()
    screen.say(f"again: {head}: {_verdict_name(now)} now, {_verdict_name(before)} before",
               style="bold")  # fmt: skip
    lines = (
        f"Each line is now − before in points of the score ({INTERVAL_TEXT}), on the cases of both."
    )
    left_out = f"{count_noun(repeated.left_out, 'case')} left out: other inputs, equal ids."
    screen.say(f"Not paired: {repeated.because}." if repeated.because else lines,
               repeated.caution, left_out if repeated.left_out else "", style="dim")  # fmt: skip
    for pair in repeated.pairs:
        names = pair.arm if pair.arm == pair.versus else f"{pair.arm} − {pair.versus}"
        screen.say(f"{names}: {_difference_text(pair)}")
    return screen.text()


def _verdict_name(verdict: Verdict) -> str:
    return f"{verdict.arm or verdict.use} ({verdict.status})"


def _difference_text(pair: Pair) -> str:
    shift = "better" if pair.low > 0 else "worse" if pair.high < 0 else "not shown to differ"
    return (
        f"{phrases.span(pair)}, {shift}; won {pair.wins:,}, lost {pair.losses:,} of"
        f" {count_noun(pair.n, 'case')}"
    )


def recompute_screen(found: Recomputed, width: int = 80, plain: bool = False) -> Text:
    """Return the screen on whether recomputing a stored study reproduces it."""
    screen, count = Screen(width, plain), len(found.differs)
    head = count_noun(count, "difference") if count else "the same"
    if found.wording and not count:
        head = "the same scores, bounds and names; only the wording differs"
    screen.add(Text(f"  recomputed: {head}", "bold"))
    screen.say(f"evidence hash {found.hash}")
    if found.rescored is None:
        screen.say("No answer was scored again: neither your own code nor a judge is run.")
    else:
        screen.say(f"{count_noun(found.rescored, 'answer')} scored again.")
    if found.not_recomputed:
        screen.say(f"Taken as stored: {', '.join(found.not_recomputed)}.")
    screen.say(*_first_differences(found.differs))
    if found.wording:
        sentences = with_verb(len(found.wording), "sentence", "have")
        screen.say(f"{sentences} other words, as those of another build have:")
        screen.say(*_first_differences(found.wording))
    return screen.text()


def _first_differences(found: Sequence[str]) -> list[str]:
    notes = [f"- {line}" for line in found[:_MOST_DIFFERENCES]]
    if len(found) > _MOST_DIFFERENCES:
        notes.append(f"… and {len(found) - _MOST_DIFFERENCES:,} more (all of them with --json)")
    return notes


def two_logs_screen(compared: LogComparison, width: int = 80, plain: bool = False) -> Text:
    """Return the screen: who leads and by how much, rows to show it, slices, rows to read."""
    screen, result = Screen(width, plain), compared.result
    pair, count = result.pair, count_noun(result.pair.n, "row")
    by = "your grades" if result.graded else f"`{compared.metric}`" * compared.is_open
    names, holds = ("A", "B"), result.dependent is None
    lead = lead_line(pair.mean, pair.low, pair.high, names, holds, by=by)
    if len(lead) > width - len(count) - 4:
        lead = lead_line(pair.mean, pair.low, pair.high, names, holds)
    head = screen.safe(cell(lead, width - len(count) - 4))
    screen.add(Text("  ").append(head, "bold").append(count, "dim"))
    interval = (
        f"The interval is {INTERVAL_TEXT}, of the paired difference on the rows that both answered."
    )
    if result.dependent:
        interval = "Rows depend on their neighbours in the file, so no interval holds."
    screen.say(" ".join(f"{interval} {wide_line(result)} {_more_line(result)}".split()))
    screen.say(*_grading_lines(compared))
    screen.add()
    _system_rows(screen, compared)
    screen.add()
    _slice_rows(screen, result)
    _case_rows(screen, result)
    left_out = compared.left_out.items()
    screen.say(*(f"Not counted: {count_noun(n, 'row')}, {why}." for why, n in left_out),
               *map(phrases.as_sentence, compared.notes), style="yellow")  # fmt: skip
    return screen.text()


def trace_screen(trace: ExportTrace, width: int = 80, plain: bool = False) -> Text:
    """Return the screen on the steps of an export: which of them is at fault, and each finding."""
    screen, fault = Screen(width, plain), trace.fault
    head = "no fault found" if fault is None else f"faulty step: {fault.name}"
    screen.add(Text(f"  {head}", "bold"))
    screen.say(f"from {trace.source} to {trace.export}", style="dim")
    screen.add()
    words = {True: "sound", False: "FAULT", None: "not checked"}
    for step in trace.steps:
        screen.say(f"{words[step.sound]:<11}  {step.name}: {step.text}",
                   style="bold" if step.sound is False else "")  # fmt: skip
    return screen.text()


def _grading_lines(compared: LogComparison) -> list[str]:
    """Return sentences on what a person's grades say, or would say, of open answers."""
    result, pair, rows = compared.result, compared.result.automatic, len(compared.open_rows)
    if pair is not None:
        return [
            f"{count_noun(result.graded, 'row')} of the {rows:,} whose answers differ were graded."
            f" `{compared.metric}` alone says: B − A is {phrases.span(pair)}."
        ]
    if not compared.is_open or not rows:
        return []
    return [f"A score of open answers is not a person's verdict: --grade {min(60, rows)} shows you"
            f" rows whose answers differ, blind, and corrects the difference."]  # fmt: skip


def lead_line(
    mean: float, low: float, high: float, names: tuple[str, str], holds: bool = True,
    of_several: bool = False, by: str = "",
) -> str:  # fmt: skip
    """Return the sentence on who leads, `B leads by 5 points, not shown (−1 to +11)`.

    mean, low, high are of the second name minus the first; the text shows leader minus other.
    Where no bound holds (`holds`), none is printed. `of_several`: it names the other one too. `by`
    is what shows it, where that is not plain.
    """
    first, second = names
    shown = holds and (low > 0 or high < 0)
    if tenths(mean) == "0" and not shown:
        ends = f" ({phrases.signed(low)} to {phrases.signed(high)})" if holds else ""
        shows = f" by {by}" if by else ""
        return f"{first} and {second} score the same: no difference shown{shows}{ends}"
    leader, other = (second, first) if mean > 0 else (first, second)
    if mean < 0:
        mean, low, high = -mean, -high, -low
    size, *bounds = tenths(mean), phrases.signed(low), phrases.signed(high)
    if size == "0":  # a shown difference below a tenth of a point
        size, *bounds = f"{100 * mean:.2g}", f"+{100 * low:.2g}", f"+{100 * high:.2g}"
    ends = f"{'shown' if shown else 'not shown'}{f' by {by}' if by else ''}"
    ends += f" ({bounds[0]} to {bounds[1]})" if holds else ""
    leads = f"leads {other}" if of_several else "leads"
    return f"{leader} {leads} by {size} point{'s' * (size != '1')}, {ends}"


def _more_line(result: TwoLogs) -> str:
    """Return the sentence on how many more rows would show the difference; "" if none is needed."""
    if result.is_shown or result.dependent or not (result.pair.wins or result.pair.losses):
        return ""
    if result.more is None:
        most = max(4 * result.pair.n, 1000)
        return f"Up to {most:,} rows are unlikely to show a difference between the two."
    more, chance = result.more.more(result.pair.n), chance_text(result.more.chance)
    rows = count_noun(round(more, 2 - len(str(more))), "more row")
    if not result.more.is_likely:
        return f"Even {rows} would show it only with a chance of {chance}."
    return f"About {rows} would show it (with a chance of {chance})."


def wide_line(result: TwoLogs) -> str:
    """Return why the interval is wider than for as many independent rows; "" if it is not."""
    if (why := result.grouped) is None:
        return ""
    half = tenths((why.high - why.low) / 2)
    named = any(row.case.group is not None for row in result.cases)
    way_out = "" if named else (
        " If rows of a template are independent, say --copies exact; if equal inputs are: off."
    )  # fmt: skip
    return (
        f"It is wide because the {result.pair.n:,} rows come in {why.groups:,} groups"
        f" ({'near-copies, or one `group`' if named else 'near-copies'}):"
        f" it is as wide as {why.worth:,.0f} independent rows would leave it, and"
        f" {result.pair.n:,} would leave about ±{half}.{way_out}"
    )


def _system_rows(screen: Screen, compared: LogComparison) -> None:
    result, pair = compared.result, compared.result.pair
    name = screen.width - 2 - 3 - 10 - 1 - 4 - 1 - 9 - 2
    for letter, full, score in zip("AB", result.names, result.score_intervals, strict=True):
        line = Text(f"  {letter}  {cell(screen.safe(full), name)} {bar(score.mean, 10)} ")
        line.append(cell(score_text(score.mean), 4, right=True), "bold")
        bounds = "" if result.dependent else f" {score_text(score.low)}–{score_text(score.high)}"
        screen.add(line.append(bounds, "dim"))
    guess = " (guessed; --metric chooses another)" if compared.guessed else ""
    screen.say(
        f"B won {pair.wins:,}, lost {pair.losses:,}, equal on {result.rows_scored_equal:,}. Answers"
        f" are {compared.type}, scored by {compared.metric}{guess}."
    )


def _slice_rows(screen: Screen, result: TwoLogs) -> None:
    """Add lines on the slices with a shown difference; the JSON holds all slices."""
    if not result.slices or result.dependent:
        return
    shown = [part for part in result.slices if part.delta.low > 0 or part.delta.high < 0]
    looked = f"{count_noun(result.looked_at, 'slice')} of 20 rows or more"
    text = f"Where they differ, B − A ({looked}; the intervals pay for all of them):"
    if not shown:
        text = f"On no slice is a difference shown ({looked} looked at; all of them with --json)."
    screen.say(text, style="dim")
    for part in shown[:SHOWN_SLICES]:
        label = cell(screen.safe(_slice_name(part)), screen.width - 40)
        shift = cell(screen.safe(phrases.span(part.delta)), 24, right=True)
        screen.add(f"  {label} {shift} {count_noun(part.n, 'row'):>11}")
    screen.add()


def _slice_name(part: SliceDifference) -> str:
    if part.kind == "rare words":
        return "without the rarest words" if part.name == "the rest" else part.name
    return f"{part.kind} {part.name}"


def _case_rows(screen: Screen, result: TwoLogs) -> None:
    kinds = {"lost": [c for c in result.cases if c.difference < 0],
             "won": [c for c in result.cases if c.difference > 0]}  # fmt: skip
    if not any(kinds.values()):
        return
    parts = [
        f"{min(len(own), SHOWN_CASES)} of {len(own):,} {kind}" for kind, own in kinds.items() if own
    ]
    text = f"Rows to read, seen from B: {', '.join(parts)}; all of them with --json."
    screen.say(text, style="dim")
    for kind, own in kinds.items():
        for row in sorted(own, key=lambda c: -abs(c.difference))[:SHOWN_CASES]:
            one_line = " ".join(row.case.input.split())
            head = screen.safe(f"{row.case.id}  {one_line}")
            screen.add(f"  {cell(kind, 6)} {cell(head, screen.width - 10)}".rstrip())
            said = {"right": row.case.output} | dict(zip("AB", _answer_texts(row), strict=True))
            room = screen.width - len(_CASE_INDENT) - 2 * 3 - sum(len(key) + 1 for key in said)
            texts = {key: screen.safe(" ".join(text.split())) for key, text in said.items()}
            cut = [f"{key} {cell(text or '(empty)', room // 3).rstrip()}"
                   for key, text in texts.items()]  # fmt: skip
            screen.add(Text(f"{_CASE_INDENT}{' · '.join(cut)}", "dim"))
    screen.add()


def _answer_texts(row: AnsweredCase) -> list[str]:
    """Return a text for each of both answers; the different ones of repeated answers in one."""
    return [" | ".join(dict.fromkeys(one.text for one in (answer, *answer.repeats)))
            for answer in row.answers]  # fmt: skip


def two_logs_json(compared: LogComparison) -> str:
    """Return the whole comparison as JSON; `difference` is b - a."""
    result = compared.result
    systems = {
        key: {"name": name, "score": score.plain(), "answers_per_row": result.answers_per_row(at)}
        for at, (key, name, score) in enumerate(
            zip("ab", result.names, result.score_intervals, strict=True)
        )
    }
    body: dict[str, Any] = {
        **systems,
        "difference": "b - a",
        "interval": INTERVAL_TEXT,
        "n": result.pair.n,
        "mean": result.pair.mean,
        "low": result.pair.low,
        "high": result.pair.high,
        "graded": result.graded,
        "automatic": None if result.automatic is None else result.automatic.interval.plain(),
        "shown": result.is_shown,
        "holds": result.dependent is None,
        "grouped": None if result.grouped is None else asdict(result.grouped),
        "won": result.pair.wins,
        "lost": result.pair.losses,
        "equal": result.rows_scored_equal,
        "more_rows": _rows_to_decide(result),
        "metric": compared.metric,
        "type": compared.type,
        "guessed": compared.guessed,
        "slices_looked_at": result.looked_at,
        "slices": [
            {"kind": s.kind, "name": s.name, "n": s.n, **s.delta.plain()} for s in result.slices
        ],
        "left_out": compared.left_out,
        "notes": list(compared.notes),
        "cases": _plain_cases(result.cases),
    }
    return json.dumps(body, indent=2)


def _rows_to_decide(result: TwoLogs) -> dict[str, float] | None:
    if result.more is None:
        return None
    return {"rows": result.more.more(result.pair.n), "chance": round(result.more.chance, 4)}


def _plain_cases(cases: Sequence[AnsweredCase]) -> list[dict[str, Any]]:
    """Return a dict of each row whose scores differ, those that B loses most first."""
    differing = sorted((c for c in cases if c.difference), key=lambda c: c.difference)
    return [
        {
            "id": row.case.id,
            "input": row.case.input,
            "right": [row.case.output, *row.case.accepted],
            **dict(zip("ab", _answer_texts(row), strict=True)),
            "score_a": row.scores[0],
            "score_b": row.scores[1],
        }
        for row in differing
    ]
