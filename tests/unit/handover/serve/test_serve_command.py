"""The command: what it refuses, what it prints, how it stops."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from serve_kit import artefact, get, post, raw, says, write_artefact
from tests.in_time import ends_within

from tuneworthy.cli._frame import run
from tuneworthy.handover.serve.served_versions import versions_in
from tuneworthy.handover.serve.start_screen import production_lines
from tuneworthy.records.artefact import Pack

START = [sys.executable, "-c", "from tuneworthy.cli import main; main()", "serve"]


class Running:
    """The command in a process of its own, on a free port."""

    def __init__(self, folder, *options, **environment):
        self.process = subprocess.Popen(
            [*START, str(folder / "build"), "--port", "0", *options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder,
            env={**os.environ, **environment},
        )  # fmt: skip
        self.lines = []
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            if line.startswith("  curl"):
                break
        self.text = "\n".join(self.lines)
        assert self.lines, self.process.stderr.read()
        self.address = re.search(r"serving at (\S+)/v1", self.text)[1]
        found = re.search(r"^token: (\S+)$", self.text, re.M)
        self.token = found and found[1]

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        code = self.process.wait(20)
        self.errors = self.process.stderr.read()
        self.process.stdout.close()
        self.process.stderr.close()
        return code


def slow_replies(folder):
    """A model of recorded replies; enough to serve."""
    (folder / "replies.jsonl").write_text('{"when": "", "say": "fine"}\n')
    return "scripted:./replies.jsonl"


@pytest.mark.parametrize(
    ("words", "partner"),
    [
        (["--name", "a"], "--rollback"),
        (["--log-share", "10%"], "--log"),
        (["--log-size", "2048"], "--log"),
    ],
)
def test_an_option_without_its_partner_is_refused(words, partner, capsys):
    assert run(["serve", *words, "--dry-run"]) == 2
    assert f"this option belongs to {partner}" in capsys.readouterr().err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_p16_it_serves_until_a_signal_and_ends_with_its_code(tmp_path, number, code):
    running = Running(tmp_path, "--model", slow_replies(tmp_path), "--log", "a.jsonl")
    assert len(running.token) >= 32
    assert post(running.address, says("a", "scripted:./replies.jsonl"), running.token)[0] == 200
    assert post(running.address, says("a", "scripted:./replies.jsonl"), "wrong")[0] == 401
    shown = next(line for line in running.lines if line.startswith("  curl"))
    out = subprocess.run(shown, shell=True, capture_output=True, text=True, check=True).stdout
    assert json.loads(out)["choices"][0]["message"]["content"] == "fine"
    assert running.stop(number) == code
    assert "BUG" not in running.errors
    assert running.token not in running.errors
    assert len((tmp_path / "a.jsonl").read_text().splitlines()) == 2


def test_a_token_comes_from_the_environment_and_is_not_shown(tmp_path):
    more = {"MY_TOKEN": "from-outside-123"}
    running = Running(tmp_path, "--model", "scripted:echo", "--token-env", "MY_TOKEN", **more)
    assert "from-outside-123" not in running.text
    assert "$MY_TOKEN" in running.text
    assert post(running.address, says("a"), "from-outside-123")[0] == 200
    assert get(running.address, "/v1/models", None)[0] == 401
    running.stop()


@pytest.mark.long
def test_without_a_token_on_loopback_anybody_here_may_ask(tmp_path):
    running = Running(tmp_path, "--model", "scripted:echo", "--no-token")
    assert running.token == "none" or running.token is None
    assert post(running.address, says("a"), None)[0] == 200
    running.stop()


def test_an_idle_connection_does_not_hold_up_the_end(tmp_path):
    running = Running(tmp_path, "--model", "scripted:echo", "--grace", "1")
    opened = raw(running.address, says("a"), running.token)
    assert b" 200 " in opened.recv(200)
    with ends_within(8):
        assert running.stop() == 143
    opened.close()


@pytest.mark.parametrize(
    ("options", "says_", "code"),
    [
        (["--host", "0.0.0.0", "--no-token"], "everybody on the network", 2),
        (["--no-token", "--token-env", "A"], "contradict", 2),
        (["--token-env", "SURELY_NOT_SET"], "holds no token", 2),
        (["--log", "x.jsonl", "--log-share", "7"], "a share lies between", 2),
        (["--host", "256.1.1.1"], "can't be used", 2),
        (["--model", "nonsense:x"], "no model has this name", 2),
        (["--port", "70000"], "65535", 2),
    ],
)
def test_what_is_refused_before_anything_is_served(
    tmp_path, monkeypatch, capsys, options, says_, code
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", None)
    assert run(["serve", "--model", "scripted:echo", "--port", "0", *options]) == code
    assert says_ in capsys.readouterr().err


def test_a_taken_port_and_an_empty_folder_say_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert run(["serve", "--model", "scripted:echo", "--port", port]) == 2
    assert f"--port {int(port) + 1}" in capsys.readouterr().err
    assert run(["serve"]) == 2
    assert "tuneworthy build" in capsys.readouterr().err


def test_a_missing_package_gives_the_pip_line(tmp_path, monkeypatch, capsys):
    import importlib.util

    monkeypatch.chdir(tmp_path)
    whole = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "uvicorn" else whole(name, *a)
    )
    assert run(["serve", "--model", "scripted:echo"]) == 2
    assert "pip install 'tuneworthy[serve]'" in capsys.readouterr().err


def test_a_dry_run_and_a_rollback_open_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for number, id in enumerate(("a1", "b2")):
        made = artefact(id=id, model="smollm2-135m", pack=Pack(adapter=True), arm="lora")
        folder = write_artefact(tmp_path / "build" / f"tickets-{id}", made)
        os.utime(folder / "artefact.json", (1_000_000 + number,) * 2)
    assert run(["serve", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^tickets-a1  lora on smollm2-135m$", out, re.M)
    assert re.search(r"^tickets-b2  lora on smollm2-135m  current$", out, re.M)
    assert run(["serve", "--rollback"]) == 0
    assert "tickets-b2 → tickets-a1" in capsys.readouterr().out
    assert run(["serve", "--dry-run", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["current"] == {"tickets": "tickets-a1"}
    assert run(["serve", "--rollback"]) == 2
    assert "nothing else before" in capsys.readouterr().err


def test_commands_for_production_name_the_forms_that_are_there(tmp_path):
    folder = tmp_path / "tickets-a1"
    (folder / "peft").mkdir(parents=True)
    (folder / "peft" / "adapter_config.json").write_text('{"r": 8}')
    forms = ("peft", "merged", "gguf")
    write_artefact(folder, artefact(id="a1", model="hf:org/name", forms=forms))
    lines = "\n".join(production_lines(versions_in(tmp_path)))
    assert "vllm serve org/name --generation-config vllm" in lines
    assert "--enable-lora --lora-modules tickets-a1=" in lines
    assert f"vllm serve {folder / 'merged'} " in lines
    assert "--served-model-name tickets-a1" in lines
    assert "llama-server -m" in lines
    assert "ollama create tickets-a1" in lines
    assert "tuneworthy serve" not in lines
    write_artefact(folder, artefact(id="a1", pack=Pack(role="")))
    assert production_lines(versions_in(tmp_path)) == []


SLOW = """
import sys, time
from tuneworthy.models.scripted import Scripted
from tuneworthy.handover.serve.service import Service
from tuneworthy.handover.serve.http_server import run_server
from tuneworthy.handover.serve.listening import listening_socket
from tuneworthy.handover.serve.served_models import ServedModels

def answer(prompt, limits):
    print("asked", flush=True)
    time.sleep(float(sys.argv[1]))
    return "done"

def load():
    models = ServedModels(9)
    models.add_model("slow", Scripted("scripted:slow", answer))
    return models

opened = listening_socket("127.0.0.1", 0)
port = opened.getsockname()[1]
started = lambda models: print(port, flush=True)
sys.exit(run_server(Service(None), opened, load, started, (9, float(sys.argv[2]))))
"""


@pytest.mark.parametrize(("takes", "grace", "status"), [(1.0, 8.0, 200), (30.0, 0.5, 503)])
def test_p16_a_request_in_flight_is_finished_or_refused(takes, grace, status):
    process = subprocess.Popen([sys.executable, "-c", SLOW, str(takes), str(grace)],
                               stdout=subprocess.PIPE, text=True)  # fmt: skip
    address = f"http://127.0.0.1:{process.stdout.readline().strip()}"
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(post, address, says("a", "slow"), None)
        assert process.stdout.readline() == "asked\n"
        with ends_within(10):
            process.send_signal(signal.SIGTERM)
            assert asked.result(20)[0] == status
        assert process.wait(20) == 143
    process.stdout.close()
