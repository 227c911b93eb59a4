"""Compare a log's answers with the study's arm, and find requests about facts that moved."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from scipy.stats import ks_2samp

from tuneworthy.arms.retrieval.index import index, words
from tuneworthy.matrix.columns import Column
from tuneworthy.matrix.design import CHOSEN_ARM_LEVEL, Design
from tuneworthy.matrix.two_samples import (
    MeanWithBounds,
    independent_difference,
    label_shift,
    variation_bounds,
)
from tuneworthy.metrics._writing import match_label
from tuneworthy.records.answer import Answer, Finish, Score, Unscored, value_or_zero
from tuneworthy.records.case import Case, LoggedRequest, Message
from tuneworthy.records.interval import Interval
from tuneworthy.records.live_check import LabelDrift, LiveMean, LiveShare, LiveSpread, MovedFacts
from tuneworthy.records.record import digest
from tuneworthy.records.split import Split
from tuneworthy.records.task import Task
from tuneworthy.rows.copies import normalised_text
from tuneworthy.rows.docs import Doc
from tuneworthy.rows.rows import sortable_time

_LEAST_FOR_TAIL = 20  # the fewest values of which a 95 % quantile is shown
_LEAST_LABELS = 20  # on each side; of fewer only a very large shift could be shown

NO_ARM = "no arm of the study is in use: name one with --arm"

_FINISH_OF_REASON: dict[str, Finish] = {
    "stop": "stop", "length": "length", "max_tokens": "length", "error": "error",
    "content_filter": "error",
}  # fmt: skip

ValidityCheck = Callable[[Answer], bool | None]

Metric = Callable[[Case, Answer], Score | Unscored]


@dataclass(frozen=True)
class StudyArm:
    """The arm in use, as the study measured it: its answers and scores with groups and folds.

    `task` is the study's.
    """

    column: Column
    split: Split
    task: Task

    @property
    def ids(self) -> list[str]:
        """Return the ids of the answered cases."""
        return sorted(self.column.cells)

    @property
    def answers(self) -> list[Answer]:
        """Return the answers, by id."""
        return [self.column.cells[i][0] for i in self.ids]

    @property
    def design(self) -> Design:
        """Return how the study's scored rows depend on each other."""
        return Design.of(self.task, self.split)

    def score(self, level: float) -> MeanWithBounds:
        """Return the mean score with one-sided bounds, each at `level`, widened as the study's.

        The same rows chose the arm, which favours lucky ones (`CHOSEN_ARM_LEVEL`).
        """
        chosen = 2 * level * CHOSEN_ARM_LEVEL / 0.05
        return self.design.mean(self.column.scores, chosen, self.column.fit(self.split))

    def valid(self, level: float) -> tuple[int, MeanWithBounds] | None:
        """Return (answers of known validity, share valid with bounds); None if all failed."""
        told = {i: _known_validity(*self.column.cells[i]) for i in self.ids}
        ids = [i for i, valid in told.items() if valid is not None]
        if all(self.column.cells[i][0].error is not None for i in ids):
            return None
        return len(ids), self.design.mean({i: told[i] is True for i in ids}, 2 * level)

    def milliseconds(self) -> list[float]:
        """Return the milliseconds of single requests, else of recorded answers; [] without."""
        timed = [ms for run in self.column.runs for ms in run.latency_ms or ()]
        if timed or any(run.fingerprint for run in self.column.runs):
            return timed  # seconds of answers in a batch are not those of a request
        return [1000 * a.seconds for a in self.answers if a.seconds is not None]


def _known_validity(answer: Answer, score: Score | Unscored) -> bool | None:
    """Return whether an answer is valid; a failed one is not, as in a log. None if not known."""
    if answer.error is not None:
        return None if answer.lost == "not recorded" else False
    return score.valid if isinstance(score, Score) else None


def answer_of(request: LoggedRequest) -> Answer:
    """Return a logged request's answer as an Answer, which metrics can score."""
    finish = _FINISH_OF_REASON.get(request.finish or "")
    lost = request.failed or request.answer is None
    return Answer(
        case=f"line {request.line}",
        text=request.answer or "",
        tokens_in=request.tokens_in,
        tokens_out=request.tokens_out,
        seconds=request.seconds,
        finish=finish,
        error="no answer is logged" if lost else None,
    )


def _design_of(requests: Sequence[LoggedRequest]) -> Design:
    """Return how the requests of a log depend on each other, by their positions.

    A request's group is its own, or its input so that repeats count once.
    """
    return Design({at: group_name(one.group, one.input) for at, one in enumerate(requests)})


def group_name(group: str | None, text: str | None) -> str | None:
    """Return a group's name for study and log, by `group` or else input text; None without both."""
    if group:
        return f"group {group}"
    return None if text is None else f"input {normalised_text(text)}"


