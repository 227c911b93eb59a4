"""Check an entry: score its recorded answers again, and compare its figures with the scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from statistics import fmean

from bench.atlas.entry import Entry, RecordedRun
from bench.atlas.task_file import impossible_number

from tuneworthy.matrix.design import Design
from tuneworthy.metrics import metric_name, names, score_all, scorer
from tuneworthy.records.answer import Answer, Score
from tuneworthy.records.case import Case
from tuneworthy.records.errors import DataError, SecurityError, TaskError
from tuneworthy.records.interval import Interval
from tuneworthy.records.plugins import catalogue, load
from tuneworthy.records.task import Data, Task
from tuneworthy.rows.fingerprint import rows_digest

ROUNDING = 1e-6  # figures are rounded to six digits
WIDEST_LEVEL = 0.05  # a study's bounds have this level at most: looks and several arms lower it
ANSWERED = Design.independent("an entry names no groups; no study's bounds are narrower than these")
A_DAY = timedelta(days=1)  # the most that two clocks are apart, with their time zones
ATLAS_UNCHANGED = "the atlas, unchanged"
EntryFault = tuple[str, str]  # what is wrong, and where


def check_entry(entry: Entry) -> int:
    """Score the answers again and return their number; refuse an entry with a wrong figure.

    Raises DataError with the count of each fault, SecurityError for a metric that would run code of
    the entry. An entry of figures only has nothing to score: 0.
    """
    faults = list(_card_faults(entry))
    answered = 0
    if entry.scoring is not None:
        task = _scoring_task(entry)
        faults += _task_faults(entry, task)
        faults += _row_faults(entry)
        known = {case.id: case for case in entry.cases}
        for run in entry.runs:
            answered += len(run.cases)
            faults += _run_faults(run, known, task)
        faults += _arm_faults(entry)
    if faults:
        raise _entry_error(entry, faults)
    return answered


def _entry_error(entry: Entry, faults: Sequence[EntryFault]) -> DataError:
    counts = Counter(what for what, _ in faults)
    first = dict(reversed(faults))
    return DataError(
        "this entry does not bear out its figures",
        where=(entry.card.key, *(f"{what}: {where}" for what, where in first.items())),
        got="; ".join(f"{what}: {n:,}" for what, n in counts.items()),
        fix="write it again from its study: python -m bench.atlas entry STUDY --out FOLDER",
        kept=ATLAS_UNCHANGED,
    )


def _scoring_task(entry: Entry) -> Task:
    """Return a task with the entry's metric. Raises SecurityError if the metric would run code."""
    assert entry.scoring is not None  # the caller checked it
    success = entry.scoring.success
    metric = success.metric
    if (metric is not None and not success.metrics) or success.judge or metric == "judge":
        raise SecurityError("an entry may only be scored by the metrics of the package",
                            where=entry.card.key, got=str(metric), kept=ATLAS_UNCHANGED,
                            fix="use a named metric, or figures only")  # fmt: skip
    if success.options.get("run"):
        raise SecurityError("an entry may not have its answers run as code",
                            where=entry.card.key, got="success.options.run: true",
                            kept=ATLAS_UNCHANGED,
                            fix="set it to false and write the entry again")  # fmt: skip
    task = Task(data=Data(file="rows.jsonl"), output=entry.scoring.output, success=success)
    try:
        metric_name(task)
        scorer(task)
    except TaskError as error:
        error.kept = ATLAS_UNCHANGED
        raise
    return task


def _card_faults(entry: Entry) -> Iterator[EntryFault]:
    card = entry.card
    named = [arm for arm in card.arms if arm.name == card.arm]
    if card.arm is not None and (not named or named[0].score is None):
        yield "winner without a score", card.arm
    tool = named[0].tool or "other" if named else None  # a recorded system's may not be given
    if (card.arm is None) != (card.use == "none") or (named and tool != card.use):
        yield "tool to use that is not the winner's", f"{card.use}, {card.arm or 'no arm'}"
    if number := impossible_number(card):
        yield "impossible number", number
    if card.measured > (datetime.now(UTC) + A_DAY).date():
        yield "day in the future", str(card.measured)
    prompts = [arm.score.mean for arm in card.arms
               if arm.score and arm.name.partition("(")[0] == "zero_shot"]  # fmt: skip
    if prompts and card.base not in prompts:
        yield "score of the plain instruction that no arm has", str(card.base)
    if len({arm.name for arm in card.arms}) < len(card.arms):
        yield "name of an arm that stands twice", card.key
    for arm in card.arms:
        name = arm.name.partition("(")[0]
        if name in catalogue("arms") and (arm.tool or "") != load("arms", name).TOOL:
            yield "tool that is not its arm's", f"{arm.name}: {arm.tool or 'none'}"
        for text, span in (("score", arm.score), ("distance", arm.behind)):
            if span is not None and not span.low <= span.mean <= span.high:
                yield f"{text} outside its bounds", arm.name


