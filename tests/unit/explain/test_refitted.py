"""One recipe trained in two studies: its training varies, so its interval is wider."""

import numpy as np
import pytest

from tuneworthy.explain.two_studies import compare_studies, fitted_arms, refitted_difference
from tuneworthy.matrix.design import Design, Fit
from tuneworthy.records.answer import Answer, Score
from tuneworthy.records.case import Case, Message
from tuneworthy.records.evidence import ArmResult, Evidence
from tuneworthy.records.run import Run, Spec
from tuneworthy.records.split import Part, Split
from tuneworthy.records.task import Data, Success, Task
from tuneworthy.stats import bounds
from tuneworthy.stats.clusters import Folds

N = 300
IDS = [f"c{at:03}" for at in range(N)]
FOLD = np.repeat(np.arange(5), N // 5)
PARTS = tuple(
    Part(
        train=tuple(np.array(IDS)[at != FOLD].tolist()),
        dev=(),
        test=tuple(np.array(IDS)[at == FOLD].tolist()),
    )
    for at in range(5)
)
SPLIT = Split(k=5, parts=PARTS)
ARM = Fit(dict(zip(IDS, FOLD.tolist(), strict=True)), SPLIT, 0.02)


def trained(rng, sd=0.03):
    """Return 0/1 scores of a training that differs by `sd` from fold to fold."""
    rows, own = rng.random(N), rng.normal(0, sd, 5)
    return (rows < 0.75 + own[FOLD]).astype(float)


class Kept:
    """The parts of a stored study that `compare_studies` reads."""

    def __init__(self, right, tool="tune", split=SPLIT, learned=True):
        spec = Spec(name="lora", arm="lora", tool=tool)
        turn = (Message(role="user", content="hi"),)
        self.task = Task(data=Data(file="rows.jsonl"), success=Success(metric="exact"))
        self.cases = [Case(id=i, messages=turn, output="yes") for i in IDS]
        self.split, self.grades = split, None
        self.reproduce = {}
        self.verdict = type("Verdict", (), {"arm": None})
        arm = ArmResult(name="lora", tool=tool, role="candidate", state="measured", seed=0,
                        simplicity=0, options={})  # fmt: skip
        self.evidence = Evidence(
            task="t", hash="h", n=N, looks=1, alpha=0.05, arms=(arm,), pairs=()
        )
        self.runs = tuple(
            Run(
                spec=spec, seed=0, fold=at, state="measured", learned=learned,
                answers=tuple(Answer(case=i, text="yes") for i in part.test),
                scores=tuple(Score(value=float(right[IDS.index(i)])) for i in part.test),
            )
            for at, part in enumerate(PARTS)
        )  # fmt: skip


def test_one_recipe_trained_twice_is_seldom_shown_to_differ():
    shown, plain = 0, 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        diffs = trained(rng) - trained(rng)
        values = dict(zip(IDS, diffs.tolist(), strict=True))
        found, factor = refitted_difference(Design(), values, 0.025, (ARM, ARM))
        alone = bounds.paired(diffs, 0.025)
        assert (found.low <= alone.low, found.high >= alone.high, factor) == (True, True, 1.5)
        shown += found.low > 0 or found.high < 0
        plain += alone.low > 0 or alone.high < 0
    assert shown <= 10 < plain  # 5 % of 200


def test_two_studies_widen_a_trained_arm_as_one_study_does():
    rng = np.random.default_rng(0)
    old, new = trained(rng), trained(rng)
    (pair,) = compare_studies(Kept(old), Kept(new))
    folds = Folds(FOLD, 0.02 * 2**0.5)
    bound = bounds.paired(new - old, 0.025, factor=1.5, folds=folds)
    assert (pair.low, pair.high, pair.factor) == (bound.low, bound.high, 1.5)
    (prompt,) = compare_studies(
        Kept(old, "prompt", learned=False), Kept(new, "prompt", learned=False)
    )
    alone = bounds.paired(new - old, 0.025)
    assert (prompt.low, prompt.high, prompt.factor) == (alone.low, alone.high, 1.0)


@pytest.mark.parametrize(
    ("split", "factor"),
    [(None, 1.5), (Split(k=1, parts=PARTS[:1]), 1.0)],  # results of 0.1.0; one split
)
def test_the_factor_is_that_of_the_study_s_own_folds(split, factor):
    arm = fitted_arms(Kept(np.ones(N), split=split))["lora"]
    assert arm.width(IDS if split is None else IDS[:60])[0] == factor
    assert arm.retrained == 0.02
