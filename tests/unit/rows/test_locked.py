"""Locked rows: how they are drawn, that the draw is stable, and that no arm learns from them."""

import json

import pytest

from tuneworthy.records.case import Case, Message
from tuneworthy.records.errors import DataError, TaskError
from tuneworthy.records.record import digest
from tuneworthy.records.task import Data, Task
from tuneworthy.rows.audit import audit
from tuneworthy.rows.copies import input_text
from tuneworthy.rows.folds import split
from tuneworthy.rows.load import load
from tuneworthy.rows.locked import input_digests, locked_observation
from tuneworthy.rows.taskfile import read_task
from tuneworthy.store.store import is_opened

LABELS = ["billing", "delivery", "refund"]


def rows(n, start=0, **more):
    text = "message {} on topic {} and {}"
    return [
        {"input": text.format(i * 37, chr(97 + i % 26) * 9, i), "output": LABELS[i % 3],
         "id": f"r{i}", **more}
        for i in range(start, start + n)
    ]  # fmt: skip


def read(folder, found, unlock=False, **data):
    for name, some in {"rows.jsonl": found, **data.pop("files", {})}.items():
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in some), "utf-8")
    data = data if "train" in data else {"file": "rows.jsonl", **data}
    return load(Task(data=Data(**data)).at(folder), unlock=unlock)


def texts(cases):
    return {input_text(case) for case in cases}


def test_about_the_share_is_set_aside_and_every_row_accounted_for(tmp_path):
    found = read(tmp_path, rows(400), locked=0.2)
    assert len(found.aside) == pytest.approx(80, abs=24)  # 3 standard errors
    assert len(found.cases) + len(found.aside) == found.rows == 400
    assert not texts(found.everyone) & texts(found.aside)
    seen = audit(found, split(found))
    assert seen.excluded == {"locked": len(found.aside)}
    assert seen.used + len(found.aside) == seen.rows
    assert read(tmp_path, rows(400)).aside == ()


def test_the_same_rows_are_locked_whatever_they_are_called_and_wherever_they_stand(tmp_path):
    plain = rows(200)
    shut = texts(read(tmp_path, plain, locked=0.2).aside)
    other = [{**row, "id": f"new{i}", "output": LABELS[i % 2], "input": row["input"].upper()}
             for i, row in enumerate(plain)]  # fmt: skip
    changed = read(tmp_path, [*reversed(other), *rows(50, 500)], locked=0.2)
    assert {text.lower() for text in texts(changed.aside)} & texts_of(plain) == shut
    assert len(changed.aside) > len(shut)  # some of the added rows
    assert shut < texts(read(tmp_path, plain, locked=0.4).aside)
    seeded = load(Task(data=Data(file="rows.jsonl", locked=0.2), seed=9).at(tmp_path))
    assert texts(seeded.aside) < texts(read(tmp_path, plain, locked=0.4).aside)


LONG = "Read the message of a customer below and name what it is about. " * 4


@pytest.mark.parametrize("before", ["", "Hi. ", LONG])
@pytest.mark.parametrize("after", ["", " Thank you."])
def test_a_text_around_every_input_locks_the_same_rows(tmp_path, before, after):
    plain = rows(200)
    put = [{**row, "input": before + row["input"] + after} for row in plain]
    rule = {"locked": 0.2, "copies": "exact" if before == LONG else "near"}
    shut = {case.id for case in read(tmp_path, plain, **rule).aside}
    assert {case.id for case in read(tmp_path, put, **rule).aside} == shut
    bare = [*put[:195], *plain[195:]]  # some have it, too few to count
    others = {row["id"] for row in plain[195:]}
    assert {case.id for case in read(tmp_path, bare, **rule).aside} - others == shut - others


def test_a_text_around_every_input_makes_no_row_another():
    plain = rows(40)
    marks = input_digests(cases_of(plain))
    assert len(marks) == 40
    for around in ("{} Thank you.", LONG + "{}", "Hi: {} Bye."):
        put = cases_of([{**row, "input": around.format(row["input"])} for row in plain])
        assert is_opened(input_digests(put), marks)
        assert is_opened(input_digests(put), marks[:2]), "2 of 40 are 1 in 20"
        assert not is_opened(input_digests(put), marks[:1])
        assert {mark[:12] for mark in input_digests(put)} == {mark[:12] for mark in marks}
    other = cases_of([{**row, "input": f"{i % 7} {row['input']}"} for i, row in enumerate(plain)])
    assert not is_opened(input_digests(other), marks), "a text that differs is content"
    few = cases_of([{"id": f"f{i}", "input": f"same words {i}"} for i in range(9)])
    assert {len(mark) for mark in input_digests(few)} == {12}, "nine rows may agree by chance"
    joined = [*cases_of(plain), *cases_of([{"id": f"j{i}", "input": f"{i}"} for i in range(30)])]
    assert is_opened(input_digests(joined), marks), "beside rows without the shared text"
    assert not is_opened(input_digests(joined), ())


def cases_of(found):
    return [Case(id=row["id"], messages=(Message(role="user", content=row["input"]),), output="a")
            for row in found]  # fmt: skip


def texts_of(found):
    return {row["input"] for row in found}


def test_a_group_and_a_set_of_copies_stand_on_one_side(tmp_path):
    grouped = [{**row, "group": f"g{i // 5}"} for i, row in enumerate(rows(200))]
    found = read(tmp_path, grouped, locked=0.3)
    names = [{case.group for case in some} for some in (found.cases, found.aside)]
    assert names[0]
    assert names[1]
    assert not names[0] & names[1]
    more = read(tmp_path, [*grouped, *({**r, "group": "g3"} for r in rows(20, 900))], locked=0.3)
    assert {case.group for case in more.aside} == names[1]  # a group that grows stays where it is
    near = [{**row, "id": f"c{i}", "input": row["input"] + "!"} for i, row in enumerate(rows(60))]
    twice = read(tmp_path, [*rows(60), *near], locked=0.3)
    bare = [{text.rstrip("!") for text in texts(some)} for some in (twice.cases, twice.aside)]
    assert not bare[0] & bare[1]
    assert len(twice.aside) == 2 * len(bare[1])


