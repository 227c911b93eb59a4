"""Metrics of the user's own that lie, crash, print, loop, grow and start processes."""

import json
from functools import partial

import pytest
from fuzz_kit import CANARY, drawn, holds, indices, patient, real, texts
from hypothesis import strategies as st

from tuneworthy.metrics._user import load_user_metric

pytestmark = pytest.mark.full
COUNT = 60
BODIES = [
    "return {value}", "return float({value})", "return str({value})", "raise ValueError({value})",
    "raise SystemExit({value})", "raise KeyboardInterrupt", "print({value}); return 1",
    "import sys; sys.stdout.write({value!r}); sys.exit(3)", "import os; os._exit(0)",
    "import os; os.write(1, b'{{}}\\n'); return 0.5", "import os; os.close(1); return 1",
    "while len(answer) < 9: pass\n    return 1", "return [0] * 10**12", "return 'x' * 10**7",
    "import os; os.kill(os.getpid(), 19)", "import os; os.kill(os.getpid(), 9)",
    "import subprocess; subprocess.Popen(['sleep', '600']); return 1",
    "import os; os.fork(); return 1", "return score(case, answer)", "return 1 / 0",
    "return case[{value}]", "return case['output'] == answer", "return complex(1)", "return {{}}",
    "import time; time.sleep(600)", "return 1e-320", "return float('nan')", "return True",
    "return 'unscored: ' + {value}", "import os; return str(dict(os.environ))",
    "import socket; socket.create_connection(('127.0.0.1', 9)); return 1",
    "import re; return bool(re.match('(a+)+$', 'a' * 40 + '!'))",
    "import warnings; warnings.warn({value}); return 1", "import threading, time\n"
    "    threading.Thread(target=time.sleep, args=(600,)).start(); return 1",
]  # fmt: skip
FILES = ["", "def score(case):\n    return 1\n", "score = 1\n", "import nothing\n", "def score(",
         "\x00", "raise SystemExit(0)\n", "while True: pass\n", "import os; os._exit(1)\n",
         "def other(case, answer):\n    return 1\n", "score = print\n"]  # fmt: skip


@st.composite
def inputs(draw):
    """Return the source of a metric and the name it is asked for by."""
    body = draw(st.sampled_from(BODIES)).format(value=repr(draw(texts())))
    source = f"# {draw(st.integers(0, 10**9))}\ndef score(case, answer):\n    {body}\n"
    if draw(st.integers(0, 3)) == 0:
        source = draw(st.sampled_from(FILES)) + draw(st.sampled_from(["", "# x", source]))
    names = ["./score.py:score"] * 8 + [
        "./score.py:none",
        "./score.py:__import__",
        "./../score.py:score",
    ]
    return source, draw(st.sampled_from(names)), draw(st.sampled_from(["yes", "no", "x" * 20]))


@indices(COUNT)
def test_metric(index, home, monkeypatch):
    patient(monkeypatch)
    monkeypatch.setattr(
        "tuneworthy.metrics.load_user_metric", partial(load_user_metric, seconds=0.3)
    )
    monkeypatch.setattr("tuneworthy.sandbox.child._START_SECONDS", 3.0)
    source, name, answer = drawn("metrics", inputs(), COUNT, index)
    (home / "score.py").write_bytes(source.encode("utf-8", "surrogatepass"))
    rows = [{"input": f"question {n}", "output": ("yes", "no")[n % 2]} for n in range(8)]
    (home / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (home / "replies.jsonl").write_text(json.dumps({"when": "", "say": answer}) + "\n")
    keys = {"name": "fuzzed", "data": {"file": "rows.jsonl"}, "model": "scripted:./replies.jsonl",
            "arms": ["majority", "zero_shot"], "success": {"metric": name}, "seeds": 1}  # fmt: skip
    (home / "task.yaml").write_text(json.dumps(keys))
    slow = any(word in source for word in ("sleep", "pass", "(a+)", "kill", "_exit", "10**"))
    word = "check" if slow and index % 2 else "run"
    more = ["--no-progress", "--brief"] if word == "run" else []
    ended = holds(home, [word, str(home / "task.yaml"), *more], real=real(index) and not slow)
    assert CANARY not in ended.text
