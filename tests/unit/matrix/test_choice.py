"""D7, one rule each: the best seed on dev, the best prompt so far, the width of cross-fitting."""

import pytest

from tuneworthy.explain.diagnosis import answer_columns
from tuneworthy.matrix.columns import column
from tuneworthy.matrix.design import split_factor
from tuneworthy.matrix.ladder import (
    best_by_fold,
    best_on_dev,
    best_prompt,
    best_runs,
    own_prompts,
    runs_before,
    simplest_prompts,
    sorted_by_dev,
)
from tuneworthy.measure.further.prompt_search import _score_cells
from tuneworthy.records.answer import Answer, Score
from tuneworthy.records.arm import Recipe
from tuneworthy.records.run import Run, Spec
from tuneworthy.records.split import Part, Split
from tuneworthy.records.task import Data, Task
from tuneworthy.stats.bounds import width_factor


def seeded(seed, dev, fold=0, value=0.0, **more):
    spec = Spec(name="lora", arm="lora", tool="tune")
    return Run(spec=spec, seed=seed, fold=fold, state="measured", dev=dev, artefact="somewhere",
               answers=(Answer(case=f"c{fold}", text=f"seed {seed}"),),
               scores=(Score(value=value),), **more)  # fmt: skip


@pytest.mark.parametrize(
    ("devs", "best"),
    [((0.2, 0.4), 1), ((0.4, 0.4), 0), ((None, None), 0), ((None, 0.1), 1), ((None, 0.0), 1)],
)
def test_d7_every_reader_takes_the_same_seed_as_the_best(devs, best):
    runs = [seeded(seed, dev, value=seed / 4) for seed, dev in enumerate(devs)]
    task = Task(data=Data(file="rows.jsonl"))
    assert best_on_dev(runs).seed == best
    assert sorted_by_dev(runs)[-1].seed == best
    assert [run.seed for run in best_runs(runs, "lora")] == [best]
    assert column(runs).cells["c0"][0].text == f"seed {best}"
    assert answer_columns(task, runs)["lora"].answers["c0"].text == f"seed {best}"
    assert _score_cells(runs)["c0"] == (best / 4, 0)


def test_one_run_a_fold_is_kept_of_those_that_were_measured():
    failed = seeded(0, 0.9, fold=1).model_copy(update={"state": "failed"})
    runs = [seeded(1, 0.3, fold=1), seeded(0, 0.2, fold=1), failed, seeded(0, 0.1)]
    assert [(run.fold, run.seed) for run in best_by_fold(runs)] == [(0, 0), (1, 1)]
    assert best_by_fold([failed]) == []


def prompt(name, dev, k, fold=0, **more):
    kind = {"tool": more.pop("tool", "prompt"), "role": more.pop("role", "candidate")}
    usual = {"seed": 0, "state": "measured", **more}
    spec = Spec(name=name, arm=name, **kind)
    return Run(spec=spec, fold=fold, dev=dev, recipe=Recipe(kind="few", k=k), **usual)


def test_d7_the_best_prompt_so_far_is_one_that_may_be_named():
    runs = [
        prompt("zero", None, 1),
        prompt("first", 0.5, 2),
        prompt("equal", 0.5, 3),
        prompt("placebo", 0.9, 4, role="placebo"),
        prompt("schema", 0.9, 5, tool="schema"),
        prompt("other seed", 0.9, 6, seed=1),
        prompt("other fold", 0.9, 7, fold=1),
        prompt("on some cases", 0.9, 8, state="stopped_early"),
    ]
    assert best_prompt(runs, 0, 0).k == 2
    assert best_prompt(runs[:1], 0, 0).k == 1
    assert best_prompt(runs, 1, 0).k == 7
    assert best_prompt([], 0, 0) == Recipe()


def shown(name, recipe, simplicity, fold=0, **more):
    spec = Spec(name=name, arm=name, tool=more.pop("tool", "prompt"), simplicity=simplicity,
                role=more.pop("role", "candidate"))  # fmt: skip
    return Run(spec=spec, fold=fold, recipe=recipe, **{"seed": 0, "state": "measured", **more})


def nearest(k):
    return Recipe(kind="nearest", k=k)


