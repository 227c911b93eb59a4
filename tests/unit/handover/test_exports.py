"""Exports hold the prompt, the rows or the verdict, and nothing that may not leave."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace as Like

import pytest
from jinja2 import Template
from ruamel.yaml import YAML
from tests import studies

from tuneworthy.flows import study
from tuneworthy.handover.building import BuildOptions, build
from tuneworthy.handover.exporting import ExportOptions, export
from tuneworthy.handover.formats import dspy, openai, promptfoo, trackio, trl
from tuneworthy.handover.formats import inspect as inspect_format
from tuneworthy.handover.formats import mlflow as mlflow_format
from tuneworthy.handover.formats._sources import BuiltPrompt, Chat, TrainingChats, tracked
from tuneworthy.records.artefact import Artefact, Pack
from tuneworthy.records.case import Case, Message
from tuneworthy.records.errors import TaskError
from tuneworthy.records.run import RunOptions
from tuneworthy.records.task import Data, Output, Success, Task
from tuneworthy.report.results_folder import find_results, read_results

ARMS = [*studies.LIGHT, "tfidf", "few_shot", "nearest_shots"]
INPUTS = {row["input"]: row["id"] for row in studies.rows(60)}


def message(text, role="user"):
    return Message(role=role, content=text)


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    path = studies.write(tmp_path_factory.mktemp("study"), 60, arms=ARMS,
                         data={"file": "rows.jsonl", "locked": 0.3})  # fmt: skip
    study.run(path)
    build(path, options=BuildOptions(arm="few_shot"))
    return path


@pytest.fixture(scope="module")
def scored(task):
    """Return the scored cases, none of which is locked."""
    found = {case.id for case in read_results(find_results(task.parent)).cases}
    assert 30 < len(found) < 60
    return found


def read(told, name):
    path = next(path for path in told["files"] if path.endswith(name))
    with open(path, encoding="utf-8") as file:
        return file.read()


def lines(told, name):
    return [json.loads(line) for line in read(told, name).split("\n") if line]


def ids(messages):
    return {INPUTS[one["content"]] for one in messages if one["content"] in INPUTS}


def test_promptfoo_holds_prompt_provider_and_the_cases_that_may_leave(task, scored):
    told = export("promptfoo", task)
    config = YAML(typ="safe").load(read(told, "promptfooconfig.yaml"))
    prompt = json.loads(read(told, "prompt.json"))
    assert prompt[-1] == {"role": "user", "content": "{{input}}"}
    shown = ids(prompt)
    assert len(shown) == 8
    tested = {test["description"]: test for test in config["tests"]}
    assert tested.keys() == scored - shown
    assert len(tested) == told["summary"]["cases"]
    row = next(row for row in studies.rows(60) if row["id"] in tested)
    test = tested[row["id"]]
    assert test["vars"] == {"input": row["input"]}
    assert test["assert"][0]["value"] == row["output"]
    assert config["providers"][0]["id"].endswith(f"{told['summary']['model']}")
    assert told["summary"]["measured"]["metric"] == "accuracy"
    assert any("learnt from rows that are cases" in note for note in told["summary"]["notes"])


def test_inspect_and_dspy_hold_the_same(task, scored):
    told, program = export("inspect", task), export("dspy", task)
    messages = json.loads(read(told, "messages.json"))
    cases = lines(told, "cases.jsonl")
    assert {case["id"] for case in cases} == scored - ids(messages)
    compile(read(told, "task.py"), "task.py", "exec")
    compile(read(program, "program.py"), "program.py", "exec")
    state = json.loads(read(program, "program.json"))["answer"]
    assert {INPUTS[demo["input"]] for demo in state["demos"]} == ids(messages)
    assert state["signature"]["instructions"] == messages[0]["content"]


def test_dspy_opens_its_state(task, monkeypatch):
    pytest.importorskip("dspy")
    folder = export("dspy", task)["folder"]
    monkeypatch.syspath_prepend(folder)
    import program

    assert len(program.load().answer.demos) == 8


@pytest.mark.parametrize("unlock", [False, True])
def test_no_locked_row_leaves(task, scored, unlock, tmp_path):
    folder = tmp_path / "copy"
    studies.write(folder, 60, arms=ARMS, data={"file": "rows.jsonl", "locked": 0.3})
    path = folder / "task.yaml"
    study.run(path)
    build(path, options=BuildOptions(arm="zero_shot"))
    if unlock:
        study.run(path, RunOptions(unlock=True))
        with pytest.raises(TaskError, match="no case of the last study may be exported"):
            export("promptfoo", path)
    rows = lines(export("trl", path, ExportOptions(arm="tfidf")), "train.jsonl")
    assert set().union(*(ids(row["prompt"]) for row in rows)) == scored


def test_rows_are_those_that_a_build_is_given(task, scored):
    fitted = build(task, options=BuildOptions(arm="few_shot", dry=True)).rows
    told = export("openai", task, ExportOptions(arm="few_shot"))
    train, dev = lines(told, "train.jsonl"), lines(told, "dev.jsonl")
    assert len(train) == fitted == told["summary"]["rows"]
    assert len(train) + len(dev) == len(scored)
    right = {row["id"]: row["output"] for row in studies.rows(60)}
    for row in (*train, *dev):
        (name,) = ids(row["messages"])
        assert row["messages"][-1] == {"role": "assistant", "content": right[name]}
    assert told["summary"]["tokens"] is told["summary"]["usd"] is None
    assert "--model" in told["summary"]["missing"]["tokens"]


def test_trl_reads_its_rows(task):
    datasets = pytest.importorskip("datasets")
    told = export("trl", task)
    rows = datasets.load_dataset("json", data_files=told["files"][0], split="train")
    assert len(rows) == told["summary"]["rows"]
    utils = pytest.importorskip("trl.data_utils")
    assert utils.is_conversational(rows[0])


@pytest.mark.parametrize(
    ("arm", "form", "what"),
    [("tfidf", "promptfoo", "holds no prompt"), ("nearest_shots", "inspect", "not one list")],
)
def test_a_build_without_one_prompt_is_refused(task, arm, form, what):
    build(task, options=BuildOptions(arm=arm))
    try:
        with pytest.raises(TaskError, match=what):
            export(form, task)
    finally:
        build(task, options=BuildOptions(arm="few_shot"))


def test_without_a_build_or_a_study_the_command_is_named(tmp_path):
    path = studies.write(tmp_path, 60, arms=studies.LIGHT)
    for form, fix in (("dspy", "build"), ("trl", "run"), ("mlflow", "run")):
        with pytest.raises(TaskError) as error:
            export(form, path)
        assert f"tuneworthy {fix}" in error.value.fix


def prompt_of(metric, *cases, kind="text", key=None, text="{input}", **request):
    pack = {"messages": [{"role": "system", "content": "Say {{this}}."},
                         {"role": "user", "content": text}],
            "request": {"temperature": 0, **request}, "answer_key": key, "url": "http://h/v1",
            "key": "", "model": "m"}  # fmt: skip
    made = Artefact(id="x", name="n", arm="a", tool="prompt", made_by="t", pack=Pack(), task={})
    data = Data(file="rows.jsonl")
    task = Task(data=data, output=Output(type=kind), success=Success(metric=metric))
    return BuiltPrompt(pack, made, task, cases, None)


def case(name="c", said="x", output="Yes", **more):
    return Case(id=name, messages=(message(said),), output=output, **more)


def test_texts_that_a_tool_would_take_for_its_own_stay_texts(tmp_path):
    odd = "{% endraw %}{{ 7*7 }} \x85 \u2028 # x: y {#"
    loaded = case("b", "file:///etc/passwd"), case("c", output=" FILE://a.py", accepted=("x",))
    cases = case("a", odd, odd), *loaded, case("d", must_say=("package:x",))
    made = promptfoo.write(prompt_of("exact", *cases, text="Q: {input} {{no}}"), tmp_path)
    config = YAML(typ="safe").load(made.files["promptfooconfig.yaml"])
    (test,) = config["tests"]
    assert test["vars"]["input"] == odd
    assert Template(test["assert"][0]["value"]).render() == odd
    assert "3 cases left out" in " ".join(made.summary["notes"])
    messages = json.loads(made.files["prompt.json"])
    assert Template(messages[0]["content"]).render() == "Say {{this}}."
    assert Template(messages[1]["content"]).render(input=odd) == f"Q: {odd} {{{{no}}}}"
    found = inspect_format.write(prompt_of("exact", *cases), tmp_path).files["cases.jsonl"]
    assert json.loads(found.split("\n")[0])["input"] == odd


@pytest.mark.parametrize(
    ("metric", "kind", "output", "checked", "differs"),
    [
        ("accuracy", "label", "Yes ", ("equals", "yes"), False),
        ("exact", "text", " A b ", ("equals", "A b"), False),
        ("exact", "json", '{"a": 1}', ("equals", {"a": 1}), False),
        ("fields_f1", "json", '{"a": 1}', ("equals", {"a": 1}), True),
        ("contains", "text", "Yes", ("icontains", "Yes"), True),
        ("token_f1", "text", "Yes", ("rouge-n", "Yes"), True),
        ("outline", "text", "# Yes", ("rouge-n", "# Yes"), True),
    ],
)
def test_the_assertion_is_like_the_metric_or_says_how_not(
    metric, kind, output, checked, differs, tmp_path
):
    made = promptfoo.write(prompt_of(metric, case(output=output), kind=kind), tmp_path)
    text = made.files["promptfooconfig.yaml"]
    (check,) = YAML(typ="safe").load(text)["tests"][0]["assert"]
    assert (check["type"], check["value"]) == checked
    assert (f"# metric {metric}" in text) == differs == bool(made.summary["notes"])
    task = inspect_format.write(prompt_of(metric, case(output=output), kind=kind), tmp_path)
    compile(task.files["task.py"], "task.py", "exec")
    assert ("same_json()" in task.files["task.py"]) == (kind == "json")


def test_one_of_several_right_answers_is_enough(tmp_path):
    source = prompt_of("exact", case(accepted=("Yeah",)))
    text = promptfoo.write(source, tmp_path).files["promptfooconfig.yaml"]
    (check,) = YAML(typ="safe").load(text)["tests"][0]["assert"]
    assert (check["type"], check["threshold"]) == ("assert-set", 0.5)
    assert [one["value"] for one in check["assert"]] == ["Yes", "Yeah"]
    said = inspect_format.write(source, tmp_path).files["cases.jsonl"]
    assert json.loads(said)["target"] == ["Yes", "Yeah"]


def test_demands_of_a_row_are_asserted_one_by_one(tmp_path):
    source = prompt_of("must_say", case(must_say=("a", "b"), must_not_say=("c",)))
    text = promptfoo.write(source, tmp_path).files["promptfooconfig.yaml"]
    checks = YAML(typ="safe").load(text)["tests"][0]["assert"]
    kinds = [(one["type"], one["value"]) for one in checks]
    assert kinds == [("icontains", "a"), ("icontains", "b"), ("not-icontains", "c")]


def test_the_answer_is_taken_out_of_the_object_that_was_asked_for(tmp_path):
    source = prompt_of("accuracy", case(), key="label", response_format={"type": "json_schema"})
    text = promptfoo.write(source, tmp_path).files["promptfooconfig.yaml"]
    assert YAML(typ="safe").load(text)["defaultTest"]["options"]["transform"].endswith(").label")
    task = inspect_format.write(source, tmp_path).files["task.py"]
    assert '["label"]' in task
    assert "extra_body={'response_format': {'type': 'json_schema'}}" in task


def test_text_around_the_input_stands_in_the_instruction_of_dspy(tmp_path):
    made = dspy.write(prompt_of("exact", case(), text="Q: {input}"), tmp_path)
    told = json.loads(made.files["program.json"])["answer"]["signature"]["instructions"]
    assert "Q: {input}" in told


# Rows: tokens, epochs, price, refusals.


def chats(n, answer="yes", model="gpt-4o-mini", **more):
    row = Chat((message("be brief", "system"), message("a b c")), answer)
    return TrainingChats("lora", "use tune", [row] * n, (), 3, model, **more)


@pytest.mark.parametrize(
    ("rows", "epochs"),
    [(1, 25), (3, 25), (10, 10), (33, 3), (34, 3), (8333, 3), (8334, 2), (25_001, 1)],
)
def test_epochs_follow_the_vendors_rule(rows, epochs):
    assert openai.default_epochs(rows) == epochs


def test_tokens_price_and_refusals_of_a_vendor(tmp_path, monkeypatch):
    words = Like(encode=lambda text, disallowed_special: text.split())
    known = Like(encoding_for_model=lambda name: words)
    monkeypatch.setitem(sys.modules, "tiktoken", known)
    told = openai.write(chats(10, usd=3.0), tmp_path).summary
    # three messages: 3 tokens and the role each, 2 + 3 + 1 words, 3 before the reply
    assert told["tokens"] == 10 * (3 * 4 + 6 + 3)
    assert (told["epochs"], told["trained_tokens"]) == (10, 2100)
    assert told["usd"] == pytest.approx(2100 * 3 / 1e6)
    assert told["refused"] == [] == told["notes"]
    assert told["missing"] == {}
    few = openai.write(chats(9, answer="x " * 70_000), tmp_path).summary["refused"]
    assert few[0].startswith("9 rows")
    assert "9 rows are longer than 65,536 tokens" in few[1]
    other = openai.write(chats(10, model="gpt-9"), tmp_path).summary
    assert "none is known here for gpt-9" in other["notes"][0]
    assert "economics.prices.gpt-9.train" in other["missing"]["usd"]


def unknown(name):
    raise KeyError(name)


def unreachable(name):
    raise OSError("no network")


@pytest.mark.parametrize(
    ("found", "why"),
    [(None, "tuneworthy[tiktoken]"), (unknown, "knows no model"), (unreachable, "no network")],
)
def test_tokens_that_nobody_counted_are_not_guessed(found, why, tmp_path, monkeypatch):
    module = found and Like(encoding_for_model=found)
    monkeypatch.setitem(sys.modules, "tiktoken", module)
    told = openai.write(chats(10, usd=3.0), tmp_path).summary
    assert told["tokens"] is told["usd"] is told["longest"] is None
    assert why in told["missing"]["tokens"]


def test_the_local_tokenizer_counts_whole_conversations(tmp_path):
    count = lambda rows: [len(row.messages) + 1 for row in rows]  # noqa: E731
    told = trl.write(chats(4, tokens_of=count), tmp_path).summary
    assert (told["tokens"], told["trained_tokens"], told["longest"]) == (12, 36, 3)
    assert "train-price" in told["missing"]["usd"]


def test_an_own_price_is_used(task):
    told = export("trl", task, ExportOptions(train_price=2.0))["summary"]
    assert told["tokens"] is None
    assert "tokenizer" in told["missing"]["tokens"]


# The verdict as a run.


def test_a_run_holds_what_the_verdict_says(task):
    results = read_results(find_results(task.parent))
    told = tracked(results)
    verdict = json.loads(told.texts["verdict.json"])
    assert told.params["hash"] == verdict["task"]["hash"]
    assert (told.params["use"], told.params["arm"]) == (verdict["use"], verdict["arm"])
    arm = next(arm for arm in verdict["arms"] if arm["name"] == "tfidf")
    assert told.numbers["tfidf/n"] == arm["n"]
    assert told.numbers["tfidf/score"] == arm["score"]["mean"]
    assert told.numbers["left_on_table"] == verdict["left_on_table"]["points"]
    assert told.texts["report.html"].startswith("<!")


def test_an_arm_with_options_has_a_name_that_trackers_take(task, tmp_path):
    results = read_results(find_results(task.parent))
    scored = [arm for arm in results.verdict.arms if arm.score][:1]
    named = [arm.model_copy(update={"name": "own(file=./a.md, k=4)"}) for arm in scored]
    verdict = results.verdict.model_copy(update={"arms": tuple(named)})
    changed = results.model_copy(update={"verdict": verdict})
    assert {key for key in tracked(changed).numbers if "/" in key} == {
        f"own file . a.md k 4/{end}" for end in ("n", "score", "low", "high")}  # fmt: skip
    pytest.importorskip("mlflow")
    assert mlflow_format.write(changed, tmp_path).summary["run"]


def test_mlflow_reads_the_run(task, tmp_path):
    mlflow = pytest.importorskip("mlflow")
    for _ in range(2):
        told = export("mlflow", task, ExportOptions(out=tmp_path))["summary"]
    client = mlflow.MlflowClient(tracking_uri=told["store"])
    run = client.get_run(told["run"])
    assert run.data.params["use"] == "classifier"
    assert run.data.metrics["tfidf/score"] > 0.5
    assert {one.path for one in client.list_artifacts(told["run"])} == {
        "verdict.json", "report.html"}  # fmt: skip
    assert len(client.search_runs([run.info.experiment_id])) == 2


def test_wandb_keeps_the_files_for_a_later_sync(task, tmp_path):
    pytest.importorskip("wandb")
    folder = export("wandb", task, ExportOptions(out=tmp_path))["summary"]["store"]
    names = {path.name for path in Path(folder, "files").iterdir()}
    assert {"verdict.json", "report.html"} <= names


def test_trackio_writes_to_one_folder_a_process(task, tmp_path, monkeypatch):
    other = Like(TRACKIO_DIR=str(tmp_path / "elsewhere"))
    monkeypatch.setitem(sys.modules, "trackio", other)
    monkeypatch.setenv("TRACKIO_DIR", "")
    with pytest.raises(TaskError, match="another folder"):
        trackio.write(read_results(find_results(task.parent)), tmp_path)
