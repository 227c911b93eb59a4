"""Rows of every kind, whole and damaged: JSONL, CSV and chat, and recorded answers to them."""

import csv
import io
import json

import pytest
from fuzz_kit import drawn, holds, indices, real, scalars, texts, values
from hypothesis import strategies as st

pytestmark = pytest.mark.full
COUNT = 150
FIELDS = ("id", "input", "output", "messages", "accepted", "must_say", "must_not_say", "group",
          "time", "context", "meta", "inputs", "label")  # fmt: skip
ROLES = st.sampled_from(["user", "assistant", "system", "tool", "developer", "", "User", None, 3])


@st.composite
def chats(draw):
    """Return a row of turns, some of them out of order or of another type."""
    turn = st.fixed_dictionaries({"role": ROLES, "content": st.one_of(texts(), values())})
    turns = draw(st.lists(st.one_of(turn, scalars()), max_size=4))
    return {"messages": [{"role": "user", "content": draw(texts())}, *turns]}


@st.composite
def plain(draw):
    """Return a row as it should be, with a few fields as they should not."""
    row = {"input": draw(texts()), "output": draw(st.one_of(texts(), scalars()))}
    wrong = st.dictionaries(st.sampled_from(FIELDS), values(), max_size=2)
    return row | draw(st.one_of(st.just({}), wrong))


@st.composite
def files(draw):
    """Return a file of rows as bytes, its suffix, and the answers recorded to it."""
    good = [{"id": f"r{n}", "input": f"question {n}", "output": ("yes", "no")[n % 2]}
            for n in range(draw(st.sampled_from([0, 3, 12, 25])))]  # fmt: skip
    odd = draw(st.lists(st.one_of(plain(), chats(), values()), max_size=4))
    rows = [*good, *odd]
    form = draw(st.sampled_from(["jsonl", "jsonl", "csv", "tsv"]))
    if form == "jsonl":
        ascii_only = draw(st.booleans())
        lines = [json.dumps(row, ensure_ascii=ascii_only) for row in rows]
        text = draw(st.sampled_from(["\n", "\r\n", "\r", ",\n", "\n\n", ""])).join(lines)
    else:
        out = io.StringIO(newline="")
        writer = csv.writer(out, delimiter="," if form == "csv" else "\t")
        writer.writerow(draw(st.lists(st.sampled_from(FIELDS), min_size=1, max_size=4)))
        for row in rows:
            writer.writerow(map(str, row.values()) if isinstance(row, dict) else [str(row)])
        text = out.getvalue().replace("\0", "")
    raw = text.encode("utf-8", "surrogatepass")
    encoding = draw(st.sampled_from(["", "", "", "", "utf-16", "latin-1", "utf-8-sig"]))
    if encoding:
        raw = text.encode(encoding, "replace")
    raw = _damaged(draw, raw)
    answers = draw(st.lists(st.one_of(_answers(), values()), max_size=4))
    return form, raw, answers


def _answers():
    fields = st.sampled_from(["id", "input", "answer", "usd", "seconds", "tokens_in", "finish"])
    named = st.fixed_dictionaries({"id": st.sampled_from(["r0", "r1", "r2", "r9"]),
                                   "answer": texts()})  # fmt: skip
    return st.one_of(named, st.dictionaries(fields, values(), max_size=4))


def _damaged(draw, raw):
    how = draw(st.sampled_from(["", "", "cut", "flip", "insert", "double"]))
    if not how or not raw:
        return raw
    at = draw(st.integers(0, len(raw) - 1))
    if how == "cut":
        return raw[:at]
    if how == "flip":
        return raw[:at] + bytes([raw[at] ^ draw(st.integers(1, 255))]) + raw[at + 1 :]
    if how == "double":
        return raw + raw
    return raw[:at] + draw(st.binary(max_size=6)) + raw[at:]


@indices(COUNT)
def test_rows(index, home):
    form, raw, answers = drawn("rows", files(), COUNT, index)
    (home / f"rows.{form}").write_bytes(raw)
    (home / "logged.jsonl").write_text("".join(json.dumps(one) + "\n" for one in answers))
    keys = {"name": "fuzzed", "data": {"file": f"rows.{form}"}, "model": "scripted:echo",
            "arms": ["majority", "copy_input"]}  # fmt: skip
    if answers:
        keys |= {"present": {"answers": "logged.jsonl"}, "arms": ["present", "majority"]}
    (home / "task.yaml").write_text(json.dumps(keys))
    path = str(home / "task.yaml")
    if index % 10 == 3:
        holds(home, ["init", str(home / f"rows.{form}"), "-o", str(home / "other.yaml")])
    if index % 4:
        more = ["--json"] * (index % 3 == 0) + ["--bad-rows=exclude", "--max-bad=90%"] * (index % 2)
        holds(home, ["check", path, *more], real=real(index))
    else:
        words = ["run", path, "--no-progress", "--brief", "--bad-rows=exclude", "--max-bad=0.9"]
        if holds(home, words, real=real(index)).code in (0, 3, 4):
            holds(home, ["report", str(home), "--recompute"])
