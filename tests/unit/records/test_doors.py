"""The doors of the house: files that a command writes, JSON from outside, forbidden addresses."""

import json
import os
import socket
from pathlib import Path

import pytest

from tuneworthy.records import addresses, own_files
from tuneworthy.records.errors import SecurityError, TaskError
from tuneworthy.records.strict_json import MAX_DEPTH, RefusedJson, strict_json

OWN = {
    "report.html": (own_files.REPORTS[".html"], "<title>mine · tuneworthy</title>"),
    "verdict.json": (own_files.REPORTS[".json"], '{"tuneworthy": "0.2.0"}'),
    "answers.csv": (own_files.REPORTS[".csv"], "case,arm,role,seed,fold,answer\n"),
    "junit.xml": (own_files.REPORTS[".xml"], '<testsuite name="tuneworthy t">'),
    "task.yaml": (own_files.TASK, "name: mine\ndata: {file: rows.jsonl}\n"),
    "task.json": (own_files.TASK, '{"data": {"file": "rows.jsonl"}}'),
    "schema.json": (own_files.TASK_SCHEMA, '{"title": "tuneworthy task"}'),
    "rows.jsonl": (own_files.ROWS, '{"input": "a", "output": "b"}\n'),
    "log.jsonl": (own_files.ANSWERS, '{"id": "1", "answer": "b"}\n'),
    "served.jsonl": (
        own_files.SERVED_LOG,
        '{"time": 1, "model": "m", "input": "i", "answer": "a", "valid": true}\n',
    ),
    "advice.json": (own_files.ADVICE, '{"adviser": "me"}'),
}
OTHERS = ("an,own,table\n1,2,3\n", "jobs:\n  x: 1\n", "[1]", "{", '{"a": 1}\n', "[" * 3000)


@pytest.mark.parametrize("name", OWN)
def test_a_file_of_its_own_kind_is_replaced_and_no_other(name, tmp_path):
    kind, text = OWN[name]
    path = tmp_path / name
    for found in ("", text):
        path.write_text(found)
        own_files.write_own(path, text, kind)
        assert path.read_text() == text
    for other in OTHERS:
        path.write_text(other)
        with pytest.raises(TaskError, match="another file stands there"):
            own_files.write_own(path, text, kind)
        assert path.read_text() == other
    assert [one.name for one in tmp_path.iterdir()] == [name]


def test_what_is_read_or_must_be_free_is_not_written(tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text(OWN["rows.jsonl"][1])
    with pytest.raises(TaskError, match="this file is read"):
        own_files.check_own(rows, own_files.ROWS, keep=[tmp_path / "none", rows])
    with pytest.raises(TaskError, match="there is a file already"):
        own_files.check_own(rows, own_files.ROWS, free=True)
    own_files.check_own(tmp_path, own_files.ROWS)  # a folder fails by itself
    own_files.check_own(Path(os.devnull), own_files.ROWS, free=True)
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    own_files.check_own(tmp_path / "link", own_files.ROWS)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="pipe"):
        own_files.check_own(tmp_path / "pipe", own_files.ROWS)


def test_a_file_is_whole_or_as_it_was(tmp_path):
    path = tmp_path / "rows.jsonl"
    own_files.write_own(path, '{"input": "a"}\n', own_files.ROWS)

    def lines():
        yield '{"input": "b"}\n'
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        own_files.write_own(path, lines(), own_files.ROWS)
    assert path.read_text() == '{"input": "a"}\n'
    for text in ("gone", ("go", "ne")):
        own_files.write_atomic(Path(os.devnull), text)
    assert [one.name for one in tmp_path.iterdir()] == ["rows.jsonl"]


def test_drafts_of_killed_processes_are_removed_and_those_of_running_ones_stay(
    tmp_path, monkeypatch
):
    def kill(process, signal):
        if process == 7:
            raise PermissionError  # it runs, under another user
        if process != 8:
            raise ProcessLookupError

    monkeypatch.setattr(os, "kill", kill)
    for process in ("7", "8", "999", "none", str(os.getpid())):
        (tmp_path / f".rows.jsonl.{process}.part").write_text("half")
    own_files.write_own(tmp_path / "rows.jsonl", '{"input": "a"}\n', own_files.ROWS)
    left = {".rows.jsonl.7.part", ".rows.jsonl.8.part", "rows.jsonl"}
    assert {one.name for one in tmp_path.iterdir()} == left


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('{"a": 1, "a": 2}', "duplicate key"),
        ("[NaN]", "NaN is no JSON"),
        ("[-Infinity]", "-Infinity is no JSON"),
        ("1e999", "beyond every float"),
        ('"\\ud800"', "lone surrogate"),
        ("[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2), "nested too deep"),
        ('{"a":' * 100_000 + "1" + "}" * 100_000, "nested too deep"),
    ],
)
def test_json_on_which_parsers_differ_is_refused(text, what):
    with pytest.raises(RefusedJson, match=what):
        strict_json(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"a": [1, 2.5, null, "é"]}',
        '"\\ud83d\\ude00"',
        "[" * 60 + "]" * 60,
        "[" + "[]," * 80 + "1]",
    ],
)
def test_other_json_is_read_as_every_parser_reads_it(text):
    assert strict_json(text.encode()) == json.loads(text)


def test_half_of_a_pair_is_mended_where_that_is_asked():
    torn = '{"a\\ud800": ["b \\udfff", 1, "\\ud83d\\ude00"]}'
    assert strict_json(torn, mend=True) == {"a?": ["b ?", 1, "\U0001f600"]}


@pytest.mark.parametrize("raw", [b"\xff", b"{", "\ufeff1".encode()])
def test_what_is_no_json_is_a_value_error(raw):
    with pytest.raises(ValueError, match=r"."):
        strict_json(raw)


@pytest.mark.parametrize(
    "host",
    ["169.254.169.254", "metadata.google.internal.", "0xA9FEA9FE", "::ffff:169.254.169.254",
     "64:ff9b::a9fe:a9fe", "fd00:ec2::254", "0.0.0.0", "224.0.0.1", "fe80::1%eth0",
     "2002:a9fe:a9fe::1"],
)  # fmt: skip
def test_addresses_that_give_out_credentials_are_refused(host):
    with pytest.raises(SecurityError):
        addresses.refuse_address(host)


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.7", "::1", "2001:db8::1", "example.org"])
def test_servers_of_your_own_are_allowed(host):
    addresses.refuse_address(host)


def test_a_name_is_judged_by_what_it_resolves_to(monkeypatch):
    found = {"good": "10.0.0.7", "bad": "169.254.169.254"}

    def resolve(host, port, type):
        if host not in found:
            raise OSError("no such name")
        return [(socket.AF_INET, type, 6, "", (found[host], port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    for host in ("good", "unknown"):
        addresses.refuse_resolved_host(host, 80)
    with pytest.raises(SecurityError):
        addresses.refuse_resolved_host("bad", 80)
