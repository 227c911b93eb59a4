"""Folds: no row is scored by what learnt from it or its copy; nothing depends on row order."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuneworthy.records.case import Case, Message
from tuneworthy.records.errors import DataError
from tuneworthy.records.task import Data, Output, Present, Recorded, Task
from tuneworthy.rows.folds import Split, dev_size, split
from tuneworthy.rows.load import Loaded, load

WORDS = [f"{a}{b}{c}" for a in "bdfgklm" for b in "aeiou" for c in "nrst"]


def case(n: int, label: str = "", **more: object) -> Case:
    rng = random.Random(n)
    text = " ".join(rng.choice(WORDS) for _ in range(12))
    more = {"id": f"c{n:05}", "output": label or f"label {n % 4}", **more}
    return Case(messages=(Message(role="user", content=text),), where=f"rows:{n}", **more)


def loaded(cases: list[Case], kind: str = "label", seed: int = 0, **more: object) -> Loaded:
    task = Task(data=Data(file="rows.jsonl"), output=Output(type=kind), seed=seed)
    return Loaded(task=task, cases=tuple(cases), rows=len(cases), **more)


def sound(got: Split, cases: list[Case]) -> None:
    ids = {one.id for one in cases}
    for part in got.parts:
        train, dev, test = map(set, (part.train, part.dev, part.test))
        assert not train & dev
        assert not test & (train | dev)
        assert train | dev | test <= ids
        assert len(train) == len(part.train)
        assert train
        assert test
    assert len(got.scored) == len(set(got.scored))


def test_under_1000_rows_every_row_is_scored_once():
    cases = [case(n) for n in range(250)]
    got = split(loaded(cases))
    sound(got, cases)
    assert got.k == len(got.parts) == 5
    assert sorted(got.scored) == [one.id for one in cases]
    assert [len(part.test) for part in got.parts] == [50] * 5
    assert all(len(part.dev) == 40 and len(part.train) == 160 for part in got.parts)


def test_labels_are_spread_evenly_over_folds_and_dev():
    cases = [case(n, "rare" if n % 10 == 0 else "usual") for n in range(300)]
    got = split(loaded(cases))
    label = {one.id: one.output for one in cases}
    for part in got.parts:
        assert Counter(label[i] for i in part.test)["rare"] == 6
        share = Counter(label[i] for i in part.dev)["rare"] / len(part.dev)
        assert share == pytest.approx(0.1, abs=0.03)


def test_from_1000_rows_on_one_split_holds_out_30_in_100():
    cases = [case(n) for n in range(1000)]
    got = split(loaded(cases))
    sound(got, cases)
    assert (got.k, len(got.parts[0].test), len(got.parts[0].dev)) == (1, 300, 140)
    assert split(loaded(cases), k=5).k == 5


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 120), st.integers(1, 9), st.integers(0, 5), st.randoms())
def test_groups_stay_together_and_the_order_of_rows_is_nothing(n, groups, seed, rng):
    cases = [case(i, group=f"g{(i * 7) % groups}" if i % 3 else None) for i in range(n)]
    try:
        got = split(loaded(cases, seed=seed))
    except DataError:
        assert len({one.group or one.id for one in cases}) == 1
        return
    sound(got, cases)
    group = {one.id: one.group or one.id for one in cases}
    for part in got.parts:
        assert not {group[i] for i in part.test} & {group[i] for i in (*part.train, *part.dev)}
        assert not {group[i] for i in part.dev} & {group[i] for i in part.train}
    shuffled = list(cases)
    rng.shuffle(shuffled)
    assert split(loaded(shuffled, seed=seed)) == got


def test_another_seed_gives_other_folds():
    cases = [case(n) for n in range(100)]
    assert split(loaded(cases, seed=1)).parts != split(loaded(cases, seed=2)).parts


def near(one: Case, n: int) -> Case:
    text = one.messages[0].content
    return one.model_copy(
        update={"id": f"n{n:05}", "messages": (Message(role="user", content=text + "?!"),)}
    )


def test_copies_and_near_copies_stand_in_one_fold():
    cases = [case(n) for n in range(60)]
    cases += [near(one, n) for n, one in enumerate(cases[:20])]
    last = cases[5].messages[0].content
    typo = (Message(role="user", content=last[:-1] + "z"),)
    cases.append(cases[5].model_copy(update={"id": "t1", "messages": typo}))
    got = split(loaded(cases))
    fold = {one: k for k, part in enumerate(got.parts) for one in part.test}
    assert all(fold[f"c{n:05}"] == fold[f"n{n:05}"] for n in range(20))
    assert fold["t1"] == fold["c00005"]
    assert got.groups["t1"] == got.groups["c00005"] == got.groups["n00005"] == "c00005"
    assert "c00030" not in got.groups
    assert got.only_copies
    named = [*cases[:-1], cases[-1].model_copy(update={"group": "customer 7"})]
    assert not split(loaded(named)).only_copies


def test_an_exact_copy_is_learnt_from_once_and_scored_each_time():
    cases = [case(n) for n in range(50)]
    cases += [one.model_copy(update={"id": one.id + "-2"}) for one in cases[:10]]
    got = split(loaded(cases))
    assert sorted(got.scored) == sorted(one.id for one in cases)
    for part in got.parts:
        assert not any(one.endswith("-2") for one in (*part.train, *part.dev))
    assert len(got.copies) == 10


def test_time_is_chained_forward_and_the_first_block_is_never_scored():
    cases = [case(n, time=f"2026-01-{1 + n % 28:02}T{n % 24:02}:00:00") for n in range(120)]
    got = split(loaded(cases))
    sound(got, cases)
    assert got.by_time
    when = {one.id: one.time for one in cases}
    for part in got.parts:
        newest = max(when[i] for i in (*part.train, *part.dev))
        assert newest <= min(when[i] for i in part.test)
        assert max(when[i] for i in part.train) <= min(when[i] for i in part.dev)
    never = set(when) - set(got.scored)
    assert max(when[i] for i in never) <= min(when[i] for i in got.scored)
    assert len(never) == 20
    assert got.k == 5


def test_a_group_is_known_from_its_last_row_on():
    cases = [case(n, time=str(n), group="old" if n in (0, 119) else None) for n in range(120)]
    got = split(loaded(cases))
    assert {"c00000", "c00119"} <= set(got.parts[-1].test)


def test_rows_of_which_only_some_have_a_time_are_not_chained():
    cases = [case(n, time="2026-01-01" if n % 2 else None) for n in range(60)]
    assert not split(loaded(cases)).by_time


@pytest.mark.parametrize(
    ("rows", "share", "size"),
    [(1000, 0.2, 200), (190, 0.2, 40), (5000, 0.2, 300), (3, 0.2, 1), (1, 0.2, 0), (80, 0.9, 40)],
)
def test_dev_has_its_share_up_to_300_rows_and_never_more_than_half(rows, share, size):
    assert dev_size(rows, share) == size


@pytest.mark.parametrize(
    ("rows", "share", "size"),
    [(80, 0.2, 20), (60, 0.2, 15), (159, 0.2, 39), (160, 0.2, 40), (80, 0.3, 24), (100, 0.05, 25)],
)
def test_d6_of_few_rows_no_more_than_a_quarter_or_the_share_is_chosen_on(rows, share, size):
    assert dev_size(rows, share) == size


@pytest.mark.parametrize("n", [2, 3, 4, 7])
def test_i37_few_rows_are_split_into_as_many_folds_as_they_allow(n):
    cases = [case(i) for i in range(n)]
    got = split(loaded(cases))
    sound(got, cases)
    assert got.k == min(5, n)


def test_rows_that_are_all_copies_are_refused():
    cases = [case(1), case(1, id="c00002"), case(1, id="c00003")]
    with pytest.raises(DataError, match="can't be split"):
        split(loaded(cases))


def test_own_test_and_dev_files_are_used_as_they_are(tmp_path: Path):
    for name, numbers in (("a", range(60)), ("b", range(60, 80)), ("d", range(80, 90))):
        rows = [{"input": case(n).input, "output": f"label {n % 4}"} for n in numbers]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    data = Data(train="a.jsonl", test="b.jsonl", dev="d.jsonl")
    rows = load(Task(data=data).at(tmp_path))
    got = split(rows)
    assert (got.k, len(got.parts)) == (1, 1)
    part = got.parts[0]
    assert (len(part.train), len(part.dev), len(part.test)) == (60, 10, 20)
    assert set(part.test) == {one.id for one in rows.test}


def timed(n: int, **task: object) -> Loaded:
    cases = [case(i, time=f"2024-{1 + i // 28:02d}-{1 + i % 28:02d}") for i in range(n)]
    whole = loaded(cases)
    found = whole.task.model_copy(update=task)
    return Loaded(task=found, cases=whole.cases, rows=n)


def test_the_earliest_rows_are_a_part_for_recorded_answers_alone():
    logged = {"answers": {"old": Recorded(file="old.jsonl")}}
    plain, more = split(timed(120)), split(timed(120, **logged))
    assert more.k == plain.k == len(more.learning) == 5
    assert more.learning == plain.parts
    assert (more.parts[5].train, more.parts[5].dev) == ((), ())
    assert more.early == {f"c{n:05}" for n in range(20)}
    assert sorted(more.scored) == [f"c{n:05}" for n in range(120)]
    assert plain.early == frozenset()
    untimed = Loaded(task=timed(9, **logged).task, cases=tuple(case(n) for n in range(60)), rows=60)
    assert len(split(untimed).parts) == 5


def test_one_split_by_time_leaves_its_earlier_rows_to_recorded_answers():
    cases = [case(n, time=str(n)) for n in range(1000)]
    task = loaded(cases).task.model_copy(update={"present": Present(answers="now.jsonl")})
    got = split(Loaded(task=task, cases=tuple(cases), rows=1000))
    assert (got.k, len(got.parts)) == (1, 2)
    assert len(got.early) == 700
    assert len(got.scored) == len(set(got.scored)) == 1000
