"""Turn votes (clicks) on two answers to one input into a score difference; ask where one lacks.

Answers with the same meaning differ by exactly 0 and need no click. Knows no arm and no file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from tuneworthy.metrics import Metric, metric_name
from tuneworthy.metrics._leaves import parse
from tuneworthy.metrics._numbers import numbers
from tuneworthy.metrics._writing import match_label, spelling
from tuneworthy.records.answer import Answer, Score
from tuneworthy.records.case import Case, Query
from tuneworthy.records.record import canonical
from tuneworthy.records.settlement import PairwiseVote
from tuneworthy.records.task import Task
from tuneworthy.rows.infer import is_binary

REPEATED_ONE_IN, REPEAT_DISTANCE = 10, 3
"""One pair in REPEATED_ONE_IN is shown again, at least REPEAT_DISTANCE questions later."""
ScoreRange = tuple[float, float]
UNKNOWN_DIFFERENCE: ScoreRange = (-1.0, 1.0)


class VoteQuestion(NamedTuple):
    """Two answers to one input in random order, without the names of the systems."""

    query: Query
    left: str
    right: str
    again: bool = False


class _InputFacts(NamedTuple):
    """What the clicks say about an input: the right answer, further right ones, wrong texts.

    `undecided` are the pairs of texts whose click gave no right answer.
    """

    gold: str | None
    accepted: tuple[str, ...]
    wrong: frozenset[str]
    undecided: frozenset[frozenset[str]]


@dataclass(frozen=True)
class PairwiseVotes:
    """Turns a person's clicks on pairs of answers to a task into score differences.

    `seed` shuffles the sides. Free-text answers are compared by preference: the difference is 1 if
    the first was preferred, and means are shares of preference, not of score.
    """

    task: Task
    metric: Metric
    seed: str

    @property
    def by_preference(self) -> bool:
        """Return whether a click says which answer is preferred (free text), not which is right."""
        return self.task.output.type == "text" and metric_name(self.task) != "exact"

    def normal_form(self, answer: Answer) -> str:
        """Return an answer's normal form, equal for equal scores; "" for a failed answer."""
        if answer.error is not None:
            return ""
        return self.normal_text(answer.text)

    def normal_text(self, text: str) -> str:
        """Return a text's normal form for the task's output type; "" if it can't be right."""
        kind, name = self.task.output.type, metric_name(self.task)
        words = " ".join(spelling(text).split())
        if kind == "label":
            if name == "accuracy" and (labels := self.task.output.labels):
                return match_label(words, labels) or ""
            return words.casefold()
        if kind == "json":
            try:
                return canonical(parse(text, exact=False))
            except ValueError:
                return "" if name == "fields_f1" else words
        if kind == "number" and len(values := numbers(text)) == 1:
            return f"{values[0].value}{'%' * values[0].percent}"
        return words

    def difference(
        self, query: Query, one: Answer, other: Answer, clicks: Sequence[PairwiseVote]
    ) -> ScoreRange | None:
        """Return (least, most) of the score of `one` minus that of `other`; None if unknown.

        None means that the pair needs a click. `clicks` are those on this input. A skipped pair
        has the full range, and so has one that the metric can't score beside its right answer.
        """
        a, b = self.normal_form(one), self.normal_form(other)
        if a == b:
            return 0.0, 0.0
        counted = [click for click in clicks if not click.again]
        if self.by_preference:
            return self._preference_range(a, b, counted)
        facts = self._facts_from_clicks(counted)
        first, second = (self._known_score(query, facts, answer) for answer in (one, other))
        if first is not None and second is not None:
            return first - second, first - second
        asked = facts.gold is not None or frozenset((a, b)) in facts.undecided
        return UNKNOWN_DIFFERENCE if asked else None

    def _preference_range(
        self, a: str, b: str, clicks: Sequence[PairwiseVote]
    ) -> ScoreRange | None:
        for click in clicks:
            if {self.normal_text(click.left), self.normal_text(click.right)} != {a, b}:
                continue
            if click.choice in ("left", "right"):
                better = self.normal_text(click.left if click.choice == "left" else click.right)
                return (1.0, 1.0) if better == a else (-1.0, -1.0)
            return UNKNOWN_DIFFERENCE if click.choice == "skip" else (0.0, 0.0)
        return None

    def _facts_from_clicks(self, clicks: Sequence[PairwiseVote]) -> _InputFacts:
        gold, accepted, wrong, undecided = None, list[str](), set[str](), set[frozenset[str]]()
        exact = is_binary(metric_name(self.task))
        for click in clicks:
            sides = (self.normal_text(click.left), self.normal_text(click.right))
            right = right_answer(click)
            if right is not None and gold is None:
                gold = right
                accepted += [click.right] * (click.choice == "equal")
            elif click.choice == "wrong" and exact:
                wrong |= set(sides)
            elif right is None:
                undecided.add(frozenset(sides))
        return _InputFacts(gold, tuple(accepted), frozenset(wrong), frozenset(undecided))

    def _known_score(self, query: Query, facts: _InputFacts, answer: Answer) -> float | None:
        form = self.normal_form(answer)
        if not form:
            return 0.0
        if facts.gold is None:
            return 0.0 if form in facts.wrong else None
        right = (facts.gold, *facts.accepted)
        if form in {self.normal_text(text) for text in right}:
            return 1.0
        score = self.metric(_case_with_right_answers(query, right), answer)
        return score.value if isinstance(score, Score) else None

    def question(self, query: Query, one: Answer, other: Answer) -> VoteQuestion:
        """Return the question that shows two answers; a hash of seed and texts picks the sides."""
        texts = sorted((_shown_text(one), _shown_text(other)))
        if self._seeded_number("side", query.id, *texts) % 2:
            texts.reverse()
        return VoteQuestion(query, texts[0], texts[1])

    def repeats(self, clicks: Sequence[PairwiseVote]) -> Iterator[PairwiseVote]:
        """Yield the clicks whose pair is due for a repeat, oldest first."""
        repeated = {(c.input, frozenset((c.left, c.right))) for c in clicks if c.again}
        for click in clicks[: max(0, len(clicks) - REPEAT_DISTANCE)]:
            pair = frozenset((click.left, click.right))
            due = self._seeded_number("again", click.input, *sorted(pair)) % REPEATED_ONE_IN == 0
            if due and not click.again and (click.input, pair) not in repeated:
                yield click

    def refusal(self, query: Query, click: PairwiseVote) -> str:
        """Return why a click is refused (it makes an invalid answer right); "" if it is not."""
        right = right_answer(click)
        if right is None or self.by_preference:
            return ""
        if not self.normal_text(right):
            return "that is no legal answer of this task, so it can't be right"
        answer = Answer(case=query.id, text=right, finish="stop")
        score = self.metric(_case_with_right_answers(query, (right,)), answer)
        if click.choice == "typed" and isinstance(score, Score) and score.valid is False:
            return "that is no legal answer of this task"
        return ""

    def _seeded_number(self, *what: Any) -> int:
        text = canonical([self.seed, *what]).encode("utf-8", "surrogatepass")
        return int.from_bytes(hashlib.sha256(text).digest()[:8], "big")


