"""Change facts in the documents: how fast facts change, and which arms still state old ones.

If a share f of the facts changed within dt days, then with changes at a constant rate

    rate = -ln(1 - f) / dt        days = -ln(1 - stale_ok) / rate

`days` is how long a frozen model keeps its share of stale answers at or below stale_ok (at most a
century). The Clopper-Pearson interval of f is transformed too: its upper end gives the lower end of
days.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import log1p
from typing import Literal, get_args

from tuneworthy.arms.retrieval.gold import unsupported_ids
from tuneworthy.arms.retrieval.index import covers, index, words
from tuneworthy.matrix.design import Design
from tuneworthy.matrix.ladder import own_prompts
from tuneworthy.measure.answering import Runner
from tuneworthy.measure.units import measure
from tuneworthy.records.answer import Answer
from tuneworthy.records.artefact import Recipe
from tuneworthy.records.case import Case
from tuneworthy.records.further import Freshness, Proportion
from tuneworthy.records.interval import Interval
from tuneworthy.records.plan import PlannedArm
from tuneworthy.records.record import Record, digest
from tuneworthy.records.run import Run
from tuneworthy.records.specs import needs_of_arm, trains
from tuneworthy.records.task import CENTURY, Task, duration_days
from tuneworthy.rows.docs import Doc
from tuneworthy.rows.rows import sortable_time
from tuneworthy.rows.sealed import Sealed

_FactKind = Literal["new", "old", "other"]


class Fact(Record):
    """The answer of a case as its document stated it: `old`, and `new` after we changed it."""

    case: str
    old: str
    new: str


class FactCounts(Record):
    """How many of `n` answers state the new fact, the old one, or something else (or both).

    The shares have two-sided 95 % intervals; there are none if n is 0.
    """

    arm: str
    n: int
    shares: dict[_FactKind, Proportion]


@dataclass(frozen=True)
class _ChangedDocuments:
    """Documents and cases after the change of `facts`: the gold answer is the new fact."""

    docs: tuple[Doc, ...]
    cases: tuple[Case, ...]
    facts: tuple[Fact, ...]


def change_facts(docs: Sequence[Doc], cases: Sequence[Case], seed: int) -> _ChangedDocuments:
    """Return documents and cases in which a case's answer is another case's, of the same form.

    A case takes part if its document is known (`meta.doc_id`), contains its answer word for word,
    and another answer of the same form exists: `11 days` becomes `5 days`. Other cases are left
    out, other documents unchanged.
    """
    texts = {doc.id: doc.text for doc in docs}
    pools = _answers_by_form(cases)
    facts, replaced = [], {}
    for case in sorted(cases, key=lambda case: case.id):
        name = str(case.meta.get("doc_id"))
        pattern = _whole_word_pattern(case.output)
        if not pattern.search(texts.get(name, "")):
            continue
        rivals = [
            rival
            for rival in _answers_of_same_form(pools, case.output)
            if not covers(texts[name], rival)
        ]
        if not rivals:
            continue
        new = random.Random(f"{seed} {case.id}").choice(rivals)
        texts[name] = pattern.sub(lambda _, new=new: new, texts[name])  # type: ignore[misc]
        facts.append(Fact(case=case.id, old=case.output, new=new))
        replaced[case.id] = (case, name, new)
    return _ChangedDocuments(
        docs=tuple(doc.model_copy(update={"text": texts[doc.id]}) for doc in docs),
        cases=tuple(
            case.model_copy(update={"output": new, "accepted": (), "context": texts[name]})
            for case, name, new in replaced.values()
        ),
        facts=tuple(facts),
    )


def count_stated_facts(
    arm: str, answers: Iterable[Answer], facts: Sequence[Fact], design: Design
) -> FactCounts:
    """Return the shares of an arm's answers that state the new fact, the old one, or neither.

    Cases without an answer are left out.
    """
    texts = {answer.case: answer.text for answer in answers}
    told = {fact.case: stated_fact(texts[fact.case], fact) for fact in facts if fact.case in texts}
    kinds: tuple[_FactKind, ...] = get_args(_FactKind) if told else ()
    shares = {kind: design.share({i: own == kind for i, own in told.items()}) for kind in kinds}
    return FactCounts(arm=arm, n=len(told), shares=shares)


def stated_fact(answer: str, fact: Fact) -> _FactKind:
    """Return "new", "old" or "other": which fact an answer states, by the differing words.

    Both or neither: "other". Raises ValueError if the two do not differ in words.
    """
    old, new = set(words(fact.old)), set(words(fact.new))
    if not (old - new and new - old):
        raise ValueError(f"{fact.old!r} and {fact.new!r} can't be told apart by a word")
    says_new = covers(answer, " ".join(new - old))
    says_old = covers(answer, " ".join(old - new))
    if says_new == says_old:
        return "other"
    return "new" if says_new else "old"


def _whole_word_pattern(text: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(text)}(?!\w)")


def _answer_form(text: str) -> str:
    """Return a text's form: numbers as 0 (`0 days`); without any, words as A or a (`A a`)."""
    bare = re.sub(r"\d+", "0", text)
    return bare if bare != text else re.sub(r"[^\W\d_]+", _letter_case, text)


