"""D13: a recorded answer belongs to the row its id or input names; order counts on request only.

And D8: the right answers themselves are no log of a system.
"""

from __future__ import annotations

import json
import random

import pytest
from tests import recorded as scene
from tests import studies

from tuneworthy.flows.study import check, run
from tuneworthy.records.case import Case, Message, Query
from tuneworthy.records.errors import DataError, TaskError
from tuneworthy.records.task import Task
from tuneworthy.report.html import page
from tuneworthy.report.terminal import ladder_screen
from tuneworthy.rows.answers import align_answers, read_answers
from tuneworthy.rows.order_fit import order_misfit, shifted_misfit
from tuneworthy.rows.taskfile import read_task


def case(name, text, output="x", line=1, before=()):
    turns = (*before, Message(role="user", content=text))
    return Case(id=name, messages=turns, output=output, where=f"rows.jsonl:{line}")


def log(folder, rows):
    studies.lines(folder / "logged.jsonl", rows)
    return folder / "logged.jsonl"


def study(folder, change, shuffled=False, match=None):
    """Write a study in which `better` is 25 points better than what runs today; no ids in its log.

    `change(row, answer)` is what its log says of a row.
    """
    made = scene.rows(160)
    better = scene.failing(made, lambda at: 0.05)
    logged = [change(row, one["answer"]) for row, one in zip(made, better, strict=True)]
    if shuffled:
        random.Random(5).shuffle(logged)
    systems = {"present": scene.failing(made, lambda at: 0.3, seed=2), "better": logged}
    path = scene.write(folder, made, systems, {"better": "tune"}, arms=["majority"])
    keys = json.loads(path.read_text())
    if match:
        keys["answers"]["better"]["match"] = match
    path.write_text(json.dumps(keys))
    return path


def bare(row, answer):
    return {"answer": answer}


def asked(row, answer):
    return {"input": row["input"], "answer": answer}


# What the issue describes: the verdict of a shuffled log.


def test_a_shuffled_log_with_inputs_gives_the_verdict_of_one_in_order(tmp_path):
    verdicts = [run(study(tmp_path / str(s), asked, shuffled=s)).verdict for s in (False, True)]
    assert [(v.use, v.arm, v.status) for v in verdicts] == [("tune", "better", "firm")] * 2


@pytest.mark.parametrize("shuffled", [False, True])
def test_a_log_without_ids_and_inputs_is_refused_with_the_exact_fix(tmp_path, shuffled):
    with pytest.raises(DataError) as caught:
        check(study(tmp_path, bare, shuffled))
    assert caught.value.exit_code == 5
    assert caught.value.got.startswith("160 answers, 160 scored rows; 160 answers have neither")
    assert "write `match: order` under `answers.better`" in caught.value.fix


def test_an_order_that_is_asked_for_is_followed_and_said_on_the_first_screen(tmp_path):
    path = study(tmp_path, bare, match="order")
    seen = next(o for o in check(path).observations if o.kind == "matched_by_order")
    assert (seen.level, seen.count) == ("warning", 160)
    done = run(path)
    assert (done.verdict.use, done.verdict.status) == ("tune", "firm")
    said = "answers of `better` in better.jsonl are matched to the rows by their order alone"
    assert said in " ".join(ladder_screen(done.results).plain.split())
    first, _, _ = page(done.results).partition('class="ladder"')
    assert "by their order alone" in first


def test_a_shuffled_log_is_refused_even_where_an_order_is_asked_for(tmp_path):
    with pytest.raises(DataError, match="better in another order") as caught:
        check(study(tmp_path, bare, shuffled=True, match="order"))
    assert caught.value.exit_code == 5
    equal, of, most = (int(word) for word in caught.value.got.split() if word.isdigit())
    assert equal < 80 < most <= of == 160


def test_inputs_or_ids_that_speak_against_the_order_are_counted(tmp_path):
    with pytest.raises(DataError, match="inputs of recorded answers say another order") as caught:
        check(study(tmp_path / "a", asked, shuffled=True, match="order"))
    words = caught.value.got.split()
    assert int(words[6]) + int(words[10]) == 160
    assert "match: input" in caught.value.fix
    named = study(tmp_path / "b", lambda row, a: {"id": row["id"], "answer": a}, True, "order")
    with pytest.raises(DataError, match="ids of recorded answers say another order"):
        check(named)


# Ids beside inputs.


def renumbered(row, answer, at=iter(range(10**6))):
    """Number the log's rows as the study's are numbered, in another order."""
    return {"id": f"r{(next(at) * 7) % 160}", "input": row["input"], "answer": answer}


def test_ids_that_name_other_inputs_are_refused_with_the_count(tmp_path):
    path = study(tmp_path, renumbered)
    with pytest.raises(DataError, match="ids of these rows beside other inputs") as caught:
        check(path)
    same, known, other = (int(w) for w in caught.value.got.replace(",", "").split() if w.isdigit())
    assert (same + other, known) == (160, 160)
    assert other > 100
    keys = json.loads(path.read_text())
    keys["answers"]["better"]["match"] = "input"
    path.write_text(json.dumps(keys))
    assert run(path).verdict.arm == "better"


