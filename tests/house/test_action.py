"""The GitHub Action's steps, run as they stand: one comment that is updated, looks that grow."""

import json
import os
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
ACTION = YAML(typ="safe").load((ROOT / "action.yml").read_text("utf-8"))
STEPS = {step["name"]: step for step in ACTION["runs"]["steps"]}
ROWS = 120


class Api(BaseHTTPRequestHandler):
    """Comments of one pull request, as GitHub's API has them; `locked` refuses every change."""

    comments: ClassVar = []
    calls: ClassVar = []
    locked = False

    def reply(self, value, code=200):
        body = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.reply(self.comments)

    def change(self):
        sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.headers["Authorization"] == "Bearer secret-token"
        self.calls.append((self.command, self.path))
        return sent["body"]

    def do_POST(self):
        body = self.change()
        if self.locked:
            return self.reply({"message": "Resource not accessible by integration"}, 403)
        user = {"login": "github-actions[bot]"}
        self.comments.append({"id": 70 + len(self.comments), "user": user, "body": body})
        return self.reply(self.comments[-1], 201)

    def do_PATCH(self):
        body, name = self.change(), int(self.path.rpartition("/")[2])
        found = next(one for one in self.comments if one["id"] == name)
        found["body"] = body
        self.reply(found)

    def log_message(self, *_):
        pass


@pytest.fixture
def api():
    Api.comments, Api.calls, Api.locked = [], [], False
    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def job(tmp_path, api):
    """Return a function that runs one job of a workflow: the Action's shell steps, in order.

    The installed command is this tree's; `actions/cache` is the working folder, which stays.
    """
    work, temp = tmp_path / "work", tmp_path / "temp"
    programs = temp / "tuneworthy" / "bin"
    programs.mkdir(parents=True)
    work.mkdir()
    for name, more in {"tuneworthy": "-m tuneworthy", "python": ""}.items():
        path = programs / name
        path.write_text(f'#!/bin/sh\nexec "{sys.executable}" {more} "$@"\n')
        path.chmod(0o755)
    rows = [f"{at} " + " ".join("abcdefgh"[at * k % 8] * 3 for k in range(1, 9))
            for at in range(ROWS)]  # fmt: skip
    with (work / "rows.jsonl").open("w") as file:
        for at, text in enumerate(rows):
            file.write(json.dumps({"id": at, "input": text, "output": "yes"}) + "\n")

    def answered(name, wrong):
        with (work / name).open("w") as file:
            for at in range(ROWS):
                said = "no" if at * 37 % 101 in wrong else "yes"
                file.write(json.dumps({"id": at, "answer": said}) + "\n")

    def ran(wrong, **inputs):
        answered("old.jsonl", range(20, 50))
        answered("new.jsonl", wrong)
        given = {name: one.get("default", "") for name, one in ACTION["inputs"].items()}
        given |= {"baseline": "old.jsonl", "candidate": "new.jsonl", "gold": "rows.jsonl",
                  "change": "8", "token": "secret-token", **inputs}  # fmt: skip
        out, summary = temp / "output", temp / "summary"
        out.write_text("")
        summary.write_text("")
        codes = {}
        for name, step in STEPS.items():
            if "run" not in step or name == "Install":
                continue
            told = dict(line.split("=", 1) for line in out.read_text().splitlines())
            values = {f"inputs.{key}": str(one) for key, one in given.items()}
            values |= {f"steps.gate.outputs.{key}": one for key, one in told.items()}
            values["github.event.pull_request.number"] = "8"
            env = {key: re.sub(r"\$\{\{ (.*?) \}\}", lambda m, v=values: v[m[1]], text)
                   for key, text in step.get("env", {}).items()}  # fmt: skip
            env |= {"RUNNER_TEMP": str(temp), "GITHUB_OUTPUT": str(out), "GITHUB_API_URL": api,
                    "GITHUB_STEP_SUMMARY": str(summary), "GITHUB_ACTION_PATH": str(ROOT),
                    "GITHUB_REPOSITORY": "me/mine", "PYTHONPATH": str(ROOT / "src")}  # fmt: skip
            done = subprocess.run(["bash", "-eo", "pipefail", "-c", step["run"]], cwd=work,
                                  env={**os.environ, **env}, capture_output=True, text=True,
                                  check=False)  # fmt: skip
            codes[name] = done.returncode
        looks = work / ".tuneworthy-gate.json"
        count = len(json.loads(looks.read_text())["looks"]) if looks.exists() else 0
        return codes, dict(line.split("=", 1) for line in out.read_text().splitlines()), \
            summary.read_text("utf-8"), count  # fmt: skip

    return ran


