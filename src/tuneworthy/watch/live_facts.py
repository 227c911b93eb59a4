"""Find requests about facts that moved since the study."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from tuneworthy.core.case import Case
from tuneworthy.core.live_check import MovedFacts
from tuneworthy.core.logged import LoggedRequest
from tuneworthy.core.record import digest
from tuneworthy.data.docs import Doc
from tuneworthy.data.rows import sortable_time
from tuneworthy.retrieval.index import index
from tuneworthy.retrieval.tokens import words
from tuneworthy.watch.live_answers import design_of, share_of

MOST_REQUESTS = 2_000  # the most requests looked up; of more, a sample by hash
SHOWN_EXAMPLES = 5
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")


def facts_moment(cases: Iterable[Case], made: str | None) -> str | None:
    """Return the time of the study's facts: that of its last row, if all have one, else `made`."""
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
    """Return the share of requests whose passage changed since `since`, or why it is not measured.

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
    told, design = list(stated.values()), design_of(asked)
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
