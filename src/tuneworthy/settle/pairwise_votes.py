"""What clicks say about two answers to one input: which pairs need one, and the difference then.

Answers that say the same differ by exactly 0 and need no click. Pure: knows no arm and no file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from tuneworthy.core.answer import Answer, Score
from tuneworthy.core.case import Case, Query
from tuneworthy.core.record import canonical
from tuneworthy.core.settlement import Click
from tuneworthy.core.task import Task
from tuneworthy.data.infer import ZERO_ONE
from tuneworthy.metrics import Metric, chosen
from tuneworthy.metrics._json import parse
from tuneworthy.metrics._labels import matched
from tuneworthy.metrics._numbers import numbers

AGAIN, APART = 10, 3
"""One pair in ten is shown twice, at least three questions later."""
Range = tuple[float, float]
UNKNOWN: Range = (-1.0, 1.0)


class Question(NamedTuple):
    """Two answers to one input, sides shuffled; nothing in it tells which system gave which."""

    query: Query
    left: str
    right: str
    again: bool = False


class _Known(NamedTuple):
    """What is known of an input: a right answer, other right ones, texts known to be wrong."""

    gold: str | None
    accepted: tuple[str, ...]
    wrong: frozenset[str]
    unsaid: frozenset[frozenset[str]]


@dataclass(frozen=True)
class Ballot:
    """How answers of a task are compared and clicks on them are scored.

    `seed` shuffles the sides. Answers in free text are compared by preference: their difference is
    1 where the first was preferred, in shares of preference and not in points of a score.
    """

    task: Task
    metric: Metric
    seed: str

    @property
    def by_preference(self) -> bool:
        """Return whether differences are preferences: free text, but for the metric `exact`."""
        return self.task.output.type == "text" and chosen(self.task) != "exact"

    def says(self, answer: Answer) -> str:
        """Return what an answer says; answers that say the same score the same. "": no answer."""
        if answer.error is not None:
            return ""
        return self.says_text(answer.text)

    def says_text(self, text: str) -> str:
        """Return a text without what its form leaves free; "" where it can't be right at all."""
        kind, name = self.task.output.type, chosen(self.task)
        words = " ".join(text.split())
        if kind == "label":
            if name == "accuracy" and (labels := self.task.output.labels):
                return matched(words, labels) or ""
            return words.casefold()
        if kind == "json":
            try:
                return canonical(parse(text, exact=False))
            except ValueError:
                return "" if name == "fields_f1" else words
        if kind == "number" and len(found := numbers(text)) == 1:
            return f"{found[0].value}{'%' * found[0].percent}"
        return words

    def difference(
        self, query: Query, one: Answer, other: Answer, clicks: Sequence[Click]
    ) -> Range | None:
        """Return (least, most) of one's score minus the other's; None: this has to be asked.

        `clicks` are those on this input. A pair that was skipped may be anything.
        """
        a, b = self.says(one), self.says(other)
        if a == b:
            return 0.0, 0.0
        counted = [click for click in clicks if not click.again]
        if self.by_preference:
            return self._preferred(a, b, counted)
        known = self._known(counted)
        first, second = (self._score(query, known, answer) for answer in (one, other))
        if first is not None and second is not None:
            return first - second, first - second
        return UNKNOWN if frozenset((a, b)) in known.unsaid else None

    def _preferred(self, a: str, b: str, clicks: Sequence[Click]) -> Range | None:
        for click in clicks:
            if {self.says_text(click.left), self.says_text(click.right)} != {a, b}:
                continue
            if click.choice in ("left", "right"):
                better = self.says_text(click.left if click.choice == "left" else click.right)
                return (1.0, 1.0) if better == a else (-1.0, -1.0)
            return UNKNOWN if click.choice == "skip" else (0.0, 0.0)
        return None

    def _known(self, clicks: Sequence[Click]) -> _Known:
        gold, accepted, wrong, unsaid = None, list[str](), set[str](), set[frozenset[str]]()
        exact = chosen(self.task) in ZERO_ONE
        for click in clicks:
            sides = (self.says_text(click.left), self.says_text(click.right))
            right = right_answer(click)
            if right is not None and gold is None:
                gold = right
                accepted += [click.right] * (click.choice == "equal")
            elif click.choice == "wrong" and exact:
                wrong |= set(sides)
            elif right is None:
                unsaid.add(frozenset(sides))
        return _Known(gold, tuple(accepted), frozenset(wrong), frozenset(unsaid))

    def _score(self, query: Query, known: _Known, answer: Answer) -> float | None:
        said = self.says(answer)
        if not said:
            return 0.0
        if known.gold is None:
            return 0.0 if said in known.wrong else None
        right = (known.gold, *known.accepted)
        if said in {self.says_text(text) for text in right}:
            return 1.0
        score = self.metric(_case(query, right), answer)
        return score.value if isinstance(score, Score) else 0.0

    def question(self, query: Query, one: Answer, other: Answer) -> Question:
        """Return two answers as a question; the sides depend on the seed and the texts alone."""
        texts = sorted((shown(one), shown(other)))
        if self._drawn("side", query.id, *texts) % 2:
            texts.reverse()
        return Question(query, texts[0], texts[1])

    def repeats(self, clicks: Sequence[Click]) -> Iterator[Click]:
        """Yield the clicks whose pair is due to be shown again, sides swapped, oldest first."""
        seen = {(c.input, frozenset((c.left, c.right))) for c in clicks if c.again}
        for click in clicks[: max(0, len(clicks) - APART)]:
            pair = frozenset((click.left, click.right))
            chance = self._drawn("again", click.input, *sorted(pair)) % AGAIN == 0
            if chance and not click.again and (click.input, pair) not in seen:
                yield click

    def refusal(self, query: Query, click: Click) -> str:
        """Return why a click can't stand, or "": what is said to be right must be an answer."""
        right = right_answer(click)
        if right is None or self.by_preference:
            return ""
        if not self.says_text(right):
            return "that is no legal answer of this task, so it can't be right"
        said = Answer(case=query.id, text=right, finish="stop")
        found = self.metric(_case(query, (right,)), said)
        if click.choice == "typed" and isinstance(found, Score) and found.valid is False:
            return "that is no legal answer of this task"
        return ""

    def _drawn(self, *what: Any) -> int:
        text = canonical([self.seed, *what]).encode("utf-8", "surrogatepass")
        return int.from_bytes(hashlib.sha256(text).digest()[:8], "big")


