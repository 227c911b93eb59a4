"""Large files: which rows are drawn, and what a row costs in memory."""

from __future__ import annotations

import hashlib
import json
import random
import tracemalloc
from pathlib import Path

import pytest

from tuneworthy.records.case import Case, Message
from tuneworthy.records.task import Data, Task
from tuneworthy.rows import reading
from tuneworthy.rows.load import load
from tuneworthy.rows.rows import to_case


def drawn(folder: Path, rows: list[dict[str, str]], keep: int, seed: int) -> list[str]:
    """Return the places of the rows that stay."""
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "rows.jsonl").write_text(text, "utf-8")
    found = load(Task(data=Data(file="rows.jsonl"), seed=seed).at(folder), limit=keep)
    assert found.excluded == {"not drawn": len(rows) - keep}
    return [case.where for case in found.cases]


def first_by_rank(folder: Path, keep: int, seed: int) -> list[str]:
    """Return the same, with all rows held and sorted once."""
    ranked = []
    for order, raw in enumerate(reading.read_rows(folder / "rows.jsonl", "rows.jsonl")):
        case = to_case(raw)
        name = hashlib.sha256(f"{seed}:{case.id}".encode()).digest()
        ranked.append((name, order, case.where))
    return [where for _, _, where in sorted(sorted(ranked)[:keep], key=lambda one: one[1])]


def rows(seed: int) -> list[dict[str, str]]:
    """Return rows of which about a third are copies of another."""
    draw = random.Random(seed)
    return [{"input": f"text {draw.randrange(300)}", "output": "yes"} for _ in range(400)]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("spare", [1, 7, 1000])
def test_rows_refused_early_are_rows_that_a_draw_of_all_refuses(tmp_path, monkeypatch, seed, spare):
    monkeypatch.setattr(reading, "_SPARE_ROWS", spare)
    got = drawn(tmp_path, rows(seed), 50, seed)
    assert got == first_by_rank(tmp_path, 50, seed)


def test_a_draw_that_refuses_too_early_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "_SPARE_ROWS", 1)
    cut = reading._drop_highest_ranks

    def worse(held, keep):  # leaves the best row last: its rank becomes the one to beat
        gone = cut(held, keep)
        held.append(held.pop(0))
        return gone

    monkeypatch.setattr(reading, "_drop_highest_ranks", worse)
    got = drawn(tmp_path, rows(0), 50, 0)
    assert got != first_by_rank(tmp_path, 50, 0)


def bytes_a_row(make) -> float:
    """Return the bytes that each of 2,000 made rows takes."""
    tracemalloc.start()
    kept = [make(n) for n in range(2000)]
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return size / len(kept)


def from_file(n: int) -> Case:
    found = to_case(reading.RawRow(f"rows.jsonl:{n}", {"input": f"text {n}", "output": f"yes {n}"}))
    assert isinstance(found, Case)
    return found


def all_named(n: int) -> Case:
    given = from_file(n)
    return Case(**{name: getattr(given, name) for name in Case.model_fields})


def test_a_plain_row_takes_less_than_2_000_bytes():
    assert bytes_a_row(from_file) < 2000  # 1,600 measured


def test_naming_every_field_would_cost_more():
    assert bytes_a_row(all_named) > bytes_a_row(from_file) + 300
    assert all_named(1) == from_file(1)
    assert all_named(1).plain() == from_file(1).plain()


def test_every_field_of_a_row_is_read():
    given = {
        "id": "a", "input": "text", "output": "yes", "accepted": ["yep"], "must_say": ["y"],
        "must_not_say": ["no"], "context": "page", "group": "g", "time": "3", "meta": {"k": 1},
    }  # fmt: skip
    assert to_case(reading.RawRow("rows.jsonl:1", given)) == Case(
        id="a", messages=(Message(role="user", content="text"),), output="yes", accepted=("yep",),
        must_say=("y",), must_not_say=("no",), context="page", group="g", time="3",
        meta={"k": 1}, where="rows.jsonl:1",
    )  # fmt: skip
