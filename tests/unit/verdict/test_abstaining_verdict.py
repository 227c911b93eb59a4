"""`success.wrong_at_most`: the arm that answers most rows under the limit is named, or none is."""

import random

import pytest

from tuneworthy.explain.comparison import compare
from tuneworthy.explain.trends import with_fits_and_trends
from tuneworthy.matrix.inputs import ComparisonInputs
from tuneworthy.records.answer import Answer, Score
from tuneworthy.records.case import Case, Message
from tuneworthy.records.run import Run, Spec
from tuneworthy.records.split import Part, Split
from tuneworthy.records.task import Data, Success, Task
from tuneworthy.verdict.decide import decide
from tuneworthy.verdict.rungs import policy_of


def verdict_of(answers, n=400, limit=0.05, today=None, **success):
    """Return the verdict on arms; `answers[name]` returns (probability, whether it is right)."""
    ids = [f"c{i:04}" for i in range(n)]
    task = Task(
        data=Data(file="rows.jsonl"), success=Success(wrong_at_most=limit, margin=0.05, **success)
    )
    split = Split(k=1, parts=(Part(train=(), dev=(), test=tuple(ids)),))
    inputs = ComparisonInputs(task, "study", split)
    runs = []
    for rung, (name, answer) in enumerate(answers.items()):
        told = {i: answer(i) for i in ids}
        spec = Spec(
            name=name,
            arm="present" if name == today else name,
            tool="keep" if name == today else "prompt",
            simplicity=rung,
        )
        given = tuple(Answer(case=i, text="x", labels={"x": told[i][0]}) for i in ids)
        scores = tuple(Score(value=float(told[i][1])) for i in ids)
        runs.append(Run(spec=spec, seed=0, fold=None, state="measured", answers=given,
                        scores=scores))  # fmt: skip
    said = {i: (Message(role="user", content=i),) for i in ids}
    cases = [Case(id=i, messages=said[i], output="x") for i in ids]
    evidence = with_fits_and_trends(inputs, cases, runs, compare(inputs, cases, runs))
    return decide(evidence, (), policy_of(task))


def world(share, seed=0, sure=0.999, else_right=0.5):
    """A share of the rows is answered surely and rightly, the rest at .5 and often wrong."""
    rng = random.Random(seed)

    def answer(_):
        if rng.random() < share:
            return sure, rng.random() < sure
        return 0.5, rng.random() < else_right

    return answer


def arm_of(verdict, name):
    return next(arm for arm in verdict.arms if arm.name == name)


def test_the_arm_that_answers_more_is_named_though_its_mean_is_lower():
    wide = {"timid": world(0.6, 1, else_right=0.8), "bold": world(0.85, 2, else_right=0.0)}
    found = verdict_of(wide)
    assert (found.arm, found.status) == ("bold", "firm")
    bold = arm_of(found, "bold")
    assert bold.sure.coverage == bold.score
    assert bold.sure.wrong.high <= 0.05
    assert "hands over the rest" in found.because
    assert bold.confidence.at[-1].limit == 0.1


def test_an_arm_that_answers_nothing_is_not_named_and_may_be_beside():
    found = verdict_of({"plain": world(0.0, 1), "good": world(0.8, 2)})
    assert found.arm == "good"
    assert arm_of(found, "plain").sure is None
    assert arm_of(found, "plain").delta.high < 0


def test_a_limit_that_nothing_reaches_names_no_arm_and_says_so():
    found = verdict_of({"a": world(0.0, 1), "b": world(0.0, 2)})
    assert (found.use, found.arm) == ("none", None)
    assert "No arm is shown to answer any share of rows" in found.because
    assert (found.next.do, found.next.edit) == ("revise the limits", "success.wrong_at_most")


@pytest.mark.parametrize("names", [("a",), ("a", "b")])
def test_too_few_rows_to_show_what_may_hold_ask_for_more(names):
    found = verdict_of({name: world(0.9, at) for at, name in enumerate(names)}, n=60, limit=0.02)
    assert (found.arm, found.status) == (None, "provisional")
    assert found.next.do == "label"
    assert "too few to show it" in found.because


def test_a_rival_that_may_answer_more_keeps_the_verdict_open():
    found = verdict_of({"a": world(0.6, 1), "b": world(0.97, 2, sure=0.955)})
    assert (found.arm, found.status) == ("a", "provisional")
    assert found.next.do == "label"


def test_what_runs_today_is_no_ladder_when_it_answers_nothing():
    found = verdict_of({"today": world(0.0, 1), "good": world(0.8, 2)}, today="today")
    assert found.arm == "good"
    cheap = verdict_of({"today": world(0.0, 1), "good": world(0.8, 2)}, today="today",
                       motive="cost")  # fmt: skip
    assert cheap.arm != "today"


def test_without_the_limit_nothing_is_handed_over():
    found = verdict_of({"a": world(0.6, 1), "b": world(0.8, 2)}, limit=None)
    assert arm_of(found, "b").sure is None
    assert arm_of(found, "b").score.mean > 0.85
    assert "hands over" not in found.because
