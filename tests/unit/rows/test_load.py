"""Loading rows: each becomes a case or is counted; content ids; formats; keys from rows."""

from __future__ import annotations

import json
import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tuneworthy.records.errors import DataError, TaskError
from tuneworthy.records.task import Data, Output, Success, Task
from tuneworthy.rows.audit import audit
from tuneworthy.rows.folds import split
from tuneworthy.rows.infer import answer_limit, type_of_rows
from tuneworthy.rows.load import Loaded, load
from tuneworthy.rows.observations import row_observations
from tuneworthy.rows.schema import inferred_schema, schema_checker

LABELS = ["billing", "delivery", "refund"]


def write(folder: Path, name: str, rows: list[object]) -> None:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (folder / name).write_text("\n".join(lines) + "\n", "utf-8")


def loaded(folder: Path, rows: list[object], **more: object) -> Loaded:
    write(folder, "rows.jsonl", rows)
    return load(Task(data=Data(file="rows.jsonl"), **more).at(folder))


def pair(n: int, **more: object) -> dict[str, object]:
    return {"input": f"message number {n} about topic {n * 7}", "output": LABELS[n % 3], **more}


# --- P7: every row is accounted for -------------------------------------------------------------

GOOD = st.builds(pair, st.integers(0, 40))
BAD = st.sampled_from(
    ['{"input": "x"}', '{"input": "x", "output": ""}', '{"input": null, "output": "y"}', "[1]",
     '{"ouput": "refund", "input": "x"}', "{", "7", '{"input": "x", "output": "y", "time": "?"}',
     '{"messages": [{"role": "assistant", "content": "y"}]}',
     '{"input": "x", "output": "y", "id": " "}']
)  # fmt: skip
ROWS = st.lists(st.one_of(GOOD, GOOD, GOOD, BAD, st.just("")), min_size=1, max_size=60)


def account(rows: list[object], test: list[object] | None) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, "a.jsonl", rows)
        data = Data(file="a.jsonl")
        if test is not None:
            write(folder, "b.jsonl", test)
            data = Data(train="a.jsonl", test="b.jsonl")
        came = sum(bool(row) for row in (*rows, *(test or ())))
        try:
            got = load(Task(data=data).at(folder), "exclude", max_bad=1.0)
            parts = split(got)
        except DataError:
            return
        assert got.rows == came
        assert got.rows == len(got.everyone) + sum(got.excluded.values())
        seen = audit(got, parts)
        assert seen.rows == came
        assert seen.rows == seen.used + sum(seen.excluded.values())
        planted = sum(isinstance(row, str) and row != "" for row in (*rows, *(test or ())))
        listed = folder / ".tuneworthy" / "bad_rows.jsonl"
        lines = listed.read_text().splitlines() if listed.exists() else []
        leaks = sum(n for why, n in got.excluded.items() if "copy of a test row" in why)
        assert len(lines) == planted == sum(got.excluded.values()) - leaks


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(ROWS, st.none() | ROWS)
def test_p7_rows_in_are_used_or_excluded_by_reason(rows, test):
    account(rows, test)


@pytest.mark.full
@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(ROWS, st.none() | ROWS)
def test_p7_in_500_data_sets(rows, test):
    account(rows, test)


@pytest.mark.long
@settings(max_examples=5000, deadline=None, suppress_health_check=list(HealthCheck))
@given(ROWS, st.none() | ROWS)
def test_p7_in_5000_data_sets(rows, test):
    account(rows, test)


# --- bad rows: the policy -----------------------------------------------------------------------


def test_all_bad_rows_are_found_and_twenty_shown(tmp_path):
    bad = ['{"input": "x"}'] * 30
    with pytest.raises(DataError) as caught:
        loaded(tmp_path, [*bad, *map(pair, range(9))])
    assert "30 bad rows of 39" in caught.value.what
    places = ", ".join(f"rows.jsonl:{line}, field `output`" for line in (1, 2, 3))
    assert caught.value.where == f"{places} and 27 more"
    assert len((tmp_path / ".tuneworthy/bad_rows.jsonl").read_text().splitlines()) == 30


def test_exclude_stops_above_max_bad_and_counts_below(tmp_path):
    write(tmp_path, "rows.jsonl", ['{"input": "x"}', *map(pair, range(99))])
    task = Task(data=Data(file="rows.jsonl")).at(tmp_path)
    got = load(task, "exclude", max_bad=0.01)
    assert got.excluded == {"field `output` is missing": 1}
    assert got.excluded_at == {"field `output` is missing": ("rows.jsonl:1",)}
    assert [seen.level for seen in got.observations] == ["warning"]
    with pytest.raises(DataError, match="more bad rows than --max-bad allows"):
        load(task, "exclude", max_bad=0.009)


