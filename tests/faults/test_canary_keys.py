"""P23: canary keys in the environment, in `.env` and in every answer; no command gives them away.

The commands run in processes that record what they connect to and which programs they start.
Afterwards every file below the home, the temporary folder and the study is read, archives and
cells of databases too, and all that was printed.
"""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import quote

import pytest
from tests import studies
from tests.key_kit import ENCODED, KEY, leaks, traces

sys.path.append(str(Path(__file__).parents[1] / "unit" / "models"))
from models_kit import Server, says

pytestmark = pytest.mark.full
OTHERS = {
    "HF_TOKEN": "hf_canary0Zq81LmXv37RtYw55Kd",
    "ANTHROPIC_API_KEY": "sk-ant-canary-Pw93-Uv17-Gx44",
    "SERVE_TOKEN": "serve-canary-Jd62-Bn08-Qk71",
    "AWS_SECRET_ACCESS_KEY": "awscanaryNm40Yt92Ws38Vb16",
}
IN_FILE = "dotenv-canary-Hs57-Lc23-Ef90"
KEYS = (KEY, *OTHERS.values(), IN_FILE)
CODE = """
import json, sys
from tuneworthy.cli import _frame
seen = {"connected": [], "started": []}
def hook(event, words):
    if event == "socket.connect":
        seen["connected"].append(str(words[1]))
    elif event in ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.system"):
        seen["started"].append(str(words[:2]))
sys.addaudithook(hook)
for words in json.loads(sys.argv[2]):
    code = _frame.run(words)
    with open(sys.argv[1], "a") as log:
        log.write(json.dumps({"words": words, "code": code} | seen) + "\\n")
"""
SYSTEM = "openai:m"
PRICED = {"budget": {"usd": 5}, "economics": {"prices": {"m": {"in": 1, "out": 1}}}}


class Place:
    """A home, a temporary folder and a study whose endpoint repeats the key in its answers."""

    def __init__(self, folder):
        self.folder, self.log, self.said, self.count = folder, folder.parent / "log.jsonl", [], 0
        self.study = folder / "study"
        for name in ("home", "tmp", "study"):
            (folder / name).mkdir(parents=True)
        (self.study / ".env").write_text(f"OPENAI_API_KEY={IN_FILE}\nSECRET={IN_FILE}\n")
        self.server, self.stranger = Server([self.turn]), Server([says("refund")])

    def turn(self, body):
        self.count += 1
        echo = list(ENCODED.values())[self.count % len(ENCODED)]
        text = body["messages"][-1]["content"]
        if self.count % 23 == 0:
            error = {"message": f"bad prompt {echo}", "code": echo}
            return {"status": 400, "json": {"error": error}}
        label = next((n for n in studies.LABELS if n[:4] in text), "refund")
        return says(f"{label} {echo}" if self.count % 3 == 0 else label, model=f"m {KEY}",
                    system_fingerprint=echo)  # fmt: skip

    def environment(self):
        others = ("PYTEST", "XDG", "OPENAI")
        kept = {name: text for name, text in os.environ.items() if not name.startswith(others)}
        home = self.folder / "home"
        return {**kept, **OTHERS, "OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": self.server.url,
                "HOME": str(home), "TMPDIR": str(self.folder / "tmp"), "BROWSER": "true",
                "TUNEWORTHY_CACHE": str(home / "cache"), "HF_HUB_OFFLINE": "0",
                "HF_ENDPOINT": self.server.url.removesuffix("/v1")}  # fmt: skip

    def write(self, **more):
        keys = {"model": SYSTEM, "arms": ["majority", "zero_shot"], **PRICED, **more}
        return studies.write(self.study, n=30, **keys)

    def run(self, *commands):
        """Run command lines in one process; return {their words: exit code}."""
        words = [sys.executable, "-c", CODE, str(self.log), json.dumps(commands)]
        done = subprocess.run(words, cwd=self.study, env=self.environment(), text=True,
                              capture_output=True, timeout=600)  # fmt: skip
        self.said += [done.stdout, done.stderr]
        assert "Traceback" not in done.stderr, done.stderr[-3000:]
        told = [json.loads(line) for line in self.log.read_text().splitlines()]
        return {" ".join(one["words"]): one["code"] for one in told}

    def start(self, *words):
        return subprocess.Popen(
            [sys.executable, "-m", "tuneworthy", *words], cwd=self.study, env=self.environment(),
            text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def end(self, process, number=signal.SIGINT):
        """Record the command line of a running process, which others can read; then stop it."""
        self.said.append(Path(f"/proc/{process.pid}/cmdline").read_text())
        process.send_signal(number)
        self.said += process.communicate(timeout=60)

    def checked(self):
        """Assert that no key is in anything but `.env`, and was sent to no other address."""
        logged = self.log.read_text() if self.log.exists() else ""
        for key in KEYS:
            assert [path for path in leaks(self.folder, key) if path.name != ".env"] == []
            for said in (*self.said, logged, json.dumps(self.stranger.seen)):
                assert not traces(said, key), said[-3000:]


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path / "place")
    yield made
    made.server.close()
    made.stranger.close()


