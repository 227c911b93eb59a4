"""Logs of served requests of every kind, whole and damaged, beside one small study."""

import copy
import json

import pytest
from fuzz_kit import drawn, holds, indices, real, texts, values
from hypothesis import strategies as st

from tuneworthy.records.plugins import catalogue, load

pytestmark = pytest.mark.full
COUNT = 80
KEYS = ("input", "messages", "answer", "output", "time", "model", "tokens", "seconds", "group",
        "finish", "error", "attributes", "events", "resourceSpans", "resourceLogs",
        "gen_ai.prompt", "gen_ai.input.messages", "gen_ai.output.messages")  # fmt: skip


def spoiled(draw, value):
    """Return an example with some of its values replaced, at any depth."""
    if draw(st.integers(0, 9)) == 0:
        return draw(values())
    if isinstance(value, dict):
        return {key: spoiled(draw, inner) for key, inner in value.items()}
    return [spoiled(draw, inner) for inner in value] if isinstance(value, list) else value


@st.composite
def logs(draw):
    """Return a log as bytes: good lines among odd ones, in any encoding, possibly cut."""
    good = [{"input": f"refund of order {n}", "answer": "refund", "seconds": 0.1}
            for n in range(draw(st.sampled_from([0, 5, 30])))]  # fmt: skip
    examples = [load("logs", name).EXAMPLE for name in catalogue("logs")]
    odd = [spoiled(draw, copy.deepcopy(draw(st.sampled_from(examples))))
           for _ in range(draw(st.integers(0, 4)))]  # fmt: skip
    wrong = st.dictionaries(st.sampled_from(KEYS), st.one_of(values(), texts()), max_size=4)
    lines = [*good, *odd, *draw(st.lists(wrong, max_size=3))]
    text = draw(st.sampled_from(["\n", "\n", "\r\n", ",\n"])).join(map(json.dumps, lines))
    encoding = draw(st.sampled_from(["utf-8", "utf-8", "utf-8", "utf-16", "latin-1", "utf-8-sig"]))
    raw = text.encode(encoding, "replace")
    return raw[: draw(st.integers(0, len(raw)))] if draw(st.booleans()) else raw


@indices(COUNT)
def test_any_log_ends_with_a_conclusion_or_an_error(index, home):
    path = home.parent / "live.jsonl"
    path.write_bytes(drawn("logs", logs(), COUNT, index))
    words = ["check", str(home / "task.yaml"), "--live", str(path), "--arm", "present"]
    ended = holds(home, words, real=real(index))
    assert ended.code in (0, 5), ended.text
    lines = ended.out.splitlines()
    assert bool(lines) is (ended.code == 0)
    assert all(len(line) <= 80 for line in lines if line.isascii())