def test_an_old_list_of_bad_rows_goes_when_all_is_well(tmp_path):
    with pytest.raises(DataError):
        loaded(tmp_path, ["{]"])
    listed = tmp_path / ".tuneworthy/bad_rows.jsonl"
    assert listed.exists()
    loaded(tmp_path, [pair(n) for n in range(6)])
    assert not listed.exists()


@pytest.mark.parametrize(
    ("row", "why", "fix"),
    [
        ({"input": "a", "ouput": "b"}, "`output` is missing", "did you mean `output`"),
        ({"prompt": "a", "output": "b"}, "`input` is missing", "`prompt` stands"),
        ({"input": "a", "output": "  "}, "empty answer", "leave the row out"),
        ({"input": " ", "output": "b"}, "empty input", "leave the row out"),
        ({"input": ["a"], "output": "b"}, "no text", "messages"),
        ({"input": "a", "output": "b", "id": 1.5}, "no text", "whole number"),
        ({"input": "a", "output": "b", "id": "x" * 10_240}, "too long", "200"),
        ({"input": "a", "output": "b", "context": {"doc": [1]}}, "neither text nor", "doc"),
        ({"input": "a", "output": "b", "accepted": [None]}, "null in", "remove"),
        ({"input": "a", "output": "b", "meta": 3}, "no object", "key"),
        ({"input": "a", "output": "b", "time": "yesterday"}, "time can't be read", "ISO"),
        ({"input": "a", "messages": []}, "exclude each other", "keep one"),
    ],
)
def test_a_bad_field_is_named_with_its_repair(row, why, fix, tmp_path):
    with pytest.raises(DataError) as caught:
        loaded(tmp_path, [*map(pair, range(5)), row])
    assert why in caught.value.what
    assert fix in caught.value.fix
    assert caught.value.where.startswith("rows.jsonl:6")


# --- ids ----------------------------------------------------------------------------------------


def test_i23_ids_are_of_content_and_free_of_order(tmp_path):
    rows = [pair(n) for n in range(12)]
    one = {case.input: case.id for case in loaded(tmp_path, rows).cases}
    random.Random(1).shuffle(rows)
    other = {case.input: case.id for case in loaded(tmp_path, rows).cases}
    assert one == other
    changed = [dict(row, output="refund ") if row == rows[0] else row for row in rows]
    third = {case.input: case.id for case in
             loaded(tmp_path, changed, output=Output(type="text")).cases}  # fmt: skip
    assert sum(third[text] != one[text] for text in one) == 1


def test_copies_of_a_row_get_numbered_ids(tmp_path):
    ids = [case.id for case in loaded(tmp_path, [pair(1), pair(1), pair(2), pair(1)]).cases]
    assert ids[1] == f"{ids[0]}-2"
    assert ids[3] == f"{ids[0]}-3"
    assert len(set(ids)) == 4


def test_i22_duplicate_ids_show_both_lines(tmp_path):
    with pytest.raises(DataError, match="duplicate id") as caught:
        loaded(tmp_path, [pair(1, id="a"), pair(2, id="b"), pair(3, id="a")])
    assert "rows.jsonl:3" in caught.value.where
    assert "first at rows.jsonl:1" in caught.value.got


def test_i24_ids_of_mixed_type_are_refused(tmp_path):
    with pytest.raises(DataError, match="ids of mixed type"):
        loaded(tmp_path, [pair(1, id="a"), pair(2, id="b"), pair(3, id=3)])
    assert [case.id for case in loaded(tmp_path, [pair(1, id=1), pair(2, id=2)]).cases] == [
        "1",
        "2",
    ]


def test_ids_of_train_and_test_are_kept_apart(tmp_path):
    write(tmp_path, "a.jsonl", [pair(n, id=n) for n in range(4)])
    write(tmp_path, "b.jsonl", [pair(n + 50, id=n) for n in range(4)])
    got = load(Task(data=Data(train="a.jsonl", test="b.jsonl")).at(tmp_path))
    assert [case.id for case in got.test] == ["0", "1", "2", "3"]
    assert [case.id for case in got.cases] == ["0@train", "1@train", "2@train", "3@train"]


# --- chat, CSV, docs ----------------------------------------------------------------------------


