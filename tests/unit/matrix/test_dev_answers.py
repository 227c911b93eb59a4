"""Dev rows are asked where something is chosen on them, and never twice under the same prompt."""

from collections import Counter

from bench_kit import bench_of, cases, planned

from tuneworthy.core.arm import Recipe
from tuneworthy.core.task import Data, Output, Task
from tuneworthy.matrix.measure import measure
from tuneworthy.matrix.specs import probes_of
from tuneworthy.models.scripted import Scripted

LABELS = ("billing", "delivery", "defect")
BEST = [Recipe(), Recipe()]


def task_of(**changes):
    output = Output(type="label", labels=LABELS, max_tokens=8)
    return Task(data=Data(file="rows.jsonl"), output=output, **changes)


def asking(respond):
    asked = Counter()

    def answer(prompt, limits):
        asked[tuple(message.content for message in prompt)] += 1
        return respond(asked, prompt)

    return asked, Scripted("scripted:dev", answer)


def right(asked, prompt):
    return next(label for label in LABELS if label in prompt[-1].content)


def test_what_examples_were_chosen_on_is_not_asked_again(tmp_path):
    asked, model = asking(right)
    rows = cases(100, LABELS)  # 50 scored and 25 dev rows a fold
    with bench_of(tmp_path, task_of(), rows, {"base": model}) as bench:
        runs = measure(bench, planned("few_shot", bench), BEST, True)
        alone = measure(bench, planned("few_shot", bench, draws=1), BEST, True)
    assert [run.dev for run in runs] == [1.0, 1.0]
    assert [run.dev for run in alone] == [1.0, 1.0]
    once = Counter(asked.values())
    assert sum(asked.values()) == 2 * (50 + 3 * 25) + 2 * (50 + 25)
    assert set(once) <= {1, 2}, "the prompts of the first set stand in both arms"


def test_an_answer_that_failed_while_choosing_is_asked_again(tmp_path):
    def flaky(asked, prompt):
        if "Ann" in prompt[-1].content and asked[tuple(m.content for m in prompt)] == 1:
            raise RuntimeError("the line is down")
        return right(asked, prompt)

    asked, model = asking(flaky)
    with bench_of(tmp_path, task_of(), cases(100, LABELS), {"base": model}) as bench:
        (run, _) = measure(bench, planned("few_shot", bench, draws=2), BEST, True)
    assert run.dev == 1.0
    assert max(asked.values()) == 2


def test_a_pilot_stands_before_an_arm_that_learns_from_more_than_two_of_it(tmp_path):
    with bench_of(tmp_path, task_of(), cases(20, LABELS), {}) as bench:
        spec = planned("lora", bench).spec
    cut = spec.model_copy(update={"options": spec.options | {"rows": 150}})
    names = [[one.name for one in probes_of(s, n)] for s, n in
             ((spec, 201), (spec, 200), (spec, 90), (cut, 1000))]  # fmt: skip
    assert names == [["lora pilot", "lora pilot placebo"], *[["lora placebo"]] * 3]
    (placebo,) = probes_of(spec, 200)
    assert (placebo.of, placebo.role, placebo.options["rows"]) == ("lora", "placebo", None)
