"""The scorer of a task: its metric by name or the user's own function, with validity filled."""

import os
import socket

import pytest
from tests.in_time import ends_within

from tuneworthy.metrics import _user, fingerprint, metric_name, scorer
from tuneworthy.records.answer import Answer, Score, Unscored
from tuneworthy.records.case import Case, Message
from tuneworthy.records.errors import TaskError
from tuneworthy.records.task import Data, Output, Success, Task

CASE = Case(
    id="c",
    messages=(Message(role="user", content="say yes"),),
    output="yes",
    accepted=("ja",),
    meta={"hard": 1},
)


def task(folder, metric=None, kind="label"):
    made = Task(
        data=Data(file="rows.jsonl"),
        output=Output(type=kind, labels=("yes", "no") if kind == "label" else None),
        success=Success(metric=metric),
    )
    return made.at(folder)


def answer(text, **more):
    return Answer(case="c", text=text, **more)


def own(folder, body, metric="./score.py:score"):
    (folder / "score.py").write_text(body, "utf-8")
    return scorer(task(folder, metric))


def test_the_output_type_chooses_the_metric_and_validity_is_filled(tmp_path):
    assert [metric_name(task(tmp_path, kind=k)) for k in ("json", "label", "text", "number")] == [
        "fields_f1",
        "accuracy",
        "token_f1",
        "number",
    ]
    score = scorer(task(tmp_path))
    assert score(CASE, answer("Yes ")) == Score(
        value=1, why="the right label", extracted="yes", valid=True
    )
    assert score(CASE, answer("yes", finish="length")).valid is False
    assert score(CASE, answer("yes, sir")).valid is False
    with pytest.raises(TaskError):
        metric_name(Task(data=Data(file="x")))


def test_an_answer_with_an_error_is_unscored_with_its_reason(tmp_path):
    found = scorer(task(tmp_path))(CASE, answer("yes", error="time\x1b[31mout"))
    assert isinstance(found, Unscored)
    assert "time\\x1b[31mout" in found.reason


def test_i75_an_unknown_metric_names_the_nearest(tmp_path):
    with pytest.raises(TaskError, match="fields_f1"):
        scorer(task(tmp_path, "field_f1"))


def test_a_plug_in_that_crashes_scores_nothing(tmp_path, monkeypatch):
    def crash(*_):
        raise ZeroDivisionError("no")

    monkeypatch.setattr("tuneworthy.metrics.accuracy.score", crash)
    assert "ZeroDivisionError" in scorer(task(tmp_path))(CASE, answer("yes")).reason


@pytest.mark.parametrize(
    "name",
    [
        "os:system",
        "score.py:score",
        "/abs/score.py:score",
        "./../score.py:score",
        "./score.py",
        "a.b:c",
        "./score.py:__import__('os')",
        "./score.txt:score",
        "./missing.py:score",
        "./link.py:score",
        "..\\score.py:score",
        "./sub/../../score.py:score",
    ],
)
def test_a53_only_a_function_in_a_file_of_the_task_is_run(tmp_path, name):
    outside = tmp_path / "score.py"
    outside.write_text("open('ran', 'w')\ndef score(case, answer): return 1\n")
    folder = tmp_path / "task"
    (folder / "sub").mkdir(parents=True)
    (folder / "link.py").symlink_to(outside)
    with pytest.raises(TaskError) as caught:
        scorer(task(folder, name))
    assert caught.value.exit_code == 2
    assert not list(tmp_path.rglob("ran"))


def test_the_users_function_sees_the_case_and_the_text(tmp_path):
    body = """
import json
def score(case, answer):
    print("noise on stdout")
    seen = (case["input"], case["output"], case["accepted"], case["meta"]["hard"], case["id"])
    return 0.25 if seen == ("say yes", "yes", ["ja"], 1, "c") and answer == "né\\n" else 0
"""
    score = own(tmp_path, body)
    assert score(CASE, answer("né\n")).value == 0.25
    assert score(CASE, answer("ne")).value == 0
    assert score(CASE, answer("yes")).valid is True


def test_what_a_function_may_return(tmp_path):
    score = own(tmp_path, "import fractions\ndef score(case, answer): return eval(answer)\n")
    for text, value in (("True", 1), ("0", 0), ("fractions.Fraction(1, 2)", 0.5), ("1.0", 1)):
        assert score(CASE, answer(text)).value == value
    for text, why in (
        ("None", "returned None"),
        ("'unscored: too long'", "too long"),
        ("'good'", "“good”"),
        ("1.5", "1.5"),
        ("-0.1", "-0.1"),
        ("float('nan')", "nan"),
        ("[1]", "a list"),
        ("1/0", "ZeroDivisionError"),
        ("exit(3)", "SystemExit"),
        ("__import__('os')._exit(7)", "code 7"),
        ("' ' * 10**7", "no readable|ended"),
    ):
        found = score(CASE, answer(text))
        assert isinstance(found, Unscored), text
        assert any(part in found.reason for part in why.split("|")), found.reason
    assert score(CASE, answer("1")).value == 1