def _case_with_right_answers(query: Query, right: tuple[str, ...]) -> Case:
    return Case(id=query.id, messages=query.messages, output=right[0], accepted=right[1:])


def _shown_text(answer: Answer) -> str:
    """Return the text of an answer as shown and stored with a click; "" if it failed."""
    return "" if answer.error is not None else answer.text


def right_answer(click: PairwiseVote) -> str | None:
    """Return the right answer that a click gives; None if it gives none."""
    match click.choice:
        case "left" | "equal":
            return click.left
        case "right":
            return click.right
        case "typed":
            return click.gold
    return None


def agreement_of_repeats(clicks: Sequence[PairwiseVote]) -> tuple[int, int]:
    """Return (number of equal votes, number of pairs) over the pairs that were shown twice."""
    first = {(c.input, frozenset((c.left, c.right))): c for c in reversed(clicks) if not c.again}
    pairs = [(c, first.get((c.input, frozenset((c.left, c.right))))) for c in clicks if c.again]
    return sum(
        original is not None and _meaning_of_vote(c) == _meaning_of_vote(original)
        for c, original in pairs
    ), len(pairs)


def _meaning_of_vote(click: PairwiseVote) -> tuple[str, str]:
    chosen_text = right_answer(click)
    if click.choice in ("left", "right"):
        return "right", chosen_text or ""
    return click.choice, (chosen_text or "") if click.choice == "typed" else ""


def shuffled_by_seed(queries: Sequence[Query], seed: str) -> list[Query]:
    """Return the inputs in a random order that depends only on the seed and their ids."""

    def rank(query: Query) -> bytes:
        return hashlib.sha256(f"{seed}:{query.id}".encode("utf-8", "replace")).digest()

    return sorted(queries, key=rank)
