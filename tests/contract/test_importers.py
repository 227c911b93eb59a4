"""Every importer: its sample is read whole, by no other one, and nothing crashes on damage."""

import json
import shutil
from pathlib import Path

import pytest

from tuneworthy.records.errors import DataError
from tuneworthy.records.plugins import catalogue, load
from tuneworthy.rows.bad_rows import BadRow, ImportedRow, RawRow, RowFault
from tuneworthy.rows.draft import draft
from tuneworthy.rows.importers import formats
from tuneworthy.rows.importing import ImportOptions, import_rows
from tuneworthy.rows.logs import otlp
from tuneworthy.rows.recognising import recognise
from tuneworthy.rows.table_columns import Choice

SAMPLES = Path(__file__).parents[1] / "samples"
ASKED = "Where are the red lamps?"


def lines(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def turns(*texts, system=None):
    roles = ["user", "assistant"] * 4
    front = [{"role": "system", "content": system}] if system else []
    return front + [{"role": r, "content": t} for r, t in zip(roles, texts, strict=False)]


def lm_eval(folder):
    """Samples as the harness writes them: arguments named, all responses as text."""
    place = folder / "org__model"
    place.mkdir()
    asked = {"doc_id": 0, "doc": {"q": ASKED}, "target": "Shelf 4", "filter": "none",
             "arguments": {"gen_args_0": {"arg_0": ASKED, "arg_1": {"until": ["."]}}},
             "resps": [["Shelf 4"]], "filtered_resps": ["Shelf 4"], "exact_match": 1.0}  # fmt: skip
    picked = {"doc_id": 1, "doc": {}, "target": "1", "filter": "none",
              "arguments": {f"gen_args_{n}": {"arg_0": "Which is a lamp?", "arg_1": f" {text}"}
                            for n, text in enumerate(("a rug", "a torch"))},
              "resps": [[["-9.5", "False"]], [["-1.25", "True"]]],
              "filtered_resps": [["-9.5", "False"], ["-1.25", "True"]], "acc": 1.0}  # fmt: skip
    again = {**asked, "filter": "strict"}
    file = place / "samples_where_2026-01-31T00-00-00.jsonl"
    file.write_text(lines(asked, picked, again))
    return file


def kiln(folder):
    """A task folder of Kiln's data model, version 1."""
    task = folder / "1 - Where"
    (task / "runs").mkdir(parents=True)
    (task / "task.kiln").write_text(json.dumps({"v": 1, "model_type": "task", "name": "Where"}))
    model = {"type": "synthetic", "properties": {"model_name": "gpt_4o", "model_provider": "x",
                                                 "adapter_name": "a"}}  # fmt: skip
    runs = [
        {"output": {"output": "Shelf 9", "source": model}, "repair_instructions": "look",
         "repaired_output": {"output": "Shelf 4"}},
        {"output": {"output": "Hall B", "source": model, "rating": {"type": "five_star",
                                                                    "value": 5.0}}},
        {"output": {"output": "Shelf 1", "source": {"type": "human", "properties": {}}}},
        {"output": {"output": "nobody rated this", "source": model}},
    ]  # fmt: skip
    for n, run in enumerate(runs):
        place = task / "runs" / f"{n} run"
        place.mkdir()
        fields = {"v": 1, "id": f"k{n}", "input": ASKED if n == 0 else f"question {n}", **run}
        (place / "task_run.kiln").write_text(json.dumps(fields))
    return task


def tensorzero(folder):
    at = {"dataset_name": "d", "function_name": "f", "episode_id": None, "tags": {}}
    text = [{"type": "text", "text": ASKED}]
    rows = [
        {**at, "type": "chat", "id": "a", "input": {"system": "Be short.", "messages": [
            {"role": "user", "content": text}]}, "output": [{"type": "text", "text": "Shelf 4"}]},
        {**at, "type": "json", "id": "b", "input": {"messages": [{"role": "user", "content": [
            {"type": "text", "arguments": {"thing": "rugs"}}]}]},
         "output": {"raw": '{"place": "Hall B"}', "parsed": {"place": "Hall B"}}},
    ]  # fmt: skip
    return write(folder, "tz.jsonl", lines(*rows))


def write(folder, name, text):
    (folder / name).write_text(text)
    return folder / name


def sample(name):
    return lambda folder: Path(shutil.copy(SAMPLES / name, folder))


def export(name):
    """Return how a sample that the tool itself wrote is made (see `samples/make_exports.py`)."""
    return sample(f"exports/{name}")


def written(name, *rows):
    return lambda folder: write(folder, name, lines(*rows))


RIGHT = {"instruction": "Say where.", "input": ASKED, "output": "Shelf 4"}
# format -> how its sample is made, rows with a right answer, systems, records left out
MADE = {
    "alpaca": (written("a.jsonl", RIGHT, {**RIGHT, "input": "", "instruction": "Hi"}), 2, {}, 0),
    "braintrust": (export("braintrust_today.jsonl"), 6, {"braintrust_today": 6}, 0),
    "deepeval": (export("deepeval_today.json"), 6, {"deepeval_today": 6}, 0),
    "dspy": (sample("dspy_program.json"), 3, {}, 0),
    "inspect_log": (sample("inspect_where.eval"), 3, {"mockllm/model": 6}, 0),
    "kiln": (kiln, 3, {"gpt_4o": 2}, 1),
    "langfuse": (sample("langfuse_items.jsonl"), 3, {}, 0),
    "langsmith_examples": (export("langsmith_examples.jsonl"), 6, {}, 0),
    "langsmith_results": (export("langsmith_tuned.csv"), 6, {"langsmith_tuned": 6}, 0),
    "langsmith_runs": (export("langsmith_runs_today.jsonl"), 0, {"today-2810cdc3": 6}, 6),
    "lm_eval": (lm_eval, 2, {"org__model": 2}, 1),
    "mlflow": (export("mlflow_traces_today.jsonl"), 6, {"mlflow_traces_today": 6}, 0),
    "openai_batch": (written("b.jsonl", {"custom_id": "1", "method": "POST", "url": "/v1/x", "body":
                     {"model": "m", "messages": turns(ASKED, system="Be short.")}}), 0, {}, 1),
    "openai_batch_output": (written("b.jsonl", {"custom_id": "1", "response": {"body": {}},
                                                "error": None}), 0, {}, 1),
    "openai_chat": (written("c.jsonl", {"messages": turns(ASKED, "Shelf 4", system="Be short.")},
                            {"messages": turns("no answer")}), 1, {}, 1),
    "openai_evals": (written("e.jsonl", {"input": turns(ASKED), "ideal": ["Shelf 4", "four"]}),
                     1, {}, 0),
    "openai_preference": (written("p.jsonl", {
        "input": {"messages": turns(ASKED)}, "preferred_output": turns("", "Shelf 4")[1:],
        "non_preferred_output": turns("", "no idea")[1:]}), 1, {}, 0),
    "opik_experiment": (export("opik_experiment_today.json"), 6, {"opik_experiment_today": 6}, 0),
    "opik_trace": (export("opik_trace.json"), 0, {"evaluation_task": 1}, 1),
    "otel": (written("o.jsonl", otlp.EXAMPLE), 0, {"tune-1f0c": 1}, 1),
    "phoenix_dataset": (export("phoenix_dataset.csv"), 6, {}, 0),
    "phoenix_experiment": (export("phoenix_experiment_tuned.csv"), 6, {"phoenix": 6}, 0),
    "phoenix_spans": (export("phoenix_spans.jsonl"), 0, {"m-1": 6}, 12),
    "pydantic_evals": (export("pydantic_evals_today.json"), 6, {"pydantic_evals_today": 6}, 0),
    "promptfoo_results": (sample("promptfoo_results.json"), 3, {"today": 3}, 1),
    "promptfoo_tests": (sample("promptfoo_tests.yaml"), 3, {}, 1),
    "sharegpt": (written("s.jsonl", {"conversations": [{"from": "human", "value": ASKED},
                 {"from": "gpt", "value": "Shelf 4"}]}, {"conversations": [
                     {"from": "narrator", "value": "x"}]}), 1, {}, 1),
    "tensorzero": (tensorzero, 2, {}, 0),
    "weave": (export("weave_today.jsonl"), 6, {"today": 6}, 0),
}  # fmt: skip


def rows_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_format_has_a_sample_here():
    assert set(MADE) == set(formats())


@pytest.mark.parametrize("name", MADE)
def test_a_sample_becomes_rows_and_answers_and_says_what_is_left_out(name, tmp_path):
    make, count, systems, left = MADE[name]
    path = make(tmp_path)
    if path.suffix == ".eval":
        pytest.importorskip("pyarrow")
    assert recognise(path, Choice()).format is formats()[name]
    if not count:
        with pytest.raises(DataError, match="no record of these files") as caught:
            import_rows([path], ImportOptions(Choice()), tmp_path, "task")
        assert all(f"`{system}`" in caught.value.fix for system in systems)
        assert not list(tmp_path.glob("task.*"))
        return
    found = import_rows([path], ImportOptions(Choice()), tmp_path, "task")
    made = rows_of(found.rows)
    said = "\n".join(found.printed_lines)
    if found.rows == path:
        assert (systems, left) == ({}, 0)
        return
    assert len(made) == count
    assert all(row["id"] for row in made)
    texts = [row.get("input") or json.dumps(row["messages"]) for row in made]
    assert any(ASKED in text for text in texts)
    assert ("left out" in said) == bool(left)
    assert (
        sum(int(line.split()[2]) for line in found.printed_lines if line.startswith("left out"))
        == left
    )
    answers = {key: rows_of(file) for key, file in found.answers.items()}
    assert sorted(map(len, answers.values())) == sorted(systems.values())
    assert {one["id"] for log in answers.values() for one in log} <= {row["id"] for row in made}
    if len(systems) == 1:
        assert set(answers) == {"present"}


@pytest.mark.parametrize("name", MADE)
def test_a_record_has_one_format(name, tmp_path):
    path = MADE[name][0](tmp_path)
    source = recognise(path, Choice())
    fits = {other: one.fits for other, one in formats().items()}
    seen = 0
    for record in source.table.records():
        if isinstance(record, RawRow) and fits[name](record):
            seen += 1
            assert [other for other, test in fits.items() if test(record)] == [name]
    assert seen


JUNK = (None, True, -1, 1e300, "", "x", "{", [], [1], [None], {}, {"a": {}}, [{"role": 1}], "[[")


@pytest.mark.parametrize("name", MADE)
def test_no_value_in_a_record_crashes(name, tmp_path):
    """A field with junk gives rows, none, or a reason that can be shown."""
    module, path = formats()[name], MADE[name][0](tmp_path)
    source = recognise(path, Choice())
    outcomes = set()
    for record in source.table.records():
        if not isinstance(record, RawRow) or not module.fits(record):
            continue
        for key in record.fields:
            for junk in JUNK:
                changed = RawRow(record.where, {**record.fields, key: junk}, record.at)
                if not module.fits(changed):
                    continue
                try:
                    found = list(module.rows(changed, {"path": path}))
                except BadRow as error:
                    outcomes.add("refused" if error.args[0] else "no reason")
                    continue
                assert all(isinstance(one, ImportedRow) for one in found)
                outcomes.add("read")
    assert outcomes or name in {"mlflow", "otel", "sharegpt"}  # junk makes these another format
    assert "no reason" not in outcomes


@pytest.mark.parametrize("name", MADE)
def test_a_cut_file_gives_what_stands_before_the_cut_or_a_clear_error(name, tmp_path):
    path = MADE[name][0](tmp_path)
    if path.is_dir() or path.suffix == ".eval":
        return
    whole, refused = path.read_bytes(), []
    for k in range(1, 12):
        path.write_bytes(whole[: len(whole) * k // 12])
        for old in tmp_path.glob("task.*"):
            old.unlink()
        try:
            found = import_rows([path], ImportOptions(Choice()), tmp_path, "task")
        except DataError as error:
            refused.append(error)
            continue
        assert found.rows.exists()
    assert all(error.where for error in refused)
    assert all(error.fix for error in refused)


def test_every_need_is_written_for_people():
    for name, one in formats().items():
        assert one.name, name
        assert one.needs, name
        assert len(one.takes) == 2, name


def test_a_container_that_cannot_read_says_so_by_record(tmp_path):
    for name in catalogue("containers"):
        form = load("containers", name)
        assert form.FORM
    broken = write(tmp_path, "x.json", '[{"a": 1}, {"a": ')
    found = list(load("containers", "json_document").records(broken))
    assert [type(one) for one in found] == [RawRow, RowFault]


def imported(path, folder, **choice):
    """Return the rows and the first system's answers of a file."""
    found = import_rows([path], ImportOptions(Choice(**choice)), folder, "task")
    answers = next(iter(found.answers.values()), None)
    return rows_of(found.rows), rows_of(answers) if answers else []


def test_a_multiple_choice_of_inspect_is_answered_by_its_letter(tmp_path):
    rows, answers = imported(sample("inspect_pick.json")(tmp_path), tmp_path)
    assert rows[0]["input"] == "Which is a lamp?\n\nA) a rug\nB) a torch"
    assert rows[0]["output"] == "B"
    assert answers == [{"id": "inspect_pick.json:1", "answer": "B", "tokens_in": 21,
                        "tokens_out": 6, "seconds": answers[0]["seconds"]}]  # fmt: skip


def test_several_targets_and_the_system_prompt_of_inspect_are_kept(tmp_path):
    pytest.importorskip("pyarrow")
    rows, answers = imported(sample("inspect_where.eval")(tmp_path), tmp_path)
    assert rows[0]["messages"][0] == {"role": "system", "content": "Answer with the place."}
    assert (rows[0]["output"], rows[0]["accepted"]) == ("Shelf 4", ["shelf four"])
    assert {one["answer"] for one in answers} == {"They are on Shelf 4."}


def test_the_harness_picks_the_likeliest_choice(tmp_path):
    rows, answers = imported(lm_eval(tmp_path), tmp_path)
    assert [row["output"] for row in rows] == ["Shelf 4", "a torch"]
    assert [one["answer"] for one in answers] == ["Shelf 4", "a torch"]


def test_promptfoo_names_right_answers_in_assertions_and_in_cells(tmp_path):
    rows, answers = imported(sample("promptfoo_results.json")(tmp_path), tmp_path)
    assert [row["output"] for row in rows] == ["red lamps", "Hall B", "shelf 9"]
    assert rows[2]["accepted"] == ["shelf nine"]
    assert answers[0]["answer"] == ASKED
    table = write(tmp_path, "t.csv", "question,__expected\nWhere?,contains: hall\nWho?,Ann\n")
    assert [row["output"] for row in imported(table, tmp_path)[0]] == ["hall", "Ann"]


def pf_results(tests, providers=("gpt", "claude")):
    """Return promptfoo results: each test (variables, assertions) with each provider."""
    return {"results": {"version": 3, "results": [
        {"vars": given, "testCase": {"vars": given, "assert": checks}, "provider": {"id": who},
         "promptIdx": at, "testIdx": k, "success": True, "response": {"output": "hall"}}
        for k, (given, checks) in enumerate(tests) for at, who in enumerate(providers)
    ]}}  # fmt: skip


def test_a_variable_that_tells_the_right_answer_is_no_input_of_promptfoo(tmp_path):
    places = ["hall", "shelf", "roof"]
    given = [{"ticket": f"where is {k}?", "expected": places[k % 3]} for k in range(9)]
    made = {
        "template": [(one, [{"type": "equals", "value": "{{ expected }}"}]) for one in given],
        "equal": [(one, [{"type": "equals", "value": one["expected"]}]) for one in given],
        "any": [(one, [{"type": "contains-any", "value": ["{{expected}}"]}]) for one in given],
    }
    for name, tests in made.items():
        path = write(tmp_path, f"{name}.json", json.dumps(pf_results(tests)))
        found = import_rows([path], ImportOptions(Choice()), tmp_path, name)
        rows = rows_of(found.rows)
        assert [row["input"] for row in rows] == [one["ticket"] for one in given], name
        assert [row["output"] for row in rows] == [one["expected"] for one in given]
        assert any("not the input `expected`" in line for line in found.printed_lines)
        assert set(found.answers) == {"gpt", "claude"}  # prompts are counted over all providers
    tests = [{"vars": one, "assert": [{"type": "equals", "value": "{{expected}}"}]}
             for one in given]  # fmt: skip
    rows, _ = imported(write(tmp_path, "t.json", json.dumps({"tests": tests})), tmp_path)
    assert (rows[1]["input"], rows[1]["output"]) == ("where is 1?", "shelf")


@pytest.mark.parametrize(
    ("kind", "metric"),
    [
        ("icontains", "contains"),
        ("contains", "contains"),
        ("contains-any", "contains"),
        ("equals", None),
    ],
)
def test_what_a_text_has_to_contain_is_scored_by_contains(kind, metric, tmp_path):
    places = ["hall", "shelf", "roof"]
    tests = [({"ticket": f"where is {k}?"}, [{"type": kind, "value": places[k % 3]},
              {"type": "latency", "threshold": 5000}]) for k in range(30)]  # fmt: skip
    path = write(tmp_path, "r.json", json.dumps(pf_results(tests)))
    found = import_rows([path], ImportOptions(Choice()), tmp_path, "r")
    assert found.metric == metric
    assert f"  asserts read: {kind}; not read: latency" in found.printed_lines
    text = draft(found.rows, {}, tmp_path, found).text
    assert ("metric: contains" in text, "type: text" in text) == (bool(metric), bool(metric))


def test_two_prompts_of_a_provider_are_two_systems_and_odd_templates_are_left_out(tmp_path):
    tests = [({"q": f"where is {k}?"}, [{"type": "equals", "value": "hall"}]) for k in range(3)]
    tests.append(({"q": "who?"}, [{"type": "equals", "value": "{{ q | upper }}"}]))
    path = write(tmp_path, "p.json", json.dumps(pf_results(tests, ("gpt", "gpt"))))
    found = import_rows([path], ImportOptions(Choice()), tmp_path, "p")
    assert set(found.answers) == {"gpt", "gpt-prompt2"}
    assert any(
        "its right answer is a template that is not read" in one for one in found.printed_lines
    )
    assert rows_of(found.rows)[0]["input"] == "where is 0?"  # the only variable stays


def test_only_outputs_that_people_stand_behind_are_right_in_kiln(tmp_path):
    rows, answers = imported(kiln(tmp_path), tmp_path)
    assert [row["output"] for row in rows] == ["Shelf 4", "Hall B", "Shelf 1"]
    assert [one["answer"] for one in answers] == ["Shelf 9", "Hall B"]


def test_what_a_variant_of_tensorzero_answered_is_no_right_answer(tmp_path):
    rows = [{"function_name": "f", "variant_name": "v1", "inference_id": f"i{k}",
             "input": {"messages": [{"role": "user", "content": f"question {k}"}]},
             "output": [{"type": "text", "text": f"a{k}"}]} for k in range(4)]  # fmt: skip
    path = write(tmp_path, "i.jsonl", lines(*rows))
    with pytest.raises(DataError, match="no record"):
        imported(path, tmp_path)
    found, _ = imported(path, tmp_path, output="v1")
    assert [row["output"] for row in found] == ["a0", "a1", "a2", "a3"]


def test_systems_whose_names_look_alike_keep_their_own_answers(tmp_path):
    models = ("bedrock:us.anthropic.claude-3-5-sonnet-20241022-v1:0",
              "bedrock:us.anthropic.claude-3-5-sonnet-20241022-v2:0", "GPT 4", "gpt-4")  # fmt: skip
    file = tmp_path / "results.jsonl"
    file.write_text(lines(*(
        {"vars": {"q": f"question {n}"}, "provider": {"id": name}, "success": True, "testIdx": n,
         "response": {"output": f"{name} says {n}"},
         "testCase": {"assert": [{"type": "equals", "value": f"right {n}"}]}}
        for n in range(3) for name in models
    )))  # fmt: skip
    found = import_rows([file], ImportOptions(Choice()), tmp_path, "made")
    assert list(found.answers) == [
        "bedrock-us.anthropic.claude-3-5-sonnet-20241022-",
        "bedrock-us.anthropic.claude-3-5-sonnet-20241022--2", "GPT-4", "gpt-4-2",
    ]  # fmt: skip
    said = [[json.loads(line)["answer"] for line in path.read_text().splitlines()]
            for path in found.answers.values()]  # fmt: skip
    assert said == [[f"{name} says {n}" for n in range(3)] for name in models]


@pytest.mark.parametrize("name", ["train", "Rows", "present"])
def test_a_systems_name_takes_no_name_of_another_file_or_arm(tmp_path, name):
    file = tmp_path / "results.jsonl"
    file.write_text(lines(*(
        {"vars": {"q": f"question {n}"}, "provider": {"id": one}, "success": True, "testIdx": n,
         "response": {"output": one}, "testCase": {"assert": [{"type": "equals", "value": "x"}]}}
        for n in range(2) for one in (name, "now")
    )))  # fmt: skip
    found = import_rows([file], ImportOptions(Choice(present="now")), tmp_path, "made")
    assert list(found.answers) == [f"{name}-answers", "present"]
    assert found.count == 2
    assert [path.read_text().count(one) for path, one in zip(
        found.answers.values(), (name, "now"), strict=True)] == [2, 2]  # fmt: skip


LIST, RECORD = ["text"], {"text": 1}


@pytest.mark.parametrize(
    "damaged",
    [
        {"function_name": "f", "input": {"messages": 1}, "output": None, "id": "1"},
        {"function_name": "f", "id": "1", "output": [{"type": LIST, "text": "o"}],
         "input": {"messages": [{"role": "user", "content": [{"type": RECORD, "text": "q"}]}]}},
        {"v": 1, "input": "q", "output": {"output": "o", "source": {"type": LIST}}},
        {"v": 1, "input": "q", "output": {"output": "o", "rating": {"value": 5, "type": RECORD}}},
        {"vars": {"q": "x"}, "assert": [{"type": LIST, "value": "b"}]},
        {"input": {"messages": [{"role": "user", "content": [{"type": LIST, "text": "q"}]}]},
         "preferred_output": "a"},
    ],
)  # fmt: skip
def test_a_record_with_a_value_of_another_kind_is_left_out(tmp_path, damaged):
    file = tmp_path / "damaged.jsonl"
    file.write_text(lines(damaged))
    with pytest.raises(DataError):
        import_rows([file], ImportOptions(Choice()), tmp_path, "made")


@pytest.mark.parametrize(("asked", "matched"), [(ASKED, True), ("Where are the rugs?", False)])
def test_files_without_a_common_input_are_told_so(tmp_path, asked, matched):
    gold, log = tmp_path / "gold.jsonl", tmp_path / "log.jsonl"
    gold.write_text(lines({"question": ASKED, "label": "Shelf 4"}))
    log.write_text(lines({"question": asked, "response": "Shelf 9"}))
    found = import_rows([gold, log], ImportOptions(Choice()), tmp_path, "task")
    assert any("no rows were matched" in line for line in found.printed_lines) is not matched
