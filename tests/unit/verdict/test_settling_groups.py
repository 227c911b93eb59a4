"""`settle` bets on independent draws: not on rows of one group, and once on copies of an input."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import verdict_scenes as scenes

from tuneworthy.metrics import scorer
from tuneworthy.records.answer import Answer, Score
from tuneworthy.records.case import Case, Message, Query
from tuneworthy.records.evidence import Policy
from tuneworthy.records.split import Part, Split
from tuneworthy.records.task import Data, Output, Task
from tuneworthy.stats import bounds
from tuneworthy.verdict.finalists import Finalists
from tuneworthy.verdict.pairwise_votes import PairwiseVotes
from tuneworthy.verdict.sequential import PairStream, SequentialSettling, new_inputs

CASES = tuple(f"c{at}" for at in range(6))
PAIRED = {"c0": "c0", "c1": "c0", "c2": "c0"}


def task(**data):
    made = Task(name="t", instruction="i", data=Data(file="rows.jsonl", **data),
                output=Output(type="label", labels=("refund", "delivery")))  # fmt: skip
    return made.at(Path())


def run(name, values):
    answers = tuple(Answer(case=case, text="refund") for case in CASES)
    scores = tuple(Score(value=value) for value in values)
    spec = SimpleNamespace(name=name)
    return SimpleNamespace(spec=spec, seed=0, state="measured", answers=answers, scores=scores)


def query(name, group=None):
    return Query(id=name, messages=(Message(role="user", content=f"where is {name}"),), group=group)


def finalists(groups, only_copies=False, pool=(), **data):
    split = Split(k=1, parts=(Part(train=(), dev=(), test=CASES),), groups=groups,
                  only_copies=only_copies)  # fmt: skip
    runner = SimpleNamespace(task=task(**data), study="0" * 64, split=split)
    runs = [run("a", (1, 1, 0, 1, 0, 0)), run("b", (0, 0, 0, 0, 0, 1))]
    arms = [SimpleNamespace(name=name, seed=0, learned=False, competes=True) for name in "ab"]
    return Finalists(runner, runs, arms, pool, {})


@pytest.mark.parametrize(
    ("made", "independent"),
    [
        (finalists({}), True),
        (finalists(PAIRED), False),
        (finalists(PAIRED, only_copies=True), True),
        (finalists({"t1": "t0", "t0": "t0"}), True),  # only training rows share a group
        (finalists({}, largest_group=20), False),
    ],
)
def test_scored_rows_of_named_groups_are_not_independent(made, independent):
    assert made.scored_rows_are_independent is independent


def test_copies_of_an_input_count_once_with_their_mean():
    diffs = finalists(PAIRED, only_copies=True).study_differences("a", "b")
    assert sorted(diffs) == pytest.approx([-1, 0, 2 / 3, 1])
    assert sorted(finalists({}).study_differences("a", "b")) == [-1, 0, 0, 1, 1, 1]


def test_one_new_input_of_each_group_is_drawn_and_none_of_a_labelled_group():
    pool = [query("q0", "one"), query("q1", "one"), query("q2"), query("q3"), query("q4", "two")]
    drawn = [one.id for one in finalists({}, pool=pool).inputs]
    assert len(drawn) == 4
    assert len({"q0", "q1"} & set(drawn)) == 1
    labelled = Case(id="r", messages=query("r").messages, output="refund", group="two")
    assert [one.id for one in new_inputs(pool, [labelled])] == ["q0", "q1", "q2", "q3"]


class Grouped:
    """Two arms whose 300 scored rows favour one of them, in groups or not; no new input yet."""

    size = 0

    def __init__(self, independent):
        self.scored_rows_are_independent = independent

    def are_scored_fits(self, names):
        return True

    def lacks_answers(self, name):
        return False

    def study_differences(self, one, other):
        return np.ones(300) if one == "tuned" else -np.ones(300)


@pytest.mark.parametrize("independent", [True, False])
def test_settling_grouped_rows_starts_with_the_bounds_of_the_study(independent):
    values = scenes.scores(60, 0.5)
    evidence = scenes.evidence({"small": ("prompt", values), "tuned": ("tune", values)})
    votes = PairwiseVotes(task(), scorer(task()), "s")
    arms, policy = Grouped(independent), Policy(margin=0.05)
    settling = SequentialSettling(evidence, policy, arms, votes, evidence.pairs)
    settling.question()
    assert (settling.ended == "firm") is independent
    if not independent:
        after, before = settling.evidence(2, None).pairs[0], evidence.pairs[0]
        assert (after.low, after.high) == pytest.approx((before.low, before.high), abs=1e-6)


def test_bets_on_whole_groups_as_if_rows_were_independent_break():
    """The control: why rows of one group are not bet on."""
    rng, broken = np.random.default_rng(1), 0
    for _ in range(20):
        won = np.repeat((rng.random(12) < 0.12).astype(float), 20)
        stream = PairStream(bounds.level(0.05, 2), rng.permutation(won), won.size, 100)
        broken += stream.bounds.high < 0.12
    assert broken >= 2
