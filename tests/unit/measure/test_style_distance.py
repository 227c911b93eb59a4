"""The style of each arm beside chance; metrics of sets inside the matrix."""

import random

from tuneworthy.explain.rescore import rescore_interventions
from tuneworthy.measure.further.prompt_search import styles
from tuneworthy.metrics import scorer
from tuneworthy.records.answer import Answer
from tuneworthy.records.case import Case, Message
from tuneworthy.records.run import Run, Spec
from tuneworthy.records.task import Data, Output, Success, Task

TASK = Task(
    data=Data(file="r.jsonl"),
    output=Output(type="text"),
    success=Success(metric="style_match+must_say"),
)
RNG = random.Random(1)
SAID = ["on its way", "in the post", "at the door", "being packed"]
CASES = [
    Case(id=f"{i:03}", messages=(Message(role="user", content=f"where is {i}"),),
         output=f"Lovely, number {i} is {RNG.choice(SAID)}!", must_say=(str(i),))
    for i in range(60)
]  # fmt: skip


def run(name, texts, fold=0, role="candidate", of=""):
    answers = tuple(Answer(case=i, text=text) for i, text in texts.items())
    spec = Spec(name=name, arm=name, role=role, of=of)
    return Run(spec=spec, seed=0, fold=fold, state="measured", answers=answers, scores=())


def texts(change, part=slice(None)):
    return {case.id: change(case) for case in CASES[part]}


def test_each_arm_is_read_across_folds_beside_chance():
    def cold(case):
        return f"Dear customer, item {case.must_say[0]} was processed."

    def warm(case):
        return f"Lovely, number {case.must_say[0]} is {RNG.choice(SAID)}!"

    runs = [run("cold", texts(cold, slice(0, 30)), 0), run("cold", texts(cold, slice(30, 60)), 1)]
    runs += [run("warm", texts(warm)), run("mute", texts(lambda case: ""))]
    runs += [run("other", texts(cold), role="placebo", of="warm")]
    found = {style.arm: style for style in styles(TASK, CASES, runs)}
    assert list(found) == ["cold", "warm", "mute"]
    assert (found["cold"].n, found["mute"].n) == (60, 0)
    assert found["cold"].auc > 0.95 > 0.75 > found["warm"].auc
    assert found["cold"].score < 0.4 < 0.7 < found["warm"].score
    assert found["mute"].auc is None
    assert "10 answers" in found["mute"].because
    chance = found["cold"].control
    assert 0.2 < chance.low <= chance.mean <= chance.high < 0.8
    label = TASK.model_copy(update={"output": Output(type="label")})
    assert styles(label, CASES, runs) == "the answers are no free text"


def test_answers_of_a_few_letters_have_no_style():
    short = [case.model_copy(update={"output": "A7"}) for case in CASES]
    assert "fewer than 20 characters" in styles(TASK, short, [run("warm", texts(str))])


def test_answers_are_not_scored_again_one_by_one_under_a_metric_of_sets():
    base = {c.id: Answer(case=c.id, text=c.output.upper()) for c in CASES}
    assert rescore_interventions(TASK, scorer(TASK), CASES, base, 0.5, 0) == []
    plain = TASK.model_copy(update={"success": Success(metric="token_f1")})
    assert len(rescore_interventions(plain, scorer(plain), CASES, base, 0.5, 0)) == 2