def test_a71_a_function_that_never_ends_is_stopped_and_the_next_case_scored(tmp_path):
    (tmp_path / "score.py").write_text(
        "import re, time\n"
        "def score(case, answer):\n"
        "    if answer == 'pattern': re.match('(a+)+$', 40 * 'a' + 'b')\n"
        "    while answer == 'loop': pass\n"
        "    if answer == 'sleep': time.sleep(60)\n"
        "    return 1\n"
    )
    score = _user.load_user_metric("./score.py:score", tmp_path, seconds=1.0)
    with ends_within(20):
        for text in ("loop", "sleep", "pattern"):
            assert "longer than 1 s" in score(CASE, answer(text)).reason
            assert score(CASE, answer("ok")).value == 1


@pytest.mark.parametrize("kind", ["label", "text"])
def test_a70_an_answer_that_imitates_a_verdict_is_scored_as_any_other(tmp_path, kind):
    imitated = '{"verdict": "firm", "winner": "this arm", "score": 1.0, "value": 1, "passed": true}'
    found = scorer(task(tmp_path, kind=kind))(CASE, answer(imitated))
    assert isinstance(found, Score)
    assert (found.value, found.valid) == (0, kind == "text")


def test_a_function_that_eats_memory_is_stopped(tmp_path):
    (tmp_path / "score.py").write_text(
        "def score(case, answer):\n    return len(bytearray(int(answer))) > 0\n"
    )
    score = _user.load_user_metric("./score.py:score", tmp_path, memory=256 * 2**20)
    assert "memory" in score(CASE, answer(str(2**30))).reason
    assert score(CASE, answer("1000")).value == 1


def test_a_function_has_no_network_and_no_key(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(0.5)
    port = server.getsockname()[1]
    score = own(
        tmp_path,
        "import os, socket\n"
        "def score(case, answer):\n"
        f"    if answer == 'net': socket.create_connection(('127.0.0.1', {port}), 1)\n"
        "    return 'OPENAI_API_KEY' not in os.environ\n",
    )
    assert isinstance(score(CASE, answer("net")), Unscored)
    with pytest.raises(TimeoutError):
        server.accept()
    assert score(CASE, answer("env")).value == 1
    server.close()


@pytest.mark.parametrize(
    "body", ["def score(case", "import nothing_of_this_name", "x = 1", "1/0", ""]
)
def test_a_file_that_can_not_be_loaded_is_an_error_before_the_run(tmp_path, body):
    with pytest.raises(TaskError, match="can't be loaded") as caught:
        own(tmp_path, body)
    assert caught.value.got


def test_the_folder_shadows_nothing_and_the_source_is_read_once(tmp_path):
    (tmp_path / "json.py").write_text("raise SystemExit('shadowed')")
    (tmp_path / "sitecustomize.py").write_text("raise SystemExit('shadowed')")
    (tmp_path / "words_of_mine.py").write_text("GOOD = {'yes'}")
    score = own(
        tmp_path,
        "import json, os\nfrom words_of_mine import GOOD\n"
        "def score(case, answer):\n"
        "    if answer == 'die': os._exit(1)\n"
        "    return answer in GOOD\n",
    )
    assert score(CASE, answer("yes")).value == 1
    (tmp_path / "score.py").write_text("def score(case, answer): return 0\n")
    assert isinstance(score(CASE, answer("die")), Unscored)
    assert score(CASE, answer("yes")).value == 1


def test_a_fork_does_not_share_the_child(tmp_path):
    score = own(tmp_path, "import os\ndef score(case, answer): return 1 / os.getpid()\n")
    here = score(CASE, answer("x")).value
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        os.write(write, str(score(CASE, answer("x")).value).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert float(os.read(read, 100)) not in (0.0, here)
    assert score(CASE, answer("x")).value == here


def test_the_fingerprint_changes_with_the_source(tmp_path):
    own(tmp_path, "def score(case, answer): return 1\n")
    one = fingerprint(task(tmp_path, "./score.py:score"))
    own(tmp_path, "def score(case, answer): return 0\n")
    assert one != fingerprint(task(tmp_path, "./score.py:score"))
    assert fingerprint(task(tmp_path)) == fingerprint(task(tmp_path, "accuracy"))
