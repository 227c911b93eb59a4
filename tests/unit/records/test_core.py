"""Records, digests, the error tree, the escaper and the registry."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuneworthy.records import errors, escape, plugins
from tuneworthy.records.case import Case, Message
from tuneworthy.records.record import canonical, digest
from tuneworthy.records.task import Data, Task


def case(**more):
    return Case(id="a", messages=(Message(role="user", content="hi"),), output="yes", **more)


def test_a_record_round_trips_and_is_frozen():
    one = case(meta={"k": [1]}, context="gold")
    assert Case.model_validate_json(one.model_dump_json()) == one
    with pytest.raises(ValueError):
        one.output = "no"
    with pytest.raises(ValueError):
        Case(id="a", messages=(), output="", extra=1)


def test_a_query_hides_the_answer_and_shows_the_gold_passage_to_ceilings_only():
    one = case(context="gold", accepted=("ja",), meta={"secret": 1})
    assert set(type(one.query()).model_fields) == {
        "id", "messages", "time", "group", "gold_passage",
    }  # fmt: skip
    assert one.query().gold_passage is None
    assert one.query(gold_passage=True).gold_passage == "gold"
    assert one.input == one.query().input == "hi"
    assert Case(id="b", messages=(), output="x").input == ""


def test_digest_ignores_key_order_and_refuses_nan():
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest(case()) != digest(case(group="g"))
    assert canonical({"é": "\ud800"})
    with pytest.raises(ValueError):
        digest(float("nan"))


def test_task_hash_ignores_caps_but_not_success():
    task = Task(data=Data(file="rows.jsonl"))
    capped = task.model_copy(update={"budget": task.budget.model_copy(update={"usd": 3.0})})
    assert task.hash == capped.hash
    stricter = task.success.model_copy(update={"margin": 0.1})
    assert task.hash != task.model_copy(update={"success": stricter}).hash


def test_task_hash_ignores_speed_but_not_how_models_are_asked():
    task = Task(data=Data(file="rows.jsonl"))
    for speed in ({"max_connections": 3}, {"batch": 4}):
        assert task.hash == task.model_copy(update=speed).hash
    for asked in ({"thinking": "on"}, {"thinking_tokens": 9}, {"options": {"model": {"a": 1}}},
                  {"device": "cpu"}, {"precision": "float32"}):  # fmt: skip
        assert task.hash != task.model_copy(update=asked).hash


def test_every_error_has_its_code_and_parts():
    codes = {"TaskError": 2, "NotInstalled": 2, "SecurityError": 2, "DataError": 5, "ModelError": 1,
             "ProviderError": 1, "NumericError": 1, "BudgetError": 6, "StoreError": 7}  # fmt: skip
    for name, code in codes.items():
        error = getattr(errors, name)("w", where="f:1", got="x\x1b[31m" * 200, fix="do")
        assert error.exit_code == code
        assert str(error).splitlines()[0] == f"{name}: w"
        assert [line.split()[0] for line in str(error).splitlines()[1:]] == [
            "where", "got", "fix", "kept",
        ]  # fmt: skip
        assert len(error.got) <= 200
        assert "\x1b" not in str(error)
        assert error.plain()["error"] == name


@given(st.text())
def test_escaped_text_is_inert(text):
    shown = escape.visible(text)
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 or 0xD800 <= ord(c) < 0xE000 for c in shown)
    assert "<" not in escape.for_html(text)
    assert "<" not in escape.for_script({"t": text})
    cell = escape.for_csv(text)
    assert cell.lstrip(" \xa0\u3000\u200b")[:1] not in set("=+-@\t\r\n＝＋－＠")
    assert not any((ord(c) < 32 and c not in "\n\r\t") or 127 <= ord(c) < 160 for c in cell)


@pytest.mark.parametrize(
    "text", ["\n=1+1", "＝1+1", " ＋1", "\u3000@a", "\x1b]0;x\x07=1", "\x9b31m"]
)
def test_a_cell_is_no_formula_and_no_command(text):
    cell = escape.for_csv(text)
    assert cell.startswith(("'", "\\x"))
    assert not {"\x1b", "\x07", "\x9b"} & set(cell)


def test_plugins_are_found_without_import_and_checked_on_load():
    assert "core" not in plugins.catalogue("arms")
    with pytest.raises(errors.TaskError, match="did you mean `accuracy`"):
        plugins.load("metrics", "accuracey")
    with pytest.raises(errors.TaskError) as caught:
        plugins.load("metrics", "zzz")
    assert "accuracy" in caught.value.fix


def test_a_pipe_is_not_waited_for(tmp_path):
    from tuneworthy.records.record import plain_file

    (tmp_path / "a").write_bytes(b"abc")
    assert (plain_file(tmp_path / "a"), plain_file(tmp_path / "a", 2)) == (b"abc", b"ab")
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "none"):
        with pytest.raises(OSError, match=r"no plain file|Is a directory|No such file"):
            plain_file(path)
