"""Replies of an endpoint: errors, half answers, wrong shapes, echoes of the key, absurd counts."""

import json
import sys
from functools import partial
from pathlib import Path

import pytest
from fuzz_kit import CANARY, drawn, holds, indices, texts, values
from hypothesis import strategies as st

from tuneworthy.models.remote.wire import RetryPolicy

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "models"))

from models_kit import Server, says

pytestmark = pytest.mark.full
COUNT = 70
KEYS = ["model", "choices", "usage", "error", "id", "object", "created", "system_fingerprint"]
FINISH = ["stop", "length", "content_filter", "tool_calls", None, "", "x", 3]
USAGE = [-1, 0, 1e308, 10**18, "3", None, True, {"x": 1}, float("nan")]
ECHO = [CANARY, f"Bearer {CANARY}", f"bad key {CANARY}\x1b[31m", f"sk-...{CANARY[-12:]}"]


def replies():
    """Return one turn of the server."""
    text = st.one_of(texts(), st.sampled_from(["yes", "no", "yes" * 5000, "\x1b]0;x\x07", *ECHO]))
    message = st.one_of(
        st.fixed_dictionaries({"content": st.one_of(text, values())}),
        st.fixed_dictionaries({"content": st.none(), "reasoning_content": text}),
        st.fixed_dictionaries({"content": st.just([{"type": "text", "text": "yes"}])}),
        st.fixed_dictionaries({"refusal": text}), values(),
    )  # fmt: skip
    sound = st.builds(lambda t: says(t), text)
    shaped = st.builds(lambda m, f: says("x", message=m, finish_reason=f), message,
                       st.sampled_from(FINISH))  # fmt: skip
    counted = st.builds(
        lambda a, b: says("yes", usage={"prompt_tokens": a, "completion_tokens": b}),
        st.sampled_from(USAGE), st.sampled_from(USAGE))  # fmt: skip
    wrong = st.dictionaries(st.sampled_from(KEYS), values(), max_size=3).map(lambda v: {"json": v})
    status = st.sampled_from([400, 401, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504, 529,
                              204, 206, 301, 302, 307, 418, 600])  # fmt: skip
    fault = st.sampled_from(["context_length_exceeded", "insufficient_quota", "invalid_api_key",
                             "model_not_found", "rate_limit_exceeded", "", None, 5])  # fmt: skip
    failed = st.builds(
        lambda s, c, m, h: {
            "status": s,
            "json": {"error": {"code": c, "message": m}},
            "headers": h,
        },
        status,
        fault,
        text,
        st.sampled_from(
            [
                {},
                {"retry-after": "1e12"},
                {"retry-after": "-5"},
                {"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"},
                {"location": "http://127.0.0.1:9/"},
                {"x-echo": CANARY},
                {"content-encoding": "gzip"},
            ]
        ),
    )
    raw = st.one_of(
        st.binary(max_size=30),
        st.sampled_from(
            [
                b"<html>bad gateway</html>",
                b"",
                b"[" * 20000,
                b'{"choices":',
                b"data: [DONE]\n\n",
                b"null",
                b'{"a": ' + b"9" * 5000 + b"}",
                b"\xff\xfe",
                CANARY.encode(),
            ]
        ),
    )
    bare = st.builds(
        lambda r, s: {"raw": r, "status": s}, raw, st.sampled_from([200, 200, 500, 401])
    )
    short = st.builds(lambda t, n: {**says(t), "promise": n}, text, st.sampled_from([0, 10, 10**6]))
    return st.one_of(sound, sound, shaped, counted, wrong, failed, bare, short)


@st.composite
def inputs(draw):
    """Return the turns of the server, the last one repeated; mostly an answer."""
    turns = draw(st.lists(replies(), min_size=1, max_size=4))
    return [*turns, says("yes")] if draw(st.integers(0, 2)) else turns


@indices(COUNT)
def test_endpoint(index, home, monkeypatch):
    calm = partial(
        RetryPolicy, attempts=3, request_seconds=2.0, total_seconds=6.0, sleep=lambda s: None
    )
    monkeypatch.setattr("tuneworthy.models.openai_compatible.RetryPolicy", calm)
    turns = _told(drawn("endpoints", inputs(), COUNT, index))
    server = Server(turns)
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    try:
        study(home, server, index)
    finally:
        server.close()


def study(home, server, index):
    """Run a study on the server twice: what was answered once is not asked again."""
    rows = [{"input": f"question {n}", "output": ("yes", "no")[n % 2]} for n in range(8)]
    (home / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    keys = {"name": "fuzzed", "data": {"file": "rows.jsonl"}, "model": f"openai:m@{server.url}",
            "arms": ["majority", "zero_shot"], "seeds": 1, "budget": {"usd": 5},
            "economics": {"prices": {"m": {"in": 1, "out": 2}}}}  # fmt: skip
    (home / "task.yaml").write_text(json.dumps(keys))
    words = ["run", str(home / "task.yaml"), "--no-progress", "--brief"]
    holds(home, words)
    before = len(server.seen)
    ended = holds(home, [*words, "--json"] if index % 3 else words)
    if ended.code in (0, 3, 4):
        assert len(server.seen) <= before + 8 * 3, "what was answered is not asked again"
        holds(home, ["report", str(home)])


def _told(turns):
    """Return turns whose JSON can be sent: NaN and half characters as they are, never refused."""
    for turn in turns:
        if "json" in turn:
            turn["raw"] = json.dumps(turn["json"]).encode()
    return turns