def chat(*turns: tuple[str, str]) -> dict[str, object]:
    return {"messages": [{"role": role, "content": text} for role, text in turns]}


def test_chat_rows_keep_the_system_prompt_and_all_turns(tmp_path):
    turns = [("system", "be brief"), ("user", "hi"), ("assistant", "hello"), ("user", "price?"),
             ("assistant", "nine")]  # fmt: skip
    case = loaded(tmp_path, [chat(*turns)]).cases[0]
    assert [(m.role, m.content) for m in case.messages] == turns[:-1]
    assert (case.output, case.input) == ("nine", "price?")


def test_text_parts_are_joined_and_an_own_output_ends_a_chat(tmp_path):
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    row = {"messages": [{"role": "user", "content": parts}], "output": {"k": "é"}}
    case = loaded(tmp_path, [row]).cases[0]
    assert case.input == "a\nb"
    assert case.output == '{"k": "é"}'


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (chat(("system", "a"), ("assistant", "b")), "no user turn"),
        (chat(("system", "a"), ("system", "b"), ("user", "c"), ("assistant", "d")), "system turn"),
        (chat(("critic", "a"), ("assistant", "b")), "unknown role"),
        (chat(("assistant", "a"), ("user", "b"), ("assistant", "c")), "assistant speaks first"),
        (chat(("user", "b")), "last turn is the user's"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "part that is no"),
        ({"messages": [{"role": "user", "content": "a"},
                       {"role": "assistant", "content": None, "tool_calls": [{}]},
                       {"role": "user", "content": "b"}, {"role": "assistant", "content": "c"}]},
         "tool call without its result"),
        (dict(chat(("user", "a"), ("assistant", "b")), output="c"), "two answers"),
    ],
)  # fmt: skip
def test_i47_i48_broken_chats_are_named(row, why, tmp_path):
    with pytest.raises(DataError, match=why):
        loaded(tmp_path, [row])


def test_csv_rows_may_hold_commas_quotes_and_line_breaks(tmp_path):
    (tmp_path / "rows.csv").write_bytes(
        b'input,output,accepted\r\n"one, ""two""\nthree",yes,"[""ja"", ""si""]"\r\nfour,no,\r\n'
    )
    got = load(Task(data=Data(file="rows.csv")).at(tmp_path))
    assert [case.input for case in got.cases] == ['one, "two"\nthree', "four"]
    assert got.cases[0].accepted == ("ja", "si")
    assert [case.where for case in got.cases] == ["rows.csv:2", "rows.csv:4"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("input,output\na,b,c\n", "ragged row"),
        ("input;output\na;b\n", "parted by ;"),
        ("question,output\na,b\n", "no column `input`"),
        ("input,output\n" + '"a,b\n' * 3, "quote is never closed"),
        ("input,output," + ",".join(f"c{n}" for n in range(1000)) + "\n", "too many columns"),
        ("input,input,output\na,b,c\n", "a column stands twice"),
    ],
)
def test_i49_broken_csv_is_named(text, why, tmp_path):
    (tmp_path / "rows.csv").write_text(text)
    with pytest.raises(DataError, match=why):
        load(Task(data=Data(file="rows.csv")).at(tmp_path))


@pytest.mark.parametrize(
    ("header", "fix"),
    [
        ("text,label", "rename `text` to `input` and `label` to `output`"),
        ("Question,output", "rename `Question` to `input`"),
        ("a,b", "names the columns: input,output"),
    ],
)
def test_a_header_of_other_names_is_told_what_to_rename(header, fix, tmp_path):
    (tmp_path / "rows.csv").write_text(f"{header}\none,two\n")
    with pytest.raises(DataError) as caught:
        load(Task(data=Data(file="rows.csv")).at(tmp_path))
    assert fix in str(caught.value.fix)


def test_columns_of_their_own_are_meta_and_lists_are_not_kept(tmp_path):
    rows = [pair(1, language="de", turns=[1], meta={"tier": 2}), pair(2, language="fr", tier=3)]
    metas = [case.meta for case in loaded(tmp_path, rows).cases]
    assert metas == [{"language": "de", "tier": 2}, {"language": "fr", "tier": 3}]
    (tmp_path / "rows.csv").write_text("input,output,language\none,two,de\n")
    assert load(Task(data=Data(file="rows.csv")).at(tmp_path)).cases[0].meta == {"language": "de"}