def _case(query: Query, right: tuple[str, ...]) -> Case:
    return Case(id=query.id, messages=query.messages, output=right[0], accepted=right[1:])


def shown(answer: Answer) -> str:
    """Return the text of an answer that is shown and stored with a click; "" where none came."""
    return "" if answer.error is not None else answer.text


def right_answer(click: Click) -> str | None:
    """Return the right answer that a click gives, if it gives one."""
    match click.choice:
        case "left" | "equal":
            return click.left
        case "right":
            return click.right
        case "typed":
            return click.gold
    return None


def agreement(clicks: Sequence[Click]) -> tuple[int, int]:
    """Return on how many pairs that were shown twice a person said the same, and how many."""
    first = {(c.input, frozenset((c.left, c.right))): c for c in reversed(clicks) if not c.again}
    pairs = [(c, first.get((c.input, frozenset((c.left, c.right))))) for c in clicks if c.again]
    return sum(one is not None and _meaning(c) == _meaning(one) for c, one in pairs), len(pairs)


def _meaning(click: Click) -> tuple[str, str]:
    chosen_text = right_answer(click)
    if click.choice in ("left", "right"):
        return "right", chosen_text or ""
    return click.choice, (chosen_text or "") if click.choice == "typed" else ""


def in_order(queries: Sequence[Query], seed: str) -> list[Query]:
    """Return inputs in an order drawn from a seed, whatever order they stand in."""

    def rank(query: Query) -> bytes:
        return hashlib.sha256(f"{seed}:{query.id}".encode("utf-8", "replace")).digest()

    return sorted(queries, key=rank)