def test_a_row_that_is_given_away_by_one_to_choose_on_stays_open(tmp_path):
    plain = [{**row, "group": f"g{i}"} for i, row in enumerate(rows(100))]
    shut = read(tmp_path, plain, locked=0.3).aside
    taken = shut[0].group
    dev = {"dev.jsonl": [{**rows(1, 700)[0], "group": taken}]}
    found = read(tmp_path, plain, locked=0.3, dev="dev.jsonl", files=dev)
    assert {case.group for case in shut} - {case.group for case in found.aside} == {taken}


def test_unlocked_they_are_the_test_file_and_nothing_else_changes(tmp_path):
    found, opened = (read(tmp_path, rows(200), locked=0.2, unlock=x) for x in (False, True))
    assert (opened.unlocked, opened.test, opened.aside) == (True, found.aside, ())
    assert opened.cases == found.cases
    assert opened.task == found.task  # labels are those of the rows to learn from
    part = split(opened).parts[0]
    assert set(part.test) == {case.id for case in found.aside}
    assert not set(part.test) & {*part.train, *part.dev}


def test_of_a_test_file_of_ones_own_rows_of_it_are_locked(tmp_path):
    files = {"train.jsonl": rows(100), "test.jsonl": rows(100, 300)}
    data = {"train": "train.jsonl", "test": "test.jsonl", "locked": 0.3, "files": files}
    found, opened = (read(tmp_path, [], unlock=x, **dict(data)) for x in (False, True))
    assert len(found.cases) == len(opened.cases) == 100
    assert texts((*found.test, *found.aside)) == texts_of(files["test.jsonl"])
    assert (opened.test, opened.aside) == (found.aside, found.test)
    seen = audit(opened, split(opened))
    assert seen.excluded == {"test rows that are not locked": len(opened.aside)}


def test_what_cannot_be_locked_or_unlocked_is_refused(tmp_path):
    with pytest.raises(TaskError, match="no locked rows") as caught:
        read(tmp_path, rows(20), unlock=True)
    assert "locked: 0.2" in caught.value.fix
    one = rows(20, group="all of them")
    sides = [read_or_refused(tmp_path, [{**r, "group": f"g{i}"} for r in one]) for i in range(40)]
    assert {side for side in sides if side} == {"the locked share leaves no row on one side"}
    assert 5 < sides.count(None) < 38  # the one group is locked in about 4 of 10
    group = sides.index(None)
    with pytest.raises(DataError, match="on one side"):
        read(tmp_path, [{**r, "group": f"g{group}"} for r in one], locked=0.4, unlock=True)


def read_or_refused(folder, found):
    try:
        read(folder, found, locked=0.4)
    except DataError as error:
        return error.what
    return None


def test_what_is_said_of_locked_rows_follows_from_their_number_and_the_looks():
    turns = [Message(role="user", content=digest(at)) for at in range(50)]
    rows = [Case(id=f"r{at}", messages=(turn,), output="a") for at, turn in enumerate(turns)]
    first, again = locked_observation(rows, 0), locked_observation(rows, 2)
    assert "50 rows are locked, no study has opened them" in first.text
    assert "look 1 (bounds at .05)" in first.text
    assert "10 points with a chance of 29 %" in first.text
    assert "look 3 (bounds at .05/12)" in again.text
    assert "10 points with a chance of 6 %" in again.text
    none = locked_observation((), 0)
    assert (none.level, none.count) == ("warning", 0)
    pairs = [row.model_copy(update={"group": f"g{at // 2}"}) for at, row in enumerate(rows)]
    grouped, half = (locked_observation(some, 0).text for some in (pairs, rows[:25]))
    assert grouped == half.replace("25 rows", "50 rows"), "two alike are worth one"
    assert grouped != first.text


def test_a_task_that_locks_nothing_has_the_hash_it_always_had():
    data = {"file": "a.jsonl"}
    plain = Task(data=Data(**data)).model_dump(mode="json", by_alias=True)
    for key in ("usd", "tokens", "stages"):
        plain["budget"].pop(key)
    plain.pop("executor")
    plain["data"].pop("unlabelled")
    for key in ("locked", "largest_group", "corrected", "copies"):
        plain["data"].pop(key)
    for key in ("finalists", "wrong_at_most", "costs"):
        plain["success"].pop(key)
    for key in (
        "thinking", "thinking_tokens", "options", "max_connections", "device", "precision", "batch",
        "repeats", "decision",
    ):  # fmt: skip
        plain.pop(key)
    assert Task(data=Data(**data)).hash == Task(data=Data(**data, locked=0)).hash == digest(plain)
    assert Task(data=Data(**data, locked=0.2)).hash != digest(plain)


@pytest.mark.parametrize(
    ("value", "what"),
    [("0.5", "below 0.5"), ("20", "below 0.5"), ("-0.1", "at least 0"), ("some", "a number"),
     ("true", "a number"), (".nan", "finite|a number")],
)  # fmt: skip
def test_a_share_that_makes_no_sense_is_refused_with_its_line(tmp_path, value, what):
    (tmp_path / "task.yaml").write_text(f"data:\n  file: rows.jsonl\n  locked: {value}\n")
    with pytest.raises(TaskError, match=what) as caught:
        read_task(tmp_path / "task.yaml")
    assert caught.value.where == "task.yaml:3 data.locked"
    assert caught.value.fix
