"""The file of a gate's looks: what is a new look, what continues one, what is refused."""

import json

import pytest

from tuneworthy.explain.two_logs import compare_answers
from tuneworthy.flows.gate_looks import GateHistory, ShownPair
from tuneworthy.matrix.sizing import tail_at_look
from tuneworthy.records.answer import Answer, Score
from tuneworthy.records.case import Case, Message
from tuneworthy.records.errors import StoreError, TaskError
from tuneworthy.records.task import Data, Output, Task
from tuneworthy.stats.many import nested_level

TASK = Task(data=Data(file="rows.jsonl"), output=Output(type="label"))


def shown(old, new, start=0, group=None):
    """Return a pair of systems; each row has a text of answers, one letter a repetition."""
    rows = [
        Case(id=f"r{i}", messages=(Message(role="user", content=f"question {i}"),), output="y")
        for i in range(start, start + len(old))
    ]

    def side(texts):
        answers, scores = [], []
        for case, text in zip(rows, texts, strict=True):
            first, *more = (Answer(case=case.id, text=one) for one in text)
            answers.append(first.model_copy(update={"repeats": tuple(more)}))
            values = tuple(float(one == "y") for one in text)
            repeats = values if more else ()
            scores.append(Score(value=sum(values) / len(values), repeats=repeats))
        return answers, scores

    groups = {case.id: (group or {}).get(case.id, case.id) for case in rows}
    return ShownPair.of(compare_answers(TASK, ("a", "b"), rows, side(old), side(new), groups))


def taken(history, pair, change=""):
    look = history.look_at(pair, change)
    if not look.counted:
        history.add(pair, change, look, "cannot say")
    return look


def test_the_same_answers_are_no_new_look_and_others_are():
    history, first = GateHistory(), shown("yyny" * 10, "ynyy" * 10)
    assert taken(history, first).number == 1
    again = taken(history, shown("yyny" * 10, "ynyy" * 10))
    assert (again.number, again.counted, len(history.looks)) == (1, True, 1)
    other = taken(history, shown("yyny" * 10, "ynyn" * 10))
    assert (other.number, other.earlier, other.counted) == (2, (), False)
    assert taken(history, first).number == 1, "also after another look"


def test_a_change_of_its_own_starts_anew_and_so_do_other_rows():
    history = GateHistory()
    assert taken(history, shown("yyny" * 10, "ynyy" * 10), "pr 1").number == 1
    assert taken(history, shown("yyny" * 10, "yyyy" * 10), "pr 2").number == 1
    assert taken(history, shown("yyny" * 10, "yyyy" * 10, start=40), "pr 1").number == 1
    half = shown("yyny" * 10, "yyyy" * 10, start=20)
    assert taken(history, half, "pr 1").number == 2, "it shares rows with both"


def test_more_rows_of_the_same_pair_continue_its_looks():
    history = GateHistory()
    taken(history, shown("yyny" * 10, "ynyy" * 10))
    second = taken(history, shown("yyny" * 20, "ynyy" * 20))
    assert (second.number, second.earlier) == (2, ((1, 0.5),))
    third = taken(history, shown("yyny" * 25, "ynyy" * 25))
    assert third.earlier == ((1, pytest.approx(0.4)), (2, 0.8))
    assert tail_at_look(0.025, 1) == 0.025
    assert tail_at_look(0.025, 3) == pytest.approx(0.025 / 12)
    nested = nested_level([(0.025, 0.4), (0.025 / 4, 0.8), (0.025 / 12, 1.0)])
    assert tail_at_look(0.025, 3, third.earlier) == pytest.approx(nested)
    assert nested > 0.025 / 12
    changed = taken(history, shown("yyny" * 25 + "y", "nnyy" * 25 + "y"))
    assert (changed.number, changed.earlier) == (4, ()), "an old row has another answer"
    fewer = taken(history, shown("yyny" * 5, "nnyy" * 5))
    assert (fewer.number, fewer.earlier) == (5, ())


def test_more_answers_to_each_row_continue_it_too():
    history = GateHistory()
    old, new = ["yn", "yy", "ny", "nn"] * 10, ["yy", "yn", "nn", "yn"] * 10
    taken(history, shown(old, new))
    more = shown([one + "yn" for one in old], [one + "nn" for one in new])
    assert taken(history, more).earlier == ((1, 0.5),)
    less = shown([one[:1] for one in old], [one[:1] for one in new])
    assert taken(history, less).earlier == ()


def test_rows_with_fewer_answers_than_others_make_no_look_cheaper():
    history = GateHistory()
    old, new = ["y", "y", "n", "n"] * 10, ["y", "n", "y", "n"] * 10
    taken(history, shown(old, new))
    uneven = shown([one + "yny" for one in old[1:]] + ["n"], [one + "n" for one in new[1:]] + ["n"])
    assert taken(history, uneven).earlier == (), "other answers"
    history = GateHistory()
    taken(history, shown(old, new))
    last = [one + "yny" * (at < 39) for at, one in enumerate(old)]
    second = taken(history, shown(last, new))
    assert second.earlier == ((1, pytest.approx((1 / 4 + 1) / 2)),)


def test_groups_make_the_part_of_an_earlier_look_smaller():
    history = GateHistory()
    one = {f"r{i}": "r0" for i in range(30, 40)}
    taken(history, shown("yyny" * 5, "ynyy" * 5))
    second = taken(history, shown("yyny" * 10, "ynyy" * 10, group=one))
    assert second.earlier == ((1, pytest.approx(20 / (30 + 100), abs=0.2)),)
    assert second.earlier[0][1] < 0.5


def test_the_file_holds_digests_and_gives_back_what_was_written(tmp_path):
    path, history = tmp_path / "new" / "looks.json", GateHistory()
    taken(history, shown("yyny" * 10, "ynyy" * 10), "pr 1")
    taken(history, shown("yyny" * 20, "ynyy" * 20), "pr 1")
    history.write(path)
    text = path.read_text("utf-8")
    assert "question" not in text
    assert json.loads(text)["tuneworthy gate looks"] == 1
    assert GateHistory.read(path) == history
    third = GateHistory.read(path).look_at(shown("yyny" * 25, "ynyy" * 25), "pr 1")
    assert (third.number, len(third.earlier)) == (3, 2)
    assert GateHistory.read(tmp_path / "none.json") == GateHistory()


@pytest.mark.parametrize(
    ("old", "new"),
    [('"looks": [', '"looks": {'), ('"look": 1', '"look": "x"'), ('"each": "', '"each": "0'),
     ('"rows": "', '"rows": "0'), ('"earlier": []', '"earlier": [1]')],
)  # fmt: skip
def test_a_damaged_file_is_refused_and_never_taken_for_none(tmp_path, old, new):
    path, history = tmp_path / "looks.json", GateHistory()
    taken(history, shown("yyny" * 10, "ynyy" * 10))
    history.write(path)
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")
    with pytest.raises(StoreError, match="can't be read"):
        GateHistory.read(path)


def test_another_file_in_its_place_is_refused(tmp_path):
    path = tmp_path / "looks.json"
    path.write_text('{"mine": 1}', "utf-8")
    with pytest.raises(TaskError, match="another file stands there"):
        GateHistory.read(path)
