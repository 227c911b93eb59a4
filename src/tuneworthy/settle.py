"""Settle what a study left open: label only the inputs on which its finalists answer differently.

Command line and web page call these. Every click is stored when it is made, so a session may end
anywhere and goes on where it stopped; bounds are valid at every click. Knows no arm by name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tuneworthy import shelf
from tuneworthy.core.errors import TaskError
from tuneworthy.core.evidence import Evidence
from tuneworthy.core.record import digest
from tuneworthy.core.results import Results
from tuneworthy.core.settled import Choice, Click, Ended, Settled
from tuneworthy.core.verdict import Verdict
from tuneworthy.desk import Desk, Wishes, open_desk
from tuneworthy.matrix.ballot import Ballot, Question, agreement
from tuneworthy.matrix.compare import compare
from tuneworthy.matrix.finalists import Finalists, recorded
from tuneworthy.matrix.settling import Stream, fresh, gold_rows
from tuneworthy.verdict.decide import decide, grid
from tuneworthy.verdict.policy import policy_of
from tuneworthy.verdict.settled import (
    Names,
    Open,
    Tightened,
    said,
    standing,
    tightened,
)

SUFFIX, GOLD = "-settled", "settled.jsonl"


@dataclass(frozen=True)
class Settlement:
    """What came of it: results with the settled verdict, their folder, rows for the next study."""

    results: Results
    folder: Path
    gold: int

    @property
    def verdict(self) -> Verdict:
        """Return the settled verdict."""
        return self.results.verdict


@dataclass(frozen=True)
class Progress:
    """How far it is.

    `left` is what may be left on the table (0 to 1), at the start and after clicks; `more` about
    how many more clicks it takes (None: no telling); `ended` why it ended, None while it goes on.
    """

    left: tuple[float, ...]
    clicks: int
    more: int | None
    ended: Ended | None


class Settling:
    """A study that is being settled; see `open_settling`.

    `question()` gives the next pair of answers, `click()` takes what a person says of it,
    `finish()` writes the settled verdict, at any time.
    """

    def __init__(self, desk: Desk, study: Results, patience: int | None) -> None:
        self._desk, self._study = desk, study
        self._policy, self._most = policy_of(desk.task), inf if patience is None else patience
        self.ballot = Ballot(desk.task, desk.metric, desk.study)
        self._scored = list(desk.sealed.open("settle").values())
        log = recorded(desk.task, desk.loaded.unlabelled, self._scored)
        pool = fresh(list(desk.loaded.unlabelled), list(desk.loaded.everyone))
        self._arms = Finalists(desk.bench(), study.runs, study.evidence.arms, pool, log)
        self.ended: Ended | None = None
        self._asked: Question | None = None
        self._refuse()
        self._clicks = self._stored()
        self._look = self._counted() if self._clicks else desk.ledger.looked(*desk.opened()) + 1
        shape = replace(desk.shape, looks=self._look)
        found = compare(shape, self._scored, study.runs).pairs
        self._pairs = {(pair.arm, pair.versus): pair for pair in found}
        self._streams: dict[Names, Stream] = {}
        self._now: Evidence = study.evidence
        self._open()
        self._left = [self._points()]
        if self._clicks:
            self.question()
            self._left.append(self._points())

    # What a person sees and says.

    def question(self) -> Question | None:
        """Return the next pair of answers that has to be looked at; None where it has ended."""
        if self._asked is None and self.ended is None:
            self._asked = self._advance()
        return self._asked

    def click(self, choice: Choice, gold: str | None = None) -> str:
        """Store what a person said of the last question; return why it can't stand, or ""."""
        asked = self.question()
        if asked is None:
            return "nothing is asked any more"
        click = Click(input=asked.query.id, left=asked.left, right=asked.right, choice=choice,
                      gold=gold, again=asked.again)  # fmt: skip
        if refused := self.ballot.refusal(asked.query, click):
            return refused
        if not self._clicks:
            self._counted()
        self._desk.ledger.put(self._key(len(self._clicks)), "click", click, self._desk.study)
        self._clicks.append(click)
        self._asked = None
        self.question()
        self._left.append(self._points())
        return ""

    def progress(self) -> Progress:
        """Return how far it is."""
        left = tuple(round(points, 6) for points in self._left if points is not None)
        return Progress(left, len(self._clicks), self._more(), self.ended)

    @property
    def repeated(self) -> tuple[int, int]:
        """Return on how many pairs that were shown twice the answer was the same, and how many."""
        return agreement(self._clicks)

    def finish(self) -> Settlement:
        """Write the settled verdict and the rows for the next study beside the study's results."""
        self._counted()
        results, home = self._results(), self._desk.task.folder
        folder = shelf.put(results, home, self._desk.study, SUFFIX)
        rows = gold_rows(self.ballot, self._clicks, self._arms.inputs)
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / GOLD).write_text(text, "utf-8", errors="backslashreplace")
        return Settlement(results, folder, len(rows))

    # What is asked next.

    def _refuse(self) -> None:
        """Refuse where no click can change anything: firm, nothing to draw, nobody to ask."""
        ruling, found = standing(self._study.evidence, self._policy)
        if ruling.status == "firm":
            raise TaskError(
                "the verdict is firm: there is nothing to settle",
                got=self._study.verdict.__rich__(),
                fix="`tuneworthy report` shows it",
            )
        if not found:
            step = self._study.verdict.next
            fix = f"the next step is: {step.do}"
            raise TaskError("no label would make this verdict firm", got=step.why, fix=fix)
        if not self._desk.loaded.unlabelled:
            raise TaskError(
                "there are no inputs to settle on",
                where="task.yaml data.unlabelled",
                fix="name a file of inputs without answers there, then `tuneworthy run`",
            )
        if not any(self._can(one) for one in found):
            names = sorted({n for one in found for n in one.names if self._arms.mute(n)})
            raise TaskError(
                "recorded answers to the new inputs are missing",
                where="task.yaml answers, present.answers",
                got=", ".join(names),
                fix="add each arm's answers to the inputs of data.unlabelled to its file, as"
                ' {"id", "answer"} or {"input", "answer"}, then `tuneworthy run`',
            )
        if not self._arms.inputs:
            raise TaskError(
                "no input is new",
                where="task.yaml data.unlabelled",
                got="each is a labelled row too, or lacks a recorded answer",
                fix="add inputs that nobody has labelled",
            )

    def _can(self, one: Open) -> bool:
        return not any(self._arms.mute(name) for name in one.names)

    def _advance(self) -> Question | None:
        """Take in differences until one has to be asked; None where there is none left."""
        while True:
            found = self._open()
            if not found:
                firm = standing(self._now, self._policy)[0].status == "firm"
                self.ended = "firm" if firm else "elsewhere"
                return None
            one = min(found, key=lambda each: self._streams[each.names].at)
            stream = self._streams[one.names]
            if stream.at >= len(self._arms.inputs):
                self.ended = "pool"
                return None
            query = self._arms.inputs[stream.at]
            first, second = (self._arms.answer(name, stream.at) for name in one.names)
            clicks = [click for click in self._clicks if click.input == query.id]
            known = self.ballot.difference(query, first, second, clicks)
            if known is None:
                return self._ask(self.ballot.question(query, first, second))
            stream.see(known, self.ballot.says(first) != self.ballot.says(second))
            self._now = self._evidence()

    def _ask(self, question: Question) -> Question | None:
        if len(self._clicks) >= self._most:
            self.ended = "patience"
            return None
        if (old := next(self.ballot.repeats(self._clicks), None)) is None:
            return question
        query = next(query for query in self._arms.inputs if query.id == old.input)
        return Question(query, old.right, old.left, again=True)

    def _open(self) -> list[Open]:
        """Return the open pairs that can be asked, each with its stream begun."""
        while True:
            found = [one for one in standing(self._now, self._policy)[1] if self._can(one)]
            new = [one for one in found if one.names not in self._streams]
            if not new:
                return found
            for one in new:
                self._streams[one.names] = self._begin(one)
            self._now = self._evidence()

    def _begin(self, one: Open) -> Stream:
        pair, pool, kind = self._pairs[one.names], len(self._arms.inputs), self._kind(one.names)
        scored = self._arms.scored(*one.names) if kind == "all" else np.array([])
        most = len(scored) + pool
        planned = most if kind == "preference" else one.planned(pair, most)
        return Stream(pair.level, scored, planned, pool)

    def _kind(self, names: Names) -> Literal["new", "all", "preference"]:
        if self.ballot.by_preference:
            return "preference"
        return "all" if self._arms.same(names) else "new"

    # What the evidence says after the clicks so far.

    def _evidence(self) -> Evidence:
        """Return the study's evidence; the bounds of opened pairs are those of this look."""
        opened = {names for a, b in self._streams for names in ((a, b), (b, a))}
        pairs = tuple(
            self._pairs.get((pair.arm, pair.versus), pair)
            if (pair.arm, pair.versus) in opened else pair
            for pair in self._study.evidence.pairs
        )  # fmt: skip
        found = {}
        for names, stream in self._streams.items():
            seen = stream.bounds
            found[names] = Tightened(
                **{key: getattr(seen, key) for key in ("n", "wins", "losses", "differ")},
                apart=stream.apart, mean=seen.mean, low=seen.low, high=seen.high,
                points=self._kind(names),
            )  # fmt: skip
        return tightened(self._study.evidence.model_copy(update={"pairs": pairs}), found)

    def _points(self) -> float | None:
        return standing(self._now, self._policy)[0].left

    def _more(self) -> int | None:
        """Return about how many more clicks close the pair that takes most; None: no telling."""
        clicks = [0]
        for one in self._open() if self.ended is None else ():
            stream, kind = self._streams[one.names], self._kind(one.names)
            before = self._arms.scored(*one.names) if kind == "new" else np.array([])
            targets = (one.margin - one.shift, -one.shift)[: 1 if one.margin < 0 else 2]
            rows = stream.bounds.rows_left(targets, before, stream.planned)
            if rows > 100 * len(self._arms.inputs):
                return None
            clicks.append(max(1, round(rows * self._share(one.names))))
        return max(clicks)

    def _share(self, names: Names) -> float:
        """Return the share of inputs on which two arms answer differently."""
        stream, before = self._streams[names], self._pairs[names]
        return (stream.apart + (before.apart or 0)) / max(1, stream.at + before.n)

    def _results(self) -> Results:
        settled, study = self._settled(), self._study
        clicks = [click.plain() for click in self._clicks]
        evidence = self._now.model_copy(
            update={
                "settled": settled,
                "looks": self._look,
                "pool": len(self._arms.inputs) - settled.inputs,
                "hash": digest([study.evidence.hash, settled.plain(), clicks]),
            }
        )
        findings = study.verdict.questions
        verdict = decide(evidence, findings, self._policy)
        because = f"{verdict.because} {said(settled)}"
        verdict = verdict.model_copy(update={"because": because})
        points = grid(evidence, findings, self._policy)
        commands = [*study.reproduce.get("commands", ()), "tuneworthy settle"]
        reproduce = {**study.reproduce, "looks": self._look, "commands": commands}
        return study.model_copy(update={"evidence": evidence, "verdict": verdict, "grid": points,
                                        "reproduce": reproduce})  # fmt: skip

    def _settled(self) -> Settled:
        agreed, again = self.repeated
        first = [click for click in self._clicks if not click.again]
        return Settled(
            look=self._look,
            inputs=max((stream.at for stream in self._streams.values()), default=0),
            differing=len({click.input for click in first}),
            clicks=len(self._clicks),
            skipped=sum(click.choice == "skip" for click in first),
            again=again,
            agreed=agreed,
            points="preference" if self.ballot.by_preference else "score",
            left=(self._left[0], self._left[-1]),
            ended=self.ended or "stopped",
        )

    # What is kept.

    def _key(self, number: int) -> str:
        return digest({"what": "click", "study": self._desk.study, "number": number})

    def _stored(self) -> list[Click]:
        """Return the clicks of earlier sessions, in order."""
        found: list[Click] = []
        while (stored := self._desk.ledger.get(self._key(len(found)))) is not None:
            found.append(Click.model_validate(stored))
        return found

    def _counted(self) -> int:
        """Count this look at the scored cases, once, and return the how-manieth it is."""
        name = f"{self._desk.study} settled"
        return self._desk.ledger.looks(name, *self._desk.opened())


@contextmanager
def open_settling(
    path: Path,
    wishes: Wishes = Wishes(),
    clicks: int | None = None,
    tell: Callable[[str, Any], None] = lambda event, data: None,
) -> Iterator[Settling]:
    """Open a finished study to settle it; `clicks` is the most that a person will make in all.

    Raises TaskError where there is no finished study of these rows, where its verdict is firm
    or can't be made so by labels, and where there is no input to draw.
    """
    with open_desk(path, wishes, tell) as desk:
        study = desk.finished()
        if study is None:
            raise TaskError(
                "there is no finished study of this task and these rows",
                where=str(path),
                fix="`tuneworthy run` makes one; what was measured before is not measured again",
            )
        yield Settling(desk, study, clicks)