def _letter_case(word: re.Match[str]) -> str:
    return "A" if word.group()[0].isupper() else "a"


def _answers_by_form(cases: Sequence[Case]) -> dict[str, list[str]]:
    table: dict[str, list[str]] = {}
    for output in sorted({case.output for case in cases}):
        table.setdefault(_answer_form(output), []).append(output)
    return table


def _answers_of_same_form(pools: Mapping[str, list[str]], output: str) -> list[str]:
    own = set(words(output))
    others = [(text, set(words(text))) for text in pools.get(_answer_form(output), ())]
    return [text for text, other in others if other - own and own - other]


_SECONDS_PER_DAY = 86_400.0

MOST_FACTS = 60  # the most facts that are changed

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")

NEEDS_OF_READERS = frozenset({"docs", "gold_passage"})  # needs of an arm that reads documents

_DOCUMENTS = Design.independent("each document counts once")


@dataclass(frozen=True)
class _FreshnessResult:
    """What an arm states about the changed facts; `read_documents`: it read the changed documents.

    An arm that reads no documents answers as before the change.
    """

    stated: FactCounts
    read_documents: bool


def freshness_of(
    task: Task, cases: Sequence[Case], docs: Sequence[Doc], results: Sequence[_FreshnessResult] = ()
) -> Freshness:
    """Return how fast facts change (declared in the task, else counted), and each arm's shares.

    `cases` are all labelled rows; with documents, rows whose answer no current passage supports
    are listed. Calls no model. An unknown figure is None and `because` says why.
    """
    change = _declared_freshness(task) or _freshness_by_dates(cases, docs)
    ok = task.knowledge.stale_ok if task.knowledge else Freshness().stale_ok
    counted = change.changed is not None and change.over_days is not None
    plain = task.output.type in ("text", "number")
    return change.model_copy(
        update={
            "stale_ok": ok,
            "days": days_until_stale(change.changed, change.over_days, ok) if counted else None,  # type: ignore[arg-type]
            "faithful": _shares_by_arm(
                [item.stated for item in results if item.read_documents], "new"
            ),
            "stale": _shares_by_arm([item.stated for item in results], "old"),
            "unsupported": tuple(unsupported_ids(index(docs), cases)) if docs and plain else (),
        }
    )


def days_until_stale(share: Proportion, over_days: float, stale_ok: float) -> Interval:
    """Return for how many days a model's share of stale answers stays at or below `stale_ok`.

    `share` of the facts changed within `over_days`. At most a century. Raises ValueError for a span
    that is not above 0.
    """
    if over_days <= 0:
        raise ValueError(f"facts can't change within {over_days} days")
    mean, low, high = (
        _days_at_share(f, over_days, stale_ok) for f in (share.share, share.high, share.low)
    )
    return Interval(mean=mean, low=low, high=high)


def measure_freshness(
    runner: Runner, arms: Sequence[PlannedArm], runs: Sequence[Run], recipes: Sequence[Recipe]
) -> list[_FreshnessResult]:
    """Return which facts each arm states once up to 60 facts in the documents are changed.

    Arms that read documents answer again, with the prompts that they chose. Others (a tuned model,
    a prompt) do not: their answers cannot change. Trained arms that read documents are left out,
    since they would have to be retrained. Empty if no fact can be changed.
    """
    sealed = runner.sealed.open("freshness")
    after = _sampled_facts(change_facts(runner.docs, list(sealed.values()), runner.task.seed))
    if not after.facts:
        return []
    design = Design.of(runner.task, runner.split)
    # Without the earlier runs, so that no prompt is chosen again.
    changed_runner, results = replace(_with_changed_documents(runner, after), runs=()), []
    folds = tuple(at for at, part in enumerate(changed_runner.split.parts) if part.test)
    for planned in arms:
        reads = bool(needs_of_arm(planned.spec) & NEEDS_OF_READERS)
        own = [run for run in runs if run.spec.name == planned.spec.name]
        measured = any(run.state == "measured" for run in own)  # else the schedule left it out
        if not measured or (reads and trains(planned.spec)):
            continue
        if reads:
            once = planned.model_copy(update={"folds": folds, "seeds": planned.seeds[:1]})
            own = measure(changed_runner, once, own_prompts(own, planned.spec.name, recipes), False)
        answers = _answers_of_first_seed(own)
        if answers:
            stated = count_stated_facts(planned.spec.name, answers, after.facts, design)
            results.append(_FreshnessResult(stated, reads))
    return results


