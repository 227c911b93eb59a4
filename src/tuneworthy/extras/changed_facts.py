"""Change facts in the documents and classify answers as new, old or other. Pure.

Freshness: which fact does an arm state after the change? Faithfulness: if the model alone states
the old fact and the passage the new one, does the answer follow the passage? Knows no arm by name.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from tuneworthy.core.answer import Answer
from tuneworthy.core.case import Case
from tuneworthy.core.known import Proportion
from tuneworthy.core.record import Record
from tuneworthy.data.docs import Doc
from tuneworthy.matrix.design import Design
from tuneworthy.retrieval.tokens import covers, words

FactKind = Literal["new", "old", "other"]


class Fact(Record):
    """The fact in a case's document before (`old`) and after the change (`new`)."""

    case: str
    old: str
    new: str


class FactCounts(Record):
    """How many of `n` answers state the new fact, the old one, or something else (or both).

    The shares have two-sided 95 % intervals; there are none if n is 0.
    """

    arm: str
    n: int
    shares: dict[FactKind, Proportion]


@dataclass(frozen=True)
class ChangedDocuments:
    """Documents and cases after the change of `facts`: the gold answer is the new fact."""

    docs: tuple[Doc, ...]
    cases: tuple[Case, ...]
    facts: tuple[Fact, ...]


def change_facts(docs: Sequence[Doc], cases: Sequence[Case], seed: int) -> ChangedDocuments:
    """Return the documents with each case's answer replaced by another case's of the same form.

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
    return ChangedDocuments(
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
    """Return how many of an arm's answers state the new fact, the old one, or another.

    Cases without an answer are left out.
    """
    texts = {answer.case: answer.text for answer in answers}
    told = {fact.case: stated_fact(texts[fact.case], fact) for fact in facts if fact.case in texts}
    kinds: tuple[FactKind, ...] = get_args(FactKind) if told else ()
    shares = {kind: design.share({i: own == kind for i, own in told.items()}) for kind in kinds}
    return FactCounts(arm=arm, n=len(told), shares=shares)


def stated_fact(answer: str, fact: Fact) -> FactKind:
    """Return which fact an answer states, by the words in which the two differ.

    Both or neither: `other`. Raises ValueError if the two do not differ in words.
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
    """Return a text with its numbers as 0 or, without numbers, the case pattern of its words."""
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
