"""task.yaml: plain data with lines; unknown keys, secrets, tags and aliases."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tuneworthy.records.errors import SecurityError, TaskError
from tuneworthy.records.task import Task
from tuneworthy.rows.plain_yaml import parse
from tuneworthy.rows.taskfile import read_task

DATA = "data: {file: rows.jsonl}\n"


def read(folder: Path, text: str) -> Task:
    (folder / "task.yaml").write_text(text)
    return read_task(folder / "task.yaml")


def test_the_whole_example_is_read(tmp_path):
    (tmp_path / "score.py").write_text("def score(case, answer): return 1.0\n")
    task = read(
        tmp_path,
        """
name: support-tickets
instruction: Answer with ${env:HOME} in JSON.
data: {file: tickets.jsonl, folds: auto, unlabelled: null, docs: docs.jsonl}
output: {type: json, schema: schema.json, labels: null, max_tokens: null}
success:
  metric: ./score.py:score
  target: 0.90
  margin: 0.05
  motive: quality
  limits: {valid: 0.95, p95_ms: 3000, general_drop: 0.05, local_only: false}
present: {model: openai:some, prompt: prompt.md, options: {temperature: 0, stop: ["\\n"]}}
answers: {old: old.jsonl, rules: {file: rules.jsonl, tool: classifier}}
arms: [tfidf, {nearest_shots: {k: 8}}, lora]
knowledge: {changed_share: 0.03, over: 30d}
economics: {requests_per_month: 200000, prices: {x: {in: 1, out: 2}}}
budget: {minutes: 20, usd: null}
seeds: 2
""",
    )
    assert task.folder == tmp_path
    assert task.answers["old"].file == "old.jsonl"
    assert task.answers["rules"].tool == "classifier"
    assert task.present.options == {"temperature": 0, "stop": ["\n"]}
    assert task.arms == ("tfidf", {"nearest_shots": {"k": 8}}, "lora")
    assert task.inferred == ()


def test_an_empty_section_means_its_defaults(tmp_path):
    assert read(tmp_path, DATA + "success:\n  # margin: 0.1\n").success.margin == 0.05
    assert read(tmp_path, "success:\n" + DATA) == read(tmp_path, DATA)


@pytest.mark.parametrize(
    ("finalists", "what"),
    [
        ({"prompt": "few_shott"}, "no arm has this name"),
        ({"tune": "hosted"}, "this arm is of another tool"),
        ({"prompt": "few_shot k=8", "schema": "constrained"}, ""),
    ],
)
def test_arms_that_stand_for_a_tool_are_known_and_of_that_tool(tmp_path, finalists, what):
    task = {"data": {"file": "rows.jsonl"}, "success": {"finalists": finalists},
            "answers": {"hosted": {"file": "a.jsonl", "tool": "prompt"}}}  # fmt: skip
    path = tmp_path / "task.yaml"
    path.write_text(json.dumps(task), "utf-8")
    if not what:
        assert read_task(path).success.finalists == finalists
        return
    with pytest.raises(TaskError, match=what):
        read_task(path)


def test_several_faults_show_the_first_and_count_the_others(tmp_path):
    with pytest.raises(TaskError) as caught:
        read(tmp_path, DATA + "seeds: 0\nbudget: {minutes: 0}\nsuccess: {margin: 9}\n")
    assert caught.value.where == "task.yaml:2 seeds"
    assert "2 more wrong: line 3, 4" in caught.value.what


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("x: !!python/object/apply:os.system [ls]\n", "tags"),
        ("x: !!str 5\n", "tags"),
        ("x: !local {a: 1}\n", "tags"),
    ],
)
def test_a52_tags_are_refused(text, what, tmp_path):
    with pytest.raises(SecurityError, match=what):
        read(tmp_path, DATA + text)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a: &a [1]\nb: *a\n", "whole section"),
        ("a: &a {b: *a}\n", "no anchor"),
        ("a: *nowhere\n", "no anchor"),
        ("a: &a 1\nb: [" + "*a, " * 21 + "]\n", "too many aliases"),
        ("a: {<<: {margin: 1}}\n", "merge keys"),
        ("a: " + "[" * 40 + "]" * 40 + "\n", "too deep"),
        ("a: 1\n---\nb: 2\n", "second document"),
        ("? [1, 2]\n: 3\n", "key is not a word"),
        ("a: " + "[" * 1000 + "\n", "too deep|not YAML|read"),
    ],
)
def test_a52_bombs_and_smuggling_are_refused(text, what, tmp_path):
    with pytest.raises(TaskError, match=what):
        read(tmp_path, text)


def test_a_laugh_of_a_billion_costs_nothing(tmp_path):
    lines = ["a0: &a0 [lol, lol]"]
    lines += [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40)]
    with pytest.raises(TaskError, match="whole section"):
        read(tmp_path, "\n".join(lines))


def test_a_scalar_may_be_an_alias_and_keeps_its_line():
    plain = parse("a: &x 0.5\nb:\n  - c: *x\n", "t.yaml")
    assert plain.data == {"a": 0.5, "b": [{"c": 0.5}]}
    assert plain.line(("b", 0, "c")) == 3
    assert plain.line(("b", 0, "missing")) == 3


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-4", 1e-4), ("-0.0", 0.0), (".5", 0.5), ("0x1f", "0x1f"), ("1_000", "1_000"),
     ("2026-01-31", "2026-01-31"), ("on", "on"), ("True", True), ("~", None), ('"1"', "1"),
     ("12:30", "12:30"), ("017", 17)],
)  # fmt: skip
def test_scalars_follow_yaml_1_2(text, value):
    got = parse(f"a: {text}\n", "t.yaml").data["a"]
    assert got == value
    assert type(got) is type(value)
    assert str(got) == str(value)


def test_the_environment_is_read_for_keys_only(tmp_path):
    with pytest.raises(TaskError, match="for keys only") as caught:
        read(tmp_path, DATA + "name: ${env:HOME}\n")
    assert "task.yaml:2 name" in caught.value.where


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("data: {}\n", "no rows are named"),
        ("data: {file: a, train: b}\n", "exclude each other"),
        ("data: {test: b}\n", "needs `train:`"),
        ("data: {train: a, test: b, folds: 5}\n", "switches folds off"),
        (DATA + "success: {metric: judge}\n", "needs a model and human grades"),
        (DATA + "success: {metric: accuracey}\n", "no metric has this name"),
        (DATA + "success: {metric: 'os:system'}\n", "no metric has this name|names no function"),
        (DATA + "success: {metric: './nowhere.py:score'}\n", "no such file"),
        (DATA + "success: {metric: '../../x.py:score'}\n", "outside"),
        (DATA + "success: {metric: '/x.py:score'}\n", "names no function"),
        (DATA + "output: {type: text, labels: [a]}\n", "labels need type label"),
        (DATA + "output: {type: text, schema: a.json}\n", "schema needs type json"),
        (DATA + "output: {labels: []}\n", "list of labels is empty"),
        (DATA + "output: {labels: [a, a]}\n", "label stands twice"),
        (DATA + "model: gpt-something\n", "names no model"),
        (DATA + "tune: openai:x\n", "can't be trained"),
        (DATA + "knowledge: {over: soon}\n", "no span of time"),
        (DATA + "name: ../x\n", "this is no name"),
        (DATA + "success: {motive: speed}\n", "not known"),
        (DATA + "data2: 1\n", "no such key"),
        (DATA + "metric: f1\n", "write it under `success`: success: {metric: ...}; known here"),
        (DATA + "labels: [a, b]\n", "write it under `output`"),
        (DATA + "success: {metric: f1}\n", "did you mean `fields_f1` or `token_f1`?"),
        (DATA + "inferred: [a]\n", "no such key"),
    ],
)
def test_keys_that_make_no_sense_are_refused_with_their_line(text, what, tmp_path):
    with pytest.raises(TaskError, match=what) as caught:
        read(tmp_path, text)
    assert caught.value.where.startswith("task.yaml:")
    assert caught.value.fix


def test_a_missing_or_binary_task_file_is_named(tmp_path):
    with pytest.raises(TaskError, match="no task file"):
        read_task(tmp_path / "task.yaml")
    with pytest.raises(TaskError, match="can't be opened"):
        read_task(tmp_path)
    (tmp_path / "task.yaml").write_bytes(b"name: \xff\n")
    with pytest.raises(TaskError, match="not UTF-8"):
        read_task(tmp_path / "task.yaml")
    (tmp_path / "task.yaml").write_bytes(b"a: 1\n" * 300_000)
    with pytest.raises(TaskError, match="larger than 1 MB"):
        read_task(tmp_path / "task.yaml")
