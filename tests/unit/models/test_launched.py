"""A server that we start: its command, its end in every exit path, what it stores, its errors."""

import gc
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

import studies
import tuneworthy
from tuneworthy.models import content_of, is_local, is_paid, open_model
from tuneworthy.models.remote import process_guard, server_process
from tuneworthy.records.case import Message
from tuneworthy.records.errors import ModelError, NotInstalled, ProviderError, TaskError
from tuneworthy.records.model import Limits, ServerModel, parse_server_model
from tuneworthy.records.plugins import catalogue, load
from tuneworthy.report.plans import plan_screen

STAND_IN = Path(__file__).with_name("server_stand_in.py")
LIMITS = Limits(max_tokens=4)


def asked(text):
    return [Message(role="user", content=text)]


def gone(pid):
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        if state == "Z":
            return True
        time.sleep(0.1)
    return False


@pytest.fixture
def said():
    return []


@pytest.fixture
def start(monkeypatch, tmp_path, said):
    monkeypatch.setenv("TUNEWORTHY_VLLM", f"{sys.executable} {STAND_IN}")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    opened = []

    def go(how="", spec="vllm:org/name@abc"):
        from tuneworthy.models.remote.request import RequestOptions

        monkeypatch.setenv("STAND_IN", how)
        model = open_model(spec, folder=tmp_path, requests=RequestOptions(say=said.append))
        opened.append(model)
        return model

    yield go
    for model in opened:
        model.close()


def test_it_answers_is_free_and_ends_with_its_last_user(start, tmp_path, said):
    model = start()
    replies = model.reply([asked("a good one"), asked("another")], LIMITS)
    assert [reply.text for reply in replies] == ["yes", "no"]
    assert {reply.usd for reply in replies} == {0.0}
    assert (is_local(model.spec), is_paid(model.spec)) == (False, False)
    pid, log = model.server.process.pid, model.server.log
    told = log.read_text()
    assert "serve org/name --host 127.0.0.1" in told
    assert "--revision abc" in told
    assert model.server.key not in told
    assert model.server.key not in " ".join(said)
    command = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    assert model.server.key not in command
    model.close()
    model.close()
    assert gone(pid)
    assert not log.exists()


def test_one_that_nobody_holds_ends(start, monkeypatch, tmp_path):
    monkeypatch.setenv("STAND_IN", "child")
    model = open_model("vllm:org/name", folder=tmp_path)
    pid = model.server.process.pid
    child = int(re.search(r"child (\d+)", model.server.log.read_text())[1])
    del model
    gc.collect()
    assert gone(pid)
    assert gone(child)


def test_the_fingerprint_is_that_of_weights_and_command(start):
    one, two, other = start(), start(), start(spec="vllm:org/name@other")
    assert one.server.url != two.server.url
    assert one.fingerprint == two.fingerprint != other.fingerprint
    assert one.fingerprint["engine"].startswith("vllm ")


@pytest.mark.every(2)
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_a_process_that_is_killed(tmp_path, sent):
    code = (
        "import pathlib, sys, time; from tuneworthy.models import open_model;"
        "m = open_model('vllm:org/name', folder=pathlib.Path('.'));"
        "print(m.server.process.pid, flush=True); time.sleep(600)"
    )
    here = {**os.environ, "TUNEWORTHY_VLLM": f"{sys.executable} {STAND_IN}", "STAND_IN": "child"}
    user = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=here,
                            cwd=tmp_path)  # fmt: skip
    pid = int(user.stdout.readline())
    os.kill(user.pid, sent)
    user.wait()
    assert gone(pid)


def test_one_that_ignores_the_signal_is_killed(start, monkeypatch):
    monkeypatch.setattr(process_guard, "GUARD_SECONDS", 1.0)  # the guard itself has the real one
    model = start("stubborn")
    process = model.server.process
    monkeypatch.setattr(process, "wait", waits_less(process.wait))
    model.close()
    assert gone(process.pid)


def waits_less(wait):
    return lambda seconds=None: wait(None if seconds is None else 2.0)


def test_one_that_ends_before_it_is_ready_says_why(start, tmp_path):
    with pytest.raises(ModelError, match="ended before it could be asked") as error:
        start("dies")
    assert "ValueError: no such weights" in str(error.value)
    assert not list(tmp_path.glob("*.log"))


def test_one_that_never_is_ready_is_ended(start, monkeypatch, said):
    monkeypatch.setenv("TUNEWORTHY_SERVER_SECONDS", "1.5")
    monkeypatch.setattr(server_process, "SECONDS_BETWEEN_LINES", 0.5)
    with pytest.raises(ModelError, match="could not be asked after 2 s"):
        start("hangs")
    assert any("vllm loads for" in line for line in said)
    monkeypatch.setenv("TUNEWORTHY_SERVER_SECONDS", "soon")
    with pytest.raises(TaskError, match="no number of seconds"):
        start("hangs")


