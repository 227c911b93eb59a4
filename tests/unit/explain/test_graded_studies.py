"""Two judged studies are compared by what humans grade, not by what the judge prefers."""

import random
from types import SimpleNamespace

import pytest

from tuneworthy.explain.two_studies import corrected_pair, why_uncorrected
from tuneworthy.matrix.design import Design
from tuneworthy.records.answer import Answer, Score
from tuneworthy.records.case import Case, Message
from tuneworthy.records.evidence import Pair
from tuneworthy.records.results import Grade
from tuneworthy.records.run import Run, Spec
from tuneworthy.records.task import Data, Judge, Output, Success, Task
from tuneworthy.stats import bounds

IDS = [f"c{i}" for i in range(200)]
CASES = tuple(
    Case(id=i, messages=(Message(role="user", content="q"),), output=f"gold {i}") for i in IDS
)
TASK = Task(
    data=Data(file="rows.jsonl"),
    output=Output(type="text"),
    success=Success(metric="judge", judge=Judge(model="scripted:x", grades="human.jsonl")),
)


def judged(name, bias, seed, graded=100):
    """A study with one arm, half right; the judge passes a share `bias` of its wrong answers."""
    rng = random.Random(seed)
    truth = {i: float(rng.random() < 0.5) for i in IDS}
    seen = {i: max(truth[i], float(rng.random() < bias)) for i in IDS}
    run = Run(
        spec=Spec(name="a", arm="a", tool="prompt"), seed=0, fold=0, state="measured",
        answers=tuple(Answer(case=i, text=f"{name} says {i}") for i in IDS),
        scores=tuple(Score(value=seen[i]) for i in IDS),
    )  # fmt: skip
    other = run.model_copy(update={"seed": 1, "scores": tuple(Score(value=0.0) for _ in IDS)})
    grades = tuple(
        Grade(case=i, answer=f"{name} says {i}", grade=truth[i])
        for i in random.Random(0).sample(IDS, graded)
    )
    arm = SimpleNamespace(name="a", seed=0)
    found = SimpleNamespace(
        task=TASK, cases=CASES, runs=(run, other), grades=grades,
        evidence=SimpleNamespace(arms=(arm,)),
    )  # fmt: skip
    return found, truth, seen


def pair_of(new, old, wider=1.0):
    found = bounds.paired([new[i] - old[i] for i in IDS], 0.025)
    return Pair(
        arm="a", versus="a", n=200, mean=found.mean,
        low=found.mean + wider * (found.low - found.mean),
        high=found.mean + wider * (found.high - found.mean),
        level=0.025, factor=1.0, wins=found.wins, losses=found.losses, differ=found.differ,
    )  # fmt: skip


def test_a_judge_that_favours_the_second_study_does_not_move_the_difference():
    first, old, old_seen = judged("first", 0.0, 1)
    second, new, new_seen = judged("second", 0.5, 2)
    alone = pair_of(new_seen, old_seen)
    true = sum(new[i] - old[i] for i in IDS) / 200
    assert alone.low > true  # negative control
    found = corrected_pair(alone, first, second, IDS, Design())
    assert found.low < true < found.high
    assert found.mean == pytest.approx(true, abs=0.06)
    wider = corrected_pair(pair_of(new_seen, old_seen, 1.5), first, second, IDS, Design())
    assert wider.high - wider.mean == pytest.approx(1.5 * (found.high - found.mean), rel=1e-3)


def test_with_every_answer_graded_the_humans_alone_count():
    first, old, old_seen = judged("first", 0.0, 1, 200)
    second, new, new_seen = judged("second", 0.5, 2, 200)
    found = corrected_pair(pair_of(new_seen, old_seen), first, second, IDS, Design())
    humans = pair_of(new, old)
    assert (found.mean, found.low, found.high) == pytest.approx(
        (humans.mean, humans.low, humans.high)
    )
    grouped = corrected_pair(
        pair_of(new_seen, old_seen), first, second, IDS, Design(dict.fromkeys(IDS, "one"))
    )
    assert (grouped.low, grouped.high) == pytest.approx((-1.0, 1.0))


def test_without_stored_grades_a_caution_is_given_and_nothing_changes():
    (first, _, old), (second, _, new) = judged("first", 0.0, 1), judged("second", 0.5, 2)
    assert why_uncorrected(first, second) == ""
    second.grades = None
    pair = pair_of(new, old)
    assert corrected_pair(pair, first, second, IDS, Design()) is pair
    assert "the judge's own" in why_uncorrected(first, second)
    for study in (first, second):
        study.task = Task(
            data=Data(file="rows.jsonl"), output=Output(type="text"),
            success=Success(metric="exact"),
        )  # fmt: skip
    assert why_uncorrected(first, second) == ""
