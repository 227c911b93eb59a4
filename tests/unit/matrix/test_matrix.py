"""The matrix: parts of it keep what widens the whole, and each figure is that of the design."""

import pytest

from tuneworthy.matrix.design import Design
from tuneworthy.matrix.inputs import ComparisonInputs
from tuneworthy.matrix.matrix import Matrix
from tuneworthy.records.answer import Answer, Score
from tuneworthy.records.run import Run, Spec
from tuneworthy.records.split import Part, Split
from tuneworthy.records.task import Data, Task

TASK = Task(data=Data(file="rows.jsonl"))
IDS = [f"c{i:02}" for i in range(60)]
HALVES = (tuple(IDS[:30]), tuple(IDS[30:]))
FOLDS = Split(k=2, parts=tuple(Part(train=HALVES[1 - i], dev=(), test=HALVES[i]) for i in (0, 1)))


def runs(name, score, learned=False, tool="prompt", state="measured", folds=(0, 1)):
    return [
        Run(
            spec=Spec(name=name, arm=name, tool=tool),
            seed=0,
            fold=fold,
            state=state,
            answers=tuple(Answer(case=i, text="x") for i in HALVES[fold]),
            scores=tuple(Score(value=score(i)) for i in HALVES[fold]),
            learned=learned,
        )
        for fold in folds
    ]


def even(case):
    return float(int(case[1:]) % 2 == 0)


def matrix(*arms, groups=None, **more):
    split = FOLDS.model_copy(update={"groups": groups or {}})
    inputs = ComparisonInputs(TASK, "study", split, **more)
    return Matrix.of(inputs, [run for arm in arms for run in arm])


def test_an_arm_that_failed_has_no_column():
    found = matrix(runs("a", even), runs("b", even, state="failed"))
    assert [*found.columns] == ["a"]


def test_a_mean_and_a_difference_are_those_of_the_design():
    found = matrix(runs("a", even), runs("b", lambda case: 1.0))
    design = Design()
    assert found.mean("a", 0.05) == design.mean({i: even(i) for i in IDS}, 0.05)
    expected = design.difference({i: 1.0 - even(i) for i in IDS}).interval
    assert found.difference("b", "a").interval == expected


def test_a_part_is_as_wide_as_its_own_rows_make_it():
    groups = {i: f"g{int(i[1:]) // 6}" for i in IDS}
    whole = matrix(runs("a", even), groups=groups)
    part = whole.part(IDS[:12])
    assert [*part.columns["a"].cells] == IDS[:12]
    assert part.mean("a", 0.05) == Design(groups).mean({i: even(i) for i in IDS[:12]}, 0.05)
    alone = part.part(IDS[:12], Design.independent("the control")).mean("a", 0.05)
    assert alone.high - alone.low < part.mean("a", 0.05).high - part.mean("a", 0.05).low


def test_a_part_of_an_arm_that_learnt_in_folds_is_widened_for_them():
    learnt = runs("a", even, learned=True, tool="tune")
    ids = IDS[20:40]  # of both folds
    wide = matrix(learnt).part(ids).mean("a", 0.05)
    plain = matrix(runs("a", even)).part(ids).mean("a", 0.05)
    assert wide.high - wide.low > plain.high - plain.low


def test_arms_on_other_cases_do_not_meet_and_have_no_difference():
    found = matrix(runs("a", even, folds=(0,)), runs("b", even, folds=(1,)))
    assert not found.share_cases("a", "b")
    assert found.part(HALVES[0]).columns.keys() == {"a"}
    with pytest.raises(ValueError):
        found.difference("a", "b")