@pytest.mark.parametrize("by", [0, 1, -1, 2])
def test_ids_that_count_from_another_row_are_refused(tmp_path, by):
    """A tool that numbers rows from 0, beside ids from 1, scored chance on every row."""
    draw = random.Random(1)
    right = [draw.choice(["refund", "delivery", "warranty"]) for _ in range(90)]
    cases = [case(f"c{n}", f"q{n}", output=one, line=n + 1) for n, one in enumerate(right)]
    said = [one if draw.random() < 0.7 else "refund" for one in right]
    rows = [{"id": f"c{n + by}", "answer": one} for n, one in enumerate(said) if 0 <= n + by < 90]
    path = log(tmp_path, rows)
    if not by:
        assert len(align_answers(path, cases).answers) == 90
        return
    with pytest.raises(DataError, match="better than those with their ids") as caught:
        align_answers(path, cases)
    assert f"{abs(by)} row" in caught.value.got
    assert "match: id" in caught.value.fix
    assert len(align_answers(path, cases, match="id").answers) == 90
    asked = [{**row, "input": f"q{row['id'][1:]}"} for row in rows]
    assert len(align_answers(log(tmp_path, asked), cases).answers) == 90, "the inputs vouch"


def test_a_system_that_is_mostly_wrong_is_not_told_that_its_ids_are():
    labels, refused = ["refund", "delivery", "warranty", "other"], 0
    for seed in range(40):
        draw = random.Random(seed)
        right = [draw.choice(labels) for _ in range(120)]
        said = [one if draw.random() < 0.1 else labels[labels.index(one) - 1] for one in right]
        refused += bool(shifted_misfit(said, right))
    assert refused <= 1
    assert shifted_misfit(right[1:], right[:-1])


def test_match_id_takes_the_ids_and_says_that_inputs_differ(tmp_path):
    cases = [case(f"c{n}", f"q{n}", line=n) for n in range(3)]
    rows = [{"id": f"c{n}", "input": f"Answer this: q{n}", "answer": f"a{n}"} for n in range(3)]
    found = align_answers(log(tmp_path, rows), cases, match="id")
    assert [a.text for a in found.answers] == ["a0", "a1", "a2"]
    assert found.other_inputs == ("logged.jsonl:1", "logged.jsonl:2", "logged.jsonl:3")
    rows = [{"id": f"c{n}", "input": f" Q{n}", "answer": f"a{n}"} for n in range(3)]
    found = align_answers(log(tmp_path, rows), cases, match="id")
    assert found.other_inputs == ()  # spaces and case aside


def test_what_is_matched_by_a_key_has_that_key(tmp_path):
    rows = [{"id": "c0", "input": "q0", "answer": "a"}, {"id": None, "answer": "b"}]
    cases = [case("c0", "q0"), case("c1", "q1", line=2)]
    for match in ("id", "input"):
        with pytest.raises(DataError, match=f"without `{match}`") as caught:
            read_answers(log(tmp_path, rows), cases, match)
        assert caught.value.got == f"1 of 2 answers have no `{match}`"
    with pytest.raises(DataError, match="can't be matched") as caught:
        read_answers(log(tmp_path, rows), cases)
    assert caught.value.where == "logged.jsonl:2"
    with pytest.raises(DataError, match="as many as"):
        read_answers(log(tmp_path, rows[:1]), cases, "order")


# One input, several answers.


def test_one_input_with_several_answers_is_refused_where_it_can_matter(tmp_path):
    two = [{"input": "q", "answer": "a"}, {"input": "q ", "answer": "b"}]
    same = [case("c0", "q"), case("c1", "q", line=2)]
    rows = [{"input": "q", "answer": "a"}, {"input": "q", "answer": "b"}]
    assert [a.text for a in read_answers(log(tmp_path, rows), same)] == ["a", "b"]
    other = [case("c0", "q"), case("c1", "q", "y", line=2)]
    asked_again = align_answers(log(tmp_path, rows), same[:1])
    assert [one.text for one in asked_again.answers[0].repeats] == ["b"]  # one row: asked again
    assert asked_again.often == "2 times"
    for cases in (other, [*same, case("c2", "q", line=3)]):
        with pytest.raises(DataError, match="several recorded answers") as caught:
            read_answers(log(tmp_path, rows), cases)
        assert caught.value.got == "1 input with 2 answers"
    assert (
        read_answers(log(tmp_path, two), same[:1])[0].text == "a"
    )  # as it is written, to the byte
    rows = [{"input": "q", "answer": "a"}] * 3
    assert [a.text for a in read_answers(log(tmp_path, rows), other)] == ["a", "a"]