def test_p23_no_command_gives_a_key_away(place):
    place.write(arms=["majority", "tfidf", "zero_shot", "few_shot"])
    other = f"openai:m@{place.stranger.url}"
    codes = place.run(
        ["doctor"], ["models", "list"], ["check"], ["plan"], ["plan", "--show-prompts"],
        ["run", "--brief"], ["run", "--brief", "--json"], ["report"], ["report", "--recompute"],
        *(["report", "-o", f"report.{end}"] for end in ("html", "json", "csv", "xml")),
        ["settle", "--show"], ["build", "--arm", "zero_shot"],
        ["build", "--push", "me"], ["build", "--arm", "few_shot", "--push", "me/pack"],
        *(["export", name] for name in ("promptfoo", "dspy", "inspect")),
        *(["export", name, "--arm", "few_shot"] for name in ("openai", "trl")),
        ["compare", SYSTEM, other, "--gold", "rows.jsonl", "--budget", "1"],
        ["gate", SYSTEM, other, "--gold", "rows.jsonl", "--budget", "1", "--markdown", "gate.md",
         "--junit", "gate.xml"],
        ["lab", "--export", "site"], ["advice"], ["atlas"],
        ["train-gate", "--", "python", "train.py"], ["init", "rows.jsonl", "-o", "other.yaml"],
        ["init", "--agent"], ["serve", "--dry-run"],
    )  # fmt: skip
    for line in ("check", "plan", "run --brief", "build --arm zero_shot", "lab --export site",
                 "init rows.jsonl -o other.yaml", "serve --dry-run"):  # fmt: skip
        assert codes[line] in (0, 3), (line, codes, "".join(place.said)[-3000:])
    print(codes, "".join(place.said))
    assert codes["build --arm few_shot --push me/pack"] != 0, "the hub repeated its token"
    assert KEY in str(place.server.seen), "it was sent to its own home"
    assert OTHERS["HF_TOKEN"] in str(place.server.seen)
    assert place.stranger.seen, "another server was asked"
    place.checked()


def asked(url, token, body):
    words = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    sent = urllib.request.Request(url, json.dumps(body).encode(), words)
    try:
        with urllib.request.urlopen(sent, timeout=60) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def address_of(process, pattern):
    for line in process.stdout:
        if found := re.search(pattern, line):
            return found[1]
    raise AssertionError(process.stderr.read())


def test_p23_serve_and_lab_give_no_key_away(place):
    place.write()
    place.run(["run", "--brief"], ["build", "--arm", "zero_shot"])
    serve = place.start("serve", "--port", "0", "--token-env", "SERVE_TOKEN", "--log", "log.jsonl")
    url = address_of(serve, r"serving at (\S+/v1)")
    _, listed = asked(f"{url}/chat/completions", "wrong", {})
    place.said.append(listed)
    statuses = []
    for number in range(24):
        text = f"use {KEY}" if number == 0 else f"refund {number}"
        body = {"model": "planted-zero_shot", "messages": [{"role": "user", "content": text}]}
        status, said = asked(f"{url}/chat/completions", OTHERS["SERVE_TOKEN"], body)
        place.said.append(said)
        statuses.append(status)
    assert statuses.count(200) > 20, said
    place.end(serve)
    assert (place.study / "log.jsonl").read_text()
    lab = place.start("lab", "--no-browser", "--port", "0")
    origin = address_of(lab, r"(http://[\d.]+:\d+)")
    for path in ("", "studies", "plan", "api/runs", "openapi.json", f"launch?token={quote(KEY)}"):
        try:
            with urllib.request.urlopen(f"{origin}/{path}", timeout=60) as reply:
                place.said.append(reply.read().decode())
        except urllib.error.HTTPError as refused:
            place.said.append(refused.read().decode())
    place.end(lab)
    place.checked()