def _task_faults(entry: Entry, task: Task) -> Iterator[EntryFault]:
    """Yield a fault for each figure of the card that differs from the task that is scored."""
    card = entry.card
    pairs = (
        ("metric", card.metric, "+".join(names(task))),
        ("margin", card.margin, task.success.margin),
        ("form of answers", card.output_type or task.output.type, task.output.type),
    )
    for text, stated, scored in pairs:
        if stated != scored:
            yield f"{text} other than the scored one", f"{stated}, scored by {scored}"


def _row_faults(entry: Entry) -> Iterator[EntryFault]:
    if len({case.id for case in entry.cases}) < len(entry.cases):
        yield "case that stands twice", "cases"
    if rows_digest(entry.cases) != entry.card.rows_hash:
        yield "set of rows other than its hash says", entry.card.rows_hash[:12]
    if len(entry.cases) != entry.card.n:
        yield "wrong number of cases", f"{len(entry.cases)}, not {entry.card.n}"
    folds: dict[str, int | None] = {}
    for run in entry.runs:
        for case in run.cases:
            if folds.setdefault(case, run.fold) != run.fold:
                yield "case in two folds", f"{run.arm}, {case}"


def _run_faults(run: RecordedRun, known: dict[str, Case], task: Task) -> Iterator[EntryFault]:
    """Yield the faults of a run: unknown cases, scores that differ from those computed again."""
    if not len(run.cases) == len(run.answers) == len(run.scores):
        yield "run with a missing text or score", run.arm
        return
    rows = list(zip(run.cases, run.answers, run.scores, strict=True))
    for case, _, _ in rows:
        if case not in known:
            yield "answer to an unknown id", f"{run.arm}, {case}"
    rows = [row for row in rows if row[0] in known]
    answers = [
        Answer(case=case, text=text or "", error="none" if text is None else None)
        for case, text, _ in rows
    ]
    scored = score_all(scorer(task), [known[case] for case, _, _ in rows], answers)
    for (case, _, stated), score in zip(rows, scored, strict=True):
        value = score.value if isinstance(score, Score) else None
        if not _same_score(value, stated):
            yield "answer that scores otherwise", f"{run.arm}, {case}: {value}, stated {stated}"


def _same_score(value: float | None, stated: float | None) -> bool:
    if value is None or stated is None:
        return value is stated
    return abs(value - stated) <= ROUNDING


def _arm_faults(entry: Entry) -> Iterator[EntryFault]:
    """Yield the faults of the arms: missing answers, and figures that their answers contradict."""
    tables = {arm.name: _scores_by_case(entry, arm.name) for arm in entry.card.arms if arm.score}
    answered = {case for run in entry.runs for case in run.cases}
    listed = {arm.name for arm in entry.card.arms}
    yield from (("run of an unlisted arm", r.arm) for r in entry.runs if r.arm not in listed)
    yield from (("case without any answer", c.id) for c in entry.cases if c.id not in answered)
    for arm in entry.card.arms:
        own = [run for run in entry.runs if run.arm == arm.name]
        if arm.score is None:
            yield from (("run of an arm without a score", run.arm) for run in own)
            continue
        table = tables[arm.name]
        folds = {run.fold for run in own}
        due = {case for run in entry.runs if run.fold in folds for case in run.cases}
        yield from (("missing answer", f"{arm.name}, {case}") for case in sorted(due - set(table)))
        if sum(len(run.cases) for run in own if run.counts) > len(table):
            yield "arm with two answers to a case", arm.name
        if len(seeds := {run.seed for run in own}) != arm.seeds:
            yield "wrong number of seeds", f"{arm.name}: {len(seeds)}, not {arm.seeds}"
        if arm.n is not None and arm.n != len(table):
            yield "wrong number of scored cases", f"{arm.name}: {len(table)}, not {arm.n}"
        if table and abs(fmean(table.values()) - arm.score.mean) > ROUNDING:
            yield "mean that its answers do not give", f"{arm.name}: {fmean(table.values()):.6f}"
        elif table and not _as_wide(arm.score, ANSWERED.mean(table, WIDEST_LEVEL)):
            yield "bounds narrower than its answers give", arm.name
    yield from _distance_faults(entry, tables)
    yield from _verdict_faults(entry, tables)


