"""P32: a study connects to the endpoint that its task names, and to nothing else."""

import json
import subprocess
import sys
from pathlib import Path

from tests import studies

sys.path.append(str(Path(__file__).parents[1] / "models"))
from models_kit import Server, says

CODE = """
import json, sys
from pathlib import Path
seen = []
def hook(event, words):
    if event == "socket.connect":
        seen.append(str(words[1]))
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        seen.append(f"name {words[0]}")
sys.addaudithook(hook)
from tuneworthy.cli import _frame
codes = [_frame.run(words) for words in json.loads(sys.argv[1])]
Path("connected.json").write_text(json.dumps({"codes": codes, "seen": sorted(set(seen))}))
"""
COMMANDS = [["doctor"], ["check"], ["plan"], ["run", "--brief"], ["report"], ["lab", "--export",
            "site"], ["build", "--arm", "zero_shot"], ["compare"], ["advice"]]  # fmt: skip


def connected(folder, commands):
    done = subprocess.run([sys.executable, "-c", CODE, json.dumps(commands)], cwd=folder,
                          capture_output=True, text=True, timeout=300, check=False)  # fmt: skip
    path = folder / "connected.json"
    assert path.exists(), done.stderr[-2000:]
    return json.loads(path.read_text())


def test_p32_a_study_without_an_endpoint_connects_to_nothing(tmp_path):
    studies.write(tmp_path, n=30, arms=["present", "majority", "tfidf", "zero_shot"])
    found = connected(tmp_path, COMMANDS)
    assert found["codes"][3] in (0, 3)
    assert found["seen"] == []


def test_p32_a_study_with_an_endpoint_connects_to_it_alone(tmp_path):
    server = Server([lambda body: says("refund")])
    try:
        studies.write(tmp_path, n=30, arms=["majority", "zero_shot"], budget={"usd": 1},
                      model=f"openai:m@{server.url}",
                      economics={"prices": {"m": {"in": 1, "out": 1}}})  # fmt: skip
        found = connected(tmp_path, [["plan"], ["run", "--brief"]])
    finally:
        server.close()
    host, _, port = server.url.partition("//")[2].partition("/")[0].partition(":")
    addresses = [address for address in found["seen"] if not address.startswith("name ")]
    assert addresses, found
    assert {address for address in addresses if port not in address} == set()
    assert {name for name in found["seen"] if name.startswith("name ")} <= {f"name {host}"}


def test_the_hook_sees_a_connection(tmp_path):
    code = CODE.replace(
        "codes = [", "import socket; socket.socket().connect_ex(('127.0.0.1', 9)); codes = ["
    )
    done = subprocess.run([sys.executable, "-c", code, "[]"], cwd=tmp_path, check=False)
    assert done.returncode == 0
    assert json.loads((tmp_path / "connected.json").read_text())["seen"] == ["('127.0.0.1', 9)"]
