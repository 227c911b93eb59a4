"""The command: what it prints and refuses, how it stops, a second one, its memory."""

import http.client
import importlib.util
import json
import re
import signal
import socket
import subprocess
import sys
import types

import psutil
import pytest

from tuneworthy.cli._frame import run

START = [sys.executable, "-c", "from tuneworthy.cli import main; main()", "lab", "--no-browser"]
MOST_MEMORY = 300 << 20


class Running:
    """The command in a process of its own."""

    def __init__(self, folder, *options):
        self.process = subprocess.Popen(
            [*START, *options], cwd=folder, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        self.port, self.launch = re.fullmatch(
            r"lab at http://127.0.0.1:(\d+)(/launch\?token=\S{43})\n", line
        ).groups()
        self.cookie = None

    def get(self, path):
        talk = http.client.HTTPConnection("127.0.0.1", int(self.port), timeout=20)
        talk.request("GET", path, headers={"cookie": self.cookie} if self.cookie else {})
        reply = talk.getresponse()
        text = reply.read().decode()
        if cookie := reply.getheader("set-cookie"):
            self.cookie = cookie.partition(";")[0]
        return reply.status, text

    def stop(self, number=signal.SIGINT):
        self.process.send_signal(number)
        code = self.process.wait(20)
        self.errors = self.process.stderr.read()
        for stream in (self.process.stdout, self.process.stderr):
            stream.close()
        return code


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_it_opens_once_serves_and_ends_in_silence(tmp_path, number, code):
    lab = Running(tmp_path)
    assert lab.get("/")[0] == 401
    assert lab.get(lab.launch)[0] == 200
    assert lab.get(lab.launch)[0] == 200, "another browser of this machine"
    assert lab.get(lab.launch + "x")[0] == 401
    status, text = lab.get("/")
    assert (status, "<html" in text) == (200, True)
    assert lab.get("/case/never-stops")[0] == 200
    assert psutil.Process(lab.process.pid).memory_info().rss < MOST_MEMORY
    assert lab.stop(number) == code
    assert "Traceback" not in lab.errors
    assert lab.launch.partition("=")[2] not in lab.errors
    assert not (tmp_path / ".tuneworthy" / "lab" / "open.html").exists()


@pytest.mark.long
def test_a_stream_does_not_keep_it_from_ending(tmp_path):
    lab = Running(tmp_path)
    lab.get(lab.launch)
    _, text = lab.get("/")
    token = re.search(r'csrf-token" content="(\w+)"', text)[1]
    address = f"http://127.0.0.1:{lab.port}"
    headers = {"cookie": lab.cookie, "origin": address, "x-csrf-token": token,
               "content-type": "application/json"}  # fmt: skip
    talk = http.client.HTTPConnection("127.0.0.1", int(lab.port), timeout=20)
    body = {"case": "never-stops", "config": {"rate": 2e-3}, "seed": 3}
    talk.request("POST", "/api/runs", json.dumps(body), headers)
    name = json.loads(talk.getresponse().read())["id"]
    talk.request("GET", f"/api/runs/{name}/events", headers={"cookie": lab.cookie})
    stream = talk.getresponse()
    assert stream.getheader("content-type").startswith("text/event-stream")
    workers = psutil.Process(lab.process.pid).children(recursive=True)
    assert lab.stop() == 130
    stream.read()
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert alive == []


@pytest.mark.long
def test_the_next_one_takes_the_same_port_and_cookie(tmp_path):
    first = Running(tmp_path)
    first.get(first.launch)
    first.stop()
    second = Running(tmp_path)
    assert second.port == first.port
    second.cookie = first.cookie
    assert second.get("/")[0] == 200
    second.stop()


def test_a_second_one_on_the_folder_says_so_and_reads(tmp_path):
    first = Running(tmp_path)
    second = Running(tmp_path)
    assert second.port != first.port
    assert second.get(second.launch)[0] == 200
    assert second.get("/")[0] == 200
    assert second.stop() == 130
    assert f"another lab has this folder (process {first.process.pid}" in second.errors
    first.get(first.launch)
    assert first.get("/")[0] == 200
    first.stop()


def test_i150_a_port_in_use_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run(["lab", "--no-browser", "--port", str(port)]) == 2
    assert "another program listens on this address" in capsys.readouterr().err


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_it_does_not_listen_everywhere(tmp_path, monkeypatch, capsys, host):
    monkeypatch.chdir(tmp_path)
    assert run(["lab", "--no-browser", "--host", host]) == 2
    assert "does not listen on all addresses" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_missing_extra_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "fastapi" else found(name)
    )
    assert run(["lab"]) == 2
    assert "pip install 'tuneworthy[lab,train]'" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_told(tmp_path, monkeypatch, capsys):
    (tmp_path / ".tuneworthy").write_text("a file")
    monkeypatch.chdir(tmp_path)
    assert run(["lab", "--no-browser"]) == 7
    assert "a file stands where a folder is needed" in capsys.readouterr().err


def test_export_writes_the_site(tmp_path, monkeypatch, capsys):
    module, asked = types.ModuleType("tuneworthy.lab.export"), []
    module.export_site = asked.append
    monkeypatch.setitem(sys.modules, "tuneworthy.lab.export", module)
    monkeypatch.setattr("tuneworthy.lab.export", module, raising=False)
    assert run(["lab", "--export", str(tmp_path / "site")]) == 0
    assert asked == [tmp_path / "site"]
    assert str(tmp_path / "site" / "index.html") in capsys.readouterr().out


def test_it_starts_without_the_slow_packages():
    code = "import sys, tuneworthy.lab.app; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert "tuneworthy.lab.app" in loaded.split()
    assert {"torch", "transformers", "scipy", "sklearn", "openai"}.isdisjoint(loaded.split())