def validity_of(
    arm: StudyArm | None, requests: Sequence[LoggedRequest], valid: ValidityCheck, level: float
) -> LiveMean | str:
    """Return the share of valid answers in log and study, or a text: why it is not measured."""
    told = {at: valid(answer_of(one)) for at, one in enumerate(requests)}
    values = {at: float(verdict) for at, verdict in told.items() if verdict is not None}
    if not values:
        return "nothing in the task says what a valid answer is"
    now = _design_of(requests).mean(values, 2 * level)
    then = arm.valid(level) if arm else None
    if then is None:
        why = "the study judged no answer of this arm as valid or not" if arm else NO_ARM
        return _live_mean(len(values), now, level, why)
    return _live_mean(len(values), now, level, "", then)


def score_of(
    arm: StudyArm | None,
    labelled: Sequence[tuple[LoggedRequest, Case]],
    metric: Metric,
    level: float,
    because: str = "",
) -> LiveMean | str:
    """Return the mean score on labelled requests and in the study, or a text: why not measured.

    `because` says why these requests are not like the study's rows ("": they are); then only their
    own score is returned. As in the study, a failed answer counts as 0.
    """
    if not labelled:
        return "no request has a right answer: add `output` to some lines, or name --gold FILE"
    values = dict[int, float]()
    for at, (one, case) in enumerate(labelled):
        answer = answer_of(one)
        scored = metric(case.model_copy(update={"id": answer.case}), answer)
        if isinstance(scored, Unscored) and answer.error is None:
            return f"the metric can't score the answer of {answer.case}: {scored.reason}"
        values[at] = value_or_zero(scored)
    now = _design_of([one for one, _ in labelled]).mean(values, 2 * level)
    if because or arm is None:
        return _live_mean(len(values), now, level, because or NO_ARM)
    return _live_mean(len(values), now, level, "", (len(arm.ids), arm.score(level)))


def slower_than(limit: float, requests: Sequence[LoggedRequest], level: float) -> LiveShare | str:
    """Return the share of requests slower than `limit` milliseconds, or a text: why unmeasured."""
    waits = {at: one.seconds for at, one in enumerate(requests) if one.seconds is not None}
    timed = {at: 1000 * seconds > limit for at, seconds in waits.items()}
    if not timed:
        return "the log has no `seconds`"
    return share_of(timed, _design_of(requests), level)


def spread_of(then: Sequence[float], now: Sequence[float], unit: str) -> LiveSpread:
    """Return medians, 95th percentiles and the Kolmogorov-Smirnov distance of two samples."""
    test = ks_2samp(then, now)
    tails = [
        float(np.quantile(v, 0.95)) if len(v) >= _LEAST_FOR_TAIL else None for v in (then, now)
    ]
    return LiveSpread(
        unit=unit, n_then=len(then), n_now=len(now),
        median_then=float(np.median(then)), median_now=float(np.median(now)),
        p95_then=tails[0], p95_now=tails[1],
        distance=float(test.statistic), p=float(test.pvalue),
    )  # fmt: skip


def length_of(then: Sequence[Answer], now: Sequence[Answer]) -> LiveSpread | str:
    """Return the spread of answers' lengths in tokens, or characters; a text if none came back."""
    sides = [[one for one in side if one.error is None] for side in (then, now)]
    if not all(sides):
        return "no answer came back"
    tokens = [[float(one.tokens_out) for one in side if one.tokens_out is not None]
              for side in sides]  # fmt: skip
    if all(len(counts) == len(side) for counts, side in zip(tokens, sides, strict=True)):
        return spread_of(tokens[0], tokens[1], "tokens")
    lengths = [[float(len(one.text)) for one in side] for side in sides]
    return spread_of(lengths[0], lengths[1], "characters")


def labels_of(
    arm: StudyArm, requests: Sequence[LoggedRequest], labels: Sequence[str], level: float
) -> LabelDrift | str:
    """Return how far a log's labels are from those of the study's arm, or a text: why not measured.

    Answers that are no label are left out: validity counts them.
    """
    cells = {i: match_label(arm.column.cells[i][0].text, labels) for i in arm.ids}
    then = [label for label in cells.values() if label is not None]
    told = [(one, match_label(one.answer or "", labels)) for one in requests]
    now = [label for _, label in told if label is not None]
    if min(len(then), len(now)) < _LEAST_LABELS:
        return f"{min(len(then), len(now))} labels on one side: {_LEAST_LABELS} are needed"
    ids = [i for i, label in cells.items() if label is not None]
    units: list[Any] = [("study", group) for group in arm.design.numbers(ids)]
    units += [group_name(one.group, one.input) for one, label in told if label is not None]
    distance, p = label_shift(then, now, units)
    names = sorted({*then, *now})
    counts = [[Counter(side)[name] for name in names] for side in (then, now)]
    _, low, high = variation_bounds(counts[0], counts[1])
    return LabelDrift(
        n_then=len(then), n_now=len(now), then=_label_shares(names, counts[0]),
        now=_label_shares(names, counts[1]), distance=Interval(mean=distance, low=low, high=high),
        p=p, level=level,
    )  # fmt: skip