def _sampled_facts(after: _ChangedDocuments) -> _ChangedDocuments:
    """Return the change with at most 60 of its facts and cases, drawn by a hash of the case."""
    kept = {
        f.case for f in sorted(after.facts, key=lambda f: digest(["fresh", f.case]))[:MOST_FACTS]
    }
    facts = tuple(fact for fact in after.facts if fact.case in kept)
    cases = tuple(case for case in after.cases if case.id in kept)
    return replace(after, facts=facts, cases=cases)


def _with_changed_documents(runner: Runner, after: _ChangedDocuments) -> Runner:
    """Return a copy of the runner with changed documents and only their cases to score, untimed."""
    ids = {case.id for case in after.cases}
    parts = tuple(
        part.model_copy(update={"test": tuple(i for i in part.test if i in ids)})
        for part in runner.split.parts
    )
    sealed = Sealed(
        after.cases, lambda door, purpose: runner.ledger.door(runner.study, door, purpose)
    )
    split = runner.split.model_copy(update={"parts": parts})
    return replace(runner, split=split, sealed=sealed, docs=after.docs, timed=False)


def _answers_of_first_seed(runs: Sequence[Run]) -> list[Answer]:
    """Return a list of one answer per case: that of the smallest seed."""
    by_case: dict[str, Answer] = {}
    for run in sorted(runs, key=lambda one: one.seed):
        for answer in run.answers:
            by_case.setdefault(answer.case, answer)
    return list(by_case.values())


def _days_at_share(share: float, over_days: float, stale_ok: float) -> float:
    if share <= 0 or stale_ok >= 1:
        return CENTURY
    if share >= 1 or stale_ok <= 0:
        return 0.0
    # log1p keeps precision for a share near 0
    return min(CENTURY, log1p(-stale_ok) / log1p(-share) * over_days)


def _declared_freshness(task: Task) -> Freshness | None:
    given = task.knowledge
    if given is None or given.changed_share is None or given.over is None:
        return None
    share = given.changed_share
    point = Proportion(k=0, n=0, share=share, low=share, high=share)
    return Freshness(changed=point, declared=True, over_days=duration_days(given.over))


def _freshness_by_dates(cases: Sequence[Case], docs: Sequence[Doc]) -> Freshness:
    """Return how fast documents expire: share in force at one moment and withdrawn by the end.

    The moment is the first at which most documents are in force, so no document counts twice; the
    end is the latest date of a document or row.
    """
    if not docs:
        return Freshness(because="there are no documents, and task.yaml has no `knowledge:`")
    if any(_NUMBER.fullmatch(text) for doc in docs for text in (doc.since, doc.until) if text):
        return Freshness(because="documents are dated by numbers, whose unit is not known")
    spans = [(_timestamp(doc.since, -1.0), _timestamp(doc.until, 1.0)) for doc in docs]
    dates = sorted({at for span_ in spans for at in span_ if abs(at) != float("inf")})
    if not dates:
        return Freshness(because="no document is dated, and task.yaml has no `knowledge:`")
    times = (case.time for case in cases if case.time)
    rows = [sortable_time(text) for text in times if not _NUMBER.fullmatch(text)]
    last = max([*dates, *rows])
    count = {at: sum(since <= at < until for since, until in spans) for at in dates if at < last}
    if not count or not max(count.values()):
        return Freshness(because="all documents bear one date: no change can be seen")
    first = max(count, key=lambda at: (count[at], -at))
    k = sum(since <= first < until <= last for since, until in spans)
    share = _DOCUMENTS.rate(k, count[first])
    over = (last - first) / _SECONDS_PER_DAY
    # A span of seconds must not round to 0.
    return Freshness(changed=share, over_days=round(over, 3) or over)


def _timestamp(text: str | None, sign: float) -> float:
    return sign * float("inf") if text is None else sortable_time(text)


def _shares_by_arm(counted: Sequence[FactCounts], kind: _FactKind) -> dict[str, Proportion]:
    return {one.arm: one.shares[kind] for one in counted if one.n}