def test_turns_before_the_last_one_tell_rows_apart(tmp_path):
    first = [(Message(role="user", content=f"{n}?"), Message(role="assistant", content="no"))
             for n in range(2)]  # fmt: skip
    cases = [case(f"c{n}", "sure?", line=n, before=first[n]) for n in range(2)]
    with pytest.raises(DataError, match="several recorded answers"):
        read_answers(log(tmp_path, [{"input": "sure?", "answer": "a"}]), cases)
    rows = [{"input": f"{n}?\nno\nsure?", "answer": f"a{n}"} for n in (1, 0)]
    assert [a.text for a in read_answers(log(tmp_path, rows), cases)] == ["a0", "a1"]


def test_answers_to_other_rows_of_one_input_are_counted_with_it(tmp_path):
    rows = [{"input": "q", "answer": "a"}, {"input": "q", "answer": "b"}]
    pool = [Query(id="p", messages=(Message(role="user", content="q"),))]
    with pytest.raises(DataError, match="several"):
        align_answers(log(tmp_path, rows), [case("c0", "q")], pool)


# The order itself.


def texts(n, seed=0):
    draw = random.Random(seed)
    words = [f"word{k}" for k in range(60)]
    return [" ".join(draw.sample(words, 12)) for _ in range(n)]


@pytest.mark.parametrize("n", [20, 60, 400, 900])
def test_free_text_fits_in_its_order_alone(n):
    right = texts(n)
    said = [" ".join(text.split()[:8]) + " and more" for text in right]
    assert order_misfit(said, right) == ""
    mixed = said[:]
    random.Random(1).shuffle(mixed)
    assert "of their words" in order_misfit(mixed, right)
    assert order_misfit(mixed, right)
    assert order_misfit(said[::-1], right)


def test_a_missing_row_shifts_what_follows_and_is_found():
    right = texts(60)
    lost = [*right[:30], *right[31:], "a stranger"]
    told = order_misfit(lost, right)
    assert told == "30 of 60 answers fit their rows; the last 30 fit the rows 1 row later better"
    twice = [*right[:30], right[29], *right[30:59]]
    assert "the rows 1 row before" in order_misfit(twice, right)


def test_answers_that_are_all_alike_or_few_fit_any_order():
    right = ["yes", "no"] * 40
    assert order_misfit(["yes"] * 80, right) == ""
    assert order_misfit(["no", "yes"], right[:2]) == ""


def test_an_order_of_labels_is_told_from_a_random_one_with_few_false_alarms():
    alarms, missed = 0, 0
    for seed in range(100):
        draw = random.Random(seed)
        right = [draw.choice(["refund", "delivery", "warranty"]) for _ in range(60)]
        said = [one if draw.random() < 0.8 else "refund" for one in right]
        alarms += bool(order_misfit(said, right))
        draw.shuffle(said)
        missed += not order_misfit(said, right)
    assert alarms == 0
    assert missed <= 5


# The key, its hash, and what is no log.


def test_the_key_counts_in_the_hash_only_where_it_is_written():
    def made(**key):
        keys = {"data": {"file": "a"}, "present": {"answers": "b", **key},
                "answers": {"x": {"file": "c", **key}}}  # fmt: skip
        return Task.model_validate(keys).hash

    assert len({made(), made(match="id"), made(match="order")}) == 3


def test_present_without_answers_has_nothing_to_match(tmp_path):
    (tmp_path / "task.yaml").write_text(
        "data: {file: rows.jsonl}\npresent: {model: smollm2-135m, match: id}\n"
    )
    with pytest.raises(TaskError, match="no logged answers to match"):
        read_task(tmp_path / "task.yaml")


@pytest.mark.parametrize("copied", [False, True])
def test_the_file_of_right_answers_is_no_log(tmp_path, copied):
    name = "copy.jsonl" if copied else "rows.jsonl"
    path = studies.write(tmp_path, present={"answers": name})
    (tmp_path / name).write_bytes((tmp_path / "rows.jsonl").read_bytes())
    for command in (check, run):
        with pytest.raises(DataError, match="is the file of right answers") as caught:
            command(path)
        assert (caught.value.exit_code, caught.value.where) == (5, "task.yaml present")


def test_answers_that_all_equal_the_right_ones_are_said_first(tmp_path):
    path = studies.write(tmp_path, n=60, arms=["present", "majority"])
    gold = [{"id": row["id"], "answer": row["output"]} for row in studies.rows(60)]
    studies.lines(tmp_path / "logged.jsonl", gold)
    seen = next(o for o in check(path).observations if o.kind == "answers_are_gold")
    assert (seen.level, seen.count) == ("warning", 60)
    done = run(path).results
    assert "all 60 recorded answers of `present`" in " ".join(
        ladder_screen(done).plain.lower().split()
    )
    gold[0]["answer"] = "none"
    studies.lines(tmp_path / "logged.jsonl", gold)
    assert "answers_are_gold" not in {o.kind for o in check(path).observations}
