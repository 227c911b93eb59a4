"""Change facts in the documents and see who still says the old ones. Pure; knows no arm by name.

Freshness: which answer does an arm give after the change? Faithfulness: where the model by itself
says the old fact and the passage says the new one, is the passage followed?
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tuneworthy.core.answer import Answer
from tuneworthy.core.case import Case
from tuneworthy.core.evidence import Interval
from tuneworthy.core.record import Record
from tuneworthy.data.docs import Doc
from tuneworthy.retrieval.tokens import covers, words
from tuneworthy.stats.bounds import rate

Said = Literal["new", "old", "other"]


class Fact(Record):
    """What a case's document said before (`old`) and says now (`new`)."""

    case: str
    old: str
    new: str


class Told(Record):
    """How many of `n` answers say the new fact, the old one, or something else (both count there).

    The shares have two-sided 95 % Clopper-Pearson intervals; None where no fact was asked for.
    """

    arm: str
    n: int
    counts: dict[Said, int]
    shares: dict[Said, Interval] | None


@dataclass(frozen=True)
class Changed:
    """Documents and cases after the change: right is now the new fact, the passage the new text."""

    docs: tuple[Doc, ...]
    cases: tuple[Case, ...]
    facts: tuple[Fact, ...]


def changed(docs: Sequence[Doc], cases: Sequence[Case], seed: int) -> Changed:
    """Return documents in which each case's answer is another case's, of the same form.

    A case takes part where its document is known (`meta.doc_id`), its answer stands there word
    for word, and another answer of its form is there to be drawn: `11 days` becomes `5 days`. All
    other cases and documents are left out or left alone.
    """
    texts = {doc.id: doc.text for doc in docs}
    pools = _pools(cases)
    facts, mine = [], {}
    for case in sorted(cases, key=lambda case: case.id):
        name = str(case.meta.get("doc_id"))
        spot = _spot(case.output)
        if not spot.search(texts.get(name, "")):
            continue
        rivals = [one for one in _rivals(pools, case.output) if not covers(texts[name], one)]
        if not rivals:
            continue
        new = random.Random(f"{seed} {case.id}").choice(rivals)
        texts[name] = spot.sub(lambda _, new=new: new, texts[name])  # type: ignore[misc]
        facts.append(Fact(case=case.id, old=case.output, new=new))
        mine[case.id] = (case, name, new)
    return Changed(
        docs=tuple(doc.model_copy(update={"text": texts[doc.id]}) for doc in docs),
        cases=tuple(
            case.model_copy(update={"output": new, "accepted": (), "context": texts[name]})
            for case, name, new in mine.values()
        ),
        facts=tuple(facts),
    )


def freshness(arm: str, answers: Iterable[Answer], facts: Sequence[Fact]) -> Told:
    """Return what an arm's answers say of the changed facts; a missing answer is no answer."""
    said = {answer.case: answer.text for answer in answers}
    kinds = [told(said[fact.case], fact) for fact in facts if fact.case in said]
    counts: dict[Said, int] = {kind: kinds.count(kind) for kind in ("new", "old", "other")}
    return Told(arm=arm, n=len(kinds), counts=counts, shares=_shares(counts, len(kinds)))


def faithfulness(
    arm: str, shown: Iterable[Answer], alone: Iterable[Answer], facts: Sequence[Fact]
) -> Told:
    """Return what answers with the new passage say where the model alone says the old fact.

    `alone` are the answers of the same model without a passage. Only those conflicts are counted:
    a model that never knew the old fact has nothing to forget.
    """
    by_itself = {answer.case: answer.text for answer in alone}
    known = [f for f in facts if f.case in by_itself and told(by_itself[f.case], f) == "old"]
    return freshness(arm, shown, known)


def told(answer: str, fact: Fact) -> Said:
    """Return which fact an answer states, by the words in which the two differ.

    Both or neither: `other`. Raises ValueError where the two do not differ in words.
    """
    old, new = set(words(fact.old)), set(words(fact.new))
    if not (old - new and new - old):
        raise ValueError(f"{fact.old!r} and {fact.new!r} can't be told apart by a word")
    says_new = covers(answer, " ".join(new - old))
    says_old = covers(answer, " ".join(old - new))
    if says_new == says_old:
        return "other"
    return "new" if says_new else "old"


def _shares(counts: Mapping[Said, int], n: int) -> dict[Said, Interval] | None:
    if not n:
        return None
    found: dict[Said, Interval] = {}
    for kind, count in counts.items():
        low, high = rate(count, n)
        found[kind] = Interval(mean=count / n, low=low, high=high)
    return found


def _spot(text: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(text)}(?!\w)")


def _form(text: str) -> str:
    """Return a text without its figures, or where it has none, the pattern of its words."""
    bare = re.sub(r"\d+", "0", text)
    return bare if bare != text else re.sub(r"[^\W\d_]+", _case, text)


def _case(word: re.Match[str]) -> str:
    return "A" if word.group()[0].isupper() else "a"


def _pools(cases: Sequence[Case]) -> dict[str, list[str]]:
    table: dict[str, list[str]] = {}
    for output in sorted({case.output for case in cases}):
        table.setdefault(_form(output), []).append(output)
    return table


def _rivals(pools: Mapping[str, list[str]], output: str) -> list[str]:
    mine = set(words(output))
    others = [(one, set(words(one))) for one in pools.get(_form(output), ())]
    return [one for one, theirs in others if theirs - mine and mine - theirs]
