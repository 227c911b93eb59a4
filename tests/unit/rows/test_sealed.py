"""Sealed cases: queries have no answer; `audit` and `open` are logged, the only other ways in."""

from __future__ import annotations

import copy
import json
import pickle

import pytest

from tuneworthy.records.case import Case, Message, Query
from tuneworthy.rows.fingerprint import rows_digest
from tuneworthy.rows.sealed import Sealed

CASES = [
    Case(id=f"c{n}", messages=(Message(role="user", content=f"q{n}"),), output=f"secret {n}",
         accepted=("hush",), context="gold", meta={"a": "secret"}, group="g")
    for n in range(4)
]  # fmt: skip


def sealed() -> tuple[Sealed, list[tuple[str, str]]]:
    log: list[tuple[str, str]] = []
    return Sealed(CASES, lambda door, purpose: log.append((door, purpose))), log


def test_queries_open_no_door_and_hold_no_answer():
    side, log = sealed()
    queries = side.queries(["c2", "c0"])
    assert [q.id for q in queries] == ["c2", "c0"]
    assert all(isinstance(q, Query) for q in queries)
    said = json.dumps([q.plain() for q in side.queries()])
    assert "secret" not in said
    assert "hush" not in said
    assert '"gold"' not in said
    assert side.queries(["c1"], gold_passage=True)[0].gold_passage == "gold"
    assert log == []


def test_both_doors_are_logged_with_their_purpose():
    side, log = sealed()
    outline = side.audit("plan")
    assert (outline.n, outline.digest) == (4, rows_digest(CASES))
    assert not hasattr(outline, "cases")
    assert side.open("score") == {case.id: case for case in CASES}
    assert log == [("audit", "plan"), ("open", "score")]
    with pytest.raises(ValueError, match="purpose"):
        side.open(" ")


def test_a_refused_log_keeps_the_door_shut():
    def refuse(door: str, purpose: str) -> None:
        raise OSError("the ledger is full")

    with pytest.raises(OSError, match="full"):
        Sealed(CASES, refuse).open("score")


@pytest.mark.parametrize("way", [repr, str, vars, iter, copy.copy, copy.deepcopy, pickle.dumps])
def test_there_is_no_third_door(way):
    side, _ = sealed()
    try:
        shown = way(side)
    except TypeError:
        return
    assert "secret" not in str(shown)


def test_two_cases_of_one_id_are_refused():
    with pytest.raises(ValueError, match="differ"):
        Sealed([CASES[0], CASES[0]], print)


def test_the_digest_is_free_of_order_and_sees_every_field():
    one = rows_digest(CASES)
    assert rows_digest(CASES[::-1]) == one
    assert rows_digest([case.model_copy(update={"where": "x:1"}) for case in CASES]) == one
    for field, value in (("output", "x"), ("accepted", ()), ("context", None), ("group", None),
                         ("meta", {}), ("time", "1"), ("must_say", ("x",))):  # fmt: skip
        changed = [CASES[0].model_copy(update={field: value}), *CASES[1:]]
        assert rows_digest(changed) != one, field
