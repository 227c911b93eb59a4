"""Settle a tentative verdict: a person votes only on inputs where its finalists disagree.

Called by the command line and the web page. Every click is stored at once, so a session can stop
and resume anywhere; bounds are valid after every click. Knows no arm by name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import Any

from tuneworthy.explain.comparison import compare
from tuneworthy.flows.finished_study import open_finished
from tuneworthy.flows.session import Session
from tuneworthy.records.errors import TaskError
from tuneworthy.records.own_files import write_atomic
from tuneworthy.records.record import canonical, digest
from tuneworthy.records.results import Results
from tuneworthy.records.run import RunOptions
from tuneworthy.records.settlement import Choice, EndReason, PairwiseVote
from tuneworthy.records.verdict import Verdict
from tuneworthy.report import results_folder
from tuneworthy.rows.fingerprint import write_digests
from tuneworthy.store.trouble import output_errors
from tuneworthy.verdict.decide import decide, grid
from tuneworthy.verdict.finalists import Finalists, recorded_answers_by_arm
from tuneworthy.verdict.open_pairs import OpenPair, pairs_left_open, why_no_vote_helps
from tuneworthy.verdict.pairwise_votes import PairwiseVotes, VoteQuestion, agreement_of_repeats
from tuneworthy.verdict.rungs import policy_of
from tuneworthy.verdict.sequential import SequentialSettling, gold_rows, new_inputs

SETTLED_SUFFIX, GOLD_FILE = "-settled", "settled.jsonl"


@dataclass(frozen=True)
class SettledStudy:
    """Results with the settled verdict, their folder, and the number of exported gold rows."""

    results: Results
    folder: Path
    gold: int

    @property
    def verdict(self) -> Verdict:
        """Return the settled verdict."""
        return self.results.verdict


@dataclass(frozen=True)
class _SettlingProgress:
    """How far settling has come: score that may be left, clicks so far and needed, end.

    `left` is the most that the verdict may cost in score (0 to 1), at the start and after clicks;
    `more_clicks` is roughly how many more clicks are needed (None: unknown); `ended` is the reason
    for the end, None while questions remain.
    """

    left: tuple[float, ...]
    clicks: int
    more_clicks: int | None
    ended: EndReason | None


class Settling:
    """A study that is being settled; see `open_settling`.

    `question()` returns the next pair of answers, `click()` stores the person's vote, `finish()`
    writes the settled verdict, at any time.
    """

    def __init__(self, session: Session, study: Results, patience: int | None) -> None:
        self._session, self._study = session, study
        self._policy, self._limit = (
            policy_of(session.task),
            inf if patience is None else patience,
        )
        self.votes = PairwiseVotes(session.task, session.metric, session.study)
        self._scored = list(session.sealed.open("settle").values())
        # with the locked rows, so that none of them is shown
        labelled = [*session.loaded.everyone, *session.loaded.aside]
        logged = recorded_answers_by_arm(session.task, session.loaded.unlabelled, labelled)
        pool = new_inputs(list(session.loaded.unlabelled), labelled)
        if self._students:
            learnt = {query.id for query in session.unlabelled}
            pool = [query for query in pool if query.id not in learnt]
        self._arms = Finalists(session.runner(), study.runs, study.evidence.arms, pool, logged)
        self._refuse()
        clicks = self._stored_clicks()
        self._look = self._count_look() if clicks else session.uncounted_look().look
        inputs = replace(session.inputs, looks=self._look, earlier=())
        pairs = compare(inputs, self._scored, study.runs).pairs
        self._pairs = SequentialSettling(
            study.evidence, self._policy, self._arms, self.votes, pairs
        )
        self._pairs.take(*clicks)

    @property
    def _students(self) -> list[str]:
        """Return names of distilled arms: inputs that trained them would favour them."""
        runs = (run for run in self._study.runs if run.trace and "distilled" in run.trace)
        return sorted({run.spec.name for run in runs})

    @property
    def folder_name(self) -> str:
        """Return the name of the study's results folder."""
        return results_folder.folder_of(self._study.task.name, self._session.study)

    @property
    def ended(self) -> EndReason | None:
        """Return why settling has ended; None while questions remain."""
        waits = self._pairs.asked is not None
        return "patience" if waits and len(self._pairs.clicks) >= self._limit else self._pairs.ended

    def question(self) -> VoteQuestion | None:
        """Return the next pair of answers to vote on; None at the end."""
        asked = self._pairs.question()
        return None if self.ended else asked

    def click(self, choice: Choice, gold: str | None = None) -> str:
        """Store the vote on the last question; return "", or why it is refused and not stored."""
        shown = self.question()
        if shown is None:
            return "nothing is asked any more"
        click = PairwiseVote(
            input=shown.query.id,
            left=shown.left,
            right=shown.right,
            choice=choice,
            gold=gold,
            again=shown.again,
        )
        if invalid := self.votes.refusal(shown.query, click):
            return invalid
        number = len(self._pairs.clicks)
        if not number:
            self._count_look()
        self._session.ledger.put(self._click_key(number), "click", click, self._session.study)
        self._pairs.take(click)
        return ""

    def progress(self) -> _SettlingProgress:
        """Return how far settling is: score that may be left, clicks, clicks still needed, end."""
        left = tuple(round(points, 6) for points in self._pairs.left if points is not None)
        more = 0 if self.ended else self._pairs.clicks_left()
        return _SettlingProgress(left, len(self._pairs.clicks), more, self.ended)

    @property
    def repeated(self) -> tuple[int, int]:
        """Return (number of equal votes, number of pairs) over the pairs that were shown twice."""
        return agreement_of_repeats(self._pairs.clicks)

    def finish(self) -> SettledStudy:
        """Write the settled results and the gold rows for a next study; return them."""
        self._count_look()
        results, home = self._settled_results(), self._session.task.folder
        self._session.ledger.put(
            results_folder.settled_key(results), "settled", {}, self._session.study
        )
        folder = results_folder.write_results(results, home, self._session.study, SETTLED_SUFFIX)
        rows = gold_rows(self.votes, self._pairs.clicks, self._arms.inputs)
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        with output_errors(folder / GOLD_FILE):
            write_atomic(folder / GOLD_FILE, text)
            write_digests(folder, self._session.loaded.files)
        return SettledStudy(results, folder, len(rows))

    def _refuse(self) -> None:
        """Raise TaskError if no click can help: a firm verdict, no new inputs, or no answers."""
        inputs = len(self._session.loaded.unlabelled)  # they may have been named after the study
        obstacle = why_no_vote_helps(self._study.evidence, self._policy, inputs)
        if obstacle == "firm":
            raise TaskError(
                "the verdict is firm: there is nothing to settle",
                got=self._study.verdict.__rich__(),
                fix="`tuneworthy report` shows it",
            )
        if obstacle in ("blocked", "no pair"):
            step = self._study.verdict.next
            fix = f"the next step is: {step.do}"
            raise TaskError("no label would make this verdict firm", got=step.why, fix=fix)
        if obstacle == "no inputs":
            raise TaskError(
                "there are no inputs to settle on",
                where="task.yaml data.unlabelled",
                fix="name a file of inputs without answers there, then `tuneworthy run`",
            )
        open_pairs = pairs_left_open(self._study.evidence, self._policy)[1]
        if all(self._lacks_answers(open_pair) for open_pair in open_pairs):
            names = sorted(
                {
                    n
                    for open_pair in open_pairs
                    for n in open_pair.names
                    if self._arms.lacks_answers(n)
                }
            )
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
                got=f"{', '.join(self._students)} learnt from them"
                if self._students
                else "each is a labelled row or of its group, or lacks a recorded answer",
                fix="label more rows, then `tuneworthy run`"
                if self._students
                else "add inputs that nobody has labelled",
            )

    def _lacks_answers(self, open_pair: OpenPair) -> bool:
        return any(self._arms.lacks_answers(name) for name in open_pair.names)

    def _settled_results(self) -> Results:
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
        return Results.model_validate(
            json.loads(canonical(results))
        )  # in canonical form, as the ledger stores it

    def _click_key(self, number: int) -> str:
        return digest({"what": "click", "study": self._session.study, "number": number})

    def _stored_clicks(self) -> list[PairwiseVote]:
        """Return the clicks that the ledger holds for this study, in order."""
        clicks: list[PairwiseVote] = []
        while (stored := self._session.ledger.get(self._click_key(len(clicks)))) is not None:
            clicks.append(PairwiseVote.model_validate(stored))
        return clicks

    def _count_look(self) -> int:
        """Count settling's look at the scored cases, once, and return its ordinal."""
        return self._session.count_look_once(f"{self._session.study} settled").look


@contextmanager
def open_settling(
    path: Path,
    options: RunOptions = RunOptions(),
    clicks: int | None = None,
    tell: Callable[[str, Any], None] = lambda event, data: None,
) -> Iterator[Settling]:
    """Yield a finished study, open to be settled with at most `clicks` clicks in total.

    Raises TaskError if there is no finished study of these rows, if its verdict is firm or labels
    can't make it firm, or if there is no new input.
    """
    with open_finished(path, options, tell) as (session, study):
        yield Settling(session, study, clicks)