def test_one_that_serves_another_model_is_refused(start):
    with pytest.raises(ModelError, match="serves another model than org/name") as error:
        start("other")
    assert "another/model" in str(error.value)


def test_a_missing_program_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("TUNEWORTHY_VLLM", "no-such-program --here")
    with pytest.raises(NotInstalled, match="TUNEWORTHY_VLLM"):
        open_model("vllm:org/name", folder=tmp_path)


def test_an_address_is_asked_and_nothing_started(start, monkeypatch, tmp_path):
    running = start()
    monkeypatch.setenv("TUNEWORTHY_VLLM", running.server.url)
    model = open_model("vllm:org/name", folder=tmp_path)
    assert not hasattr(model, "server")
    assert model.where.url == running.server.url


@pytest.mark.parametrize("kind", sorted(catalogue("servers")))
def test_commands_of_every_kind(kind, tmp_path):
    plugin, key = load("servers", kind), "the-secret"
    (tmp_path / "w").mkdir()
    hub, own = parse_server_model("org/name@abc", tmp_path), parse_server_model("./w", tmp_path)
    assert hub == ServerModel(weights="org/name", name="org/name", revision="abc")
    assert (own.weights, own.name, own.is_path) == (str(tmp_path / "w"), "w", True)
    for model in (hub, own):
        words = plugin.command(["program"], model, 4321)
        assert words[0] == "program"
        assert "127.0.0.1" in words
        assert "4321" in words
        assert model.weights in words
        assert model.name in words
        assert key not in " ".join(words)
        assert key in plugin.environment(key).values()
    assert plugin.HEALTH.startswith("/")


def test_vllm_takes_no_sampling_from_the_repository():
    words = load("servers", "vllm").command(["vllm"], parse_server_model("org/name", Path()), 1)
    assert words[words.index("--generation-config") + 1] == "vllm"
    told = json.loads(words[words.index("--structured-outputs-config") + 1])
    assert told == {"backend": "guidance", "disable_any_whitespace": True}


def test_files_behind_a_server_are_part_of_a_study(tmp_path):
    (tmp_path / "w.gguf").write_bytes(b"one")
    before = content_of("llamacpp:./w.gguf", tmp_path)
    (tmp_path / "w.gguf").write_bytes(b"two")
    assert before
    assert before != content_of("llamacpp:./w.gguf", tmp_path)
    assert content_of("vllm:org/name", tmp_path) == ""


def test_a_study_asks_it_needs_no_cap_and_goes_on_after_a_crash(start, monkeypatch, tmp_path):
    path = studies.write(tmp_path / "s", n=40, model="vllm:org/name",
                         arms=["majority", "zero_shot"], max_connections=2)  # fmt: skip
    monkeypatch.setenv("STAND_IN", "crashes 9")
    monkeypatch.setattr("tuneworthy.models.remote.wire.pause_seconds", lambda *_: 0.0)
    monkeypatch.setattr("tuneworthy.models.openai_compatible.pause_seconds", lambda *_: 0.0)
    with pytest.raises(ProviderError, match="ended while it was asked") as error:
        tuneworthy.run(path)
    assert "CUDA out of memory" in str(error.value)
    monkeypatch.setenv("STAND_IN", "")
    done = tuneworthy.run(path)
    arm = next(a for a in done.verdict.arms if a.name == "zero_shot")
    assert arm.state == "measured"
    assert arm.usd_per_1k == 0
    engines = {
        r.fingerprint.get("engine", "").split()[0] for r in done.results.runs if r.fingerprint
    }
    assert "vllm" in engines


def test_the_key_is_checked_by_the_server(start):
    model = start()
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(f"{model.server.url}/models")


def test_without_its_program_the_arms_that_ask_it_are_left_out(monkeypatch, tmp_path):
    monkeypatch.setenv("TUNEWORTHY_VLLM", "no-such-program")
    path = studies.write(
        tmp_path, n=40, model="vllm:org/name", arms=["majority", "tfidf", "zero_shot"]
    )
    planned = tuneworthy.plan(path)
    left = {arm.spec.name: str(arm.because or "") for arm in planned.arms}
    assert "needs `no-such-program` to start vllm, or TUNEWORTHY_VLLM" in left["zero_shot"]
    assert left["tfidf"] == ""
    monkeypatch.setenv("TUNEWORTHY_VLLM", "http://127.0.0.1:9/v1")
    planned = tuneworthy.plan(path)
    assert [str(arm.because or "") for arm in planned.arms if arm.spec.name == "zero_shot"] == [""]
    assert planned.free
    screen = " ".join(plan_screen(planned, 80).plain.split())
    assert "No cap is needed: nothing that is asked costs money." in screen
    assert "at its vendor" not in screen