def test_a_second_commit_updates_the_comment_and_looks_grow(job):
    codes, out, summary, looks = job(range(0, 60))
    assert (out["outcome"], out["code"], looks) == ("worse", "3", 1)
    assert codes["End with the gate's exit code"] == 3
    assert {code for name, code in codes.items() if name[:3] != "End"} == {0}
    assert "worse" in summary
    Api.comments.insert(0, {"id": 1, "user": {"login": "somebody"}, "body": summary})
    codes, out, second, looks = job(range(20, 21))
    assert (out["outcome"], looks) == ("passes", 2)
    assert set(codes.values()) == {0}
    assert [call[0] for call in Api.calls] == ["POST", "PATCH"]
    assert [one["id"] for one in Api.comments] == [1, 70], "nobody else's comment is changed"
    assert Api.comments[1]["body"] == second != summary == Api.comments[0]["body"]


def test_a_token_of_a_fork_writes_the_summary_alone(job):
    Api.locked = True
    codes, out, summary, _ = job(range(20, 21))
    assert set(codes.values()) == {0}
    assert (out["outcome"], Api.comments) == ("passes", [])
    assert "tuneworthy gate" in summary


def test_what_can_not_be_compared_is_an_error_and_inputs_run_no_command(job, tmp_path):
    bad = "rows.jsonl; touch " + str(tmp_path / "ran")
    codes, out, summary, looks = job(range(20, 21), gold=bad, arguments="$(touch ran) --json")
    assert (out["outcome"], out["code"], looks) in {("error", "2", 0), ("error", "5", 0)}
    assert codes["End with the gate's exit code"] == int(out["code"])
    assert "before it could compare" in summary
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "work" / "ran").exists()


def test_no_input_stands_in_a_script_and_nothing_of_a_fork_is_checked_out():
    for step in STEPS.values():
        assert "${{" not in step.get("run", "")
        assert "checkout" not in step.get("uses", "")
    hooks = YAML(typ="safe").load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
    assert [hook["entry"] for hook in hooks] == ["tuneworthy gate"]


TESTS = """
import pytest

@pytest.mark.parametrize("name", ["better", "worse", "unsure"])
def test_change(tuneworthy_gate, tmp_path, name):
    gate = tuneworthy_gate("old.jsonl", f"{name}.jsonl", "rows.jsonl", looks=tmp_path / "looks")
    assert gate.exit_code == 0


@pytest.mark.parametrize("wrong", [{"margin": 2}, {"level": 5}, {"cannot_say": "Fail"}])
def test_refusal(tuneworthy_gate, wrong):
    with pytest.raises(Exception, match="TaskError"):
        tuneworthy_gate("old.jsonl", "better.jsonl", "rows.jsonl", **wrong)
"""


def test_the_fixture_fails_on_worse_and_skips_what_can_not_be_said(tmp_path):
    wrong = {"old": range(20, 50), "better": (), "worse": range(60), "unsure": range(25, 55)}
    for name, which in wrong.items():
        with (tmp_path / f"{name}.jsonl").open("w") as file:
            for at in range(ROWS):
                said = "no" if at * 37 % 101 in which else "yes"
                file.write(json.dumps({"id": at, "answer": said}) + "\n")
    with (tmp_path / "rows.jsonl").open("w") as file:
        for at in range(ROWS):
            text = f"{at} " + " ".join("abcdefgh"[at * k % 8] * 3 for k in range(1, 9))
            file.write(json.dumps({"id": at, "input": text, "output": "yes"}) + "\n")
    (tmp_path / "test_change.py").write_text(TESTS)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "tuneworthy.pytest_plugin",
         "-p", "no:cacheprovider"], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTEST_ADDOPTS": "",
             "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )  # fmt: skip
    assert "1 failed, 4 passed, 1 skipped" in done.stdout, done.stdout
    assert "worse: B − A is" in done.stdout
    assert "cannot say: B − A is" in done.stdout