def _scores_by_case(entry: Entry, arm: str) -> dict[str, float]:
    """Return {case: score} of the runs that make up an arm's score; an unscored answer gets 0."""
    return {
        case: score or 0.0
        for run in entry.runs
        if run.arm == arm and run.counts
        for case, score in zip(run.cases, run.scores, strict=False)
    }


def _distance_faults(entry: Entry, tables: dict[str, dict[str, float]]) -> Iterator[EntryFault]:
    """Yield a fault for each arm whose distance to the best arm its answers contradict."""
    apart = [arm for arm in entry.card.arms if arm.behind is not None]
    tops = [arm.name for arm in entry.card.arms if arm.score and not arm.behind]
    for arm in apart:
        if arm.name not in tables or arm.behind is None:
            yield "distance of an arm without a score", arm.name
            continue
        gaps = [_gaps(tables[top], tables[arm.name]) for top in tops]
        fits = [
            ANSWERED.difference(each, WIDEST_LEVEL)
            for each in gaps
            if each and abs(fmean(each.values()) - arm.behind.mean) <= 2 * ROUNDING
        ]
        if not fits:
            yield "distance that its answers do not give", arm.name
        elif not any(_as_wide(arm.behind, found[:3]) for found in fits):
            yield "bounds of a distance narrower than its answers give", arm.name


def _verdict_faults(entry: Entry, tables: dict[str, dict[str, float]]) -> Iterator[EntryFault]:
    """Yield a fault where the answers contradict the verdict.

    The named arm, or for "none" the best reference, is not beaten by the best arm. A firm verdict
    leaves no arm that may be better by more than the margin, by bounds no wider than a study's.
    """
    assert entry.scoring is not None  # the caller checked it
    card, success = entry.card, entry.scoring.success
    limits = {**success.limits.plain(), "floor": success.floor}
    rivals = {arm.name: arm for arm in card.arms if arm.name in tables and not arm.breaks_limits}
    for arm in card.arms:
        if unset := [name for name in arm.breaks_limits if not _is_set(limits.get(name))]:
            yield "limit that the task does not set", f"{arm.name}: {unset[0]}"
    if card.status == "blocked":
        yield from (("verdict that is blocked and names an arm", card.arm) for _ in [1] if card.arm)
        return
    references = [name for name in rivals if _is_reference(name)]
    against = card.arm or max(references, key=lambda name: fmean(tables[name].values()), default="")
    if against not in rivals:
        yield from (("winner that breaks a limit", card.arm) for _ in [1] if card.arm)
        return
    behind = rivals[against].behind
    if behind is not None and behind.low > 0 and behind.mean >= card.margin:
        yield "verdict that its answers contradict", f"another arm is better than {against}"
    for name, arm in rivals.items() if card.status == "firm" else ():
        gaps = _gaps(tables[name], tables[against])
        if name == against or not gaps or (arm.behind is None and behind is None):
            continue  # the arm itself, or one that was not compared
        if ANSWERED.difference(gaps, 2 * WIDEST_LEVEL).high > card.margin + ROUNDING:
            yield "firm verdict that its answers leave open", f"{name} beside {against}"


def _is_set(limit: object) -> bool:
    return limit is not None and limit is not False


def _is_reference(arm: str) -> bool:
    name = arm.partition("(")[0]
    return name in catalogue("arms") and load("arms", name).ROLE == "reference"


def _gaps(top: dict[str, float], other: dict[str, float]) -> dict[str, float]:
    """Return `top` minus `other` on each case that both answered."""
    return {case: score - other[case] for case, score in top.items() if case in other}


def _as_wide(stated: Interval, least: tuple[float, float, float]) -> bool:
    """Return whether an interval is at least as wide as `least` (mean, low, high) on both sides."""
    _, low, high = least
    return stated.low <= low + ROUNDING and stated.high >= high - ROUNDING