def test_the_simplest_prompts_are_the_plain_one_and_each_kind_with_the_fewest_examples():
    few, words = Recipe(kind="few", k=8, shots=("a",)), Recipe(specification="Say it")
    runs = [
        shown("searched", words, 40),
        shown("nearest", nearest(8), 30),
        shown("nearest(k=4)", nearest(4), 30),
        shown("nearest(k=16)", nearest(16), 30),
        shown("few", few, 20),
        shown("zero", Recipe(), 10),
        shown("vote", few, 50),
        shown("placebo", nearest(1), 1, role="placebo"),
        shown("schema", nearest(2), 1, tool="schema"),
        shown("other seed", nearest(2), 1, seed=1),
        shown("on some cases", nearest(2), 1, state="stopped_early"),
        shown("logged", nearest(2), 1, recorded=True),
        shown("other fold", nearest(3), 1, fold=1),
    ]
    assert simplest_prompts(runs, 0, 0) == (Recipe(), few, nearest(4))
    assert simplest_prompts(runs[:2], 0, 0) == (nearest(8), words)
    assert simplest_prompts(runs, 1, 0) == (nearest(3),)
    assert simplest_prompts([], 0, 0) == ()


def test_the_plain_instruction_comes_before_a_simpler_arm():
    today = Recipe(kind="file", text="x")
    runs = [shown("present", today, 0), shown("zero", Recipe(), 10)]
    assert simplest_prompts(runs, 0, 0) == (Recipe(), today)


def test_a_placebo_stands_on_the_prompts_of_its_arm_by_fold():
    runs = [shown("rag", nearest(4), 10, fold=1), shown("other", nearest(9), 10)]
    best = [nearest(1), nearest(2)]
    assert own_prompts(runs, "rag", best) == [nearest(1), nearest(4)]
    assert own_prompts(runs, None, best) == best


def test_d7_the_width_of_cross_fitting_counts_rows_to_learn_from_and_to_choose_on():
    parts = (
        Part(train=("c", "d"), dev=("e",), test=("a", "b")),
        Part(train=("a", "b"), dev=(), test=("c", "d", "e", "f")),
        Part(train=(), dev=(), test=("x",)),  # the earliest rows: nothing is fitted for them
    )
    split = Split(k=2, parts=parts)
    assert split_factor(split) == split_factor(split, [0, 1, 1, 2]) == width_factor(2, 3, 2.5)
    assert split_factor(split, [1]) == width_factor(1, 4, 2)
    assert split_factor(split, [2]) == 1.0
    assert split_factor(Split(k=1, parts=parts[:1])) == 1.0


def prompt_begun_with(runs, spec, fold, seed):
    return best_prompt(runs_before(runs, spec, fold), fold, seed)


def test_an_arm_begins_with_the_best_prompt_that_was_run_before_it():
    later = Spec(name="constrained", arm="constrained", tool="schema")
    runs = [
        prompt("one", 0.5, 1, fold=1),
        prompt("two", 0.7, 2, fold=1),
        Run(spec=later, seed=0, fold=1, state="measured"),
        prompt("three", 0.9, 3, fold=1),
    ]
    assert prompt_begun_with(runs, later, 1, 0).k == 2
    assert prompt_begun_with(runs, later, 0, 0) == Recipe()  # another fold
    assert prompt_begun_with(runs, runs[0].spec, 1, 0) == Recipe()


def test_a_prompt_run_between_two_folds_of_an_arm_counts_for_the_second():
    later = Spec(name="lora", arm="lora", tool="tune")
    own = [Run(spec=later, seed=0, fold=fold, state="measured") for fold in (0, 1)]
    runs = [own[0], prompt("one", 0.5, 1, fold=1), own[1]]
    assert prompt_begun_with(runs, later, 1, 0).k == 1, "what it was measured with is built"
    assert prompt_begun_with(runs, later, 0, 0) == Recipe()


def test_each_rewritten_prompt_stands_for_itself():
    told = [Recipe(kind="few", k=2, reminder="only the label"),
            Recipe(kind="few", k=2, specification="Say it")]  # fmt: skip
    plain = Recipe(kind="few", k=4)
    runs = [shown("few", plain, 5), *(shown(f"few {i}", one, 6) for i, one in enumerate(told))]
    assert simplest_prompts(runs, 0, 0) == (plain, *told)