def with_gold(
    requests: Sequence[LoggedRequest], gold: Mapping[str, Case]
) -> list[tuple[LoggedRequest, Case]]:
    """Return (request, case) of those with a right answer: their own, or `gold`'s for the input."""
    found = []
    for one in requests:
        if one.input is None:
            continue
        case = gold.get(normalised_text(one.input))
        if one.output is not None:
            asked = Message(role="user", content=one.input)
            case = Case(id=f"line {one.line}", messages=(asked,), output=one.output)
        if case is not None:
            found.append((one, case))
    return found


def _live_mean(
    n: int,
    now: MeanWithBounds,
    level: float,
    because: str,
    then: tuple[int, MeanWithBounds] | None = None,
) -> LiveMean:
    return LiveMean(
        n_now=n,
        now=Interval.of(now),
        n_then=then[0] if then else 0,
        then=Interval.of(then[1]) if then else None,
        difference=Interval.of(independent_difference(now, then[1])) if then else None,
        level=level,
        because=because,
    )


def _label_shares(names: Sequence[str], counts: Sequence[int]) -> dict[str, float]:
    return {name: round(k / sum(counts), 6) for name, k in zip(names, counts, strict=True)}


def share_of(hits: Mapping[int, bool], design: Design, level: float) -> LiveShare:
    """Return the share of true values, by position in the log, with one-sided bounds at `level`.

    Requests of one session are often slow together or about the same fact, so groups widen it.
    """
    k, n = sum(hits.values()), len(hits)
    mean, low, high = design.mean(hits, 2 * level)
    return LiveShare(k=k, n=n, share=mean, low=low, high=high, level=level)


MOST_REQUESTS = 2_000  # the most requests looked up; of more, a sample by hash

SHOWN_EXAMPLES = 5

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")


def facts_moment(cases: Iterable[Case], made: str | None) -> str | None:
    """Return the time of the study's facts: that of its last row if all have one, else `made`."""
    times = [case.time for case in cases]
    dated = [time for time in times if time and not _NUMBER.fullmatch(time)]
    if dated and len(dated) == len(times):
        return max(dated, key=sortable_time)
    return made


def moved_facts(
    docs: Sequence[Doc],
    requests: Sequence[LoggedRequest],
    since: str | None,
    today: str,
    level: float,
) -> MovedFacts | str:
    """Return the share of requests whose passage changed since `since`, or a text: why unmeasured.

    A request without a time counts as of `today`. The passage is the first by BM25 among those in
    force; that it is about the request is assumed.
    """
    if not docs:
        return "the task has no documents (data.docs)"
    edges = [text for doc in docs for text in (doc.since, doc.until) if text]
    if not edges or any(_NUMBER.fullmatch(text) for text in edges):
        return "the documents bear no dates (from, to)"
    if since is None:
        return "the date of the study is not known: no ledger lies beside it, and rows have no time"
    asked = _sample_requests([one for one in requests if one.input is not None])
    searcher = index(docs)
    now = [max(one.time or today, since, key=sortable_time) for one in asked]
    before = searcher.search([(one.input or "", since) for one in asked], 1)
    after = searcher.search([(one.input or "", at) for one, at in zip(asked, now, strict=True)], 1)
    texts = [[chunks[0].text if chunks else "" for chunks in side] for side in (before, after)]
    moved = [at for at in range(len(asked)) if texts[0][at] != texts[1][at]]
    stated = {at: _stated_fact(asked[at].answer or "", texts[0][at], texts[1][at]) for at in moved}
    told, design = list(stated.values()), _design_of(asked)
    old = {at: stated.get(at) == "old" for at in range(len(asked))}
    return MovedFacts(
        share=share_of({at: at in stated for at in range(len(asked))}, design, level),
        since=since,
        lines=tuple(asked[at].line for at in moved[:SHOWN_EXAMPLES]),
        old=told.count("old"),
        new=told.count("new"),
        other=told.count("other"),
        stale=share_of(old, design, level) if moved else None,
    )


def utc_now() -> str:
    """Return the present moment as an ISO date."""
    return datetime.now(UTC).isoformat()


def _sample_requests(requests: list[LoggedRequest]) -> list[LoggedRequest]:
    if len(requests) <= MOST_REQUESTS:
        return requests
    drawn = sorted(requests, key=lambda one: digest([one.line, one.input]))[:MOST_REQUESTS]
    return sorted(drawn, key=lambda one: one.line)


def _stated_fact(text: str, before: str, after: str) -> str:
    """Return "old", "new" or "other": whose fact a text states, by words only one passage has."""
    said, old, new = (set(words(one)) for one in (text, before, after))
    states_old, states_new = bool(said & (old - new)), bool(said & (new - old))
    if states_old == states_new:
        return "other"
    return "old" if states_old else "new"