def test_contexts_come_from_documents(tmp_path):
    write(tmp_path, "docs.jsonl", [{"id": "d1", "text": "Nine euros.", "from": "2026-01-01"}])
    rows = [pair(1, context={"doc": "d1"}), pair(2, meta={"doc_id": "d1"}), pair(3, context="own")]
    write(tmp_path, "rows.jsonl", rows)
    got = load(Task(data=Data(file="rows.jsonl", docs="docs.jsonl")).at(tmp_path))
    assert [case.context for case in got.cases] == ["Nine euros.", "Nine euros.", "own"]
    assert (got.docs[0].since, got.docs[0].until) == ("2026-01-01", None)
    write(tmp_path, "rows.jsonl", [*rows, pair(4, context={"doc": "d2"})])
    with pytest.raises(DataError, match="no document has this id"):
        load(Task(data=Data(file="rows.jsonl", docs="docs.jsonl")).at(tmp_path))


# --- what rows say ------------------------------------------------------------------------------


def test_labels_are_inferred_and_named_as_inferred(tmp_path):
    task = loaded(tmp_path, [pair(n) for n in range(30)]).task
    assert (task.output.type, task.output.labels) == ("label", tuple(LABELS))
    assert (task.success.metric, task.success.pass_at) == ("accuracy", 1.0)
    assert set(task.inferred) == {"output.type", "output.labels", "output.max_tokens",
                                  "success.metric", "success.pass_at"}  # fmt: skip
    assert task.folder == tmp_path


def test_what_is_written_is_not_inferred(tmp_path):
    task = loaded(tmp_path, [pair(n) for n in range(30)], output=Output(max_tokens=7, type="text"),
                  success=Success(metric="rouge_l", target=0.8)).task  # fmt: skip
    assert (task.output.type, task.output.labels, task.output.max_tokens) == ("text", None, 7)
    assert (task.success.metric, task.success.pass_at) == ("rouge_l", 0.8)
    assert task.inferred == ("success.pass_at",)


@pytest.mark.parametrize(
    ("outputs", "kind"),
    [
        (['{"a": 1}', '{"a": 2}'] * 5, "json"),
        (['{"a": 1}', "{a}"] * 5, "label"),
        ([str(n * 1.5) for n in range(50)], "number"),
        ([f"${n},000" for n in range(50)], "number"),
        (["0", "1"] * 20, "label"),
        ([f"an answer of its own, {n}" for n in range(50)], "text"),
        (["short\nlines"] * 3 + ["other\nlines"] * 3, "text"),
        ([f"word{n % 20}" for n in range(60)], "label"),
    ],
)
def test_output_types_are_told_from_rows(outputs, kind):
    assert type_of_rows(outputs) == kind


def test_answer_limit_is_for_the_longest_answer():
    assert answer_limit(["yes"]) == 32
    assert answer_limit(["a" * 300]) >= 100 + 16
    assert answer_limit(["a" * 300], count=lambda text: 10) == 32
    assert answer_limit([]) == 16


def test_a_schema_is_inferred_and_every_training_answer_obeys_it():
    rng = random.Random(3)
    golds = [
        json.dumps({"kind": rng.choice(LABELS), "name": f"person {n}", "n": rng.choice([n, None]),
                    **({"tags": [f"t{n}"]} if n % 2 else {})}) for n in range(60)
    ]  # fmt: skip
    schema = inferred_schema(golds)
    assert schema["properties"]["kind"]["enum"] == LABELS
    assert "enum" not in schema["properties"]["name"]
    assert schema["properties"]["n"]["type"] == ["integer", "null"]
    assert schema["required"] == ["kind", "name", "n"]
    check = schema_checker(schema)
    assert [check(gold) for gold in golds] == [""] * 60
    assert "kind" in (check('{"kind": "spam", "name": "x", "n": 1}') or "")
    assert check('{"kind": "refund", "name": "x"}')
    assert check("{") == "not JSON"


def test_an_enum_needs_a_clearly_closed_list():
    few = inferred_schema(json.dumps({"k": LABELS[n % 3]}) for n in range(9))
    assert "enum" not in few["properties"]["k"]
    open_list = [*("red", "blue") * 30, "mauve"]  # one value seen once: more may come
    seen = inferred_schema(json.dumps({"k": word}) for word in open_list)
    assert "enum" not in seen["properties"]["k"]


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ('{"$ref": "https://example.org/x.json"}', "leads outside"),
        ('{"properties": {"a": {"$ref": "file:///etc/passwd"}}}', "leads outside"),
        ('{"type": "objekt"}', "not valid"),
        ("[1]", "no object"),
        ("{", "no JSON"),
    ],
)
def test_a72_a_schema_reaches_nothing_outside_itself(schema, why, tmp_path):
    (tmp_path / "schema.json").write_text(schema)
    with pytest.raises(TaskError, match=why):
        loaded(tmp_path, [{"input": "a", "output": {}}], output=Output(json_schema="schema.json"))