def raw(status, text):
    return lambda body: {"status": status, "raw": text.encode()}


BROKEN = {
    "401": raw(401, json.dumps({"error": {"message": f"Incorrect API key: {KEY}"}})),
    "403, a page": raw(403, f"<html>{KEY}</html>"),
}
RETRIED = {
    "500": raw(500, f"Bearer {KEY}"),
    "no JSON": raw(200, f"{{{KEY}"),
    "no choices": raw(200, json.dumps({KEY: KEY})),
}
ALL = [pytest.param(turn, id=name) for name, turn in BROKEN.items()]
ALL += [pytest.param(turn, id=name, marks=pytest.mark.long) for name, turn in RETRIED.items()]


@pytest.mark.parametrize("turn", ALL)
def test_p23_a_refusal_that_repeats_the_key_gives_it_to_nobody(place, turn):
    place.write()
    place.server.turns = [turn]
    codes = place.run(["plan"], ["run", "--brief"], ["run", "--brief", "--json"], ["report"],
                      ["compare", SYSTEM, "scripted:./replies.jsonl", "--gold", "rows.jsonl",
                       "--budget", "1"])  # fmt: skip
    assert KEY in str(place.server.seen), codes
    place.checked()


PASTED = {
    "a field": {"api_key": KEY},
    "a field of a section": {"present": {"answers": "logged.jsonl", "key": KEY}},
    "an address": {"model": f"openai:m@http://me:{quote(KEY, safe='')}@127.0.0.1:9/v1"},
    "a query": {"model": f"openai:m@http://127.0.0.1:9/v1?key={KEY}"},
    "an instruction": {"instruction": f"Say the kind. Use {KEY}."},
    "a name": {"name": KEY},
    "a prompt": {"arms": ["majority", {"own_prompt": {"file": "prompt.md"}}]},
    "a prompt of today": {
        "present": {"model": SYSTEM, "prompt": "prompt.md"},
        "arms": ["present", "majority"],
    },
    "a document": {"data": {"file": "rows.jsonl", "docs": "docs.jsonl"}},
    "an answer": {"present": {"answers": "said.jsonl"}, "arms": ["present", "majority"]},
}


@pytest.mark.parametrize("more", PASTED.values(), ids=PASTED)
def test_p23_a_key_in_a_file_of_the_study_goes_no_further(place, more):
    own = {
        "prompt.md": f"Say the kind. Use {KEY}.",
        "docs.jsonl": json.dumps({"id": "a", "text": f"the password is {KEY}"}),
        "said.jsonl": json.dumps({"id": "r0", "answer": f"refund {KEY}"}),
    }
    for name, text in own.items():
        (place.study / name).write_text(text + "\n")
    task = place.write(**more)
    codes = place.run(["check"], ["plan"], ["run", "--brief"], ["run", "--brief", "--json"],
                      ["report"])  # fmt: skip
    assert codes["run --brief"] != 0, "".join(place.said)
    assert KEY not in json.dumps([one["body"] for one in place.server.seen])
    for path in (task, *(place.study / name for name in own)):
        path.unlink()
    place.checked()


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.csv", "torn.jsonl"])
def test_p23_a_key_in_a_row_goes_no_further(place, name):
    task, rows = place.write(data={"file": name}), place.study / name
    made = studies.rows(30)
    made[4]["input"] += f" {KEY}"
    if name == "rows.csv":
        lines = ["id,input,output", *(f"{r['id']},{r['input']},{r['output']}" for r in made)]
        rows.write_text("\n".join(lines))
    else:
        studies.lines(rows, made)
    if name == "torn.jsonl":
        rows.write_text(rows.read_text().replace(f'{KEY}"', f"{KEY}"))
    codes = place.run(["init", name, "-o", "new.yaml"], ["check"], ["run", "--brief"],
                      ["run", "--brief", "--bad-rows", "exclude"],
                      ["compare", "scripted:./replies.jsonl", name, "--gold", name])  # fmt: skip
    assert codes["run --brief"] != 0, "".join(place.said)
    rows.unlink()
    task.unlink()
    place.checked()
