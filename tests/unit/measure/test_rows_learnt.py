"""An arm that chooses nothing on dev rows learns from them; dev scores are for prompts alone."""

from dataclasses import replace

import pytest
from tests.runner_kit import bench_of, cases, planned

from tuneworthy.measure.units import measure
from tuneworthy.records.arm import Recipe
from tuneworthy.records.plugins import load
from tuneworthy.records.run import Spec
from tuneworthy.records.specs import needs_dev_scores
from tuneworthy.records.split import Part
from tuneworthy.records.task import Data, Output, Recorded, Task

LABELS = ("billing", "delivery", "defect")
BEST = [Recipe(), Recipe()]
TASK = Task(data=Data(file="rows.jsonl"), output=Output(type="label", labels=LABELS, max_tokens=8))


def spec(name, tool="prompt", role="candidate"):
    return Spec(name=name, arm=name, tool=tool, role=role)


@pytest.mark.parametrize("name", ["tfidf", "majority"])
def test_it_learns_from_train_and_dev_rows_and_is_stored_apart(name, tmp_path, monkeypatch):
    arm, seen = load("arms", name), []
    fit = arm.fit

    def watched(setup, options, seed):
        seen.append((len(setup.train), len(setup.dev)))
        return fit(setup, options, seed)

    monkeypatch.setattr(arm, "fit", watched)
    with bench_of(tmp_path, TASK, cases(100, LABELS), {}) as bench:
        whole = measure(bench, planned(name, bench), BEST, True)
        assert seen == [(50, 0)] * 2
        assert [run.dev for run in whole] == [None, None], "it has learnt from these rows"
        measure(bench, planned(name, bench), BEST, True)
        assert seen == [(50, 0)] * 2, "what is stored is not run again"
        monkeypatch.setattr(arm, "CHOOSES", True)
        measure(bench, planned(name, bench), BEST, False)
        assert seen[2:] == [(25, 25)] * 2, "another fit, under another key"


def test_no_row_that_is_scored_is_learnt_from(tmp_path):
    part = Part(train=("a", "b"), dev=("c",), test=("d",))
    assert part.learnt(chooses=True) is part
    assert part.learnt(chooses=False) == Part(train=("a", "b", "c"), dev=(), test=("d",))
    with bench_of(tmp_path, TASK, cases(30, LABELS), {}) as bench:
        empty = tuple(one.model_copy(update={"dev": ()}) for one in bench.split.parts)
        some = replace(bench, split=bench.split.model_copy(update={"parts": empty}))
        before = [run.answers for run in measure(bench, planned("tfidf", bench), BEST, False)]
        after = [run.answers for run in measure(some, planned("tfidf", some), BEST, False)]
        assert before != after, "without its dev rows it knows less"


def test_dev_scores_are_for_prompts_of_which_the_best_is_handed_on():
    task = TASK.model_copy(update={"answers": {"logged": Recorded(file="l.jsonl", tool="prompt")}})
    two = [spec("zero_shot"), spec("few_shot"), spec("tfidf", "classifier")]
    assert needs_dev_scores(task, two[0], two)
    assert not needs_dev_scores(task, two[0], two[:1])
    assert not needs_dev_scores(task, two[2], [*two, spec("embedding_head", "classifier")])
    logged = spec("logged")
    assert not needs_dev_scores(task, logged, [*two, logged]), "recorded answers hand no prompt on"
    assert not needs_dev_scores(task, two[0], [two[0], logged])
    assert not needs_dev_scores(task, spec("few_shot", role="placebo"), two)
