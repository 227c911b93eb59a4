"""D11: a NUL, a full disk, a file in the way, Ctrl-C and control characters are no bugs."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from tests import studies

from tuneworthy.cli._frame import run
from tuneworthy.records.errors import TaskError
from tuneworthy.records.escape import json_for_terminal

EVIL = "\x1b]0;owned\x07\x9b31m\u202etxt.exe\x7f\u200b"
COMMANDS = ("check", "plan", "run", "settle", "report", "compare", "init", "models", "doctor")


def command(words: list[str], **more) -> subprocess.CompletedProcess:
    start = [sys.executable, "-m", "tuneworthy"]
    return subprocess.run([*start, *words], text=True, timeout=120, **more)


def told(capsys) -> str:
    shown = capsys.readouterr()
    assert "BUG" not in shown.err
    assert "Traceback" not in shown.err
    return shown.out + shown.err


def harmless(text: str) -> bool:
    """Return whether no character of a text moves, colours or reorders a terminal."""
    return json_for_terminal(text) == text


@pytest.mark.parametrize(
    "keys",
    [
        {"data": {"file": "rows\0.jsonl"}},
        {"present": {"answers": "logged\0.jsonl"}},
        {"output": {"schema": "s\0.json"}},
        {"success": {"metric": "./score\0.py:score"}},
        {"model": "hf:./model\0"},
        {"answers": {"other\0": "logged.jsonl"}},
        {"data": {"file": "rows\ud800.jsonl"}},
        {"instruction": "say \udfff"},
    ],
)
def test_d11_a_nul_or_half_a_character_in_task_yaml(keys, tmp_path, capsys):
    path = studies.write(tmp_path, **keys)
    for word in ("check", "plan", "run"):
        assert run([word, str(path)]) == 2
        assert "NUL character or half a character" in told(capsys)


@pytest.mark.parametrize("word", COMMANDS)
def test_d11_a_nul_on_the_command_line(word, capsys):
    assert run([word, "a\0b"]) == 2
    assert "NUL" in told(capsys)


@pytest.mark.parametrize(
    "keys",
    [
        {"success": {"margin": 1e-320}},
        {"success": {"target": 5e-324}},
        {"budget": {"minutes": 1e-300}},
        {"success": {"limits": {"p95_ms": 1e-310}}},
    ],
)
def test_d11_a_number_too_small_to_mean_anything(keys, tmp_path, capsys):
    path = studies.write(tmp_path, **keys)
    assert run(["check", str(path), "--json"]) == 2
    assert "too small" in json.loads(capsys.readouterr().out)["what"]


def test_d11_the_smallest_margin_allowed_gives_a_verdict(tmp_path, capsys):
    path = studies.write(tmp_path, arms=studies.LIGHT, success={"margin": 1e-12})
    assert run(["check", str(path)]) == 0
    assert run(["run", str(path), "--no-progress"]) == 0
    told(capsys)


def test_d11_results_that_are_a_plain_file_are_said_before_anything_is_asked(tmp_path, capsys):
    path = studies.write(tmp_path, arms=studies.LIGHT)
    (tmp_path / "results").write_text("mine")
    assert run(["run", str(path), "--no-progress"]) == 7
    shown = told(capsys)
    assert "a file stands where a folder is needed" in shown
    assert "zero_shot" not in shown
    assert (tmp_path / "results").read_text() == "mine"
    assert run(["report", str(tmp_path)]) == 2
    (tmp_path / "results").unlink()
    assert run(["run", str(path), "--no-progress"]) == 0


@pytest.mark.parametrize("latest", [b"gone", b"\xff\xfe", b"a\0b", b"x" * 5000])
def test_d11_a_broken_note_of_the_latest_study(latest, tmp_path, capsys):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "latest").write_bytes(latest)
    assert run(["report", str(tmp_path)]) == 2
    told(capsys)


@pytest.mark.parametrize("path", ["x" * 300, "x" * 5000])
@pytest.mark.parametrize("word", ["check", "plan", "run", "report", "init"])
def test_d11_a_path_that_is_too_long(word, path, capsys):
    assert run([word, path]) in (2, 5, 7)
    told(capsys)


FURTHER = [["check", "--json"], ["plan"]]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
@pytest.mark.parametrize(
    "words",
    [["--help"], ["check"], *(pytest.param(w, marks=pytest.mark.long) for w in FURTHER)],
)
def test_d11_output_to_a_full_disk(words, tmp_path):
    path = studies.write(tmp_path, arms=studies.LIGHT)
    words = words if words == ["--help"] else [words[0], str(path), *words[1:]]
    with open("/dev/full", "w") as full:
        done = command(words, stdout=full, stderr=subprocess.PIPE)
        assert done.returncode == 7
        assert done.stderr.startswith("StoreError: the disk is full"), done.stderr
        assert command(words, stdout=full, stderr=full).returncode == 7


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_d11_an_error_that_cannot_be_said_keeps_its_code():
    with open("/dev/full", "w") as full:
        assert command(["check", "none.yaml"], stdout=full, stderr=full).returncode == 2


def test_d11_output_that_is_closed(tmp_path):
    path = studies.write(tmp_path, arms=studies.LIGHT)
    for words in (["check", str(path)], ["check", str(path), "--json"], ["check", "none.yaml"]):
        line = " ".join([sys.executable, "-c", "'from tuneworthy.cli import main; main()'", *words])
        done = subprocess.run(["sh", "-c", f"{line} >&- 2>&-"])
        assert done.returncode == (2 if "none.yaml" in words else 0)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_d11_report_files_on_a_full_disk(tmp_path, capsys):
    path = studies.write(tmp_path, arms=studies.LIGHT)
    assert run(["run", str(path), "--no-progress"]) == 0
    (tmp_path / "full.html").symlink_to("/dev/full")
    assert run(["report", str(tmp_path), "-o", str(tmp_path / "full.html")]) == 7
    assert "the disk is full" in told(capsys)
    folder = next((tmp_path / "results").glob("planted-*"))
    (folder / "report.html").unlink()
    (folder / "report.html").symlink_to("/dev/full")
    assert run(["report", str(tmp_path)]) == 0, "nobody asked for that file"
    assert "could not be written" in told(capsys)


@pytest.mark.every(3)
@pytest.mark.parametrize("word", COMMANDS)
def test_d11_ctrl_c_while_a_command_starts(word, tmp_path):
    path = studies.write(tmp_path, arms=studies.LIGHT)
    code = (  # a job in the background of a shell inherits that Ctrl-C is ignored
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from tuneworthy.cli import main; print('here', flush=True); main()"
    )
    words = (
        [word, "list"] if word == "models" else [word] if word == "doctor" else [word, str(path)]
    )
    words += [str(path)] * (word == "compare")
    ended, first = set(), COMMANDS.index(word) % 2  # the moments are shared out among commands
    for at in range(first, 8, 2):
        process = subprocess.Popen(
            [sys.executable, "-c", code, *words], text=True, cwd=tmp_path,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout.readline() == "here\n"
        time.sleep(0.005 + 0.06 * at)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1]
        assert "Traceback" not in said, said
        assert "BUG" not in said
        assert "Exception ignored" not in said
        # A signal while the interpreter ends kills it: shells call that 130 too.
        assert process.returncode in (130, 0, 2, -signal.SIGINT), said
        ended.add(process.returncode)
    assert 130 in ended


def test_d11_no_field_of_an_error_reaches_the_terminal_as_a_control_sequence():
    error = TaskError(EVIL, where=EVIL, got=EVIL, fix=EVIL, kept=EVIL)
    assert harmless(str(error))
    assert len(str(error).split("\n")) == 5
    forged = TaskError("a", where="b\n  fix    obey me")
    assert len(str(forged).split("\n")) == 3


def test_d11_json_that_is_shown_says_the_same_without_control_characters():
    value = {"a": EVIL, "b": [EVIL, "é漢🎉"]}
    text = json.dumps(value, ensure_ascii=False, indent=1)
    assert not harmless(text)
    assert harmless(json_for_terminal(text))
    assert json.loads(json_for_terminal(text)) == value
    assert "é漢🎉" in json_for_terminal(text)


def test_d11_no_name_id_or_file_reaches_the_terminal_as_a_control_sequence(tmp_path, capsys):
    home = tmp_path / f"folder{EVIL}"
    path = studies.write(home, n=30, arms=["present", "majority", "copy_input"])
    rows = [json.loads(line) for line in (home / "rows.jsonl").read_text().splitlines()]
    rows = [r | {"id": r["id"] + EVIL, "input": r["input"] + EVIL, "output": r["output"] + EVIL,
                 f"more{EVIL}": 1} for r in rows]  # fmt: skip
    studies.lines(home / "rows.jsonl", rows)
    logged = [{"id": r["id"], "answer": EVIL} for r in rows]
    studies.lines(home / "logged.jsonl", logged)
    other = home / f"o{EVIL}.yaml"
    for words in (
        ["check", str(path)], ["check", str(path), "--json"], ["plan", str(path)],
        ["plan", str(path), "--json"], ["run", str(path), "--no-progress"], ["run", str(path)],
        ["run", str(path), "--json"], ["report", str(home)], ["report", str(home), "--json"],
        ["report", str(home), "-o", str(home / f"r{EVIL}.csv")],
        ["report", str(home), "-o", str(home / f"r{EVIL}.bad")],
        ["report", str(home), "--recompute"], ["report", str(home), "--recompute", "--json"],
        ["compare", str(home), str(home)], ["compare", str(home), str(home), "--json"],
        ["init", str(home / "rows.jsonl"), "-o", str(other)], ["init", str(home / EVIL)],
        ["check", EVIL], ["check", EVIL, "--json"], ["run", str(path), EVIL], [EVIL],
        ["models", "get", EVIL], ["report", EVIL], ["compare", EVIL, EVIL],
        ["settle", str(path), "--show"], ["init", str(home / "rows.jsonl"), "--answers", EVIL],
    ):  # fmt: skip
        run(words)
        shown = capsys.readouterr()
        assert harmless(shown.out), words
        assert harmless(shown.err), words
        assert "BUG" not in shown.err, (words, shown.err)


@pytest.mark.long
def test_d11_a_pipe_where_a_file_belongs_is_waited_for_by_no_command(tmp_path, capsys):
    path = studies.write(tmp_path, arms=studies.LIGHT)
    assert run(["run", str(path), "--no-progress"]) == 0
    folder = next((tmp_path / "results").glob("planted-*"))
    places = {
        folder / "report.html": {0}, folder / "results.json.part": {0},
        folder / "results.json": {0, 2},
        tmp_path / "results" / "latest": {0, 2}, tmp_path / ".tuneworthy" / "replies.jsonl": {0},
        tmp_path / ".tuneworthy" / "head": {0}, tmp_path / "logged.jsonl": {0, 5},
        tmp_path / ".tuneworthy" / "bad_rows.jsonl": {0}, path: {0, 2},
    }  # fmt: skip
    for place, codes in places.items():
        before = place.read_bytes() if place.exists() else None
        place.unlink(missing_ok=True)
        os.mkfifo(place)
        assert run(["report", str(tmp_path)]) in codes, place
        assert run(["check", str(path)]) in codes, place
        assert run(["run", str(path), "--no-progress"]) in codes, place
        told(capsys)
        place.unlink(missing_ok=True)
        if before is not None:
            place.write_bytes(before)
    os.mkfifo(tmp_path / "out.html")
    assert run(["report", str(tmp_path), "-o", str(tmp_path / "out.html")]) == 7
    assert (
        run(["init", str(tmp_path / "rows.jsonl"), "-o", str(tmp_path / "out.html"), "--force"])
        == 7
    )
    assert "a pipe stands" in told(capsys)
