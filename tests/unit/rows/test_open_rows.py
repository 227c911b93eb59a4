"""Open answers in task files and rows: what is refused, what is proposed."""

import json

import pytest

from tuneworthy.records.errors import DataError, TaskError
from tuneworthy.records.task import Data, Success, Task
from tuneworthy.rows.draft import draft
from tuneworthy.rows.load import load
from tuneworthy.rows.taskfile import read_task


def read(folder, success):
    (folder / "task.yaml").write_text(f"data: {{file: rows.jsonl}}\nsuccess: {{{success}}}\n")
    return read_task(folder / "task.yaml")


def test_joined_metrics_and_their_options_are_read(tmp_path):
    task = read(tmp_path, "metric: outline+must_say, options: {sections: [A, B], most_words: 90}")
    assert task.success.metrics == ("outline", "must_say")
    assert task.success.options == {"sections": ["A", "B"], "most_words": 90}
    assert read(tmp_path, "metric: style_match + token_f1").success.metrics[1] == "token_f1"


@pytest.mark.parametrize(
    ("success", "where", "said"),
    [
        ("metric: outline+must_sya", "success.metric", "did you mean `must_say`"),
        ("metric: style_match", "success.metric", "style_match+must_say"),
        ("metric: must_say+must_say", "success.metric", "twice"),
        ("metric: outline, options: {section: [A]}", "options.section", "sections"),
        ("metric: outline, options: {sections: []}", "options.sections", "at least 1"),
        ("metric: outline, options: {most_words: lots}", "options.most_words", "integer"),
        ("metric: code, options: {forbid: [Fore]}", "options.forbid", "Fore"),
        ("metric: code, options: {run: 1}", "options.run", "boolean"),
        ("metric: judge", "success.metric", "judge: {model"),
        ("metric: judge+must_say", "success.metric", "judge"),
        ("metric: exact, judge: {model: openai:x, grades: h.jsonl}", "success.judge", "asks"),
        ("metric: judge, judge: {model: gpt, grades: h.jsonl}", "judge.model", "no model"),
        ("options: {run: true}", "success.options", "nothing reads"),
        ("metric: token_f1, options: {run: true}", "options.run", "no such option"),
    ],
)
def test_wrong_metrics_and_options_are_faults_of_the_task(success, where, said, tmp_path):
    with pytest.raises(TaskError) as caught:
        read(tmp_path, success)
    assert where in caught.value.where
    assert said in str(caught.value)


def rows(folder, made):
    (folder / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in made))
    return folder / "rows.jsonl"


def open_rows(n=30, **more):
    things = ["kettle", "lamp", "rug", "mirror", "chair", "tent"]
    return [{"input": f"question {i} on the {things[i % 6]}", "output": f"Answer {i}: the "
             f"{things[i % 6]} number {i * 7} is ready", **more} for i in range(n)]  # fmt: skip


def test_rows_with_demands_are_scored_by_them(tmp_path):
    rows(tmp_path, open_rows(must_say=["ready"]))
    task = Task(data=Data(file="rows.jsonl")).at(tmp_path)
    assert load(task).task.success.metric == "must_say"
    made = open_rows(must_say=["ready"])
    del made[3]["must_say"]
    rows(tmp_path, made)
    assert load(task).task.success.metric == "token_f1"


def test_a_row_that_demands_nothing_is_bad_under_must_say(tmp_path):
    made = open_rows(must_say=["ready"])
    del made[3]["must_say"]
    rows(tmp_path, made)
    task = Task(data=Data(file="rows.jsonl"), success=Success(metric="rouge_l+must_say"))
    with pytest.raises(DataError, match="demands nothing"):
        load(task.at(tmp_path))
    kept = load(task.at(tmp_path), "exclude", 0.1)
    assert len(kept.cases) == 29


def proposal(folder, made):
    text = draft(rows(folder, made)).text
    line = next(line for line in text.splitlines() if line.startswith("  metric:"))
    task = folder / "task.yaml"
    task.write_text(text)
    read_task(task)  # what is drafted can be read
    return line.split()[1]


def test_init_proposes_a_metric_for_open_answers(tmp_path):
    assert proposal(tmp_path, open_rows()) == "token_f1"
    assert proposal(tmp_path, open_rows(must_say=["ready"])) == "must_say"
    layout = [r | {"output": f"# Facts\n{r['output']}\n# Next\nstep {i}"}
              for i, r in enumerate(open_rows(must_say=["ready"]))]  # fmt: skip
    assert proposal(tmp_path, layout) == "outline+must_say"
    python = [r | {"output": f"def do_{i}(x):\n    return x + {i * 3}"}
              for i, r in enumerate(open_rows())]  # fmt: skip
    assert proposal(tmp_path, python) == "code+rouge_l"
