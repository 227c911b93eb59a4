"""The matrix read down: the seed that would be built, and the arm that a fold chose."""

import pytest

from tuneworthy.core.answer import Answer, Score
from tuneworthy.core.case import Case, Message
from tuneworthy.core.run import Run, Spec
from tuneworthy.core.task import Data, Task
from tuneworthy.data.folds import Part, Split
from tuneworthy.matrix.compare import Shape, compare

IDS = [f"c{i}" for i in range(20)]
FOLDS = (tuple(IDS[:10]), tuple(IDS[10:]))


def cases():
    turn = (Message(role="user", content="hi"),)
    return [Case(id=i, messages=turn, output="yes") for i in IDS]


def shape():
    parts = tuple(Part(train=(), dev=(), test=test) for test in FOLDS)
    parts = tuple(p.model_copy(update={"train": FOLDS[1 - i]}) for i, p in enumerate(parts))
    task = Task(data=Data(file="rows.jsonl"), success={"metric": "exact"})
    return Shape(task, "study", Split(k=2, parts=parts), {})


def made(name, tool, value, fold, **more):
    spec = Spec(name=name, arm=name, tool=tool, simplicity=more.pop("simplicity", 0))
    answers = tuple(Answer(case=i, text="yes") for i in FOLDS[fold])
    scores = tuple(Score(value=value, valid=True) for _ in answers)
    return Run(spec=spec, seed=more.pop("seed", 0), fold=fold, state="measured", answers=answers,
               scores=scores, **more)  # fmt: skip


def arm(evidence, name):
    return next(found for found in evidence.arms if found.name == name)


def test_the_seed_best_on_dev_is_the_artefact_scored_not_the_best_on_the_scored_cases():
    runs = [
        made("lora", "tune", value, fold, seed=seed, dev=dev, learned=True)
        for fold in (0, 1)
        for seed, dev, value in ((0, 0.5, 1.0), (1, 0.6, 0.4))
    ]
    found = arm(compare(shape(), cases(), runs), "lora")
    assert (found.seed, found.seeds, found.score.mean) == (1, 2, pytest.approx(0.4))
    assert found.seed_sd == pytest.approx(0.6 / 2**0.5, abs=1e-6)


def test_each_fold_chooses_its_arm_on_its_own_dev_rows():
    runs = []
    for fold, devs in enumerate(((0.9, 0.1), (0.2, 0.8))):
        runs += [made("zero", "prompt", 0.0, fold, dev=devs[0], simplicity=1),
                 made("few", "prompt", 1.0, fold, dev=devs[1], simplicity=2, learned=True),
                 made("today", "keep", 0.5, fold)]  # fmt: skip
    evidence = compare(shape(), cases(), runs)
    assert [a.name for a in evidence.arms if a.finalist] == ["zero", "today"]
    assert arm(evidence, "zero").chosen == "best on dev in 1 of 2 folds"
    pair = next(p for p in evidence.pairs if (p.arm, p.versus) == ("zero", "today"))
    assert pair.mean == pytest.approx(0.0)  # half its cases come from the arm chosen in fold 1
    assert pair.factor > 1


@pytest.mark.parametrize(("timed", "tail"), [(30, 28.55), (19, None), (0, None)])
def test_a_percentile_of_few_times_is_null_with_its_reason(timed, tail):
    times = tuple(float(ms) for ms in range(1, timed + 1))
    runs = [made("zero", "prompt", 1.0, 0, latency_ms=times or None, fingerprint={"engine": "x"}),
            made("zero", "prompt", 1.0, 1, fingerprint={"engine": "x"})]  # fmt: skip
    found = arm(compare(shape(), cases(), runs), "zero")
    if not timed:
        assert found.latency_ms is None
        assert "not timed" in found.missing["latency_ms"]
        return
    assert found.latency_ms.p50 == pytest.approx((timed + 1) / 2)
    assert found.latency_ms.p95 == (None if tail is None else pytest.approx(tail))
    assert ("latency_ms.p95" in found.missing) is (tail is None)


def test_what_runs_today_keeps_its_place_beside_an_arm_of_its_tool():
    runs = []
    for fold in (0, 1):
        runs += [made("cheap", "prompt", 1.0, fold), made("present", "tune", 0.5, fold, dev=0.1),
                 made("retuned", "tune", 1.0, fold, dev=0.9),
                 made("older", "tune", 0.0, fold, dev=0.2)]  # fmt: skip
    evidence = compare(shape(), cases(), runs)
    finalists = {a.name for a in evidence.arms if a.finalist}
    assert finalists == {"cheap", "present", "retuned"}
    pairs = {(pair.arm, pair.versus): pair.mean for pair in evidence.pairs}
    assert pairs["cheap", "present"] == 0.5
    assert pairs["present", "retuned"] == -0.5
