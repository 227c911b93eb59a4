"""Dev rows are asked where something is chosen on them; what is known is not asked again."""

import json
from collections import Counter
from dataclasses import replace

from tests.runner_kit import bench_of, cases, planned

from tuneworthy.measure.units import measure
from tuneworthy.models.scripted import Scripted
from tuneworthy.records.arm import Recipe
from tuneworthy.records.specs import diagnosis_runs
from tuneworthy.records.task import Data, Output, Task

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
    # Three sets are tried on 16 of the 25 dev rows; the set that is kept is asked 8 others.
    assert sum(asked.values()) == 2 * (50 + 3 * 16 + 8) + 2 * (50 + 24)
    assert set(once) <= {1, 2}, "the prompts of the first set stand in both arms"


def test_a_prompt_is_asked_the_rows_of_the_folds_that_are_measured(tmp_path):
    asked, model = asking(right)
    with bench_of(tmp_path, task_of(), cases(100, LABELS), {"base": model}) as bench:
        arm = planned("zero_shot", bench)
        measure(bench, arm.model_copy(update={"folds": (0,)}), BEST, True)
        first = sum(asked.values())
        measure(bench, arm.model_copy(update={"folds": (1,)}), BEST, True)
    assert first == 50 + 24, "the rows of one fold, and dev rows to choose on"
    assert sum(asked.values()) <= 2 * (50 + 24)
    assert len(asked) == 100, "in the end every row"


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
    names = [[one.name for one in diagnosis_runs(s, n)] for s, n in
             ((spec, 201), (spec, 200), (spec, 90), (cut, 1000))]  # fmt: skip
    assert names == [["lora pilot", "lora pilot placebo"], *[["lora placebo"]] * 3]
    (placebo,) = diagnosis_runs(spec, 200)
    assert (placebo.of, placebo.role, placebo.options["rows"]) == ("lora", "placebo", None)


class Holding(Scripted):
    def holds(self, text, grammar):
        return text.startswith("{")


def test_a_grammar_is_asked_only_where_the_free_answer_breaks_it(tmp_path):
    """Of the arm that the recipe comes from, in the same fold; and never to time a prompt."""
    schema = {"type": "object", "properties": {"kind": {"type": "string"}}, "required": ["kind"]}
    task = Task(data=Data(file="rows.jsonl"), success={"metric": "fields_f1"},
                output=Output(type="json", schema=schema, max_tokens=20))  # fmt: skip
    rows = [case.model_copy(update={"output": json.dumps({"kind": case.output})})
            for case in cases(100, LABELS)]  # fmt: skip
    asked = Counter()

    def answer(prompt, limits):
        asked["held" if limits.grammar else "free"] += 1
        loose = limits.grammar is None and "Ann" in prompt[-1].content
        return right(None, prompt) if loose else json.dumps({"kind": right(None, prompt)})

    models = {"base": Holding("scripted:json", answer)}
    broken = sum("Ann" in case.input for case in rows)
    with bench_of(tmp_path, task, rows, models) as bench:
        arm = planned("zero_shot", bench)
        runs = measure(bench, arm, BEST, False)
        found = measure(replace(bench, runs=runs), planned("constrained", bench), BEST, False)
        assert asked == {"free": 100, "held": broken}
        assert 0 < broken < 20
        said = {a.case: a.text for run in found for a in run.answers}
        assert all(text.startswith("{") for text in said.values())
        assert len(said) == 100
        other = [run.model_copy(update={"recipe": Recipe(reminder="!")}) for run in runs]
        more = replace(bench, runs=other, salt="2", timed=True)
        measure(more, planned("constrained", bench), BEST, False)
        assert asked["held"] == broken + 100 + 30, "another prompt's answers say nothing"
        timed = replace(bench, runs=runs, salt="3", timed=True)
        measure(timed, planned("constrained", bench), BEST, False)
        assert asked["held"] == 2 * broken + 100 + 2 * 30
