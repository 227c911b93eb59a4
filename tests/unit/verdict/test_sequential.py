"""The same clicks in the same order give the same bounds, whatever session they were made in."""

from pathlib import Path

import numpy as np
import verdict_scenes as scenes

from tuneworthy.metrics import scorer
from tuneworthy.records.answer import Answer
from tuneworthy.records.case import Message, Query
from tuneworthy.records.evidence import Policy
from tuneworthy.records.settlement import PairwiseVote
from tuneworthy.records.task import Data, Output, Task
from tuneworthy.verdict.pairwise_votes import PairwiseVotes
from tuneworthy.verdict.sequential import SequentialSettling

SAYS = {"small": "refund", "tuned": "delivery", "large": "warranty"}


class Apart:
    """Three arms that answer every new input differently."""

    size = 40

    def query(self, at):
        return Query(id=f"q{at}", messages=(Message(role="user", content=f"where is {at}"),))

    def answer(self, name, at):
        return Answer(case=f"q{at}", text=SAYS[name], finish="stop")

    def lacks_answers(self, name):
        return False

    def are_scored_fits(self, names):
        return False

    def study_differences(self, one, other):
        return np.array([])


def begun():
    tools = {"small": "prompt", "tuned": "tune", "large": "bigger"}
    evidence = scenes.evidence({
        name: (tool, scenes.scores(120, 0.8, seed)) for seed, (name, tool) in enumerate(
            tools.items())
    }, looks=2)  # fmt: skip
    task = Task(name="t", instruction="i", data=Data(file="rows.jsonl"),
                output=Output(type="label", labels=tuple(SAYS.values()))).at(Path())  # fmt: skip
    votes = PairwiseVotes(task, scorer(task), "s")
    return SequentialSettling(evidence, Policy(margin=0.05), Apart(), votes, evidence.pairs)


def person(asked):
    """Skip what the large arm says, asked first of each input; of the others the small is right."""
    if SAYS["large"] in (asked.left, asked.right):
        return "skip"
    return "left" if asked.left == SAYS["small"] else "right"


def test_what_a_later_click_says_of_an_input_changes_nothing_that_was_counted():
    live = begun()
    for _ in range(14):
        asked = live.question()
        live.take(PairwiseVote(input=asked.query.id, left=asked.left, right=asked.right,
                        choice=person(asked), again=asked.again))  # fmt: skip
    said = [(click.input, click.choice) for click in live.clicks]
    assert said[0] == ("q0", "skip")
    assert said[1][0] == "q0"
    assert said[1][1] in ("left", "right")
    again = begun()
    again.take(*live.clicks)
    assert again.asked == live.asked
    assert again.left == live.left
    assert again.evidence(2, None) == live.evidence(2, None)
    assert again.course() == live.course()


def test_inputs_that_are_gone_are_not_shown_again():
    live = begun()
    live.clicks += [PairwiseVote(input=f"gone{n}", left="refund", right="delivery", choice="left")
                    for n in range(400)]  # fmt: skip
    assert list(live._votes.repeats(live.clicks))
    assert live._due_repeat() is None


def test_before_anything_is_seen_nobody_knows_how_many_clicks_it_takes():
    live = begun()
    live._arms.size = 0
    assert live.clicks_left() is None
    live.ended = "stopped"
    assert live.clicks_left() == 0
