"""`success.costs`: classifiers answer the cheapest label, the verdict counts money."""

import json
import random

import pytest

from tuneworthy.flows import study
from tuneworthy.handover.building import BuildOptions, build
from tuneworthy.handover.system import open_artefact
from tuneworthy.records.case import Message, Query
from tuneworthy.records.errors import TaskError
from tuneworthy.report.fact_lines import note_lines


def write(folder, success, n=120):
    rng = random.Random(0)
    with (folder / "rows.jsonl").open("w") as file:
        for k in range(n):
            fraud = rng.random() < 0.2
            told = "transfer abroad" if rng.random() < (0.6 if fraud else 0.25) else "coffee"
            row = {"input": f"{told} no {k}", "output": "fraud" if fraud else "legit"}
            file.write(json.dumps(row) + "\n")
    task = {"name": "costs", "data": {"file": "rows.jsonl"}, "output": {"type": "label"},
            "arms": ["majority", "tfidf"], "success": success,
            "economics": {"requests_per_month": 1000, "machine_hour": 0.1}}  # fmt: skip
    path = folder / "task.yaml"
    path.write_text(json.dumps(task))
    return path


def named(results, arm):
    return [run for run in results.runs if run.spec.name == arm]


def test_the_cheapest_label_is_answered_measured_and_served(tmp_path):
    pytest.importorskip("skops")
    path = write(tmp_path, {"costs": {"fraud": 40, "legit": 1}})
    done = study.run(path).results
    said = {answer.text for run in named(done, "tfidf") for answer in run.answers}
    assert said == {"fraud"} or "fraud" in said
    missed = [score.value for run in named(done, "majority") for score in run.scores]
    assert set(missed) == {0.0, 1.0}, "a missed fraud is the dearest mistake"
    tfidf = next(arm for arm in done.verdict.arms if arm.name == "tfidf")
    assert tfidf.score.mean > 0.9
    assert done.task.economics.value_of_correct == 40
    assert "0 the dearest one (40) on every row" in note_lines(done)[0]
    assert "economics.value_of_correct" in done.task.inferred
    built = build(path, options=BuildOptions(arm="tfidf"))
    system = open_artefact(tmp_path / "build" / built.folder.rsplit("/", 1)[-1])
    query = Query(id="q", messages=(Message(role="user", content="transfer abroad no 7"),))
    answer = system.answer([query])[0]
    assert answer.text == "fraud"
    assert answer.labels["fraud"] < 0.9


@pytest.mark.parametrize(("success", "words"), [
    ({"costs": {"frod": 1, "other": 1}}, "no label is called frod"),
    ({"costs": {"fraud": 1}}, "no cost of a mistake on legit"),
    ({"costs": {"fraud": 1, "legit": 1}, "wrong_at_most": 0.1}, "weighs them"),
    ({"costs": {"fraud": 1, "legit": 1}, "metric": "exact"}, "need labels and the metric accuracy"),
    ({"costs": {"fraud": -1, "legit": 1}}, "at least 0"),
])  # fmt: skip
def test_costs_that_do_not_fit_are_refused(tmp_path, success, words):
    with pytest.raises(TaskError) as caught:
        study.run(write(tmp_path, success))
    assert words in f"{caught.value.what} {caught.value.got} {caught.value.fix}"
