"""The limit on valid answers: groups widen its interval, failed answers may leave it open."""

import numpy as np
import pytest

from tuneworthy.explain.comparison import compare
from tuneworthy.matrix.inputs import ComparisonInputs
from tuneworthy.records.answer import Answer, Score, Unscored
from tuneworthy.records.case import Case, Message
from tuneworthy.records.run import Run, Spec
from tuneworthy.records.task import Data, Success, Task
from tuneworthy.rows.folds import Part, Split
from tuneworthy.stats import bounds

LIMIT = 0.9


def measured(valid, failed=0, groups=None, limit=LIMIT):
    """Return the ArmResult of an arm with these valid answers and, after them, failed ones."""
    ids = [f"c{at:04}" for at in range(len(valid) + failed)]
    answers = [Answer(case=i, text="yes", error=None if at < len(valid) else "HTTP 503")
               for at, i in enumerate(ids)]  # fmt: skip
    scores = [*(Score(value=1.0, valid=bool(v)) for v in valid),
              *(Unscored(reason="no answer came back") for _ in range(failed))]  # fmt: skip
    run = Run(spec=Spec(name="zero_shot", arm="zero_shot", tool="prompt"), seed=0, fold=0,
              state="measured", answers=tuple(answers), scores=tuple(scores))  # fmt: skip
    task = Task(data=Data(file="rows.jsonl"),
                success=Success(metric="exact", limits={"valid": limit}))  # fmt: skip
    kept = dict(zip(ids, groups, strict=True)) if groups is not None else {}
    split = Split(k=1, parts=(Part(train=(), dev=(), test=tuple(ids)),), groups=kept)
    turn = (Message(role="user", content="hi"),)
    cases = [Case(id=i, messages=turn, output="yes") for i in ids]
    (arm,) = compare(ComparisonInputs(task, "study", split), cases, [run]).arms
    return arm


def test_an_arm_is_not_out_because_rows_of_a_group_fail_together():
    valid, groups = np.repeat([1.0] * 16 + [0.0] * 4, 10), np.repeat(np.arange(20), 10).astype(str)
    alone, together = measured(valid), measured(valid, groups=groups)
    assert (alone.limits["valid"], together.limits["valid"]) == ("violated", "not shown")
    assert together.valid.low < alone.valid.low < alone.valid.high < LIMIT < together.valid.high


@pytest.mark.parametrize("n", [3, 40, 200])
def test_rows_without_groups_have_the_exact_interval_of_a_share(n):
    for right in (0, 1, n - 1, n):
        found = measured([1] * right + [0] * (n - right)).valid
        assert (found.low, found.high) == pytest.approx(bounds.rate(right, n), abs=1e-6)


@pytest.mark.parametrize(
    ("valid", "failed", "state"),
    [
        ([1] * 200, 0, "met"),
        ([1] * 200, 1, "met"),  # even if the failed one is invalid
        ([1] * 200, 86, "not shown"),  # all that came back are valid, and 30 % did not
        ([0] * 30, 3, "violated"),  # even if the failed ones are valid
    ],
)
def test_failed_answers_are_not_taken_for_valid_ones(valid, failed, state):
    arm = measured(valid, failed)
    assert (arm.limits["valid"], arm.errors) == (state, failed)
    why = "86 of 286 answers failed: 0.70 are valid if none of these is, 1.00 if all are"
    assert arm.missing.get("limits.valid") == (why if state == "not shown" else None)
    assert arm.valid.mean == np.mean(valid)


def test_an_arm_without_any_answer_has_no_share():
    arm = measured([], 4)
    assert (arm.valid, arm.limits["valid"]) == (None, "not measured")
    assert arm.missing["valid"] == "no answer says whether it is valid"