# --- labels -------------------------------------------------------------------------------------


def test_i31_label_variants_are_refused_with_how_often_each_stands(tmp_path):
    rows = [pair(n) for n in range(30)]
    rows[4] = dict(rows[4], output="DELIVERY ")
    with pytest.raises(DataError) as caught:
        loaded(tmp_path, rows)
    error = caught.value
    assert error.what == "labels differ only by case, space or Unicode form"
    assert error.where.startswith("rows.jsonl:5, field `output`, id ")
    assert error.got == '"DELIVERY " where 9 other rows say "delivery"'
    assert "declare both labels" in error.fix
    both = Output(labels=(*LABELS, "DELIVERY "))
    assert len(loaded(tmp_path, rows, output=both).cases) == 30
    for other, how in (("DELIVERY", "case"), ("delivery ", "a space at an end")):
        rows[4] = dict(rows[4], output=other)
        with pytest.raises(DataError) as caught:
            loaded(tmp_path, rows)
        assert caught.value.what == f"labels differ only by {how}"


@pytest.mark.parametrize("variant", ["cafe\u0301", "CAFÉ", "café ", "caf\u00e9\u00a0"])
def test_i31_unicode_forms_and_spaces_are_one_label(variant, tmp_path):
    rows = [dict(pair(n), output="café" if n % 2 else "thé") for n in range(20)]
    rows.append(dict(pair(30), output=variant))
    with pytest.raises(DataError, match="labels differ only by"):
        loaded(tmp_path, rows)


def test_i30_numbers_where_labels_are_text_are_refused(tmp_path):
    rows = [dict(pair(n), output=str(n % 2)) for n in range(20)]
    rows[3] = dict(rows[3], output=1)
    with pytest.raises(DataError, match="labels of mixed type") as caught:
        loaded(tmp_path, rows)
    assert "1 as int where 19 rows have text" in caught.value.got
    assert loaded(tmp_path, [dict(row, output=n % 2) for n, row in enumerate(rows)]).cases


def test_a_label_that_is_not_declared_is_refused(tmp_path):
    rows = [pair(n) for n in range(12)]
    with pytest.raises(DataError, match="not declared"):
        loaded(tmp_path, rows, output=Output(labels=("billing", "refund")))


@pytest.mark.parametrize("name", ["snips_json", "banking77", "xquad_docs"])
def test_real_rows_load_without_a_bad_row(name):
    folder = Path(__file__).parents[4] / "shared" / "data" / name
    if not folder.is_dir():
        pytest.skip("the real sets are not here")
    docs = "docs.jsonl" if (folder / "docs.jsonl").exists() else None
    got = load(Task(data=Data(train="train.jsonl", test="test.jsonl", docs=docs)).at(folder))
    kind = {"snips_json": "json", "banking77": "label", "xquad_docs": "text"}[name]
    assert got.task.output.type == kind
    assert not got.excluded
    if docs:
        assert all(case.context for case in got.everyone)


def test_sentences_that_repeat_are_text_and_said(tmp_path):
    told = ["The customer wants the money back today.", "The customer asks where the parcel is."]
    rows = [{"input": f"a question {at}", "output": told[at % 2]} for at in range(40)]
    found = loaded(tmp_path, rows)
    assert found.task.output.type == "text"
    said = [one for one in row_observations(found, found.everyone)
            if one.kind == "repeated_sentences"]  # fmt: skip
    assert "2 sentences repeat as answers: taken as text" in said[0].text
    short = [{**row, "output": ["refund.", "Where is it?"][at % 2]} for at, row in enumerate(rows)]
    assert loaded(tmp_path, short).task.output.type == "label"


@pytest.mark.parametrize(
    ("question", "answers", "kind"),
    [
        ("What does plan {} cost?", ("249 EUR", "19 EUR", "14 days"), "text"),
        ("Which tier is customer {}?", ("tier 1", "tier 2", "tier 3"), "label"),
        ("Parcel {} came late", ("5 stars", "1 star", "none"), "label"),
    ],
)
def test_amounts_that_answer_questions_are_no_labels(tmp_path, question, answers, kind):
    rows = [{"input": question.format(i), "output": answers[i % 3]} for i in range(30)]
    assert loaded(tmp_path, rows).task.output.type == kind
