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
from typing import Any

from tuneworthy import results_folder as shelf
from tuneworthy.compare.comparison import compare
from tuneworthy.core.errors import TaskError
from tuneworthy.core.record import canonical, digest
from tuneworthy.core.results import Results
from tuneworthy.core.settlement import Choice, Click, Ended
from tuneworthy.core.verdict import Verdict
from tuneworthy.ledger.trouble import writing
from tuneworthy.session import Desk, Wishes, open_desk
from tuneworthy.settle.finalists import Finalists, recorded
from tuneworthy.settle.open_rows import fresh, gold_rows
from tuneworthy.settle.pairwise_votes import Ballot, Question, agreement
from tuneworthy.settle.sequential import Sequential
from tuneworthy.verdict.decide import decide, grid
from tuneworthy.verdict.open_pairs import Open, standing
from tuneworthy.verdict.policy import policy_of

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
        labelled = [*desk.loaded.everyone, *desk.loaded.aside]  # a locked row is shown to nobody
        log = recorded(desk.task, desk.loaded.unlabelled, labelled)
        pool = fresh(list(desk.loaded.unlabelled), labelled)
        self._arms = Finalists(desk.bench(), study.runs, study.evidence.arms, pool, log)
        self._refuse()
        clicks = self._stored()
        self._look = self._counted() if clicks else desk.ahead().look
        shape = replace(desk.shape, looks=self._look)
        pairs = compare(shape, self._scored, study.runs).pairs
        self._pairs = Sequential(study.evidence, self._policy, self._arms, self.ballot, pairs)
        self._pairs.take(*clicks)

    # What a person sees and says.

    @property
    def ended(self) -> Ended | None:
        """Return why nothing is asked any more, None while it goes on."""
        waits = self._pairs.asked is not None
        return "patience" if waits and len(self._pairs.clicks) >= self._most else self._pairs.ended

    def question(self) -> Question | None:
        """Return the next pair of answers that has to be looked at; None where it has ended."""
        asked = self._pairs.question()
        return None if self.ended else asked

    def click(self, choice: Choice, gold: str | None = None) -> str:
        """Store what a person said of the last question; return why it can't stand, or ""."""
        asked = self.question()
        if asked is None:
            return "nothing is asked any more"
        click = Click(input=asked.query.id, left=asked.left, right=asked.right, choice=choice,
                      gold=gold, again=asked.again)  # fmt: skip
        if refused := self.ballot.refusal(asked.query, click):
            return refused
        made = len(self._pairs.clicks)
        if not made:
            self._counted()
        self._desk.ledger.put(self._key(made), "click", click, self._desk.study)
        self._pairs.take(click)
        return ""

    def progress(self) -> Progress:
        """Return how far it is."""
        left = tuple(round(points, 6) for points in self._pairs.left if points is not None)
        more = 0 if self.ended else self._pairs.more()
        return Progress(left, len(self._pairs.clicks), more, self.ended)

    @property
    def repeated(self) -> tuple[int, int]:
        """Return on how many pairs that were shown twice the answer was the same, and how many."""
        return agreement(self._pairs.clicks)

    def finish(self) -> Settlement:
        """Write the settled verdict and the rows for the next study beside the study's results."""
        self._counted()
        results, home = self._results(), self._desk.task.folder
        self._desk.ledger.put(shelf.settled_key(results), "settled", {}, self._desk.study)
        folder = shelf.put(results, home, self._desk.study, SUFFIX)
        rows = gold_rows(self.ballot, self._pairs.clicks, self._arms.inputs)
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        with writing(folder / GOLD):
            (folder / GOLD).write_text(text, "utf-8", errors="backslashreplace")
        return Settlement(results, folder, len(rows))

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
        if all(self._silent(one) for one in found):
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

    def _silent(self, one: Open) -> bool:
        return any(self._arms.mute(name) for name in one.names)

    def _results(self) -> Results:
        study, evidence = self._study, self._pairs.evidence(self._look, self.ended)
        findings = study.verdict.questions
        commands = [*study.reproduce.get("commands", ()), "tuneworthy settle"]
        results = study.model_copy(
            update={
                "evidence": evidence,
                "verdict": decide(evidence, findings, self._policy),
                "grid": grid(evidence, findings, self._policy),
                "reproduce": {**study.reproduce, "looks": self._look, "commands": commands},
                "course": self._pairs.course(),
            }
        )
        return Results.model_validate(json.loads(canonical(results)))  # keys as the store has them

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
        """Count this look at the scored cases, once, and return which one it is."""
        return self._desk.counted(f"{self._desk.study} settled").look


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
